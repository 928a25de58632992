import { recordsCleanupParams, type RecordsCleanupParams } from '../scheduler/payloads';
import { deleteExpiredRecords, recordKinds } from '../scheduler/record-retention-store';
import type { TaskType } from './task-type';

/** Rows per transaction. */
const batch = 5_000;

/** Forgets what has ended long ago: director processes, holders of leases, slots of the schedule, alerts and incidents, moves of the bus. */
export const scheduledRecordsCleanup: TaskType<RecordsCleanupParams, Record<string, never>> = {
  type: 'scheduled_records_cleanup',
  lane: 'normal',
  onNodeLoss: 'converge',
  payload: recordsCleanupParams,
  async perform(ctx, _deps, params) {
    const counts: string[] = [];
    for (const kind of recordKinds) {
      let deleted = 0;
      for (let last = batch; last === batch; deleted += last) {
        await ctx.checkpoint();
        last = await ctx.write((tx) => deleteExpiredRecords(tx, { kind, params, limit: batch }));
      }
      if (deleted > 0) counts.push(`${deleted} ${kind}`);
    }
    return counts.length === 0 ? 'Nothing has expired' : `Deleted ${counts.join(', ')}`;
  },
};
