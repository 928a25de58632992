import { setMaxListeners } from 'node:events';
import type pg from 'pg';
import { retryTransient, type Connections } from '../../db/client';
import type { Heart, Renewal } from '../cluster/heart';
import type { NodeRegistration } from '../cluster/nodes';
import type { Notifications } from '../cluster/notifications';
import { timing } from '../cluster/timing';
import { sleep, systemClock, type Clock } from '../core/clock';
import { describeError } from '../core/errors';
import type { Log } from '../core/log';
import { findStartEvent, recordEndEvent } from '../events/store';
import { isTaskLost, type TaskContext } from './context';
import { isDatabaseLoss } from './interruption';
import { readOutput } from './output';
import { OutputWriter } from './output-writer';
import { claimTask, finishTask, handOverTask, type ClaimedTask } from './queue';
import { AttemptRight, causedByCancel, createTaskContext } from './running-task';
import type { SecretTexts } from './secret-texts';
import { errorLine, takeoverLines } from './stages';
import { listAttempts, streamSizes } from './store';
import { truncateResult, type Lane, type TaskState } from './task';
import type { Blobstore } from '../blobstore/blobstore';

/** Runs a claimed task; throws to end it in `error`. Unknown types and payloads throw too. */
export type PerformTask = (ctx: TaskContext, type: string, payload: unknown) => Promise<string>;

export interface WorkerPoolDeps {
  connections: Connections;
  notifications: Notifications;
  heart: Heart;
  node: NodeRegistration;
  blobstore: Blobstore;
  log: Log;
  version: string;
  clock?: Clock;
}

/** How long a stopping node lets tasks reach a point where another node can go on, ms. */
const handOverLimitMs = 20_000;

/** How often rights are looked at whose deadline may have passed without a beat, ms. */
const watchMs = 100;

/** Pause before a task is given back whose attempt the database failed, ms. */
const databasePauseMs = 500;

/**
 * The node's workers: claims tasks on a hint (or every second), runs them, ends them. Slots are per lane, so that short
 * tasks never wait behind deploys. All tasks of the node are renewed in one statement of the beat.
 */
export class WorkerPool implements Renewal {
  readonly #slots: Record<Lane, number>;
  readonly #perform: PerformTask;
  readonly #deps: WorkerPoolDeps;
  readonly #clock: Clock;
  /** By attempt, not by task: an attempt that is slow to end must not take its successor's renewal with it. */
  readonly #running = new Set<AttemptRight>();
  /** Hints so far; one that comes while the queue is being looked at counts for the next look. */
  readonly #hints: Record<Lane, number> = { normal: 0, urgent: 0 };
  readonly #stopping = new AbortController();
  readonly #loops: Promise<void>[] = [];
  #watch: NodeJS.Timeout | undefined;

