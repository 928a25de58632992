import { retryTransient, type Database } from '../../../db/client';
import { claimDue, markDelivered, markFailed, releaseClaim, type Claim, type Retry } from '../../alerts/delivery-store';
import type { ComponentContext } from '../../cluster/component';
import type { AlertCall, AlertRow } from './plugin';
import type { PluginStats } from './plugin-stats';
import { withTimeout } from './with-timeout';

export interface DeliveryTiming {
  /** A call of a plugin that takes longer has failed, ms. */
  callTimeoutMs: number;
  /** How long nobody else calls a plugin with what one courier is calling it with, ms; more than a call and its note take. */
  claimMs: number;
  /** How long a call that is under way may go on when the duty passes to another node, ms. */
  graceMs: number;
  retry: Retry;
}

export interface CourierDeps {
  key: string;
  sink: AlertCall | AlertRow;
  db: Database;
  timing: DeliveryTiming;
  stats: PluginStats;
  /** Aborts `graceMs` after the context's. */
  graceEnd: AbortSignal;
}

/**
 * Brings alerts to one plugin, in the order of their storing; what fails waits and lets others pass. Nobody waits for it.
 *
 * A delivery is claimed (only by the acting node), then the plugin is called, then the outcome is noted under the claim, whoever acts by
 * then: so a call that is under way while the duty moves is not repeated. A courier that dies between call and note leaves a claim that
 * ends by itself, and the call is repeated.
 */
export class Courier {
  readonly #deps: CourierDeps;
  readonly #ctx: ComponentContext;
  #running: Promise<void> | undefined;
  #calledAt = -Infinity;

  constructor(ctx: ComponentContext, deps: CourierDeps) {
    this.#ctx = ctx;
    this.#deps = deps;
  }

  /** Something is due. */
  wake(): void {
    this.#running ??= this.#deliver().finally(() => {
      this.#running = undefined;
    });
  }

  /** Resolves when it does nothing. */
  async idle(): Promise<void> {
    await this.#running;
  }

  async #deliver(): Promise<void> {
    const { key, sink, db, timing } = this.#deps;
    const { batch, pauseMs } = sink.kind === 'call' ? sink : { batch: 1, pauseMs: 0 };
    const ctx = this.#ctx;
    try {
      while (ctx.holds() && performance.now() - this.#calledAt >= pauseMs) {
        const claim = await ctx.write((tx) => claimDue(tx, key, { batch, claimMs: timing.claimMs }));
        if (!claim) return;
        if (ctx.holds()) await this.#attempt(claim);
        else await releaseClaim(db, claim);
      }
    } catch (error) {
      if (!ctx.signal.aborted) ctx.log.warn('alert-delivery-interrupted', { plugin: key, error });
    }
  }

  async #attempt(claim: Claim): Promise<void> {
    const { sink, stats, timing, graceEnd } = this.#deps;
    this.#calledAt = performance.now();
    try {
      if (sink.kind === 'row') await this.#record(claim, sink);
      else await withTimeout((signal) => sink.deliver(claim.alerts, signal), { ms: timing.callTimeoutMs, signal: graceEnd });
    } catch (error) {
      // Whether it arrived is not known; the next acting node goes on at once.
      if (graceEnd.aborted) return this.#note((db) => releaseClaim(db, claim));
      stats.failed += 1;
      return this.#noteFailure(claim, error instanceof Error ? error.message : String(error));
    }
    if (sink.kind === 'call') await this.#note((db) => markDelivered(db, claim.plugin, claim.alerts.map((alert) => alert.seq)));
    stats.delivered += claim.alerts.length;
  }

  async #record(claim: Claim, sink: AlertRow): Promise<void> {
    const seqs = claim.alerts.map((alert) => alert.seq);
    await this.#note((db) =>
      db.transaction(async (tx) => {
        const fresh = new Set(await markDelivered(tx, claim.plugin, seqs));
        for (const alert of claim.alerts) if (fresh.has(alert.seq)) await sink.record(tx, alert);
      }),
    );
  }

  async #noteFailure(claim: Claim, error: string): Promise<void> {
    const { key, timing } = this.#deps;
    const fields = { plugin: key, alerts: claim.alerts.map((alert) => alert.id), error };
    this.#ctx.log.warn('alert-not-delivered', fields);
    const givenUp = await this.#note((db) => markFailed(db, claim, { error, retry: timing.retry }));
    if (givenUp > 0) this.#ctx.log.error('alert-given-up', fields);
  }

  /** While the database is away there is nothing better to do than wait, until the claim has ended. */
  #note<T>(work: (db: Database) => Promise<T>): Promise<T> {
    return retryTransient(() => work(this.#deps.db), AbortSignal.timeout(this.#deps.timing.claimMs));
  }
}
