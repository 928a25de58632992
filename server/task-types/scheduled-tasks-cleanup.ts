import type { Database } from '../../db/client';
import type { Blobstore } from '../blobstore/blobstore';
import { mapPool } from '../core/concurrency';
import { tasksCleanupParams, type TasksCleanupParams } from '../scheduler/payloads';
import { deleteTasks, findTaskCutoff, listDisposableTasks, listEndedTaskTypes, type DisposableTask } from '../scheduler/task-retention-store';
import { isTaskCancelled, type TaskContext } from '../tasks/context';
import { isInterruption } from '../tasks/interruption';
import type { TaskType } from './task-type';

export interface TasksCleanupDeps {
  db: Database;
  blobstore: Pick<Blobstore, 'delete'>;
}

/** Tasks looked at in one go, and blobs deleted at a time. */
const batch = 200;
const blobsAtOnce = 8;
/** After so many blobs that could not be deleted, the blobstore is taken to be away. */
const failuresAtMost = 20;

/**
 * Deletes ended tasks beyond the limits, with their output. A task's blob goes before its row, so that whatever dies in between leaves
 * a row that still names it, and the next attempt, or the next run, goes on.
 * Rules: cloudfoundry/bosh src/bosh-director/lib/bosh/director/api/task_remover.rb. The search for live tasks that no worker has
 * (jobs/scheduled_tasks_cleanup.rb) is not done: here a live task is itself the entry in the queue, and the reaper sees to those whose
 * owner is lost.
 */
export const scheduledTasksCleanup: TaskType<TasksCleanupParams, TasksCleanupDeps> = {
  type: 'scheduled_task_cleanup',
  lane: 'normal',
  onNodeLoss: 'converge',
  payload: tasksCleanupParams,
  async perform(ctx, deps, params) {
    const failed: string[] = [];
    let deleted = 0;
    for (const type of await listEndedTaskTypes(deps.db)) {
      const cutoff = await findTaskCutoff(deps.db, type, params.max_tasks);
      for (let after = 0; ; ) {
        await ctx.checkpoint();
        const tasks = await listDisposableTasks(deps.db, { type, cutoff, params, after, limit: batch });
        deleted += await deleteWithOutput(ctx, deps, tasks, failed);
        after = tasks.at(-1)?.id ?? after;
        if (tasks.length < batch) break;
      }
    }
    return `Deleted ${deleted} task(s) with their output${failed.length > 0 ? `; ${failed.length} stay, as their output could not be deleted` : ''}`;
  },
};

/** Returns how many are gone; appends to `failed` the blobs that are still there. */
async function deleteWithOutput(ctx: TaskContext, { blobstore }: TasksCleanupDeps, tasks: readonly DisposableTask[], failed: string[]): Promise<number> {
  const gone = await mapPool(tasks, blobsAtOnce, async ({ id, blobId }) => {
    if (blobId === undefined) return [id];
    await ctx.fence();
    try {
      await blobstore.delete(blobId);
      return [id];
    } catch (error) {
      if (isInterruption(error) || isTaskCancelled(error)) throw error;
      failed.push(blobId);
      ctx.log.warn(`The output of task ${id} (blob ${blobId}) could not be deleted: ${String(error)}`);
      if (failed.length >= failuresAtMost) throw error;
      return [];
    }
  });
  const ids = gone.flat();
  if (ids.length > 0) await ctx.write((tx) => deleteTasks(tx, ids));
  return ids.length;
}
