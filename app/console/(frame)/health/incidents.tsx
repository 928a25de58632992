'use client';

import { keepPreviousData, useQuery } from '@tanstack/react-query';
import Link from 'next/link';
import { useTRPC, type Incident, type Outputs } from '../../_ui/api';
import { Segments } from '../../_ui/filters';
import { InstanceLink } from '../../_ui/instance-link';
import { Section } from '../../_ui/page-header';
import { ShortId } from '../../_ui/short-id';
import { Calm, Empty, Loaded, SkeletonRows } from '../../_ui/states';
import { Status, taskLooks } from '../../_ui/status';
import { Ago, Elapsed, formatExact } from '../../_ui/time';
import { useUrlState } from '../../_ui/url-state';
import { incidentLooks } from './looks';

type Page = Outputs['health']['incidents'];

const views = [
  { key: 'open', name: 'Open' },
  { key: 'ended', name: 'Ended' },
] as const;

/** Conditions that go on, or those that are over. */
export function Incidents({ open }: { open: { data: Page | undefined; error: unknown; refetch: () => unknown } }) {
  const { get, set } = useUrlState();
  const view = get('incidents') === 'ended' ? 'ended' : 'open';
  return (
    <Section title="Incidents" aside={<Segments name="Incidents shown" options={views} value={view} onChange={(next) => set({ incidents: next === 'ended' ? next : undefined })} />}>
      {view === 'ended' ? (
        <Ended />
      ) : (
        <Loaded query={open} skeleton={<div className="panel"><SkeletonRows rows={1} /></div>}>
          {({ incidents, at }) => (incidents.length === 0 ? <Calm words="Every agent beats, and every instance that should have a VM has one." at={at} /> : <Table incidents={incidents} />)}
        </Loaded>
      )}
    </Section>
  );
}

function Ended() {
  const trpc = useTRPC();
  const query = useQuery(trpc.health.incidents.queryOptions({ open: false, limit: 50 }, { refetchInterval: 5_000, placeholderData: keepPreviousData }));
  return (
    <Loaded query={query} skeleton={<div className="panel"><SkeletonRows rows={3} /></div>}>
      {({ incidents }) => (incidents.length === 0 ? <div className="panel"><Empty title="None has ended yet">Incidents that are over are kept here.</Empty></div> : <Table incidents={incidents} />)}
    </Loaded>
  );
}

function Table({ incidents }: { incidents: Incident[] }) {
  const ended = incidents.some((one) => one.endedAt !== undefined);
  return (
    <div className="panel max-h-[420px] overflow-auto">
      <table className="table min-w-[720px]">
        <thead>
          <tr>
            <th scope="col" className="w-[150px]">What</th>
            <th scope="col">Instance</th>
            <th scope="col">Deployment</th>
            <th scope="col">Agent</th>
            <th scope="col" className="num">{ended ? 'Lasted' : 'For'}</th>
            <th scope="col">Scan and fix</th>
            {ended && <th scope="col">Ended</th>}
          </tr>
        </thead>
        <tbody>
          {incidents.map((one) => (
            <tr key={one.id}>
              <td title={incidentLooks[one.kind].means}><Status look={one.endedAt ? { ...incidentLooks[one.kind], tone: 'off' } : incidentLooks[one.kind]} /></td>
              <td>{one.instanceUuid === undefined || one.deployment === undefined ? <span className="text-faint">–</span> : <InstanceLink deployment={one.deployment} group={one.group} index={one.index} uuid={one.instanceUuid} />}</td>
              <td>{one.deployment === undefined ? <span className="text-faint">none</span> : <Link className="link" href={`/console/deployments/${encodeURIComponent(one.deployment)}`}>{one.deployment}</Link>}</td>
              <td>{one.agentId === undefined ? <span className="text-faint">–</span> : <ShortId id={one.agentId} />}</td>
              <td className="num" title={`Since ${formatExact(one.openedAt)}`}><Elapsed from={one.openedAt} to={one.endedAt} /></td>
              <td><Scans incident={one} /></td>
              {ended && <td className="text-soft">{one.endedAt && <Ago at={one.endedAt} />}{one.endReason !== undefined && `: ${one.endReason}`}</td>}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Scans({ incident }: { incident: Incident }) {
  if (!incident.scanTask) return <span className="text-faint">{incident.scans === 0 ? 'none yet' : `${incident.scans}, task gone`}</span>;
  return (
    <span className="flex items-center gap-2 whitespace-nowrap">
      <Link className="link tabular-nums" href={`/console/tasks/${incident.scanTask.id}`}>{incident.scanTask.id}</Link>
      <Status look={taskLooks[incident.scanTask.state]} />
      {incident.scans > 1 && <span className="text-faint">of {incident.scans}</span>}
    </span>
  );
}
