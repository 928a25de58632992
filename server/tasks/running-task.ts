import { retryTransient, type Tx } from '../../db/client';
import { acquireLock, releaseLock } from '../cluster/locks';
import type { Notifications } from '../cluster/notifications';
import { abortReason, type Clock } from '../core/clock';
import type { Connections } from '../../db/client';
import { setMaxListeners } from 'node:events';
import { sql } from 'drizzle-orm';
import { isTaskCancelled, TaskCancelled, TaskLost, type TaskContext } from './context';
import type { OutputWriter } from './output-writer';
import { lockOwnership, type ClaimedTask } from './queue';
import { SecretTexts } from './secret-texts';
import { createStages } from './stages';
import { createTaskLog, type TaskLog } from './task-log';

export interface RunningTaskDeps {
  connections: Connections;
  notifications: Notifications;
  clock: Clock;
}

/**
 * The right to act of one attempt, as this node knows it. It ends when a beat finds the task gone, when the local deadline
 * passes without a beat, or when the node gives the task back.
 */
export class AttemptRight {
  readonly #lost = new AbortController();
  readonly #cancelled = new AbortController();
  readonly #clock: Clock;
  readonly taskId: number;
  readonly epoch: number;
  /** Monotonic ms after which the attempt must not act. */
  #deadline: number;
  #handingOver = false;

  constructor(task: { id: number; epoch: number }, deadline: number, clock: Clock) {
    this.taskId = task.id;
    this.epoch = task.epoch;
    this.#deadline = deadline;
    this.#clock = clock;
  }

  /** Aborts with TaskLost. */
  get lostSignal(): AbortSignal {
    return this.#lost.signal;
  }

  /** Aborts with TaskCancelled. */
  get cancelledSignal(): AbortSignal {
    return this.#cancelled.signal;
  }

  get deadline(): number {
    return this.#deadline;
  }

  renewed(deadline: number): void {
    this.#deadline = Math.max(this.#deadline, deadline);
  }

  lose(): void {
    if (!this.#lost.signal.aborted) this.#lost.abort(new TaskLost(this.taskId, this.epoch));
  }

  cancel(): void {
    if (!this.#cancelled.signal.aborted) this.#cancelled.abort(new TaskCancelled(this.taskId));
  }

  /** The attempt ends at its next fence; what is under way is finished and recorded. */
  handOver(): void {
    this.#handingOver = true;
  }

  get handingOver(): boolean {
    return this.#handingOver;
  }

  /** Throws TaskLost when the attempt must not act. */
  check(): void {
    if (this.#clock.monotonic() >= this.#deadline) this.lose();
    if (this.#lost.signal.aborted) throw abortReason(this.#lost.signal);
  }
}

/** Builds the context that a task type works with. */
export function createTaskContext(task: ClaimedTask, right: AttemptRight, writer: OutputWriter, deps: RunningTaskDeps): TaskContext {
  const { db } = deps.connections;
  const secrets = new SecretTexts();
  const log = createTaskLog((line) => writer.batch('debug', secrets.clean(line)), process.pid, `task:${task.id}`);
  const stages = createStages((line) => writer.append('event', line), () => deps.clock.now(), secrets);
  const checkpoint = { ...task.checkpoint };
  const owner = { taskId: task.id, epoch: task.epoch };

  async function write<T>(work: (tx: Tx) => Promise<T>): Promise<T> {
    right.check();
    const outcome = await retryTransient(
      () =>
        db.transaction(async (tx) => {
          if (!(await lockOwnership(tx, task.id, task.epoch))) return { owned: false as const };
          return { owned: true as const, value: await work(tx) };
        }),
      right.lostSignal,
    );
    if (outcome.owned) return outcome.value;
    right.lose();
    throw abortReason(right.lostSignal);
  }

  const base = {
    taskId: task.id, epoch: task.epoch, attempt: task.attempt, user: task.user, deployment: task.deployment, contextId: task.contextId,
    clock: deps.clock, secrets, log, stages, write,
    result: (text: string) => writer.append('result', text),
    cpiOutput: (text: string) => writer.batch('cpi', secrets.clean(text)),
    remembered: (key: string) => checkpoint[key],
    remember: async (key: string, value: unknown) => {
      if (value === undefined) delete checkpoint[key];
      else checkpoint[key] = value;
      await write(async (tx) => {
        await tx.execute(
          value === undefined
            ? sql`UPDATE tasks SET checkpoint = checkpoint - ${key}::text WHERE id = ${task.id}`
            : sql`UPDATE tasks SET checkpoint = checkpoint || ${JSON.stringify({ [key]: value })}::jsonb WHERE id = ${task.id}`,
        );
      });
    },
  };
  const make = (signal: AbortSignal, cancellable: boolean): TaskContext => {
    const stop = async () => {
      right.check();
      if (right.handingOver) throw new TaskLost(task.id, task.epoch);
      if (cancellable && right.cancelledSignal.aborted) throw abortReason(right.cancelledSignal);
    };
    const context: TaskContext = {
      ...base, signal, fence: stop, checkpoint: stop,
      lock: async (name, waitMs) => {
        await stop();
        await acquireLock({ db, notifications: deps.notifications }, { name, owner, waitMs, signal, check: stop, onWait: waitNote(name, log) }, () => {
          right.lose();
          return new TaskLost(task.id, task.epoch);
        });
        return async () => {
          // The lock is the task's: an attempt that ends before the task leaves it to the next one, lest others slip in between.
          if (right.lostSignal.aborted || right.handingOver) return;
          await retryTransient(() => releaseLock(db, name, owner), right.lostSignal);
        };
      },
      uncancellable: () => make(right.lostSignal, false),
    };
    return context;
  };
  const either = AbortSignal.any([right.lostSignal, right.cancelledSignal]);
  // A task works on many instances at a time, and each waits on these.
  setMaxListeners(0, either, right.lostSignal, right.cancelledSignal);
  return make(either, true);
}

function waitNote(name: string, log: TaskLog): (holder: { taskId: number; description: string }) => Promise<void> {
  return async (holder) => log.info(`Waiting for lock ${name}, held by task ${holder.taskId} (${holder.description})`);
}

/** True when the failure is the task's cancellation, directly or as the reason of what failed. */
export function causedByCancel(error: unknown): boolean {
  for (let at: unknown = error; at !== undefined && at !== null; at = at instanceof Error ? at.cause : undefined) {
    if (isTaskCancelled(at)) return true;
  }
  return false;
}
