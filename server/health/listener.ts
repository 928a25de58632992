import type { Database } from '../../db/client';
import type { Notifications } from '../cluster/notifications';
import { firstToAbort, sleep, type Clock } from '../core/clock';
import type { Log } from '../core/log';
import type { Bus, BusMessage } from '../nats/connection';
import { alertOfAgent, alertOfDirector, createAlertBuffer, type AlertBuffer } from './alert-buffer';
import type { HeartbeatMessage } from './events';
import { createFleet, type Fleet, type ManagedAgent } from './fleet';
import { readFleet } from './fleet-store';
import { worstOf, type Scene } from './paths';
import { ServerProbe } from './server-probe';
import { createVitals, type Vitals } from './vitals';

export interface HealthListenerDeps {
  /** A connection of the health monitor's own: its certificate may hear agents. Started and stopped by whoever made it. */
  bus: Pick<Bus, 'subscribe' | 'onConnect' | 'isConnected' | 'status' | 'reconnect'>;
  db: Database;
  notifications: Pick<Notifications, 'subscribe'>;
  /** `nats://host:port` of every server. */
  natsUrls: readonly string[];
  /** s, of the configuration. */
  intervals: { agent_timeout: number; poll_director: number; path_grace: number };
  clock: Clock;
  log: Log;
}

/** Is told of every heartbeat of a managed agent; `at` is epoch ms. Must not throw, and must not keep `message`. */
export type HeartbeatListener = (agent: ManagedAgent, message: HeartbeatMessage, at: number) => void;

const limits = { unmanaged: 10_000, alerts: 10_000, alertAgeMs: 600_000, finishedSlots: 2 };
/** Records are read again this much later at least, and after ten times as long as the last reading took. */
const refreshMs = 500;
/** A reading that takes longer is given up. */
const readTimeoutMs = 30_000;
const pulseMs = 500;
/** This process did not run for so long: it has heard nothing meanwhile. */
const pausedMs = 3_000;

/**
 * The ears of a node: hears agents and keeps the warm state in step with the records, whoever acts. It only listens, so a node that
 * dies or hangs here costs nothing.
 */
export class HealthListener {
  readonly fleet: Fleet;
  readonly alerts: AlertBuffer = createAlertBuffer({ limit: limits.alerts, maxAgeMs: limits.alertAgeMs });
  readonly vitals: Vitals = createVitals({ finishedLimit: limits.finishedSlots });
  readonly #deps: HealthListenerDeps;
  readonly #log: Log;
  readonly #probe: ServerProbe;
  readonly #listeners = new Set<HeartbeatListener>();
  readonly #stopping = new AbortController();
  readonly #releases: (() => void)[] = [];
  #loop: Promise<void> | undefined;
  #wake: () => void = () => undefined;
  #hinted = false;
  /** Monotonic ms. */
  #grace: number;
  #pulseAt: number;
  #lastMessageAt = Number.NEGATIVE_INFINITY;
  #anewAt = Number.NEGATIVE_INFINITY;
  /** The database's clock minus ours, ms. */
  #databaseAhead = 0;
  #invalid = 0;
  #invalidToldAt = Number.NEGATIVE_INFINITY;

  constructor(deps: HealthListenerDeps) {
    this.#deps = deps;
    this.#log = deps.log.scope({ part: 'health-listener' });
    this.#grace = deps.clock.monotonic();
    this.#pulseAt = this.#grace;
    this.#probe = new ServerProbe({ urls: deps.natsUrls, clock: deps.clock, log: this.#log, onChange: () => this.refresh() });
    this.fleet = createFleet({
      agentTimeoutMs: deps.intervals.agent_timeout * 1_000, unmanagedLimit: limits.unmanaged, scene: () => this.scene(), epochOffset: () => deps.clock.now() - deps.clock.monotonic(),
    });
  }

