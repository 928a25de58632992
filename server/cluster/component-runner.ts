import type pg from 'pg';
import { retryTransient, type Connections } from '../../db/client';
import { sleep, systemClock, type Clock } from '../core/clock';
import type { Log } from '../core/log';
import type { Component, ComponentContext } from './component';
import type { Heart, Renewal } from './heart';
import { acquireLease, assertLease, ensureLeases, listLeases, listLoads, moveLease, releaseLease, type LeaseInfo } from './leases';
import type { Notifications } from './notifications';
import type { NodeRegistration } from './nodes';
import { timing } from './timing';

/** How long a duty that was given up may take to end its round, ms. */
const roundEndMs = 3_000;

interface Held {
  component: Component;
  epoch: number;
  /** Monotonic ms after which this node must not act. */
  deadline: number;
  progressAt: number;
  stop: AbortController;
  done: Promise<void>;
}

export interface ComponentRunnerDeps {
  connections: Connections;
  notifications: Notifications;
  heart: Heart;
  node: NodeRegistration;
  log: Log;
  clock?: Clock;
}

/**
 * Takes and keeps component leases. Nodes with fewer leases take free ones sooner, so duties spread; a lease that
 * expired or was released is taken by whoever sees it first.
 */
export class ComponentRunner implements Renewal {
  readonly #components: readonly Component[];
  readonly #deps: ComponentRunnerDeps;
  readonly #clock: Clock;
  readonly #held = new Map<string, Held>();
  readonly #stopping = new AbortController();
  #loop: Promise<void> | undefined;
  #shareOutAt = Infinity;
  /** Leases that nobody has although another node is to have them: since when that is seen, monotonic ms. */
  readonly #reserved = new Map<string, number>();
  /** `<lease>/<node>`: was offered, and that node was not seen to take it. Perhaps it is of another version and does not know the duty. */
  readonly #declined = new Set<string>();

  constructor(components: readonly Component[], deps: ComponentRunnerDeps) {
    this.#components = components;
    this.#deps = deps;
    this.#clock = deps.clock ?? systemClock;
  }

