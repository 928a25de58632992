import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { sleep } from '../core/clock';
import { spawnDetached, type Command } from './command';
import { endProcess, identify, signalProcess, type ProcessIdentity } from './process-table';

export interface ManagedProcessOptions {
  name: string;
  /** Gets everything ready before each start (also before restarts) and tells what to run. */
  command: () => Promise<Command>;
  /** Resolves when the program serves; polled by the program's own means until `signal` aborts. */
  ready: (signal: AbortSignal) => Promise<void>;
  /** How long a start may take, ms; default 30 000. */
  readyTimeoutMs?: number;
  logFile: string;
  /** Default SIGTERM. */
  stopSignal?: NodeJS.Signals;
  /** After this SIGKILL follows, ms; default 10 000. */
  stopTimeoutMs?: number;
  /** Pause before a program that died is started again, ms: doubles from `first` to `max` while it dies within 10 s. */
  restart?: { firstMs: number; maxMs: number };
  /** Called whenever the program starts, becomes ready or ends. */
  onChange?: () => void;
  /** Told when a start after a death fails; it is tried again. */
  onError?: (error: unknown) => void;
}

/** `down`: not running and not wanted. `waiting`: died, starts again soon. */
export type ProcessState = 'down' | 'starting' | 'running' | 'waiting';

/** Uptime after which a death counts as the first one again, ms. */
const stableAfterMs = 10_000;

/** A program that is kept running: started, watched, started again when it dies, stopped. */
export class ManagedProcess {
  readonly name: string;
  readonly #options: ManagedProcessOptions;
  #state: ProcessState = 'down';
  #identity: ProcessIdentity | undefined;
  #startedAt = new Date();
  #exited: Promise<void> = Promise.resolve();
  #life = new AbortController();
  #keeper: Promise<void> = Promise.resolve();

  constructor(options: ManagedProcessOptions) {
    this.name = options.name;
    this.#options = options;
    this.#life.abort();
  }

  get state(): ProcessState {
    return this.#state;
  }

  /** The running process; undefined while there is none. */
  get identity(): ProcessIdentity | undefined {
    return this.#identity;
  }

  /** When the running process was started. */
  get startedAt(): Date {
    return this.#startedAt;
  }

  /** Starts and waits until it serves. Throws, with the end of its log, when it ends or hangs before that. */
  async start(): Promise<void> {
    if (!this.#life.signal.aborted) return;
    const life = (this.#life = new AbortController());
    const first = this.#keeper.then(() => this.#startOnce(life.signal));
    this.#keeper = first.then(
      () => this.#keepRunning(life.signal),
      () => {
        life.abort();
        this.#set('down');
      },
    );
    await first;
  }

  /** Stops for good: signal, then SIGKILL, then whatever is left in its process group. */
  async stop(): Promise<void> {
    this.#life.abort();
    await this.#end();
    await this.#keeper;
  }

  /** Sends a signal, as an operator would; what dies is started again. False when it is not running. */
  kill(signal: NodeJS.Signals): boolean {
    return this.#identity !== undefined && signalProcess(this.#identity.pid, signal);
  }

  async restart(): Promise<void> {
    await this.stop();
    await this.start();
  }

  async #end(): Promise<void> {
    const identity = this.#identity;
    if (identity !== undefined) {
      await endProcess(identity, { signal: this.#options.stopSignal ?? 'SIGTERM', timeoutMs: this.#options.stopTimeoutMs ?? 10_000 });
      signalProcess(-identity.pid, 'SIGKILL');
    }
    await this.#exited;
  }

  async #keepRunning(life: AbortSignal): Promise<void> {
    const { firstMs, maxMs } = this.#options.restart ?? { firstMs: 250, maxMs: 2_000 };
    let pauseMs = firstMs;
    let startedAt = performance.now();
    while (!life.aborted) {
      await this.#exited;
      if (life.aborted) return;
      if (performance.now() - startedAt > stableAfterMs) pauseMs = firstMs;
      await sleep(pauseMs, life).catch(() => undefined);
      if (life.aborted) return;
      pauseMs = Math.min(maxMs, pauseMs * 2);
      startedAt = performance.now();
      await this.#startOnce(life).catch((error: unknown) => {
        if (!life.aborted) this.#options.onError?.(error);
      });
    }
  }

  async #startOnce(life: AbortSignal): Promise<void> {
    const command = await this.#options.command();
    life.throwIfAborted();
    this.#set('starting');
    const child = await spawnDetached(command, this.#options.logFile);
    this.#startedAt = new Date();
    this.#identity = child.pid === undefined ? undefined : identify(child.pid);
    const exit = new AbortController();
    this.#exited = new Promise((resolve) => {
      const ended = () => {
        this.#identity = undefined;
        this.#set(life.aborted ? 'down' : 'waiting');
        exit.abort(new Error(`${this.name} ended with ${child.signalCode ?? `exit code ${child.exitCode ?? '?'}`}`));
        resolve();
      };
      if (child.exitCode !== null || child.signalCode !== null) ended();
      else child.once('exit', ended);
    });
    try {
      await this.#becomeReady(AbortSignal.any([life, exit.signal]));
    } catch (error) {
      await this.#end();
      throw error;
    }
    this.#set('running');
  }

  async #becomeReady(ended: AbortSignal): Promise<void> {
    const timeoutMs = this.#options.readyTimeoutMs ?? 30_000;
    const timeout = AbortSignal.timeout(timeoutMs);
    const giveUp = AbortSignal.any([ended, timeout]);
    try {
      giveUp.throwIfAborted();
      await this.#options.ready(giveUp);
      giveUp.throwIfAborted();
    } catch (cause) {
      const reason = ended.aborted ? String(ended.reason instanceof Error ? ended.reason.message : ended.reason) : timeout.aborted ? `was not ready within ${timeoutMs / 1000} s` : String(cause);
      throw new Error(`${this.name} did not start: ${reason}\n${tailOf(this.#options.logFile)}\n(log: ${this.#options.logFile})`, { cause });
    }
  }

  #set(state: ProcessState): void {
    this.#state = state;
    this.#options.onChange?.();
  }
}

/** The last lines of a log, at most 2 kB. */
function tailOf(path: string): string {
  const file = openSync(path, 'r');
  try {
    const size = fstatSync(file).size;
    const buffer = Buffer.alloc(Math.min(size, 2_048));
    readSync(file, buffer, 0, buffer.length, size - buffer.length);
    return buffer.toString('utf8').trimEnd();
  } finally {
    closeSync(file);
  }
}
