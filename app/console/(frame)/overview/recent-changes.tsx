'use client';

import { keepPreviousData, useQuery } from '@tanstack/react-query';
import { CircleX } from 'lucide-react';
import Link from 'next/link';
import { useTRPC, type Outputs } from '../../_ui/api';
import { Section } from '../../_ui/page-header';
import { Empty, Loaded } from '../../_ui/states';
import { Ago } from '../../_ui/time';

/** The newest lines of the audit trail. */
export function RecentChanges() {
  const trpc = useTRPC();
  const query = useQuery(trpc.events.recent.queryOptions({ limit: 25 }, { refetchInterval: 4_000, placeholderData: keepPreviousData }));
  return (
    <Section title="Recent changes">
      <div className="panel overflow-x-auto">
        <Loaded query={query}>
          {(events) =>
            events.length === 0 ? (
              <Empty title="Nothing has changed yet">Every upload, deploy and change will be listed here.</Empty>
            ) : (
              <table className="table">
                <thead>
                  <tr>
                    <th scope="col" className="w-28">When</th>
                    <th scope="col" className="w-28 max-sm:hidden">User</th>
                    <th scope="col">Change</th>
                    <th scope="col" className="w-24">Task</th>
                  </tr>
                </thead>
                <tbody>
                  {events.map((event) => (
                    <Change key={event.id} event={event} />
                  ))}
                </tbody>
              </table>
            )
          }
        </Loaded>
      </div>
    </Section>
  );
}

function Change({ event }: { event: Outputs['events']['recent'][number] }) {
  const object = event.objectName ?? '';
  return (
    <tr>
      <td className="text-soft">
        <Ago at={event.at} />
      </td>
      <td className="truncate max-sm:hidden">{event.user}</td>
      <td className="max-w-0 truncate" title={event.error}>
        {event.error !== undefined && (
          <span className="mr-1.5 inline-flex translate-y-[2px] text-fail">
            <CircleX aria-hidden size={13} />
            <span className="sr-only">failed</span>
          </span>
        )}
        {event.action} {event.objectType}{' '}
        {event.objectType === 'deployment' && event.error === undefined && event.action !== 'delete' && object !== '' ? (
          <Link className="link in-text" href={`/console/deployments/${encodeURIComponent(object)}`}>
            {object}
          </Link>
        ) : (
          <span>{object}</span>
        )}
        {event.deployment !== undefined && event.objectType !== 'deployment' && <span className="text-soft"> in {event.deployment}</span>}
        {event.error !== undefined && <span className="text-fail"> {event.error}</span>}
      </td>
      <td>
        {event.taskId !== undefined && (
          <Link className="link tabular-nums" href={`/console/tasks/${event.taskId}`}>
            {event.taskId}
          </Link>
        )}
      </td>
    </tr>
  );
}