  start(): void {
    const { bus, notifications } = this.#deps;
    this.#releases.push(
      bus.subscribe('hm.agent.heartbeat.*', (message) => this.#hearHeartbeat(message)),
      bus.subscribe('hm.agent.alert.*', (message) => this.#hearAgentAlert(message)),
      bus.subscribe('hm.agent.shutdown.*', (message) => this.#hearShutdown(message)),
      bus.subscribe('hm.director.alert', (message) => this.#hearDirectorAlert(message)),
      bus.onConnect(() => this.#beginAnew()),
      notifications.subscribe('fleet', () => this.refresh()),
    );
    const timer = setInterval(() => this.pulse(), pulseMs);
    this.#releases.push(() => clearInterval(timer));
    this.#probe.start();
    this.#loop = this.#followRecords();
  }

  async stop(): Promise<void> {
    for (const release of this.#releases.splice(0)) release();
    this.#stopping.abort();
    this.#wake();
    await Promise.all([this.#probe.stop(), this.#loop]);
  }

  /** Calls `listener` for every heartbeat of a managed agent, on every node. Returns the function that ends it. */
  onHeartbeat(listener: HeartbeatListener): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** Connects anew, since what is said is not heard; at most once in the time that agents have to be heard. */
  hearAnew(): void {
    const now = this.#deps.clock.monotonic();
    if (now - this.#anewAt < this.#deps.intervals.agent_timeout * 1_000) return;
    this.#anewAt = now;
    this.#log.warn('agents-answer-and-are-not-heard', { server: this.#deps.bus.status().server });
    this.#deps.bus.reconnect();
  }

  /** Reads the records soon. */
  refresh(): void {
    this.#hinted = true;
    this.#wake();
  }

  /** To be called before a judgement: notices that this process was paused. */
  pulse(): void {
    const now = this.#deps.clock.monotonic();
    if (now - this.#pulseAt > pausedMs) {
      this.#log.warn('health-listener-was-paused', { ms: Math.round(now - this.#pulseAt) });
      this.#grace = now;
    }
    this.#pulseAt = now;
    this.alerts.expire(now);
  }

  /** The bus as it is now; `grace` (monotonic ms) is the caller's own. */
  scene(grace = Number.NEGATIVE_INFINITY): Scene {
    const now = this.#deps.clock.monotonic();
    const servers = this.#probe.states(now);
    return { now, grace: Math.max(grace, this.#grace), provenAt: this.#provenAt(now), servers, anywhere: worstOf(servers.values()), pathGraceMs: this.#deps.intervals.path_grace * 1_000 };
  }

  /** Epoch ms by the database's clock. */
  databaseNow(): number {
    return this.#deps.clock.now() + this.#databaseAhead;
  }

  /** Messages that could not be used since this process began. */
  get invalid(): number {
    return this.#invalid;
  }

  /** Until when this node's own connection was seen to work: its server answers, or something came. */
  #provenAt(now: number): number {
    const { connected, server } = this.#deps.bus.status();
    if (!connected) return Number.NEGATIVE_INFINITY;
    const state = server === undefined ? undefined : this.#probe.stateOf(server, now);
    // A server that never answered a look, although it serves, cannot be judged by looks.
    if (state === undefined || state.healthy || state.okAt === Number.NEGATIVE_INFINITY) return now;
    return Math.max(state.okAt, this.#lastMessageAt);
  }

  #beginAnew(): void {
    this.#grace = this.#deps.clock.monotonic();
  }

  #hearHeartbeat({ subject, data }: BusMessage): void {
    const { clock } = this.#deps;
    const message = heartbeatOf(data);
    if (message === undefined) return this.#tellInvalid(subject, 'a JSON object was expected');
    const now = clock.monotonic();
    this.#lastMessageAt = now;
    const agent = this.fleet.beat(subject.slice('hm.agent.heartbeat.'.length), message, now);
    if (agent === undefined) return;
    const at = clock.now();
    if (agent.vitals) this.vitals.add(agent.instanceId, agent.vitals, at + this.#databaseAhead);
    for (const listener of this.#listeners) listener(agent, message, at);
  }

  #hearAgentAlert({ subject, data }: BusMessage): void {
    const agentId = subject.slice('hm.agent.alert.'.length);
    this.#keepAlert(subject, alertOfAgent(this.fleet.managed.get(agentId) ?? { agentId }, text(data)));
  }

  #hearDirectorAlert({ subject, data }: BusMessage): void {
    this.#keepAlert(subject, alertOfDirector(text(data)));
  }

  #keepAlert(subject: string, alert: ReturnType<typeof alertOfAgent>): void {
    const now = this.#deps.clock.monotonic();
    this.#lastMessageAt = now;
    if (typeof alert === 'string') this.#tellInvalid(subject, alert);
    else this.alerts.add(alert, now);
  }

  #hearShutdown({ subject }: BusMessage): void {
    const agentId = subject.slice('hm.agent.shutdown.'.length);
    this.#log.info('agent-shuts-down', { agent: agentId });
    this.fleet.shutDown(agentId);
    // Its VM may only be restarting.
    this.refresh();
  }

  /** At most one line a second. */
  #tellInvalid(subject: string, problem: string): void {
    this.#invalid++;
    const now = this.#deps.clock.monotonic();
    if (now - this.#invalidToldAt < 1_000) return;
    this.#invalidToldAt = now;
    this.#log.warn('message-not-understood', { subject, problem, total: this.#invalid });
  }

  async #followRecords(): Promise<void> {
    const { clock, intervals } = this.#deps;
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      this.#hinted = false;
      const startedAt = clock.monotonic();
      const good = await this.#readRecords();
      const took = clock.monotonic() - startedAt;
      await sleep(good ? Math.max(refreshMs, 10 * took) : 1_000, signal).catch(() => undefined);
      if (good && !this.#hinted) await this.#hint(intervals.poll_director * 1_000);
    }
  }

  async #readRecords(): Promise<boolean> {
    const { clock, db } = this.#deps;
    const patience = new AbortController();
    const ends = firstToAbort(patience.signal, this.#stopping.signal);
    try {
      const tooLong = sleep(readTimeoutMs, ends.signal).then(() => Promise.reject(new Error('the database did not answer')));
      const records = await Promise.race([readFleet(db, () => clock.monotonic()), tooLong]);
      this.#databaseAhead = records.now - clock.now();
      this.#probe.setNames(records.serverNames);
      this.fleet.sync(records, clock.monotonic());
      return true;
    } catch (error) {
      if (!this.#stopping.signal.aborted) this.#log.warn('fleet-not-read', { error: error instanceof Error ? error.message : String(error) });
      return false;
    } finally {
      patience.abort();
      ends.release();
    }
  }

  async #hint(ms: number): Promise<void> {
    const woken = new AbortController();
    this.#wake = () => woken.abort();
    const ends = firstToAbort(woken.signal, this.#stopping.signal);
    await sleep(ms, ends.signal).catch(() => undefined);
    ends.release();
    this.#wake = () => undefined;
  }
}

function text(data: Uint8Array): string {
  return Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString('utf8');
}

/** A heartbeat's parts that are used, checked by hand: there are thousands a second. */
function heartbeatOf(data: Uint8Array): HeartbeatMessage | undefined {
  let message: unknown;
  try {
    message = JSON.parse(text(data));
  } catch {
    return undefined;
  }
  if (typeof message !== 'object' || message === null || Array.isArray(message)) return undefined;
  const found = message as Record<string, unknown>;
  if (typeof found.job_state !== 'string') found.job_state = undefined;
  if (typeof found.number_of_processes !== 'number' && found.number_of_processes !== null) found.number_of_processes = undefined;
  return found;
}
