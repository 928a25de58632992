import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { SerialQueue } from '../core/concurrency';
import { type Log, silentLog } from '../core/log';
import { RenderCache } from './cache';
import { RenderError } from './errors';
import { prelude } from './prelude.rb';
import { encodeJob, jobKey, type RenderedJob, type RenderJob } from './render-job';
import { RenderThread, RenderTimeout } from './render-thread';
import { rubyPath } from './ruby-module';
import type { VmSnapshot } from './ruby-vm';
import { checkingProperties, type RenderRequest, type WorkerReply } from './worker-messages';

export interface RendererOptions {
  /** The bundled `server/templates/worker.ts`; the build's snapshot lies beside it. */
  workerPath: string;
  /** Most worker threads at a time; default 1. */
  workers?: number;
  /** Most time for the templates of one job, ms; default 10 s. */
  timeoutMs?: number;
  /** Threads without work are stopped after this, ms; default 60 s. */
  idleMs?: number;
  /** ruby.wasm; found through the node_modules of `workerPath` by default. */
  wasmPath?: string;
  log?: Log;
}

interface Pending {
  job: RenderJob;
  request: RenderRequest;
  attempts: number;
  resolve: (job: RenderedJob) => void;
  reject: (error: Error) => void;
}

/**
 * Renders ERB templates of release jobs in Ruby VMs on worker threads.
 * Nothing runs before the first render. Rendering has no effects: when the node dies, the next one renders again.
 * A thread that fails or overruns takes only its own job with it; others wait in this process's queue.
 */
export class Renderer {
  readonly #options: Required<Omit<RendererOptions, 'wasmPath'>> & { wasmPath: string | undefined };
  readonly #cache = new RenderCache();
  readonly #running = new Map<string, Promise<RenderedJob>>();
  readonly #starts = new SerialQueue();
  readonly #threads = new Set<RenderThread>();
  #queue: Pending[] = [];
  #idle: RenderThread[] = [];
  #loops = 0;
  #snapshot: VmSnapshot | undefined;
  #idleTimer: NodeJS.Timeout | undefined;
  #stopped = false;

  constructor({ workerPath, workers = 1, timeoutMs = 10_000, idleMs = 60_000, wasmPath, log = silentLog }: RendererOptions) {
    this.#options = { workerPath, workers, timeoutMs, idleMs, wasmPath, log };
  }

  /** Lets renders in (again); threads start with the first of them. */
  start(): void {
    this.#stopped = false;
  }

