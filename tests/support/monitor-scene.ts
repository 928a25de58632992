import { randomUUID } from 'node:crypto';
import { sql } from 'drizzle-orm';
import type { Component, ComponentContext } from '../../server/cluster/component';
import { acquireLease, assertLease, ensureLeases, releaseLease } from '../../server/cluster/leases';
import { sleep, type Clock } from '../../server/core/clock';
import { silentLog } from '../../server/core/log';
import type { Agent, Agents } from '../../server/agents/agent';
import { HealthListener } from '../../server/health/listener';
import { createHealthMonitor, type HealthMonitorSettings } from '../../server/health/monitor';
import type { BusMessage, BusStatus } from '../../server/nats/connection';
import type { Database } from '../../db/client';
import type { TestStore } from './director-parts';

/** A clock that goes on only when it is told to; waiting takes real time. */
export interface ManualClock extends Clock {
  advance(ms: number): void;
}

export function manualClock(): ManualClock {
  let elapsed = 1_000_000;
  return { now: () => 1_700_000_000_000 + elapsed, monotonic: () => elapsed, sleep, advance: (ms) => void (elapsed += ms) };
}

/** A bus within the test. */
export class TestBus {
  /** `host:port` of the server that it says to be connected to. */
  server = '';
  connected = true;
  readonly #handlers = new Map<string, Set<(message: BusMessage) => void>>();
  readonly #connectListeners = new Set<() => void>();

  subscribe(subject: string, handler: (message: BusMessage) => void): () => void {
    const handlers = this.#handlers.get(subject) ?? new Set();
    this.#handlers.set(subject, handlers.add(handler));
    return () => void handlers.delete(handler);
  }

  onConnect(listener: () => void): () => void {
    this.#connectListeners.add(listener);
    return () => void this.#connectListeners.delete(listener);
  }

  isConnected(): boolean {
    return this.connected;
  }

  status(): BusStatus {
    return { connected: this.connected, server: this.connected ? this.server : undefined, since: new Date(0), connects: 1 };
  }

  /** Whoever listens hears it. */
  say(subject: string, data: unknown): void {
    const message = { subject, data: Buffer.from(typeof data === 'string' ? data : JSON.stringify(data)), noResponders: false };
    for (const [pattern, handlers] of this.#handlers) {
      if (pattern !== subject && !(pattern.endsWith('.*') && subject.startsWith(pattern.slice(0, -1)))) continue;
      for (const handler of handlers) handler(message);
    }
  }

