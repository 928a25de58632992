import { retryTransient, type Database } from '../../db/client';
import { SerialQueue } from '../core/concurrency';
import { appendOutput, chunkBytes } from './output';
import { TaskLost } from './context';
import type { StreamName } from './task';

/** Debug and cpi output waits at most this long, ms, or until a chunk is full. */
const batchMs = 250;

/**
 * The write side of one attempt's output. Event and result lines are in the database when `append` resolves;
 * debug and cpi text is batched. Offsets continue where the earlier attempt ended.
 */
export class OutputWriter {
  readonly #db: Database;
  readonly #task: { id: number; epoch: number };
  readonly #signal: AbortSignal;
  readonly #onLost: () => void;
  readonly #offsets: Record<StreamName, number>;
  readonly #queue = new SerialQueue();
  readonly #pending: Record<'debug' | 'cpi', Buffer[]> = { debug: [], cpi: [] };
  #pendingBytes = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(db: Database, task: { id: number; epoch: number }, offsets: Record<StreamName, number>, rights: { signal: AbortSignal; onLost: () => void }) {
    this.#db = db;
    this.#task = task;
    this.#offsets = { ...offsets };
    this.#signal = rights.signal;
    this.#onLost = rights.onLost;
  }

  /** Appends now. Event lines are written whole or not at all: no death leaves half of one. Rejects with TaskLost when the attempt no longer owns the task. */
  append(stream: StreamName, text: string): Promise<void> {
    const bytes = Buffer.from(text, 'utf8');
    return this.#queue.run(() => (stream === 'event' ? this.#write(stream, bytes) : this.#writeChunks(stream, bytes)));
  }

  /** Appends soon; order within a stream is kept. */
  batch(stream: 'debug' | 'cpi', text: string): void {
    if (text === '') return;
    const bytes = Buffer.from(text, 'utf8');
    this.#pending[stream].push(bytes);
    this.#pendingBytes += bytes.length;
    if (this.#pendingBytes >= chunkBytes) void this.flush().catch(() => undefined);
    else this.#timer ??= setTimeout(() => void this.flush().catch(() => undefined), batchMs);
  }

  /** Resolves when everything that was handed in until now is in the database. */
  flush(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    return this.#queue.run(async () => {
      for (const stream of ['debug', 'cpi'] as const) {
        const bytes = Buffer.concat(this.#pending[stream].splice(0));
        this.#pendingBytes -= bytes.length;
        await this.#writeChunks(stream, bytes);
      }
    });
  }

  async #writeChunks(stream: StreamName, bytes: Buffer): Promise<void> {
    for (let from = 0; from < bytes.length; from += chunkBytes) await this.#write(stream, bytes.subarray(from, from + chunkBytes));
  }

  async #write(stream: StreamName, bytes: Buffer): Promise<void> {
    if (bytes.length === 0) return;
    const owned = await retryTransient(() => appendOutput(this.#db, this.#task, stream, this.#offsets[stream], bytes), this.#signal);
    if (!owned) {
      this.#onLost();
      throw new TaskLost(this.#task.id, this.#task.epoch);
    }
    this.#offsets[stream] += bytes.length;
  }
}
