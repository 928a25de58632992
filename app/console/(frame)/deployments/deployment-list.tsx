'use client';

import { keepPreviousData, useQuery } from '@tanstack/react-query';
import Link from 'next/link';
import { useRouter } from 'next/navigation';
import { useTRPC, type Outputs } from '../../_ui/api';
import { Empty, Loaded } from '../../_ui/states';
import { Status, taskLooks, toneIcons, type Tone } from '../../_ui/status';
import { Ago } from '../../_ui/time';
import { useRows } from '../../_ui/use-rows';

type Deployment = Outputs['deployments']['list'][number];

/** Every deployment that the user may see. */
export function DeploymentList() {
  const trpc = useTRPC();
  const query = useQuery(trpc.deployments.list.queryOptions(undefined, { refetchInterval: 3_000, placeholderData: keepPreviousData }));
  return (
    <div className="panel overflow-x-auto">
      <Loaded query={query}>{(deployments) => (deployments.length === 0 ? <Empty title="No deployments yet">Deploy one with <code className="mono">bosh -d name deploy manifest.yml</code>.</Empty> : <Table deployments={deployments} />)}</Loaded>
    </div>
  );
}

/** What the records say; the deployment's page asks its agents. */
export function deploymentState(one: Pick<Deployment, 'deployed' | 'unfinished' | 'withoutVm' | 'lastTask'>): { word: string; tone: Tone } {
  if (one.lastTask && ['queued', 'processing', 'cancelling'].includes(one.lastTask.state)) return { word: 'changing', tone: 'work' };
  if (!one.deployed) return { word: 'never deployed', tone: 'off' };
  if (one.withoutVm > 0) return { word: `${one.withoutVm} without VM`, tone: 'look' };
  if (one.unfinished > 0) return { word: `${one.unfinished} not up to date`, tone: 'look' };
  return { word: 'up to date', tone: 'ok' };
}

export function DeploymentState({ of, chip }: { of: Parameters<typeof deploymentState>[0]; chip?: boolean }) {
  const { word, tone } = deploymentState(of);
  return <Status look={{ icon: toneIcons[tone], word, tone }} chip={chip ?? false} />;
}

function Versions({ of }: { of: { name: string; version: string }[] }) {
  if (of.length === 0) return <span className="text-faint">–</span>;
  return (
    <>
      {of.map((one, index) => (
        <span key={`${one.name}/${one.version}`} className="whitespace-nowrap">
          {index > 0 && ', '}
          {one.name} <span className="mono text-soft">{one.version}</span>
        </span>
      ))}
    </>
  );
}

function Table({ deployments }: { deployments: Deployment[] }) {
  const rows = useRows<HTMLTableSectionElement>();
  const router = useRouter();
  return (
    <table className="table min-w-[720px]">
      <thead>
        <tr>
          <th scope="col" aria-sort="ascending">Name</th>
          <th scope="col">State</th>
          <th scope="col" className="num">Instances</th>
          <th scope="col">Releases</th>
          <th scope="col">Stemcells</th>
          <th scope="col">Last task</th>
        </tr>
      </thead>
      <tbody ref={rows}>
        {deployments.map((one) => {
          const href = `/console/deployments/${encodeURIComponent(one.name)}`;
          return (
            <tr
              key={one.name}
              data-row
              tabIndex={0}
              className="cursor-pointer"
              onClick={(event) => {
                if (!(event.target instanceof HTMLElement && event.target.closest('a'))) router.push(href);
              }}
              onKeyDown={(event) => {
                if (event.key === 'Enter' && event.target === event.currentTarget) router.push(href);
              }}
            >
              <td>
                <Link className="link font-medium" href={href} tabIndex={-1}>
                  {one.name}
                </Link>
                {one.teams.length > 0 && <span className="ml-2 text-faint">{one.teams.join(', ')}</span>}
              </td>
              <td>
                <DeploymentState of={one} />
              </td>
              <td className="num">{one.instances}</td>
              <td>
                <Versions of={one.releases} />
              </td>
              <td>
                <Versions of={one.stemcells} />
              </td>
              <td>
                {one.lastTask ? (
                  <span className="flex items-center gap-2">
                    <Link className="link tabular-nums" href={`/console/tasks/${one.lastTask.id}`}>
                      {one.lastTask.id}
                    </Link>
                    <Status look={taskLooks[one.lastTask.state]} />
                    <span className="text-faint">
                      <Ago at={one.lastTask.at} />
                    </span>
                  </span>
                ) : (
                  <span className="text-faint">–</span>
                )}
              </td>
            </tr>
          );
        })}
      </tbody>
    </table>
  );
}
