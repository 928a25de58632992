import type { Tx } from '../../db/client';
import type { Clock } from '../core/clock';
import type { SecretTexts } from './secret-texts';
import type { TaskLog } from './task-log';

/**
 * What a running task attempt has in its hands; the worker makes it and passes it first.
 *
 * The right to act is the task's epoch. It is lost when another node has taken the task over; from then on
 * `signal` is aborted, `fence()` rejects and `write()` rolls back. While the database cannot be reached the right is
 * in doubt: `fence()` and `write()` wait until it is renewed or lost.
 */
export interface TaskContext {
  readonly taskId: number;
  /** This attempt's fencing token; larger than that of every earlier attempt. */
  readonly epoch: number;
  /** 1 for the first attempt. */
  readonly attempt: number;
  readonly user: string;
  readonly deployment: string | undefined;
  readonly contextId: string;
  /** Aborts with TaskLost (another node owns the task) or TaskCancelled (an operator cancelled it). */
  readonly signal: AbortSignal;
  readonly clock: Clock;
  /** What is added here does not appear in the debug, cpi and event streams nor in the task's error; other records of errors are to be cleaned by it. */
  readonly secrets: SecretTexts;
  /** The debug stream. */
  readonly log: TaskLog;
  /** The event stream: stages and warnings. */
  readonly stages: Stages;
  /** Appends to the result stream; synchronous with the database. */
  result(text: string): Promise<void>;
  /** Appends to the cpi stream (batched). */
  cpiOutput(text: string): void;

  /**
   * Call before every external side effect (CPI call, agent message, blobstore write that is not content-addressed).
   * Resolves while the attempt owns the task; waits while that is in doubt; rejects with TaskLost or TaskCancelled.
   */
  fence(): Promise<void>;
  /** Rejects with TaskCancelled when an operator asked to cancel: BOSH's cooperative checkpoint. Also checks the right to act. */
  checkpoint(): Promise<void>;
  /**
   * Runs `work` in a transaction that commits only if this attempt still owns the task (checked and locked in it).
   * Retries on lost connections and serialization failures, so `work` must do nothing outside the transaction.
   */
  write<T>(work: (tx: Tx) => Promise<T>): Promise<T>;
  /** A value that an earlier attempt (or this one) remembered; undefined when there is none. */
  remembered(key: string): unknown;
  /** Stores a JSON value with the task, for a later attempt, e.g. the id of a running agent task. `undefined` forgets it. */
  remember(key: string, value: unknown): Promise<void>;
  /**
   * Takes a named lock for this task epoch, waiting at most `waitMs`; the same task may hold it already.
   * Freed by the returned function (unless the attempt is ending and the task goes on elsewhere), and with the task. On timeout throws BOSH's text
   * `Failed to acquire lock for <name> uid: <uid>. Locking task id is N, description: '…'` (code 100).
   */
  lock(name: string, waitMs: number): Promise<() => Promise<void>>;
  /** A context for cleaning up after a cancel: same rights, but cancellation is not looked at. */
  uncancellable(): TaskContext;
}

/** Event-log stages as in BOSH: opening a stage writes nothing, its tasks do. */
export interface Stages {
  /** `total` null prints as null. Tags appear as `<stage> <tags>:` in the CLI. */
  stage(name: string, total: number | null, tags?: readonly string[]): Stage;
  warning(message: string): Promise<void>;
  deprecation(message: string): Promise<void>;
}

export interface Stage {
  /** Runs `work` as one task of the stage: a `started` line, then `finished` or `failed` with the error's message. */
  run<T>(taskName: string, work: (progress: StageProgress) => Promise<T>): Promise<T>;
}

export interface StageProgress {
  /** Writes an `in_progress` line: adds `percent` to the progress (capped at 100), with the status text. */
  advance(percent: number, status: string): Promise<void>;
}

const lostBrand = Symbol.for('directorate.task-lost');
const cancelledBrand = Symbol.for('directorate.task-cancelled');

/** The attempt no longer owns the task: stop at once, write nothing. */
export class TaskLost extends Error {
  readonly [lostBrand] = true;
  constructor(taskId: number, epoch: number) {
    super(`task ${taskId} is no longer owned at epoch ${epoch}`);
    this.name = 'TaskLost';
  }
}

/** An operator cancelled the task: code 10001, `Task N cancelled`. */
export class TaskCancelled extends Error {
  readonly [cancelledBrand] = true;
  constructor(taskId: number) {
    super(`Task ${taskId} cancelled`);
    this.name = 'TaskCancelled';
  }
}

export function isTaskLost(error: unknown): boolean {
  return typeof error === 'object' && error !== null && lostBrand in error;
}

export function isTaskCancelled(error: unknown): boolean {
  return typeof error === 'object' && error !== null && cancelledBrand in error;
}