  constructor(slots: Record<Lane, number>, perform: PerformTask, deps: WorkerPoolDeps) {
    this.#slots = slots;
    this.#perform = perform;
    this.#deps = deps;
    this.#clock = deps.clock ?? systemClock;
    // Every idle worker listens.
    setMaxListeners(0, this.#stopping.signal);
  }

  start(): void {
    this.#deps.heart.register(this);
    this.#watch = setInterval(() => this.#loseExpired(), watchMs);
    this.#deps.notifications.subscribe('task_cancel', (payload) => {
      for (const right of this.#running) if (right.taskId === Number(payload)) right.cancel();
    });
    for (const lane of ['normal', 'urgent'] as const) {
      this.#deps.notifications.subscribe('tasks', (payload) => {
        if (payload === '' || payload === lane) this.#hints[lane]++;
      });
      for (let slot = 1; slot <= this.#slots[lane]; slot++) this.#loops.push(this.#work(lane, `${lane}-${slot}`));
    }
  }

  /** Tasks running now. */
  get size(): number {
    return this.#running.size;
  }

  /** Stops claiming, lets running tasks come to a point where another node can go on, and gives them back. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    for (const right of this.#running) right.handOver();
    const all = Promise.all(this.#loops);
    await Promise.race([all, sleep(handOverLimitMs)]);
    for (const right of this.#running) right.lose();
    await Promise.race([all, sleep(2_000)]);
    clearInterval(this.#watch);
  }

  /** Also while the database cannot be reached and no beat comes to tell: what runs for a lost task is stopped at its deadline. */
  #loseExpired(): void {
    const now = this.#clock.monotonic();
    for (const right of this.#running) if (now >= right.deadline) right.lose();
  }

  async renew(client: pg.Client, startedAt: number): Promise<void> {
    this.#loseExpired();
    const live = [...this.#running].filter((right) => !right.lostSignal.aborted);
    if (live.length === 0) return;
    const { rows } = await client.query<{ id: number; epoch: number; state: TaskState }>({
      name: 'renew-tasks',
      text: `UPDATE tasks t SET lease_expires_at = now() + make_interval(secs => $2) FROM unnest($3::bigint[], $4::bigint[]) AS mine(id, epoch)
             WHERE t.id = mine.id AND t.epoch = mine.epoch AND t.owner_node = $1 RETURNING t.id, t.epoch, t.state`,
      values: [this.#deps.node.id, timing.taskLeaseMs / 1000, live.map((right) => right.taskId), live.map((right) => right.epoch)],
    });
    const found = new Map(rows.map((row) => [row.id, row]));
    for (const right of live) {
      const row = found.get(right.taskId);
      if (row) right.renewed(startedAt + timing.taskLeaseMs - timing.safetyMs);
      else right.lose();
      if (row?.state === 'cancelling') right.cancel();
    }
  }

  async #work(lane: Lane, slot: string): Promise<void> {
    const signal = this.#stopping.signal;
    while (!signal.aborted) {
      const startedAt = this.#clock.monotonic();
      const hints = this.#hints[lane];
      // Without beats a task could not be kept.
      const task = this.#deps.heart.contactMs() === 0 ? undefined : await claimTask(this.#deps.connections.db, lane, this.#deps.node.id, `${this.#deps.node.id}/${slot}`).catch((error: unknown) => {
        this.#deps.log.debug('claim-failed', { error: String(error) });
        return undefined;
      });
      if (task) await this.#run(task, startedAt + timing.taskLeaseMs - timing.safetyMs);
      else if (hints === this.#hints[lane]) await this.#deps.notifications.wait('tasks', 1_000 + Math.random() * 200, { matches: (payload) => payload === lane, signal });
    }
  }

  async #run(task: ClaimedTask, deadline: number): Promise<void> {
    const right = new AttemptRight(task, deadline, this.#clock);
    if (task.state === 'cancelling') right.cancel();
    // Claimed while the stop began.
    if (this.#stopping.signal.aborted) right.handOver();
    this.#running.add(right);
    await this.#attempt(task, right).catch((error: unknown) => this.#deps.log.warn('attempt-failed', { task: task.id, epoch: task.epoch, error }));
    this.#running.delete(right);
  }

  async #attempt(task: ClaimedTask, right: AttemptRight): Promise<void> {
    const { db } = this.#deps.connections;
    const sizes = await retryTransient(() => streamSizes(db, task.id), right.lostSignal);
    const writer = new OutputWriter(db, task, sizes, { signal: right.lostSignal, onLost: () => right.lose() });
    const ctx = createTaskContext(task, right, writer, { ...this.#deps, clock: this.#clock });
    try {
      await this.#begin(task, ctx, writer, sizes.event);
      await ctx.checkpoint();
      const result = await this.#perform(ctx, task.type, task.payload);
      ctx.log.info(`Done`);
      await this.#finish(task, right, writer, { state: 'done', result: truncateResult(result) });
    } catch (error) {
      await this.#fail(task, right, writer, error, ctx);
    }
  }

  async #begin(task: ClaimedTask, ctx: TaskContext, writer: OutputWriter, eventBytes: number): Promise<void> {
    ctx.log.info(`Director Version: ${this.#deps.version}`, 'TaskHelper');
    ctx.log.info(`Enqueuing task: ${task.id}`, 'TaskHelper');
    ctx.log.info(`Running from worker '${this.#deps.node.id}' (node ${this.#deps.node.name}), attempt ${task.attempt}, epoch ${task.epoch}`);
    ctx.log.info(`Starting task: ${task.id}`);
    if (task.attempt <= 1) return;
    const attempts = (await listAttempts(this.#deps.connections.db, [task.id])).get(task.id) ?? [];
    const before = attempts.filter((attempt) => attempt.epoch < task.epoch).at(-1);
    const verb = before?.outcome === 'handed over' ? 'handed the task over' : 'was lost';
    const parts: Buffer[] = [];
    for await (const part of readOutput({ db: this.#deps.connections.db, blobstore: this.#deps.blobstore }, task.id, 'event', { start: 0, end: eventBytes })) parts.push(part);
    await writer.append('event', takeoverLines(Buffer.concat(parts).toString('utf8'), this.#clock.now(), `Director node ${before?.nodeName ?? 'unknown'} ${verb}; node ${this.#deps.node.name} goes on with the task (attempt ${task.attempt})`));
  }

  async #fail(task: ClaimedTask, right: AttemptRight, writer: OutputWriter, error: unknown, ctx: TaskContext): Promise<void> {
    const databaseLoss = isDatabaseLoss(error);
    if (isTaskLost(error) || right.lostSignal.aborted || databaseLoss) {
      this.#deps.log.info('attempt-ended', { task: task.id, epoch: task.epoch, handedOver: right.handingOver, ...(databaseLoss ? { error } : {}) });
      if (databaseLoss) await sleep(databasePauseMs, this.#stopping.signal).catch(() => undefined);
      await writer.flush().catch(() => undefined);
      // The right may only be in doubt (database away): whoever sees the database first frees the task.
      if (!this.#stopping.signal.aborted || right.handingOver) await retryTransient(() => handOverTask(this.#deps.connections.db, task), this.#stopping.signal).catch(() => undefined);
      return;
    }
    const cancelled = causedByCancel(error) || right.cancelledSignal.aborted;
    const described = cancelled ? { code: 10001, message: `Task ${task.id} cancelled` } : storable(describeError(error), ctx.secrets);
    if (!cancelled) ctx.log.error(`${described.message}${error instanceof Error && error.stack ? `\n${error.stack}` : ''}`);
    await writer.append('event', errorLine(this.#clock.now(), described));
    await this.#finish(task, right, writer, cancelled ? { state: 'cancelled', result: 'task cancelled', error: described.message } : { state: 'error', result: truncateResult(described.message), error: described.message });
  }

  /** All output is in the database before the final state is; the audit trail gets the end with it. */
  async #finish(task: ClaimedTask, right: AttemptRight, writer: OutputWriter, outcome: { state: 'done' | 'error' | 'cancelled'; result: string; error?: string }): Promise<void> {
    await writer.flush();
    const owned = await retryTransient(
      () =>
        this.#deps.connections.db.transaction(async (tx) => {
          if (!(await finishTask(tx, task, outcome))) return false;
          const start = await findStartEvent(tx, task.id);
          if (start) await recordEndEvent(tx, start, { error: outcome.error });
          return true;
        }),
      right.lostSignal,
    );
    this.#deps.log.info('task-ended', { task: task.id, type: task.type, epoch: task.epoch, state: owned ? outcome.state : 'lost' });
  }
}

/** Postgres stores no NUL; an error that cannot be stored would make its task run again for ever. */
function storable<T extends { message: string }>(error: T, secrets: SecretTexts): T {
  return { ...error, message: secrets.clean(error.message).replaceAll('\u0000', '') };
}
