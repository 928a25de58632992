'use client';

import { keepPreviousData, useQuery } from '@tanstack/react-query';
import Link from 'next/link';
import { useTRPC, type Schedule, type Slot } from '../../_ui/api';
import { describeCron } from '../../_ui/cron';
import { Loaded, SkeletonRows } from '../../_ui/states';
import { Status } from '../../_ui/status';
import { Ago, formatDuration, formatExact } from '../../_ui/time';
import { slotLook } from './looks';

const missedWords = { skip: 'Times at which no node was there are skipped.', run_once: 'After times at which no node was there it runs once, as soon as possible.' } as const;

/** What became of an entry's last due times. */
export function SlotHistory({ schedule }: { schedule: Schedule }) {
  const trpc = useTRPC();
  const params = schedule.params.map((one) => JSON.stringify(one)).filter((text) => text !== '{}');
  const query = useQuery(trpc.schedules.slots.queryOptions({ name: schedule.name, limit: 100 }, { refetchInterval: 2_000, placeholderData: keepPreviousData }));
  return (
    <div className="px-4 py-3 pl-[35px]">
      <p className="mb-2 text-soft">
        <span className="md:hidden">Due {describeCron(schedule.schedule) ?? schedule.schedule}. </span>
        {missedWords[schedule.missed]} {params.length > 0 && <>Parameters: <code className="mono">{params.join(' ')}</code></>}
      </p>
      <Loaded query={query} skeleton={<SkeletonRows rows={3} />}>{(slots) => (slots.length === 0 ? <p className="text-faint">It has not been due yet.</p> : <Slots slots={slots} name={schedule.name} />)}</Loaded>
    </div>
  );
}

function Slots({ slots, name }: { slots: Slot[]; name: string }) {
  return (
    <div className="panel max-h-[260px] overflow-y-auto" tabIndex={0} role="region" aria-label={`Due times of ${name}`}>
      <table className="table">
        <thead>
          <tr>
            <th scope="col" aria-sort="descending">Due</th>
            <th scope="col">Outcome</th>
            <th scope="col">Task</th>
            <th scope="col" className="num" title="How long after it was due it was decided">Delay</th>
            <th scope="col" className="num" title="Epoch of the scheduler’s lease">Epoch</th>
          </tr>
        </thead>
        <tbody>
          {slots.map((slot) => (
            <tr key={slot.slotAt.getTime()}>
              <td>{formatExact(slot.slotAt)} <span className="ml-2 text-faint"><Ago at={slot.slotAt} /></span></td>
              <td><Status look={slotLook(slot)} /></td>
              <td>{slot.task ? <Link className="link tabular-nums" href={`/console/tasks/${slot.task.id}`}>{slot.task.id}</Link> : <span className="text-faint">–</span>}</td>
              <td className="num text-soft">{formatDuration(slot.decidedAt.getTime() - slot.slotAt.getTime())}</td>
              <td className="num text-soft">{slot.epoch}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
