import type { Alert } from '../../alerts/alert';
import type { Log } from '../../core/log';
import { alertEvent, type HeartbeatEvent } from '../events';
import { Child } from './child';
import { findExecutables } from './glob';
import { oneByOne, type Plugin, type PluginDeps } from './plugin';

export interface JsonOptions {
  /** Absolute path with `*` and `?`. */
  glob: string;
  /** The real one unless given, ms. */
  timing?: JsonTiming;
}

export interface JsonTiming {
  /** Between two looks for new executables. */
  rescan: number;
  /** Between a failure and the next start. */
  restart: number;
  /** A process whose stdin takes nothing for so long hangs. */
  stall: number;
}

const usualTiming: JsonTiming = { rescan: 60_000, restart: 1_000, stall: 10_000 };

/**
 * Runs every executable that the glob finds and writes each event as a line of JSON to the stdin of all. One that fails is started again
 * after a second; one that ends with success is not. An alert is delivered when each of them has it in its pipe; one that is about to be
 * started again gets it then.
 * cloudfoundry/bosh src/bosh-monitor/lib/bosh/monitor/plugins/json.rb.
 */
export function createJson(key: string, options: JsonOptions, { log }: PluginDeps): Plugin {
  const processes = new JsonProcesses(options.glob, options.timing ?? usualTiming, log.scope({ plugin: key }));
  return {
    key,
    start: () => processes.start(),
    stop: () => processes.stop(),
    alerts: oneByOne((alert) => processes.deliver(alert)),
    heartbeats: { batch: 200, send: async (events) => processes.offer(events) },
  };
}

class JsonProcesses {
  readonly #glob: string;
  readonly #timing: JsonTiming;
  readonly #log: Log;
  /** By path; those that ended with success stay, so that they are not started again. */
  readonly #children = new Map<string, Child>();
  /** Alerts (by `seq`) that some have already, while others are still to get them. */
  readonly #partly = new Map<number, Set<string>>();
  readonly #timers = new Set<NodeJS.Timeout>();
  #ready: Promise<void> = Promise.resolve();
  #stopped = false;

  constructor(glob: string, timing: JsonTiming, log: Log) {
    this.#glob = glob;
    this.#timing = timing;
    this.#log = log;
  }

  start(): void {
    this.#ready = this.#scan();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    for (const timer of this.#timers) clearTimeout(timer);
    await this.#ready;
    await Promise.all([...this.#children.values()].filter((child) => child.running).map((child) => child.stop()));
  }

  async deliver(alert: Alert): Promise<void> {
    await this.#ready;
    const line = `${JSON.stringify(alertEvent(alert))}\n`;
    const told = this.#partly.get(alert.seq) ?? new Set<string>();
    this.#partly.set(alert.seq, told);
    const missing = [...this.#children].filter(([path, child]) => !child.succeeded && !told.has(path));
    const results = await Promise.allSettled(missing.map(([path, child]) => child.write(line).then(() => told.add(path))));
    const failed = results.find((result) => result.status === 'rejected');
    if (failed) throw failed.reason;
    this.#partly.delete(alert.seq);
  }

  /** Throws when somebody did not get them. */
  offer(events: readonly HeartbeatEvent[]): void {
    const lines = events.map((event) => `${JSON.stringify(event)}\n`).join('');
    const behind = [...this.#children].filter(([, child]) => child.running && !child.offer(lines)).map(([path]) => path);
    if (behind.length > 0) throw new Error(`too slow for heartbeats: ${behind.join(', ')}`);
  }

  async #scan(): Promise<void> {
    try {
      const found = await findExecutables(this.#glob);
      for (const path of found) if (!this.#children.has(path)) this.#run(path);
      for (const [path, child] of this.#children) if (!child.running && !found.includes(path)) this.#children.delete(path);
    } catch (error) {
      this.#log.warn('json-plugin-scan-failed', { glob: this.#glob, error });
    }
    this.#after(this.#timing.rescan, () => {
      this.#ready = this.#scan();
    });
  }

  #run(path: string): void {
    if (this.#stopped) return;
    this.#log.info('json-plugin-process-started', { path });
    const onEnd = (again: boolean) => {
      if (again) this.#after(this.#timing.restart, () => void this.#runAgain(path));
    };
    this.#children.set(path, new Child(path, { log: this.#log, stallMs: this.#timing.stall, onEnd }));
  }

  async #runAgain(path: string): Promise<void> {
    if ((await findExecutables(path)).length > 0) this.#run(path);
    // It may come back: then the next scan starts it.
    else this.#children.delete(path);
  }

  #after(ms: number, work: () => void): void {
    if (this.#stopped) return;
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      work();
    }, ms);
    this.#timers.add(timer);
  }
}
