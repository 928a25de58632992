'use client';

import { keepPreviousData, useQuery } from '@tanstack/react-query';
import Link from 'next/link';
import { useTRPC, type Outputs } from '../../_ui/api';
import { Section } from '../../_ui/page-header';
import { Empty, Loaded, SkeletonRows } from '../../_ui/states';
import { toneText, type Tone } from '../../_ui/status';
import { useUrlState } from '../../_ui/url-state';

type Summary = Outputs['health']['summary'];
type Row = Summary['deployments'][number];

const columns: { key: keyof Omit<Row, 'name'>; name: string; title: string; tone: Tone | undefined }[] = [
  { key: 'agents', name: 'Agents', title: 'Agents of its VMs', tone: undefined },
  { key: 'unresponsive', name: 'Silent', title: 'Agents that have been silent for longer than the timeout', tone: 'fail' },
  { key: 'missingVms', name: 'No VM', title: 'Instances that should have a VM and have none', tone: 'fail' },
  { key: 'failing', name: 'Failing', title: 'Agents that say that a process is not running', tone: 'fail' },
  { key: 'unhealthy', name: 'No process', title: 'Agents that say that they run, but without any process', tone: 'look' },
  { key: 'stopped', name: 'Stopped', title: 'Agents whose jobs are stopped', tone: 'off' },
  { key: 'unknown', name: 'Unheard', title: 'Agents that have not said anything about their jobs yet', tone: 'off' },
];

/** Numbers per deployment; those that are well are one line until somebody wants to see them. */
export function DeploymentCounts() {
  const trpc = useTRPC();
  const { get, set } = useUrlState();
  const all = get('all') === 'yes';
  const query = useQuery(trpc.health.summary.queryOptions({ all }, { refetchInterval: 2_000, placeholderData: keepPreviousData }));
  const aside = query.data && (query.data.unmanaged ?? 0) > 0 ? <Link className="link" href="/console/agents?status=unmanaged">{query.data.unmanaged} unmanaged {query.data.unmanaged === 1 ? 'agent' : 'agents'}</Link> : undefined;
  return (
    <Section title="Deployments" aside={aside}>
      <div className="panel max-h-[420px] overflow-auto">
        <Loaded query={query} skeleton={<SkeletonRows rows={2} />}>
          {(summary) => (
            <>
              {!summary.synced && <p className="border-b bg-look-wash px-4 py-1.5 text-sm text-look">This node is still reading the records; the numbers are not complete.</p>}
              {summary.deployments.length > 0 && <Table rows={summary.deployments} />}
              {summary.deployments.length === 0 && summary.quiet.deployments === 0 && <Empty title="No deployments yet" />}
              <Quiet quiet={summary.quiet} all={all} below={summary.deployments.length > 0} onShow={(next) => set({ all: next ? 'yes' : undefined })} />
            </>
          )}
        </Loaded>
      </div>
    </Section>
  );
}

function Quiet({ quiet, all, below, onShow }: { quiet: Summary['quiet']; all: boolean; below: boolean; onShow: (all: boolean) => void }) {
  if (!all && quiet.deployments === 0) return null;
  const agents = `${quiet.agents} ${quiet.agents === 1 ? 'agent' : 'agents'}`;
  return (
    <p className={`flex min-h-[44px] items-center justify-between gap-3 px-4 text-soft ${below ? 'border-t' : ''}`}>
      <span>{all ? '' : `${quiet.deployments}${below ? ' other' : ''} ${quiet.deployments === 1 ? 'deployment' : 'deployments'} with ${agents} ${quiet.deployments === 1 ? 'is' : 'are'} well.`}</span>
      <button type="button" className="link text-sm whitespace-nowrap" onClick={() => onShow(!all)}>
        {all ? 'Only those with trouble' : 'Show all'}
      </button>
    </p>
  );
}

function Table({ rows }: { rows: Row[] }) {
  return (
    <table className="table min-w-[560px]">
      <thead>
        <tr>
          <th scope="col">Deployment</th>
          {columns.map((column) => (
            <th key={column.key} scope="col" className="num" title={column.title}>{column.name}</th>
          ))}
        </tr>
      </thead>
      <tbody>
        {rows.map((row) => (
          <tr key={row.name}>
            <td>
              <Link className="link font-medium" href={`/console/deployments/${encodeURIComponent(row.name)}`}>{row.name}</Link>
            </td>
            {columns.map((column) => (
              <td key={column.key} className="num">
                <Count value={row[column.key]} tone={column.tone} />
              </td>
            ))}
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function Count({ value, tone }: { value: number; tone: Tone | undefined }) {
  if (tone === undefined) return value;
  if (value === 0) return <span className="text-faint">0</span>;
  return <span className={`font-semibold ${tone === 'off' ? 'text-soft' : toneText[tone]}`}>{value}</span>;
}
