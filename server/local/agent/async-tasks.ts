import { randomUUID } from 'node:crypto';

export type TaskOutcome = { state: 'running' } | { state: 'done'; value: unknown } | { state: 'failed'; message: string };

interface Entry {
  outcome: TaskOutcome;
  /** Undefined for tasks that cannot be cancelled. */
  cancel: AbortController | undefined;
}

const queueLimit = 5;

/**
 * The agent's long-running actions: one at a time in the order of arrival, five more may wait; results stay for the life of
 * the process (cloudfoundry/bosh-agent agent/task/async_task_service.go).
 */
export class AsyncTasks {
  readonly #entries = new Map<string, Entry>();
  readonly #room: (() => void)[] = [];
  #pending = 0;
  #tail: Promise<void> = Promise.resolve();

  /** Queues work and returns its id; waits while six are there already, which holds up every later message as it does in the stock agent. */
  async start(work: (signal: AbortSignal, id: string) => Promise<unknown>, options: { cancellable: boolean }): Promise<string> {
    while (this.#pending > queueLimit) {
      await new Promise<void>((resolve) => {
        this.#room.push(resolve);
      });
    }
    const id = randomUUID();
    const cancel = new AbortController();
    const entry: Entry = { outcome: { state: 'running' }, cancel: options.cancellable ? cancel : undefined };
    this.#entries.set(id, entry);
    this.#pending += 1;
    this.#tail = this.#tail.then(async () => {
      try {
        entry.outcome = { state: 'done', value: await work(cancel.signal, id) };
      } catch (error) {
        entry.outcome = { state: 'failed', message: error instanceof Error ? error.message : String(error) };
      }
      this.#pending -= 1;
      this.#room.shift()?.();
    });
    return id;
  }

  /** Registers a task of an earlier process of this agent that has ended. */
  restore(id: string, value: unknown): void {
    this.#entries.set(id, { outcome: { state: 'done', value }, cancel: undefined });
  }

  find(id: string): TaskOutcome | undefined {
    return this.#entries.get(id)?.outcome;
  }

  /** Cancels a task; fine when it has ended. Throws when there is none or it cannot be cancelled. */
  cancel(id: string): void {
    const entry = this.#entries.get(id);
    if (entry === undefined) throw new Error(`Task with id ${id} could not be found`);
    if (entry.outcome.state !== 'running') return;
    if (entry.cancel === undefined) throw new Error('not supported');
    entry.cancel.abort(new Error('cancelled'));
  }
}
