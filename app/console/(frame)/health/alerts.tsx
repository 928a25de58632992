'use client';

import { keepPreviousData, useQuery } from '@tanstack/react-query';
import { useTRPC, type AlertLine } from '../../_ui/api';
import { useHeldRows } from '../../_ui/held-rows';
import { openRow } from '../../_ui/open-row';
import { Section } from '../../_ui/page-header';
import { Pages } from '../../_ui/pages';
import { PendingRows } from '../../_ui/pending-rows';
import { useShortcut } from '../../_ui/shortcuts';
import { Empty, Problem, SkeletonRows } from '../../_ui/states';
import { Status } from '../../_ui/status';
import { Ago } from '../../_ui/time';
import { useUrlState } from '../../_ui/url-state';
import { useRows } from '../../_ui/use-rows';
import { AlertFilters, severityFilters, toOrigin, toSeverityFilter } from './alert-filters';
import { AlertPanel } from './alert-panel';
import { deliveryLooks, origins, severityLook } from './looks';

const number = (text: string | undefined) => (text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : undefined);

/** What operators were told, newest first; one opens beside the list. */
export function Alerts() {
  const { get, set } = useUrlState();
  const trpc = useTRPC();
  const before = number(get('before'));
  const origin = toOrigin(get('origin'));
  const filter = { deployment: get('deployment'), severities: severityFilters[toSeverityFilter(get('severity'))].severities?.slice(), origins: origin && [origin], text: get('text'), beforeSeq: before };
  const query = useQuery(trpc.health.alerts.queryOptions(filter, { refetchInterval: 2_000, placeholderData: keepPreviousData }));
  const shown = useHeldRows(query.data?.alerts, { name: JSON.stringify(filter), placeholder: query.isPlaceholderData }, (alert) => alert.seq);
  const next = query.data?.nextBeforeSeq;
  const selected = number(get('alert'));
  const filtered = Object.values(filter).some((value) => value !== undefined);
  useShortcut('Escape', 'Close the alert', () => set({ alert: undefined }));
  return (
    <Section title="Alerts" id="alerts">
      <AlertFilters />
      <div className="flex items-start gap-5 max-lg:flex-col">
        <div className="min-w-0 flex-1 max-lg:w-full">
          <div className="panel overflow-hidden">
            <PendingRows pending={shown.pending} show={shown.show} />
            {query.data === undefined ? query.error ? <Problem error={query.error} onRetry={() => void query.refetch()} /> : <SkeletonRows rows={8} /> : <Table alerts={shown.rows} filtered={filtered} stale={query.isPlaceholderData} selected={selected} onSelect={(seq) => set({ alert: seq === undefined ? undefined : String(seq) })} />}
          </div>
          <Pages
            first={before === undefined ? undefined : () => set({ before: undefined }, 'push')}
            next={next === undefined ? undefined : () => set({ before: String(next) }, 'push')}
            names={{ first: 'Newest', next: 'Older', atFirst: 'These are the newest', atLast: 'There are no older ones' }}
          />
        </div>
        {selected !== undefined && <AlertPanel seq={selected} onClose={() => set({ alert: undefined })} />}
      </div>
    </Section>
  );
}

function Table({ alerts, filtered, stale, selected, onSelect }: { alerts: AlertLine[]; filtered: boolean; stale: boolean; selected: number | undefined; onSelect: (seq: number | undefined) => void }) {
  const rows = useRows<HTMLTableSectionElement>();
  if (alerts.length === 0 && !filtered) return <Empty title="No alerts yet">What the health monitor, the agents and the director have to tell will be listed here.</Empty>;
  if (alerts.length === 0) return <Empty title="No such alert">Change or clear the filters to see others.</Empty>;
  return (
    <div className="overflow-x-auto">
      <table className={`table min-w-[700px] table-fixed ${stale ? 'opacity-60' : ''}`}>
        <thead>
          <tr>
            <th scope="col" className="w-[96px]" aria-sort="descending">When</th>
            <th scope="col" className="w-[104px]">Severity</th>
            <th scope="col">Alert</th>
            <th scope="col" className="w-[124px]">Deployment</th>
            <th scope="col" className="w-[116px]">From</th>
            <th scope="col" className="w-[120px]">Plugins</th>
          </tr>
        </thead>
        <tbody ref={rows}>
          {alerts.map((alert) => (
            <tr key={alert.seq} className={`cursor-pointer ${alert.seq === selected ? '[&>td]:bg-accent-wash' : ''}`} aria-selected={alert.seq === selected} {...openRow(() => onSelect(alert.seq === selected ? undefined : alert.seq))}>
              <td className="text-soft"><Ago at={alert.createdAt} /></td>
              <td><Status look={severityLook(alert.severity)} /></td>
              <td className="truncate" title={alert.summary}>
                <button type="button" tabIndex={-1} className="link max-w-full truncate" onClick={() => onSelect(alert.seq === selected ? undefined : alert.seq)}>{alert.title}</button>
              </td>
              <td className="truncate" title={alert.deployment}>{alert.deployment ?? <span className="text-faint">–</span>}</td>
              <td className="truncate text-soft">{origins[alert.origin]}</td>
              <td><Deliveries alert={alert} /></td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Deliveries({ alert }: { alert: AlertLine }) {
  const { delivered, waiting, givenUp } = alert.deliveries;
  if (!alert.dispatched) return <span className="text-faint">not sent yet</span>;
  if (givenUp > 0) return <Status look={{ ...deliveryLooks['given up'], word: `${givenUp} gave up` }} />;
  if (waiting > 0) return <Status look={{ ...deliveryLooks.waiting, word: `${waiting} waiting` }} />;
  return <span className="text-soft">{delivered === 0 ? 'no plugin' : `${delivered} told`}</span>;
}
