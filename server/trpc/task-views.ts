import { z } from 'zod';
import type { TaskAttempt } from '../tasks/store';
import type { NodeBook } from './cluster-overview';
import { nodeFace } from './node-faces';
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
  /** Until when its node was surely at work: the end, or the last heartbeat of a node that was lost; absent while it works. */
  lastSeenAt: z.date().optional(),
  /** Since the attempt before was last seen, ms; absent for the first. */
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

export function toTaskView(task: Omit<TaskPageRow, 'teams'>, attempts: readonly TaskAttempt[], nodes: NodeBook): TaskView {
  const lastSeen = attempts.map((one) => lastSeenAt(one, nodes.lastBeatOf(one.nodeId)));
  return {
    id: task.id, type: task.type, state: task.state, description: task.description, result: task.result, user: task.user, deployment: task.deployment,
    createdAt: task.createdAt, startedAt: task.startedAt, finishedAt: task.finishedAt, cancelRequestedAt: task.cancelRequestedAt,
    node: task.ownerNode === undefined ? undefined : nodes.faceOf(task.ownerNode),
    attempts: attempts.map((one, index) => {
      const before = lastSeen[index - 1];
      return {
        epoch: one.epoch, attempt: one.attempt, node: { ...nodes.faceOf(one.nodeId), name: one.nodeName }, worker: one.worker, startedAt: one.startedAt, endedAt: one.endedAt, outcome: one.outcome, lastSeenAt: lastSeen[index],
        gapMs: before === undefined ? undefined : Math.max(0, one.startedAt.getTime() - before.getTime()),
      };
    }),
  };
}

/** A node that was paused and came back has beaten since; then the end of its attempt is all that is known. */
function lastSeenAt(attempt: TaskAttempt, lastBeat: Date | undefined): Date | undefined {
  if (attempt.outcome !== 'lost' || attempt.endedAt === undefined || lastBeat === undefined) return attempt.endedAt;
  return lastBeat < attempt.endedAt && lastBeat > attempt.startedAt ? lastBeat : attempt.endedAt;
}