  async start(): Promise<void> {
    await ensureLeases(this.#deps.connections.db, this.#components.map((component) => component.name));
    this.#deps.heart.register(this);
    this.#shareOutAt = this.#clock.monotonic() + timing.shareOutMs;
    this.#loop = this.#standBy();
  }

  /** Gives every lease back (hand-over at once) and waits for the duties to end. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await Promise.race([this.#loop, sleep(roundEndMs)]);
    await Promise.all([...this.#held.values()].map((held) => this.#giveUp(held, 'released')));
  }

  /** Names and epochs of the leases held now. */
  held(): { name: string; epoch: number }[] {
    return [...this.#held.values()].map((held) => ({ name: held.component.name, epoch: held.epoch }));
  }

  async renew(client: pg.Client, startedAt: number): Promise<void> {
    const now = this.#clock.monotonic();
    for (const held of this.#held.values()) {
      if (now - held.progressAt > timing.progressLimitMs) void this.#giveUp(held, 'no progress');
    }
    if (this.#held.size === 0) return;
    const { rows } = await client.query<{ name: string; epoch: number; unwanted: boolean }>({
      name: 'renew-leases',
      text: `UPDATE leases l SET expires_at = now() + make_interval(secs => $2), last_progress_at = now() - make_interval(secs => h.idle)
             FROM unnest($3::text[], $4::bigint[], $5::float8[]) AS h(name, epoch, idle)
             WHERE l.name = h.name AND l.epoch = h.epoch AND l.holder = $1
             RETURNING l.name, l.epoch, (l.paused OR (l.wanted_holder IS NOT NULL AND l.wanted_holder <> $1)) AS unwanted`,
      values: [this.#deps.node.id, timing.componentLeaseMs / 1000, ...this.#columns(now)],
    });
    for (const held of this.#held.values()) {
      const row = rows.find((candidate) => candidate.name === held.component.name && candidate.epoch === held.epoch);
      if (row) held.deadline = startedAt + timing.componentLeaseMs - timing.safetyMs;
      // A lease taken while this beat was under way was not part of it.
      else if (held.deadline < startedAt + timing.componentLeaseMs - timing.safetyMs) this.#drop(held, 'lease-lost');
      if (row?.unwanted) void this.#giveUp(held, 'moved or paused');
    }
  }

  #columns(now: number): [string[], number[], number[]] {
    const held = [...this.#held.values()];
    return [held.map((one) => one.component.name), held.map((one) => one.epoch), held.map((one) => (now - one.progressAt) / 1000)];
  }

  async #standBy(): Promise<void> {
    const signal = this.#stopping.signal;
    // A hint that comes while the leases are being looked at counts for the next look.
    let hinted = false;
    const unsubscribe = this.#deps.notifications.subscribe('leases', () => {
      hinted = true;
    });
    while (!signal.aborted) {
      hinted = false;
      try {
        // Without beats a lease could not be kept.
        if (this.#deps.heart.contactMs() > 0) {
          const leases = await listLeases(this.#deps.connections.db);
          for (const { name, holder } of leases) if (holder !== undefined) this.#declined.delete(`${name}/${holder}`);
          await this.#takeFree(leases);
          await this.#shareOut();
        }
      } catch (error) {
        this.#deps.log.debug('standby-failed', { error: String(error) });
      }
      for (const held of this.#held.values()) {
        if (this.#clock.monotonic() > held.deadline) this.#drop(held, 'deadline-passed');
      }
      if (!hinted) await this.#deps.notifications.wait('leases', timing.standbyPollMs, { signal });
    }
    unsubscribe();
  }

  async #takeFree(leases: LeaseInfo[]): Promise<void> {
    const free = leases.filter((lease) => !lease.paused && (lease.holder === undefined || (lease.expiresInMs ?? 0) < 0));
    const known = new Map(this.#components.map((component) => [component.name, component]));
    const overdue = this.#overdue(free);
    const fairShare = free.length === 0 ? 0 : Math.ceil(this.#components.length / Math.max(1, (await listLoads(this.#deps.connections.db)).length));
    const wanted = free.flatMap(({ name }) => known.get(name) ?? []).filter(({ name }) => !this.#held.has(name));
    const room = Math.max(0, fairShare - this.#held.size);
    await this.#acquire(wanted.slice(0, room), overdue);
    if (wanted.length <= room) return;
    // Whoever has its share already lets the others go first; once, since what is free then nobody else was quicker to take.
    await sleep(40, this.#stopping.signal).catch(() => undefined);
    await this.#acquire(wanted.slice(room), overdue);
  }

  /** All at once, so that the last duty of a node that stops is not without a holder for longer than the first. */
  async #acquire(components: readonly Component[], overdue: ReadonlySet<string>): Promise<void> {
    const taken = components.map(async (component) => {
      if (this.#stopping.signal.aborted) return;
      const startedAt = this.#clock.monotonic();
      const epoch = await acquireLease(this.#deps.connections.db, component.name, this.#deps.node.id, overdue.has(component.name));
      if (epoch !== undefined) this.#take(component, epoch, startedAt);
    });
    // None is under way any more when this ends: a stop gives back what is held then.
    const failed = (await Promise.allSettled(taken)).find((one) => one.status === 'rejected');
    if (failed) throw failed.reason;
  }

  /** Free leases that another node is to have and does not take, as one of another version that does not know them. */
  #overdue(free: readonly LeaseInfo[]): Set<string> {
    const now = this.#clock.monotonic();
    const reserved = new Set(free.filter(({ wantedHolder }) => wantedHolder !== undefined && wantedHolder !== this.#deps.node.id).map(({ name }) => name));
    for (const name of this.#reserved.keys()) if (!reserved.has(name)) this.#reserved.delete(name);
    for (const name of reserved) if (!this.#reserved.has(name)) this.#reserved.set(name, now);
    return new Set([...this.#reserved].filter(([, since]) => now - since > timing.nodeLostMs).map(([name]) => name));
  }

  /** Gives one lease to the node with the fewest, when that evens the load: nodes that came back get their share. */
  async #shareOut(): Promise<void> {
    const now = this.#clock.monotonic();
    if (now < this.#shareOutAt) return;
    this.#shareOutAt = now + timing.shareOutMs;
    for (const { node, held } of await listLoads(this.#deps.connections.db)) {
      if (this.#held.size - held < 2) return;
      const offer = [...this.#held.keys()].find((name) => !this.#declined.has(`${name}/${node}`));
      if (offer === undefined) continue;
      this.#declined.add(`${offer}/${node}`);
      await moveLease(this.#deps.connections.db, offer, node);
      return;
    }
  }

  #take(component: Component, epoch: number, startedAt: number): void {
    const held: Held = { component, epoch, deadline: startedAt + timing.componentLeaseMs - timing.safetyMs, progressAt: this.#clock.monotonic(), stop: new AbortController(), done: Promise.resolve() };
    this.#held.set(component.name, held);
    this.#deps.log.info('lease-acquired', { component: component.name, epoch });
    held.done = this.#perform(held);
  }

  async #perform(held: Held): Promise<void> {
    const { component, stop } = held;
    const log = this.#deps.log.scope({ component: component.name, epoch: held.epoch });
    const ctx: ComponentContext = {
      epoch: held.epoch,
      signal: stop.signal,
      log,
      progress: () => {
        held.progressAt = this.#clock.monotonic();
      },
      holds: () => !stop.signal.aborted && this.#clock.monotonic() < held.deadline,
      write: (work) =>
        retryTransient(
          () =>
            this.#deps.connections.db.transaction(async (tx) => {
              await assertLease(tx, component.name, held.epoch);
              return work(tx);
            }),
          stop.signal,
        ),
    };
    while (!stop.signal.aborted) {
      try {
        if (ctx.holds()) await component.tick(ctx);
        held.progressAt = this.#clock.monotonic();
      } catch (error) {
        if (!stop.signal.aborted) log.warn('tick-failed', { error });
      }
      await sleep(component.intervalMs, stop.signal).catch(() => undefined);
    }
  }

  async #giveUp(held: Held, reason: string): Promise<void> {
    if (!this.#drop(held, reason)) return;
    const released = releaseLease(this.#deps.connections.db, held.component.name, held.epoch, reason).catch((error: unknown) => this.#deps.log.debug('release-failed', { error: String(error) }));
    // A round that does not end cannot write any more and holds up nobody; nor does a database that does not answer.
    await Promise.race([released.then(() => held.done), sleep(roundEndMs)]);
  }

  /** Ends acting here; true when it was acting. */
  #drop(held: Held, reason: string): boolean {
    if (this.#held.get(held.component.name) !== held) return false;
    this.#held.delete(held.component.name);
    held.stop.abort(new Error(reason));
    this.#deps.log.info('lease-ended', { component: held.component.name, epoch: held.epoch, reason });
    return true;
  }
}
