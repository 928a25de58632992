import type { Database } from '../../db/client';
import type { Component, ComponentContext } from '../cluster/component';
import type { ScheduleEntry } from './entries';
import { decideSlot, findDueSchedules, syncSchedules, type DueSchedule } from './store';

/** How often the schedule is looked at: no slot starts later than this, ms. */
const roundMs = 500;

/**
 * How many slots of one entry are decided after an outage. Of more, only the newest ones are: an entry that is due every second would
 * otherwise be busy for hours with slots that are missed anyway.
 */
const slotsPerRound = 500;

export interface SchedulerDeps {
  db: Database;
  entries: readonly ScheduleEntry[];
}

/**
 * Component: turns due times into tasks.
 *
 * An entry's row names the first slot that is not decided. Deciding is one transaction: it notes what became of the slot (whose key
 * exists once per cluster), enqueues the task if there is to be one, and moves the row on. Whoever dies before the commit leaves the
 * slot to the next holder of the lease; after it, everything is done. Time is the database's, and the row never moves back, so a
 * clock that does brings no slot again.
 */
export function createScheduler({ db, entries }: SchedulerDeps): Component {
  const byName = new Map(entries.map((entry) => [entry.name, entry]));
  let syncedEpoch: number | undefined;
  return {
    name: 'scheduler',
    intervalMs: roundMs,
    async tick(ctx) {
      if (syncedEpoch !== ctx.epoch) {
        await ctx.write((tx) => syncSchedules(tx, entries));
        syncedEpoch = ctx.epoch;
      }
      for (const due of await findDueSchedules(db)) {
        const entry = byName.get(due.name);
        if (!entry) continue;
        try {
          await decideSlots(ctx, entry, due);
        } catch (error) {
          // What is wrong with one entry is no reason to let the others wait.
          if (!ctx.holds()) throw error;
          ctx.log.warn('schedule-failed', { schedule: entry.name, error });
        }
      }
    },
  };
}

async function decideSlots(ctx: ComponentContext, entry: ScheduleEntry, due: DueSchedule): Promise<void> {
  const slots = entry.times.due(due.nextSlotAt, due.now, slotsPerRound);
  const [first] = slots;
  if (first && first > due.nextSlotAt) ctx.log.warn('schedule-slots-skipped', { schedule: entry.name, from: due.nextSlotAt, until: first });
  for (const [index, slotAt] of slots.entries()) {
    if (!ctx.holds()) return;
    const outcome = await ctx.write((tx) => decideSlot(tx, entry, { slotAt, nextAt: entry.times.next(slotAt), isNewest: index === slots.length - 1, epoch: ctx.epoch }));
    ctx.progress();
    if (outcome) ctx.log.info('schedule-slot', { schedule: entry.name, slot: slotAt, ...outcome });
  }
}
