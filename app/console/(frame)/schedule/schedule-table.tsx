'use client';

import { ChevronRight } from 'lucide-react';
import Link from 'next/link';
import { Fragment } from 'react';
import type { Schedule, Slot } from '../../_ui/api';
import { describeCron } from '../../_ui/cron';
import { Status, toneText } from '../../_ui/status';
import { Ago, formatExact, Until } from '../../_ui/time';
import { useUrlState } from '../../_ui/url-state';
import { useRows } from '../../_ui/use-rows';
import { slotLook } from './looks';
import { ScheduleActions } from './schedule-actions';
import { SlotHistory } from './slot-history';

/** Entries as rows; one opens to its last due times. */
export function ScheduleTable({ schedules }: { schedules: Schedule[] }) {
  const rows = useRows<HTMLTableSectionElement>();
  const { get, set } = useUrlState();
  const open = get('entry');
  const toggle = (name: string) => set({ entry: open === name ? undefined : name });
  return (
    <table className="table min-w-[720px] md:min-w-[980px]">
      <thead>
        <tr>
          <th scope="col">Entry</th>
          <th scope="col" className="max-md:hidden">When</th>
          <th scope="col">Last run</th>
          <th scope="col">Next</th>
          <th scope="col">Recent</th>
          <th scope="col"><span className="sr-only">Actions</span></th>
        </tr>
      </thead>
      <tbody ref={rows}>
        {schedules.map((one) => (
          <Fragment key={one.name}>
            <tr className="cursor-pointer" onClick={(event) => event.target instanceof HTMLElement && !event.target.closest('a, button') && toggle(one.name)}>
              <td className="!h-11">
                <button type="button" data-row aria-expanded={open === one.name} className="flex items-center gap-1.5 text-left" onClick={() => toggle(one.name)}>
                  <ChevronRight aria-hidden size={13} className={`shrink-0 text-faint transition-transform duration-150 ${open === one.name ? 'rotate-90' : ''}`} />
                  <span className="font-medium">{one.name}</span>
                </button>
                {one.command !== one.name && <span className="ml-[19px] block text-faint">{one.command}</span>}
              </td>
              <td className="max-md:hidden"><When schedule={one} /></td>
              <td>{one.absent === undefined ? <LastRun schedule={one} /> : <span className="text-faint">nothing to do: {one.absent}</span>}</td>
              <td>{one.paused ? <span className="text-look">paused</span> : one.nextSlotAt ? <Until at={one.nextSlotAt} /> : <span className="text-faint">not planned</span>}</td>
              <td><Strip slots={one.slots} /></td>
              <td><ScheduleActions schedule={one} /></td>
            </tr>
            {open === one.name && (
              <tr>
                <td colSpan={6} className="bg-page !p-0"><SlotHistory schedule={one} /></td>
              </tr>
            )}
          </Fragment>
        ))}
      </tbody>
    </table>
  );
}

function When({ schedule }: { schedule: Schedule }) {
  const words = describeCron(schedule.schedule);
  if (words === undefined) return <code className="mono">{schedule.schedule}</code>;
  return (
    <span title={schedule.schedule}>
      {words}
      <code className="mono block text-faint">{schedule.schedule}</code>
    </span>
  );
}

/** The newest due time and what became of it. */
function LastRun({ schedule }: { schedule: Schedule }) {
  const [last] = schedule.slots;
  if (!last) return <span className="text-faint">not yet</span>;
  return (
    <span className="flex items-center gap-2 whitespace-nowrap">
      <Ago at={last.slotAt} />
      <Status look={slotLook(last)} />
      {last.task && <Link className="link tabular-nums" href={`/console/tasks/${last.task.id}`}>{last.task.id}</Link>}
    </span>
  );
}

const shown = 16;
const fills = { ok: 'bg-ok opacity-75', work: 'bg-work', look: 'bg-look', fail: 'bg-fail', off: 'bg-line-strong' } as const;

/** The last slots, oldest at the left. Their height tells what was done from what was not, too. */
function Strip({ slots }: { slots: Slot[] }) {
  const recent = slots.slice(0, shown).toReversed();
  const words = recent.map((slot) => `${formatExact(slot.slotAt)}: ${slotLook(slot).word}`).join('\n');
  return (
    <span role="img" aria-label={recent.length === 0 ? 'no due times yet' : words} title={words} className="flex h-4 w-28 items-end justify-end gap-[2px]">
      {recent.map((slot) => {
        const { tone } = slotLook(slot);
        return <span key={slot.slotAt.getTime()} className={`w-[5px] rounded-[1px] ${slot.outcome === 'no work' || slot.outcome === 'paused' ? 'h-1' : tone === 'ok' ? 'h-2.5' : 'h-4'} ${fills[tone]} ${toneText[tone]}`} />;
      })}
    </span>
  );
}