  reconnect(): void {
    for (const listener of this.#connectListeners) listener();
  }
}

export const monitorSettings: HealthMonitorSettings = {
  intervals: { agent_timeout: 60, rogue_agent_alert: 120, analyze: 0.02, probe_agents: 0, log_stats: 60 },
  resurrector: { enabled: true, minimum_down_jobs: 5, percent_threshold: 0.2, time_threshold: 600, auto_fix_stateful_nodes: true },
};

/** One node's health monitor without its node. */
export interface MonitorNode {
  clock: ManualClock;
  bus: TestBus;
  listener: HealthListener;
  monitor: Component;
  /** Lets time pass, with agents of these ids beating. */
  pass(seconds: number, beating?: readonly string[]): void;
  beat(...agentIds: string[]): void;
  /** Reads the records now. */
  sync(): Promise<void>;
  stop(): Promise<void>;
}

export interface MonitorOptions {
  settings?: Partial<HealthMonitorSettings>;
  natsUrls?: readonly string[];
  agents?: Pick<Agents, 'agentFor'>;
  clock?: ManualClock;
  bus?: TestBus;
}

export async function startMonitor(db: Database, options: MonitorOptions = {}): Promise<MonitorNode> {
  const clock = options.clock ?? manualClock();
  const bus = options.bus ?? new TestBus();
  const settings = { ...monitorSettings, ...options.settings };
  const hints = new Set<(payload: string) => void>();
  const notifications = {
    subscribe: (_channel: string, hint: (payload: string) => void) => {
      hints.add(hint);
      return () => void hints.delete(hint);
    },
  };
  const listener = new HealthListener({ bus, db, notifications, natsUrls: options.natsUrls ?? [], intervals: { agent_timeout: settings.intervals.agent_timeout, poll_director: 600, path_grace: 300 }, clock, log: silentLog });
  listener.start();
  const agents = options.agents ?? { agentFor: (): Agent => { throw new Error('nobody is to be asked'); } };
  const monitor = createHealthMonitor({ db, listener, agents, canAsk: () => true, contactMs: () => clock.monotonic(), settings, clock });
  const beat = (...agentIds: string[]) => {
    for (const id of agentIds) bus.say(`hm.agent.heartbeat.${id}`, { job_state: 'running', number_of_processes: 1, vitals: { load: ['0.5'] } });
  };
  const sync = async () => {
    const { version } = listener.fleet;
    for (const hint of hints) hint('');
    while (listener.fleet.version === version) await sleep(5);
  };
  while (!listener.fleet.synced) await sleep(5);
  return {
    clock, bus, listener, monitor, beat, sync,
    pass: (seconds, beating = []) => {
      for (let passed = 0; passed < seconds; passed++) {
        clock.advance(Math.min(1, seconds - passed) * 1_000);
        listener.pulse();
        beat(...beating);
      }
    },
    stop: () => listener.stop(),
  };
}

/** The right to act, as the component runner gives it. */
export interface Tenure extends ComponentContext {
  release(): Promise<void>;
}

/** Takes the health monitor's lease, from whoever has it. It does not expire. */
export async function takeLease({ connections: { db } }: TestStore): Promise<Tenure> {
  const stop = new AbortController();
  await ensureLeases(db, ['health-monitor']);
  await db.execute(sql`UPDATE leases SET expires_at = now() - interval '1 second' WHERE name = 'health-monitor'`);
  const epoch = await acquireLease(db, 'health-monitor', randomUUID());
  if (epoch === undefined) throw new Error('the lease was not free');
  await db.execute(sql`UPDATE leases SET expires_at = now() + interval '1 hour' WHERE name = 'health-monitor'`);
  return {
    epoch, signal: stop.signal, log: silentLog, holds: () => !stop.signal.aborted, progress: () => undefined,
    write: (work) =>
      db.transaction(async (tx) => {
        await assertLease(tx, 'health-monitor', epoch);
        return work(tx);
      }),
    release: async () => {
      stop.abort(new Error('released'));
      await releaseLease(db, 'health-monitor', epoch, 'released');
    },
  };
}

/** A recorded instance with its VM. */
export interface LabInstance {
  id: number;
  uuid: string;
  agentId: string;
}

/** Records a deployment of running instances of one group. */
export async function recordInstances(db: Database, deployment: string, count: number, group = 'web'): Promise<LabInstance[]> {
  const { rows } = await db.execute<{ id: number; uuid: string; agent_id: string }>(sql`
    WITH d AS (INSERT INTO deployments (name, canonical_name, teams) VALUES (${deployment}, ${deployment}, '{ops}') ON CONFLICT (name) DO UPDATE SET name = excluded.name RETURNING id),
    i AS (
      INSERT INTO instances (uuid, deployment_id, job, index, az, spec) SELECT gen_random_uuid(), d.id, ${group}, n, 'z1', '{"lifecycle": "service"}' FROM d, generate_series(0, ${count - 1}) n RETURNING id, uuid),
    v AS (INSERT INTO vms (instance_id, agent_id, cid, state, active) SELECT id, gen_random_uuid(), 'vm-' || uuid, 'created', true FROM i RETURNING instance_id, agent_id)
    SELECT i.id, i.uuid, v.agent_id FROM i JOIN v ON v.instance_id = i.id ORDER BY i.id`);
  return rows.map((row) => ({ id: row.id, uuid: row.uuid, agentId: row.agent_id }));
}

/** A task that works on the deployment; returns its id. */
export async function lockDeployment(db: Database, deployment: string): Promise<number> {
  const { rows } = await db.execute<{ id: number }>(sql`
    WITH t AS (INSERT INTO tasks (type, lane, state, description, username, deployment, payload) VALUES ('update_deployment', 'normal', 'processing', 'create deployment', 'admin', ${deployment}, '{}') RETURNING id),
    l AS (INSERT INTO locks (name, uid, task_id, epoch) SELECT ${`lock:deployment:${deployment}`}, gen_random_uuid(), id, 1 FROM t) SELECT id FROM t`);
  return rows[0]?.id ?? 0;
}

/** The task ends; its locks are free. */
export async function endTask(db: Database, id: number, state: 'done' | 'error', agoSeconds = 0): Promise<void> {
  await db.execute(sql`UPDATE tasks SET state = ${state}, finished_at = now() - make_interval(secs => ${agoSeconds}) WHERE id = ${id}`);
}
