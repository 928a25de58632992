'use client';

import { keepPreviousData, useQuery } from '@tanstack/react-query';
import { Check, X } from 'lucide-react';
import Link from 'next/link';
import { useTRPC, type Outputs } from '../../_ui/api';
import { Section } from '../../_ui/page-header';
import { Empty, Loaded } from '../../_ui/states';
import { Status, taskLooks, type Look } from '../../_ui/status';
import { Ago } from '../../_ui/time';

type Operation = Outputs['events']['recent'][number];

/** What was done lately, by whom, and how it ended. */
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
                    <th scope="col" className="w-24">Outcome</th>
                    <th scope="col">Change</th>
                    <th scope="col" className="w-16">Task</th>
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

const done: Look = { icon: Check, word: 'done', tone: 'ok' };

function outcomeOf(event: Operation): Look {
  if (event.running) return taskLooks.processing;
  if (event.error === undefined) return done;
  return /^Task \d+ cancelled$/.test(event.error) ? taskLooks.cancelled : { icon: X, word: 'failed', tone: 'fail' };
}

function Change({ event }: { event: Operation }) {
  const object = event.objectName ?? '';
  const outcome = outcomeOf(event);
  const exists = event.objectType === 'deployment' && event.action !== 'delete' && object !== '';
  return (
    <tr>
      <td className="text-soft">
        <Ago at={event.at} />
      </td>
      <td className="truncate max-sm:hidden">{event.user}</td>
      <td>
        <Status look={outcome} />
      </td>
      <td className="w-full max-w-0 truncate" title={event.error}>
        {event.action} {event.objectType.replaceAll(/[-_/]/g, ' ')}{' '}
        {exists ? (
          <Link className="link in-text" href={`/console/deployments/${encodeURIComponent(object)}`}>
            {object}
          </Link>
        ) : (
          object
        )}
        {event.deployment !== undefined && event.objectType !== 'deployment' && <span className="text-soft"> in {event.deployment}</span>}
        {outcome.tone === 'fail' && <span className="text-fail"> {event.error}</span>}
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
