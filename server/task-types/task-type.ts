import type { z } from 'zod';
import type { TaskContext } from '../tasks/context';

/** Something that a worker can run. `D` is what it needs from the composition root. */
export interface TaskType<P, D> {
  /** As in the database, e.g. `update_deployment` (rest-api names). */
  readonly type: string;
  /** `urgent` for short read-only tasks, which never wait behind deploys. */
  readonly lane: 'normal' | 'urgent';
  /** What happens when the node that runs it is lost: run again from recorded state, or end in `error`. */
  readonly onNodeLoss: 'converge' | 'fail';
  readonly payload: z.ZodType<P>;
  /** Returns the task's `result` text. Throws to end the task in `error`. */
  perform(ctx: TaskContext, deps: D, payload: P): Promise<string>;
}
