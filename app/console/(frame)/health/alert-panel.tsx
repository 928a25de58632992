'use client';

import { keepPreviousData, useQuery } from '@tanstack/react-query';
import { X } from 'lucide-react';
import Link from 'next/link';
import type { ReactNode } from 'react';
import { useTRPC, type Outputs } from '../../_ui/api';
import { InstanceLink } from '../../_ui/instance-link';
import { ShortId } from '../../_ui/short-id';
import { Loaded, SkeletonRows } from '../../_ui/states';
import { Status } from '../../_ui/status';
import { Ago, formatExact, Until } from '../../_ui/time';
import { deliveryLooks, origins, severityLook } from './looks';

type Alert = Outputs['health']['alert'];

/** Everything known of one alert, and how it came to each plugin. */
export function AlertPanel({ seq, onClose }: { seq: number; onClose: () => void }) {
  const trpc = useTRPC();
  const query = useQuery(trpc.health.alert.queryOptions({ seq }, { refetchInterval: 2_000, placeholderData: keepPreviousData }));
  return (
    <aside aria-label={`Alert ${seq}`} className="panel !sticky top-0 w-full shrink-0 lg:w-[340px]">
      <header className="flex items-center justify-between border-b px-4 py-2.5">
        <h3 className="font-semibold">Alert {seq}</h3>
        <button type="button" className="button quiet -mr-2" onClick={onClose} title="Close (Escape)">
          <X aria-hidden size={15} />
          <span className="sr-only">Close</span>
        </button>
      </header>
      <Loaded query={query} skeleton={<SkeletonRows rows={6} />}>{(alert) => <Body alert={alert} />}</Loaded>
    </aside>
  );
}

function Body({ alert }: { alert: Alert }) {
  const groups = Object.entries(alert.jobsToInstanceIds ?? {});
  return (
    <>
      <div className="px-4 py-3">
        <Status look={severityLook(alert.severity)} chip />
        <p className="mt-2 font-medium break-words">{alert.title}</p>
        {alert.summary !== alert.title && <p className="mt-1 text-sm break-words text-soft">{alert.summary}</p>}
      </div>
      <dl className="grid grid-cols-[88px_1fr] gap-y-1.5 border-t px-4 py-3 text-sm">
        <Row name="When"><span title={formatExact(alert.createdAt)}>{formatExact(alert.createdAt)}</span></Row>
        <Row name="From">{origins[alert.origin]}</Row>
        <Row name="Source"><span className="break-words">{alert.source}</span></Row>
        {alert.deployment !== undefined && <Row name="Deployment"><Link className="link" href={`/console/deployments/${encodeURIComponent(alert.deployment)}`}>{alert.deployment}</Link></Row>}
        {alert.deployment !== undefined && alert.instanceUuid !== undefined && <Row name="Instance"><InstanceLink deployment={alert.deployment} group={alert.group} index={undefined} uuid={alert.instanceUuid} /></Row>}
        {alert.agentId !== undefined && <Row name="Agent"><ShortId id={alert.agentId} /></Row>}
        {alert.incidentId !== undefined && <Row name="Incident">{alert.incidentId}</Row>}
        <Row name="Id"><ShortId id={alert.id} /></Row>
        {groups.map(([group, uuids]) => (
          <Row key={group} name={group}>{uuids.length} {uuids.length === 1 ? 'instance' : 'instances'}</Row>
        ))}
      </dl>
      <div className="border-t px-4 py-3">
        <h4 className="heading mb-1.5">Plugins</h4>
        {alert.plugins.length === 0 ? (
          <p className="text-sm text-faint">{alert.dispatched ? 'None is configured for alerts.' : 'Not sent yet.'}</p>
        ) : (
          <ul className="flex flex-col gap-2 text-sm">
            {alert.plugins.map((one) => (
              <li key={one.plugin}>
                <span className="flex items-baseline justify-between gap-3">
                  <span className="truncate font-medium">{one.plugin}</span>
                  <Status look={deliveryLooks[one.state]} />
                </span>
                <span className="flex justify-between gap-3 text-faint">
                  <span>{one.state === 'waiting' ? <>next try <Until at={one.at} /></> : <Ago at={one.at} />}</span>
                  <span className="tabular-nums">{one.attempts} {one.attempts === 1 ? 'attempt' : 'attempts'}</span>
                </span>
                {one.error !== undefined && one.state !== 'delivered' && <span className="block break-words text-fail">{one.error}</span>}
              </li>
            ))}
          </ul>
        )}
      </div>
    </>
  );
}

function Row({ name, children }: { name: string; children: ReactNode }) {
  return (
    <>
      <dt className="truncate text-faint">{name}</dt>
      <dd className="min-w-0">{children}</dd>
    </>
  );
}
