import { readFileSync, rmSync } from 'node:fs';
import type { Log } from '../../../core/log';
import { runCommand } from '../command';
import { isAlive, readStat } from '../proc';
import type { MonitProcess } from './monitrc';

/**
 * One supervised process.
 *
 *     unmonitored ── start() ──▶ starting ── pidfile names a live process ──▶ running
 *          ▲                        │ ▲                                          │
 *          │                  timeout │ pause over                       process gone
 *     stop()/unmonitor()            ▼ │                                          │
 *          └─────────────────── failing ◀────────────────────────────────────────┘
 *
 * A failing process is started again at once the first time, later after a pause that doubles up to 10 s.
 */
export type ServiceState = 'unmonitored' | 'starting' | 'running' | 'failing';

export interface ServiceDeps {
  env: Record<string, string>;
  log: Log;
  /** Told when a monitored process is found dead, as monit's "does not exist" event. */
  onMissing: (service: Service) => void;
}

const pidPollMs = 50;
const pauseMinMs = 500;
const pauseMaxMs = 10_000;
const settledMs = 30_000;

export class Service {
  readonly spec: MonitProcess;
  readonly #deps: ServiceDeps;
  #state: ServiceState = 'unmonitored';
  #identity: { pid: number; startTicks: number } | undefined;
  #failures = 0;
  #runningSince = 0;
  #nextTry = 0;
  /** Counts commands; a start that finds a later one leaves things alone. */
  #epoch = 0;
  #launching: Promise<void> = Promise.resolve();

  constructor(spec: MonitProcess, deps: ServiceDeps) {
    this.spec = spec;
    this.#deps = deps;
  }

  get state(): ServiceState {
    return this.#state;
  }

  /** Pid of the process that the pidfile names, while it lives. */
  get pid(): number | undefined {
    return this.#findProcess()?.pid;
  }

  /** Monitors the process from now on and starts it when it does not run. Does not wait. */
  start(): void {
    this.#epoch += 1;
    this.#failures = 0;
    if (!this.#adopt()) this.#launching = this.#launch(this.#epoch);
  }

  /** Leaves the process alone, whatever becomes of it. */
  unmonitor(): void {
    this.#epoch += 1;
    this.#state = 'unmonitored';
  }

  /** Runs the stop program until the process is gone; rejects when it still runs at the deadline (epoch ms). */
  async stop(deadline: number): Promise<void> {
    this.unmonitor();
    await this.#launching;
    for (;;) {
      if (this.pid === undefined) return;
      await this.#run(this.spec.stop.command, this.spec.stop.timeoutMs);
      if (await this.#waitUntil(() => this.pid === undefined, Math.min(Date.now() + this.spec.stop.timeoutMs, deadline))) return;
      if (Date.now() >= deadline) throw new Error(`Timed out waiting for service '${this.spec.name}' to stop`);
      this.#deps.log.warn('stop-again', { process: this.spec.name });
    }
  }

  /** One look at the process; starts it again when it is gone and its time has come. */
  check(): void {
    if (this.#state === 'running') {
      if (this.#adopt()) return;
      this.#deps.log.warn('process-missing', { process: this.spec.name });
      this.#fail(Date.now() - this.#runningSince > settledMs);
      this.#deps.onMissing(this);
    }
    if (this.#state === 'failing' && Date.now() >= this.#nextTry) {
      if (!this.#adopt()) this.#launching = this.#launch(this.#epoch);
    }
  }

  /** Takes the process that runs already; false when there is none. */
  #adopt(): boolean {
    const process = this.#findProcess();
    if (process === undefined) return false;
    if (process.startTicks !== this.#identity?.startTicks || process.pid !== this.#identity.pid) this.#runningSince = Date.now();
    this.#identity = process;
    this.#state = 'running';
    return true;
  }

  async #launch(epoch: number): Promise<void> {
    this.#state = 'starting';
    this.#identity = undefined;
    // What it names is dead, and its pid may be given to something else meanwhile.
    rmSync(this.spec.pidfile, { force: true });
    const deadline = Date.now() + this.spec.start.timeoutMs;
    await this.#run(this.spec.start.command, this.spec.start.timeoutMs);
    const up = await this.#waitUntil(() => this.#epoch !== epoch || this.pid !== undefined, deadline);
    if (this.#epoch !== epoch) return;
    if (up && this.#adopt()) return;
    this.#deps.log.warn('process-not-started', { process: this.spec.name, timeout_ms: this.spec.start.timeoutMs });
    this.#fail(false);
  }

  #fail(forgive: boolean): void {
    this.#failures = forgive ? 0 : this.#failures;
    const pauseMs = this.#failures === 0 ? 0 : Math.min(pauseMinMs * 2 ** (this.#failures - 1), pauseMaxMs);
    this.#failures += 1;
    this.#nextTry = Date.now() + pauseMs;
    this.#state = 'failing';
  }

  async #run(command: string[], timeoutMs: number): Promise<void> {
    try {
      const { status, stdout, stderr } = await runCommand(command, { env: this.#deps.env, timeoutMs });
      if (status !== 0) this.#deps.log.warn('program-failed', { process: this.spec.name, command, status, output: (stdout + stderr).slice(-2000) });
    } catch (error) {
      this.#deps.log.warn('program-failed', { process: this.spec.name, command, message: error instanceof Error ? error.message : String(error) });
    }
  }

  async #waitUntil(condition: () => boolean, deadline: number): Promise<boolean> {
    while (!condition()) {
      if (Date.now() >= deadline) return false;
      await new Promise((resolve) => {
        setTimeout(resolve, pidPollMs);
      });
    }
    return true;
  }

  /** A pid can be given to another process after a crash: one that was seen running is known by its start time. */
  #findProcess(): { pid: number; startTicks: number } | undefined {
    let text: string;
    try {
      text = readFileSync(this.spec.pidfile, 'utf8');
    } catch {
      return undefined;
    }
    const pid = Number(text.trim());
    if (!Number.isInteger(pid) || pid <= 1 || !isAlive(pid)) return undefined;
    const startTicks = readStat(pid)?.startTicks;
    if (startTicks === undefined || (this.#identity?.pid === pid && this.#identity.startTicks !== startTicks)) return undefined;
    return { pid, startTicks };
  }
}
