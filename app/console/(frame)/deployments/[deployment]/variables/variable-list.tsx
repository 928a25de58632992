'use client';

import { keepPreviousData, useQuery } from '@tanstack/react-query';
import Link from 'next/link';
import { useTRPC, type Outputs } from '../../../../_ui/api';
import { Section } from '../../../../_ui/page-header';
import { ShortId } from '../../../../_ui/short-id';
import { Empty, Loaded } from '../../../../_ui/states';
import { useRows } from '../../../../_ui/use-rows';

type Variable = Outputs['variables']['list']['used'][number];

/** Names of a deployment's variables and the versions in use; values are shown nowhere. */
export function VariableList({ deployment }: { deployment: string }) {
  const trpc = useTRPC();
  const query = useQuery(trpc.variables.list.queryOptions({ deployment }, { refetchInterval: 5_000, placeholderData: keepPreviousData }));
  return (
    <Loaded query={query}>
      {({ used, newest }) => (
        <>
          <Section title="In use since the last deploy that succeeded">
            <Table variables={used} empty="No deploy that used variables has succeeded yet." />
          </Section>
          {newest && (
            <Section title="Fixed by a newer deploy, which did not succeed or still runs">
              <Table variables={newest} empty="It has used none so far." before={used} />
            </Section>
          )}
        </>
      )}
    </Loaded>
  );
}

function Table({ variables, empty, before }: { variables: readonly Variable[]; empty: string; before?: readonly Variable[] }) {
  const rows = useRows<HTMLTableSectionElement>();
  const known = new Map((before ?? []).map((one) => [keyOf(one), one.id]));
  return (
    <div className="panel overflow-x-auto">
      {variables.length === 0 ? (
        <Empty title="No variables">{empty}</Empty>
      ) : (
        <table className="table min-w-[640px]">
          <thead>
            <tr>
              <th scope="col" aria-sort="ascending">Name</th>
              <th scope="col">Version</th>
              <th scope="col">From</th>
            </tr>
          </thead>
          <tbody ref={rows}>
            {variables.map((one) => (
              <tr key={keyOf(one)} data-row tabIndex={0}>
                <td className="mono">{one.name}</td>
                <td>
                  <ShortId id={one.id} />
                  {before && known.get(keyOf(one)) !== one.id && <span className="ml-2 text-look">new</span>}
                </td>
                <td>{one.from === undefined ? <span className="text-faint">this deployment</span> : <Link className="link" href={`/console/deployments/${encodeURIComponent(one.from)}`}>{one.from}</Link>}</td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </div>
  );
}

function keyOf({ name, from }: Variable): string {
  return `${from ?? ''} ${name}`;
}
