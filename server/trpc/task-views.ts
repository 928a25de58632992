import { z } from 'zod';
import type { TaskAttempt } from '../tasks/store';
import { nodeFace, type NodeFace } from './node-faces';
import type { TaskPageRow } from './store';
import { taskState } from './task-tail';

/** One node's work on a task. */
export const attemptView = z.object({
  epoch: z.int(),
  attempt: z.int(),
  node: nodeFace,
  worker: z.string(),
  startedAt: z.date(),
  endedAt: z.date().optional(),
  outcome: z.enum(['done', 'error', 'cancelled', 'lost', 'handed over']).optional(),
  /** Since the attempt before it ended, ms; absent for the first. */
  gapMs: z.number().optional(),
});
export type AttemptView = z.infer<typeof attemptView>;

export const taskView = z.object({
  id: z.int(),
  type: z.string(),
  state: taskState,
  description: z.string(),
  result: z.string().optional(),
  user: z.string(),
  deployment: z.string().optional(),
  createdAt: z.date(),
  startedAt: z.date().optional(),
  finishedAt: z.date().optional(),
  cancelRequestedAt: z.date().optional(),
  /** Who works on it now. */
  node: nodeFace.optional(),
  attempts: z.array(attemptView),
});
export type TaskView = z.infer<typeof taskView>;

export function toTaskView(task: Omit<TaskPageRow, 'teams'>, attempts: readonly TaskAttempt[], faces: (id: string) => NodeFace): TaskView {
  return {
    id: task.id, type: task.type, state: task.state, description: task.description, result: task.result, user: task.user, deployment: task.deployment,
    createdAt: task.createdAt, startedAt: task.startedAt, finishedAt: task.finishedAt, cancelRequestedAt: task.cancelRequestedAt,
    node: task.ownerNode === undefined ? undefined : faces(task.ownerNode),
    attempts: attempts.map((one, index) => {
      const before = attempts[index - 1]?.endedAt;
      return {
        epoch: one.epoch, attempt: one.attempt, node: { ...faces(one.nodeId), name: one.nodeName }, worker: one.worker, startedAt: one.startedAt, endedAt: one.endedAt, outcome: one.outcome,
        gapMs: before === undefined ? undefined : Math.max(0, one.startedAt.getTime() - before.getTime()),
      };
    }),
  };
}
