import { Worker } from 'node:worker_threads';
import type { VmSnapshot } from './ruby-vm';
import { type RenderRequest, type WorkerReply, workerReply, type WorkerStart } from './worker-messages';

/** Booting Ruby takes about a second; this is for machines under heavy load. */
const bootTimeoutMs = 60_000;

/** JavaScript heap of the thread, MB; Ruby's memory is bounded by its module. */
const heapLimitMb = 256;

/** The job did not end in time; the thread has been ended. `template` is an index into the request's templates. */
export class RenderTimeout extends Error {
  readonly template: number;

  constructor(template: number) {
    super('rendering did not end in time');
    this.name = 'RenderTimeout';
    this.template = template;
  }
}

/** The thread ended by itself while it was needed. */
export class ThreadLost extends Error {
  constructor(message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = 'ThreadLost';
  }
}

interface Waiting {
  resolve: (reply: WorkerReply) => void;
  reject: (error: Error) => void;
}

/** One worker thread: renders one job at a time, and is ended rather than repaired when something goes wrong. */
export class RenderThread {
  readonly #worker: Worker;
  readonly #progress: Int32Array;
  #waiting: Waiting | undefined;
  #alive = true;

  private constructor(worker: Worker, progress: Int32Array) {
    this.#worker = worker;
    this.#progress = progress;
    worker.on('message', (message: unknown) => this.#onMessage(message));
    worker.on('error', (cause) => this.#onLost(new ThreadLost(`the render thread failed: ${cause.message}`, { cause })));
    worker.on('exit', (status) => this.#onLost(new ThreadLost(`the render thread ended with status ${status}`)));
  }

  /** Starts a thread and waits until it can render. Without a snapshot it boots Ruby; `snapshot` is then the new one. */
  static async start(workerPath: string, input: Omit<WorkerStart, 'progress'>): Promise<{ thread: RenderThread; snapshot: VmSnapshot | undefined }> {
    const progress = new Int32Array(new SharedArrayBuffer(4));
    const workerData: WorkerStart = { ...input, progress };
    const worker = new Worker(workerPath, { workerData, env: {}, execArgv: [], resourceLimits: { maxOldGenerationSizeMb: heapLimitMb } });
    const thread = new RenderThread(worker, progress);
    const reply = await thread.#exchange(undefined, bootTimeoutMs);
    if (reply.kind === 'ready') return { thread, snapshot: reply.snapshot };
    await thread.stop();
    throw new ThreadLost(`unexpected reply '${reply.kind}' of a starting render thread`);
  }

  get alive(): boolean {
    return this.#alive;
  }

  /** Rejects with RenderTimeout or ThreadLost; the thread is gone then. */
  async render(request: RenderRequest, timeoutMs: number): Promise<WorkerReply> {
    return this.#exchange(request, timeoutMs);
  }

  async stop(): Promise<void> {
    this.#onLost(new ThreadLost('the render thread was stopped'));
    await this.#worker.terminate();
  }

  async #exchange(request: RenderRequest | undefined, timeoutMs: number): Promise<WorkerReply> {
    if (!this.#alive) throw new ThreadLost('the render thread has ended');
    let stopClock = () => {};
    try {
      return await new Promise<WorkerReply>((resolve, reject) => {
        this.#waiting = { resolve, reject };
        stopClock = afterRunning(timeoutMs, () => this.#onTimeout());
        this.#worker.ref();
        if (request) this.#worker.postMessage(request, []);
      });
    } finally {
      stopClock();
      this.#waiting = undefined;
      if (this.#alive) this.#worker.unref();
    }
  }

  #onMessage(message: unknown): void {
    const reply = workerReply.safeParse(message);
    if (reply.success) this.#waiting?.resolve(reply.data);
    else this.#waiting?.reject(new ThreadLost('the render thread sent a reply that is not understood', { cause: reply.error }));
  }

  #onTimeout(): void {
    this.#onLost(new RenderTimeout(Atomics.load(this.#progress, 0)));
    void this.#worker.terminate();
  }

  #onLost(error: Error): void {
    this.#alive = false;
    this.#waiting?.reject(error);
  }
}

/**
 * Calls `onTimeout` once this process has been *running* for `ms`: a process that was stopped by a signal or starved
 * stopped its threads too, and time that they did not have must not count against a template.
 * Returns a function that cancels.
 */
function afterRunning(ms: number, onTimeout: () => void): () => void {
  const stepMs = 100;
  let last = performance.now();
  let spent = 0;
  const timer = setInterval(() => {
    const now = performance.now();
    spent += Math.min(now - last, 2 * stepMs);
    last = now;
    if (spent < ms) return;
    clearInterval(timer);
    onTimeout();
  }, stepMs);
  return () => clearInterval(timer);
}
