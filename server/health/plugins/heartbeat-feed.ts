import { sleep } from '../../core/clock';
import type { Log } from '../../core/log';
import type { HeartbeatEvent } from '../events';
import type { PluginStats } from './plugin-stats';
import type { HeartbeatSink } from './plugin';
import { withTimeout } from './with-timeout';

/** Heartbeats that wait for a plugin at most; about one round of 10,000 agents. */
const mostWaiting = 10_000;
/** After a failure, before the next call, ms. */
const pauseAfterFailureMs = 1_000;
/** The same complaint is logged at most so often, ms. */
const complaintMs = 60_000;

export interface HeartbeatFeedDeps {
  key: string;
  sink: HeartbeatSink;
  callTimeoutMs: number;
  stats: PluginStats;
  log: Log;
  /** Ends the feed; what waits is dropped. */
  signal: AbortSignal;
}

/** Brings heartbeats to one plugin, best effort: when it does not keep up, the oldest are dropped and counted. */
export class HeartbeatFeed {
  readonly #deps: HeartbeatFeedDeps;
  #waiting: HeartbeatEvent[] = [];
  #running = false;
  #complainedAt = -Infinity;

  constructor(deps: HeartbeatFeedDeps) {
    this.#deps = deps;
  }

  push(event: HeartbeatEvent): void {
    if (this.#waiting.length >= mostWaiting) this.#deps.stats.droppedHeartbeats += this.#waiting.splice(0, mostWaiting / 10).length;
    this.#waiting.push(event);
    if (!this.#running) void this.#run();
  }

  async #run(): Promise<void> {
    const { sink, signal, stats, callTimeoutMs } = this.#deps;
    this.#running = true;
    try {
      // Heartbeats that come together go together.
      await sleep(0, signal);
      while (this.#waiting.length > 0 && !signal.aborted) {
        const batch = this.#waiting.splice(0, sink.batch);
        try {
          await withTimeout((call) => sink.send(batch, call), { ms: callTimeoutMs, signal });
          stats.heartbeats += batch.length;
          if (sink.pauseMs) await sleep(sink.pauseMs, signal);
        } catch (error) {
          if (signal.aborted) break;
          stats.droppedHeartbeats += batch.length;
          this.#complain(error);
          await sleep(pauseAfterFailureMs, signal);
        }
      }
    } catch {
      // The signal ended a pause.
    } finally {
      this.#running = false;
    }
  }

  #complain(error: unknown): void {
    const now = performance.now();
    if (now - this.#complainedAt < complaintMs) return;
    this.#complainedAt = now;
    this.#deps.log.warn('plugin-heartbeats-lost', { plugin: this.#deps.key, error: error instanceof Error ? error.message : String(error) });
  }
}
