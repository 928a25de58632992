/** Small concurrency tools: bounded pools and a serial queue. */

/**
 * Runs `work` over `items`, at most `limit` at a time, in order of start.
 * After the first failure nothing queued starts; what runs is waited for, then that failure is thrown
 * (the rule of the Ruby director's thread pool: cloudfoundry/bosh src/bosh-director/lib/bosh/director/thread_pool.rb).
 */
export async function mapPool<T, R>(items: readonly T[], limit: number, work: (item: T, index: number) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  let next = 0;
  let failed = false;
  let failure: unknown;
  const run = async () => {
    while (!failed && next < items.length) {
      const index = next++;
      const item = items[index] as T;
      try {
        results[index] = await work(item, index);
      } catch (error) {
        if (!failed) failure = error;
        failed = true;
      }
    }
  };
  await Promise.all(Array.from({ length: Math.max(1, Math.min(limit, items.length)) }, run));
  if (failed) throw failure;
  return results;
}

/** Runs jobs one after another; a failing job rejects its own promise and does not stop the next. */
export class SerialQueue {
  #tail: Promise<unknown> = Promise.resolve();

  run<T>(job: () => Promise<T>): Promise<T> {
    const result = this.#tail.then(job, job);
    this.#tail = result.catch(() => undefined);
    return result;
  }

  /** Resolves when everything that was queued until now has ended. */
  async drained(): Promise<void> {
    await this.#tail;
  }
}

/** A promise with its resolvers outside, for one-off signals. */
export interface Deferred<T> {
  promise: Promise<T>;
  resolve: (value: T) => void;
  reject: (error: unknown) => void;
}

export function deferred<T>(): Deferred<T> {
  let resolve!: (value: T) => void;
  let reject!: (error: unknown) => void;
  const promise = new Promise<T>((yes, no) => {
    resolve = yes;
    reject = no;
  });
  return { promise, resolve, reject };
}