  /**
   * Renders a job's monit file and templates, or answers from the cache.
   * `scope` (a task id, say): jobs of the same scope may run in the same VM one after another, others never do.
   * Throws RenderError with every failing template, or the signal's reason; any other error means that Ruby could not be started.
   */
  async render(job: RenderJob, scope: string, signal?: AbortSignal): Promise<RenderedJob> {
    if (this.#stopped) throw new Error('the renderer is stopped');
    signal?.throwIfAborted();
    const encoded = encodeJob(job);
    const key = jobKey(job, encoded);
    const known = this.#cache.find(key);
    if (known) return known;
    const rendering = this.#running.get(key) ?? this.#renderNew(key, job, { scope, jobName: job.jobName, ...encoded });
    return signal ? unlessAborted(rendering, signal) : rendering;
  }

  /** Ends all threads; renders under way are rejected. */
  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#idleTimer);
    for (const pending of this.#queue.splice(0)) pending.reject(new Error('the renderer was stopped'));
    await Promise.all([...this.#threads].map((thread) => this.#end(thread)));
    await this.#starts.drained();
    await Promise.all([...this.#threads].map((thread) => this.#end(thread)));
    this.#idle = [];
    this.#cache.clear();
  }

  #renderNew(key: string, job: RenderJob, request: RenderRequest): Promise<RenderedJob> {
    const rendering = this.#enqueue(job, request)
      .then((rendered) => {
        this.#cache.add(key, rendered);
        return rendered;
      })
      .finally(() => this.#running.delete(key));
    this.#running.set(key, rendering);
    return rendering;
  }

  #enqueue(job: RenderJob, request: RenderRequest): Promise<RenderedJob> {
    return new Promise((resolve, reject) => {
      this.#queue.push({ job, request, attempts: 0, resolve, reject });
      if (this.#loops >= this.#options.workers) return;
      this.#loops++;
      clearTimeout(this.#idleTimer);
      void this.#drainQueue();
    });
  }

  /** Works off the queue on one thread, replacing it when it is lost. */
  async #drainQueue(): Promise<void> {
    let thread: RenderThread | undefined;
    for (let next = this.#queue.shift(); next; next = this.#queue.shift()) {
      try {
        if (!thread?.alive) thread = await this.#thread();
      } catch (cause) {
        next.reject(new Error(`Ruby cannot be started: ${cause instanceof Error ? cause.message : String(cause)}`, { cause }));
        continue;
      }
      await this.#renderOn(thread, next);
    }
    // In the same turn in which the queue was found empty, or a job that comes now would wait for nobody.
    this.#loops--;
    if (thread?.alive) this.#idle.push(thread);
    clearTimeout(this.#idleTimer);
    this.#idleTimer = setTimeout(() => void this.#rest(), this.#options.idleMs).unref();
  }

  async #renderOn(thread: RenderThread, pending: Pending): Promise<void> {
    try {
      const reply = await thread.render(pending.request, this.#options.timeoutMs);
      settle(pending, reply);
    } catch (error) {
      await this.#end(thread);
      this.#onLostThread(pending, error instanceof Error ? error : new Error(String(error)));
    }
  }

  #onLostThread(pending: Pending, error: Error): void {
    const { jobName } = pending.job;
    this.#options.log.warn('render-thread-lost', { job: jobName, scope: pending.request.scope, reason: error.message });
    if (this.#stopped) return pending.reject(new Error('the renderer was stopped'));
    if (error instanceof RenderTimeout) {
      const template = pending.request.templates[error.template] ?? 'monit';
      const message = `it did not end within ${this.#options.timeoutMs / 1000} s and was stopped`;
      if (error.template === checkingProperties) return pending.reject(new RenderError(jobName, [{ template, line: '(unknown)', message: `Error validating properties for ${jobName}: ${message}` }], 'properties'));
      return pending.reject(new RenderError(jobName, [{ template, line: '(unknown)', message }], error.template === 0 ? 'monit' : 'templates'));
    }
    pending.attempts++;
    if (pending.attempts < 2) this.#queue.unshift(pending);
    else pending.reject(new RenderError(jobName, [{ template: 'monit', line: '(unknown)', message: `rendering failed twice: ${error.message}` }], 'monit'));
  }

  /** An idle thread or a new one. Started one after another, so that only the first has to read the snapshot or boot Ruby. */
  async #thread(): Promise<RenderThread> {
    for (let idle = this.#idle.pop(); idle; idle = this.#idle.pop()) {
      if (idle.alive) return idle;
      this.#threads.delete(idle);
    }
    return this.#starts.run(async () => {
      if (this.#stopped) throw new Error('the renderer was stopped');
      const { workerPath } = this.#options;
      const wasmPath = this.#options.wasmPath ?? rubyPath(createRequire(workerPath));
      const snapshotPath = join(dirname(workerPath), 'ruby.snapshot');
      const { thread, snapshot } = await RenderThread.start(workerPath, { wasmPath, prelude, snapshotPath, snapshot: this.#snapshot });
      this.#snapshot ??= snapshot;
      this.#threads.add(thread);
      return thread;
    });
  }

  async #end(thread: RenderThread): Promise<void> {
    this.#threads.delete(thread);
    await thread.stop();
  }

  /** Gives back what rendering holds, except the snapshot (about 10 MB): with it the next start takes a tenth of the time. */
  async #rest(): Promise<void> {
    await Promise.all(this.#idle.splice(0).map((thread) => this.#end(thread)));
  }
}

function settle(pending: Pending, reply: WorkerReply): void {
  const { jobName, templates } = pending.job;
  switch (reply.kind) {
    case 'rendered': {
      const [monit, ...contents] = reply.contents.map((bytes) => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength));
      const files = templates.map(({ src, dest }, i) => ({ src, dest, content: contents[i] ?? Buffer.alloc(0) }));
      return pending.resolve({ jobName, monit: monit ?? Buffer.alloc(0), files });
    }
    case 'failed':
      return pending.reject(new RenderError(jobName, reply.failures, reply.stage));
    case 'ready':
      return pending.reject(new Error('unexpected reply of a render thread'));
  }
}

/** Others may wait for the same rendering, so it goes on; it is short. */
function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(signal.reason instanceof Error ? signal.reason : new Error('aborted'));
    signal.addEventListener('abort', onAbort, { once: true });
    void work.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
  });
}
