import type { Database } from '../../db/client';
import { deleteEvents, findEventCutoff } from '../scheduler/event-retention-store';
import { eventsCleanupParams, type EventsCleanupParams } from '../scheduler/payloads';
import type { TaskType } from './task-type';

/** Events per transaction. */
const batch = 5_000;

/**
 * Deletes the oldest audit events beyond the limit. Those that are parents of events that stay remain, and those of running tasks.
 * Rule: cloudfoundry/bosh src/bosh-director/lib/bosh/director/api/event_manager.rb, which keeps everything newer than the oldest such parent.
 */
export const scheduledEventsCleanup: TaskType<EventsCleanupParams, { db: Database }> = {
  type: 'scheduled_events_cleanup',
  lane: 'normal',
  onNodeLoss: 'converge',
  payload: eventsCleanupParams,
  async perform(ctx, { db }, { max_events }) {
    const cutoff = await findEventCutoff(db, max_events);
    if (cutoff === undefined) return 'Deleted 0 event(s)';
    let deleted = 0;
    for (let next: number | undefined = 0; next !== undefined; ) {
      const after: number = next;
      await ctx.checkpoint();
      const stretch = await ctx.write((tx) => deleteEvents(tx, { cutoff, after, limit: batch }));
      deleted += stretch.deleted;
      next = stretch.last;
    }
    return `Deleted ${deleted} event(s)`;
  },
};
