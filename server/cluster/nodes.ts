import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { sql } from 'drizzle-orm';
import type pg from 'pg';
import type { Connections, Db } from '../../db/client';
import type { Renewal } from './heart';
import { timing } from './timing';

export type NodeState = 'starting' | 'ready' | 'draining' | 'stopped' | 'lost';

/** A director process as others see it. */
export interface NodeInfo {
  id: string;
  name: string;
  host: string;
  url: string;
  roles: string[];
  version: string;
  pid: number;
  state: NodeState;
  startedAt: Date;
  /** Age of the last beat by the database clock, ms. */
  beatAgeMs: number;
  stoppedAt: Date | undefined;
  vitals: { rssMb?: number; tasks?: number };
}

interface NodeFacts {
  name: string;
  url: string;
  roles: string[];
  version: string;
  /** Of its machine, without loopback and link-local ones. */
  addresses?: readonly string[];
}

/** This process's registration; the id is made at boot, so two incarnations never share rights. */
export class NodeRegistration implements Renewal {
  readonly id = randomUUID();
  readonly #facts: NodeFacts;
  #state: NodeState = 'starting';
  #vitals: () => NodeInfo['vitals'] = () => ({});

  constructor(facts: NodeFacts) {
    this.#facts = facts;
  }

  get state(): NodeState {
    return this.#state;
  }

  /** Name for people; falls back to the id's first characters. */
  get name(): string {
    return this.#facts.name || this.id.slice(0, 8);
  }

  setState(state: NodeState): void {
    this.#state = state;
  }

  setVitals(read: () => NodeInfo['vitals']): void {
    this.#vitals = read;
  }

  async renew(client: pg.Client): Promise<void> {
    await client.query({
      name: 'node-beat',
      text: `INSERT INTO director_nodes (id, name, host, url, roles, version, pid, state, vitals, addresses)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
             ON CONFLICT (id) DO UPDATE SET heartbeat_at = now(), state = excluded.state, vitals = excluded.vitals,
               stopped_at = CASE WHEN excluded.state = 'stopped' THEN now() END`,
      values: [this.id, this.name, hostname(), this.#facts.url, this.#facts.roles, this.#facts.version, process.pid, this.#state, JSON.stringify({ rssMb: Math.round(process.memoryUsage.rss() / 1_048_576), ...this.#vitals() }), JSON.stringify(this.#facts.addresses ?? [])],
    });
  }

  /** Writes the final state; best effort, expiry says the same a little later. */
  async deregister(connections: Connections): Promise<void> {
    this.#state = 'stopped';
    await connections.db.execute(sql`UPDATE director_nodes SET state = 'stopped', stopped_at = now() WHERE id = ${this.id}`);
  }
}

interface NodeRow extends Record<string, unknown> {
  id: string;
  name: string;
  host: string;
  url: string;
  roles: string[];
  version: string;
  pid: number;
  state: NodeState;
  started_at: string | Date;
  beat_age_ms: number;
  stopped_at: string | Date | null;
  vitals: NodeInfo['vitals'];
}

/** Nodes seen in the last `withinMs` (default: an hour), newest first; one without beats is shown as `lost`. */
export async function listNodes(db: Db, withinMs = 3_600_000): Promise<NodeInfo[]> {
  const { rows } = await db.execute<NodeRow>(sql`
    SELECT id, name, host, url, roles, version, pid, started_at, stopped_at, vitals,
      (extract(epoch FROM now() - heartbeat_at) * 1000)::float8 AS beat_age_ms,
      CASE WHEN state <> 'stopped' AND heartbeat_at < now() - make_interval(secs => ${timing.nodeLostMs / 1000}) THEN 'lost' ELSE state END AS state
    FROM director_nodes WHERE heartbeat_at > now() - make_interval(secs => ${withinMs / 1000}) ORDER BY started_at DESC`);
  return rows.map((row) => ({
    id: row.id, name: row.name, host: row.host, url: row.url, roles: row.roles, version: row.version, pid: row.pid, state: row.state,
    startedAt: new Date(row.started_at), beatAgeMs: row.beat_age_ms, stoppedAt: row.stopped_at === null ? undefined : new Date(row.stopped_at), vitals: row.vitals,
  }));
}

/** Addresses of the machines of all nodes that are recorded, gone ones included: they come back. */
export async function listNodeAddresses(db: Db): Promise<string[]> {
  const { rows } = await db.execute<{ address: string }>(sql`SELECT DISTINCT a.address FROM director_nodes, jsonb_array_elements_text(addresses) AS a(address) ORDER BY a.address`);
  return rows.map((row) => row.address);
}
