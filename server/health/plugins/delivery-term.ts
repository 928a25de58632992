import type { Database } from '../../../db/client';
import { dispatchAlerts, findWork, tidyDeliveries } from '../../alerts/delivery-store';
import type { ComponentContext } from '../../cluster/component';
import type { Notifications } from '../../cluster/notifications';
import { heartbeatEvent, type HeartbeatAgent, type HeartbeatMessage } from '../events';
import { Courier, type DeliveryTiming } from './courier';
import { HeartbeatFeed } from './heartbeat-feed';
import type { Plugin } from './plugin';
import { newStats, type PluginStats } from './plugin-stats';
import { withTimeout } from './with-timeout';

/** Where heartbeats of agents are heard. */
export interface HeartbeatSource {
  /** Calls `listener` at every heartbeat of a known agent; `at` is epoch ms. Returns the function that ends it. */
  onHeartbeat(listener: (agent: HeartbeatAgent, message: HeartbeatMessage, at: number) => void): () => void;
}

export interface DeliveryTermDeps {
  db: Database;
  notifications: Pick<Notifications, 'subscribe'>;
  heartbeats: HeartbeatSource;
  timing: DeliveryTiming;
}

const tidyMs = 60_000;
/** How long alerts are kept, ms. */
const keepMs = 30 * 86_400_000;
/** How long a plugin may take to start or stop, ms. */
const stopMs = 2_000;
/** How long the notes of calls that were under way may take, ms. */
const noteMs = 1_000;
const never = new AbortController().signal;

/** The plugins and what brings them events, from the taking of the lease to its end. */
export class DeliveryTerm {
  readonly #ctx: ComponentContext;
  readonly #deps: DeliveryTermDeps;
  readonly #plugins: readonly Plugin[];
  readonly #couriers = new Map<string, Courier>();
  readonly #graceEnd = new AbortController();
  readonly #releasers: (() => void)[] = [];
  #tidiedAt = performance.now();
  #round: Promise<void> | undefined;
  #again = false;

  /** `stats` outlive the term, by plugin. */
  constructor(ctx: ComponentContext, { plugins, stats, ...deps }: DeliveryTermDeps & { plugins: readonly Plugin[]; stats: Map<string, PluginStats> }) {
    this.#ctx = ctx;
    this.#deps = deps;
    this.#plugins = plugins;
    const feeds: HeartbeatFeed[] = [];
    for (const { key, alerts, heartbeats } of plugins) {
      const counted = stats.get(key) ?? newStats(key);
      stats.set(key, counted);
      if (alerts) this.#couriers.set(key, new Courier(ctx, { key, sink: alerts, db: deps.db, timing: deps.timing, stats: counted, graceEnd: this.#graceEnd.signal }));
      if (heartbeats) feeds.push(new HeartbeatFeed({ key, sink: heartbeats, callTimeoutMs: deps.timing.callTimeoutMs, stats: counted, log: ctx.log, signal: ctx.signal }));
    }
    for (const plugin of plugins) void this.#guard(plugin.key, 'start', async () => plugin.start?.());
    if (feeds.length > 0) this.#releasers.push(deps.heartbeats.onHeartbeat((agent, message, at) => this.#forward(feeds, { agent, message, at })));
    this.#releasers.push(deps.notifications.subscribe('alerts', () => void this.round().catch((error: unknown) => ctx.log.debug('alert-round-failed', { error: String(error) }))));
  }

  get epoch(): number {
    return this.#ctx.epoch;
  }

  /** Makes deliveries for new alerts and wakes those who have some to bring. Never waits for a plugin. */
  async round(): Promise<void> {
    this.#again = true;
    this.#round ??= this.#runRounds().finally(() => {
      this.#round = undefined;
    });
    await this.#round;
  }

  async #runRounds(): Promise<void> {
    const ctx = this.#ctx;
    while (this.#again && ctx.holds()) {
      this.#again = false;
      const work = await findWork(this.#deps.db);
      if (work.undispatched) {
        await ctx.write((tx) => dispatchAlerts(tx, [...this.#couriers.keys()]));
        ctx.progress();
        this.#again = true;
      }
      for (const key of work.due) this.#couriers.get(key)?.wake();
    }
    if (performance.now() - this.#tidiedAt < tidyMs || !ctx.holds()) return;
    this.#tidiedAt = performance.now();
    await ctx.write((tx) => tidyDeliveries(tx, { plugins: [...this.#couriers.keys()], giveUpMs: this.#deps.timing.retry.giveUpMs, keepMs }));
  }

  #forward(feeds: readonly HeartbeatFeed[], heard: { agent: HeartbeatAgent; message: HeartbeatMessage; at: number }): void {
    if (!this.#ctx.holds()) return;
    const event = heartbeatEvent(heard.agent, heard.message, heard.at);
    if (event) for (const feed of feeds) feed.push(event);
  }

  /** After the context's signal: lets calls that are under way end, for a while, then stops the plugins. */
  async end(): Promise<void> {
    for (const release of this.#releasers) release();
    const { graceMs } = this.#deps.timing;
    const timer = setTimeout(() => this.#graceEnd.abort(new Error('the duty passed to another node')), graceMs);
    const idle = Promise.all([...this.#couriers.values()].map((courier) => courier.idle()));
    // A note that cannot be written now may still be written later.
    await withTimeout(() => idle, { ms: graceMs + noteMs, signal: never }).catch(() => undefined);
    clearTimeout(timer);
    this.#graceEnd.abort();
    await Promise.all(this.#plugins.map((plugin) => this.#guard(plugin.key, 'stop', async () => plugin.stop?.())));
  }

  async #guard(plugin: string, what: string, work: () => Promise<void>): Promise<void> {
    await withTimeout(work, { ms: stopMs, signal: never }).catch((error: unknown) => this.#ctx.log.error(`plugin-${what}-failed`, { plugin, error }));
  }
}
