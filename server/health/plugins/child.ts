import { spawn, type ChildProcess } from 'node:child_process';
import type { Writable } from 'node:stream';
import type { Log } from '../../core/log';
import { dyingWithUs } from '../../cpi/process';

/** How long a child may take to end when it is asked to, ms. */
const endMs = 1_000;
/** What a child may leave unread before heartbeats for it are dropped, bytes. */
const mostUnread = 1 << 20;

export interface ChildDeps {
  log: Log;
  /** It hangs when its stdin takes nothing for so long, ms. */
  stallMs: number;
  /** It ended; `again`: with a failure, so it should be started anew. */
  onEnd: (again: boolean) => void;
}

/**
 * A process that reads one JSON line per event on its stdin. It leads a process group; the kernel kills it when this process dies (where
 * util-linux is installed). One that stops reading is killed.
 */
export class Child {
  readonly #path: string;
  readonly #log: Log;
  readonly #stallMs: number;
  readonly #process: ChildProcess;
  readonly #stdin: Writable;
  readonly #ended: Promise<void>;
  /** Lines that nobody took yet, to be rejected when it ends. */
  readonly #waiting = new Set<(error: Error) => void>();
  #running = true;
  #succeeded = false;
  #stall: NodeJS.Timeout | undefined;

  constructor(path: string, deps: ChildDeps) {
    this.#path = path;
    this.#log = deps.log;
    this.#stallMs = deps.stallMs;
    const [file, ...args] = dyingWithUs(path);
    const child = spawn(file, args, { detached: true, stdio: ['pipe', 'ignore', 'pipe'], env: environment });
    this.#process = child;
    this.#stdin = child.stdin;
    // Told to whoever writes.
    child.stdin.on('error', () => undefined);
    child.stderr.on('data', (data: Buffer) => this.#log.debug('json-plugin-stderr', { path, text: data.toString('utf8', 0, 2_000) }));
    this.#ended = new Promise((resolve) => {
      const end = (status: number | string, again: boolean) => {
        if (!this.#running) return;
        this.#running = false;
        this.#succeeded = !again;
        clearTimeout(this.#stall);
        for (const reject of this.#waiting) reject(new Error(`${path} ended before it read the event`));
        this.#log.info('json-plugin-process-ended', { path, status, again });
        resolve();
        deps.onEnd(again);
      };
      child.once('exit', (exitCode, signal) => end(exitCode ?? signal ?? 'unknown', exitCode !== 0));
      child.once('error', (error) => end(error.message, true));
    });
  }

  get running(): boolean {
    return this.#running;
  }

  /** It ended, and not with a failure: it wants no more. */
  get succeeded(): boolean {
    return this.#succeeded;
  }

  /** Resolves when the line is in the child's pipe; rejects when the child ends before. */
  write(line: string): Promise<void> {
    return new Promise((resolve, reject) => {
      const settle = (error?: Error | null) => {
        this.#waiting.delete(settle);
        if (error) return reject(error);
        this.#progress();
        resolve();
      };
      this.#waiting.add(settle);
      if (!this.#running) return settle(new Error(`${this.#path} does not run`));
      this.#stdin.write(line, settle);
      this.#arm();
    });
  }

  /** Best effort: false when the child is behind with its reading, and the lines are lost. */
  offer(lines: string): boolean {
    if (!this.#running || this.#stdin.writableLength > mostUnread) return false;
    this.#stdin.write(lines, () => this.#progress());
    this.#arm();
    return true;
  }

  /** Closes its stdin and asks it to end, then makes it. */
  async stop(): Promise<void> {
    this.#stdin.end();
    this.#kill('SIGTERM');
    const timer = setTimeout(() => this.#kill('SIGKILL'), endMs);
    await this.#ended;
    clearTimeout(timer);
    // Its own children may have outlived it.
    this.#kill('SIGKILL');
  }

  /** Something waits to be read: the clock of a stall runs. */
  #arm(): void {
    if (!this.#running || this.#stdin.writableLength === 0) return;
    this.#stall ??= setTimeout(() => {
      this.#log.warn('json-plugin-process-hangs', { path: this.#path });
      this.#kill('SIGKILL');
    }, this.#stallMs);
  }

  /** Something was read. */
  #progress(): void {
    clearTimeout(this.#stall);
    this.#stall = undefined;
    this.#arm();
  }

  #kill(signal: NodeJS.Signals): void {
    try {
      if (this.#process.pid !== undefined) process.kill(-this.#process.pid, signal);
    } catch {
      // The whole group has ended already.
    }
  }
}

const variables: Record<string, string> = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' };
// The type of Node demands a key that Next declares; the children must not see it.
const environment = variables as NodeJS.ProcessEnv;
