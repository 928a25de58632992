import type { Client } from 'pg';
import { z } from 'zod';
import { sleep } from '../core/clock';
import type { Log } from '../core/log';
import { ApplierConnection, type ApplierDatabase } from './applier-connection';

export interface AgentPathRecorderOptions extends ApplierDatabase {
  /** As in `nats_auth_appliers`. */
  serverName: string;
  /** Monitoring endpoint of the server, e.g. `http://127.0.0.1:8222`. */
  monitorUrl: string;
  log: Log;
  /** Pause between two looks at the server, ms; default 2 s. Never less than ten times what the last look took. */
  intervalMs?: number;
}

/** Even without a new connection everything is looked at again after this time. */
const thoroughMs = 60_000;
const pageSize = 16_384;

const varzSchema = z.object({ server_id: z.string(), total_connections: z.number() });
const connzSchema = z.object({
  now: z.string(),
  num_connections: z.number(),
  total: z.number(),
  connections: z.array(z.object({ cid: z.number(), start: z.string(), authorized_user: z.string().optional() })).nullish(),
});

/** An agent's newest connection to one server. */
export interface AgentConnection {
  agentId: string;
  /** The server's number of the connection. */
  cid: number;
  /** By the server's clock. */
  ageS: number;
}

/**
 * Records through which NATS server each agent came last (`agent_paths`), so that a lost server is not taken for dead VMs. Stands beside one
 * server and looks at its connections whenever their count has grown. The newest connection of an agent counts, by the
 * database's clock, whichever server's recorder writes first; the record stays when the agent disconnects, and goes with its VM. It is
 * a report of what is: dying anywhere loses nothing that the next look does not find.
 */
export class AgentPathRecorder {
  readonly #options: AgentPathRecorderOptions;
  readonly #database: ApplierConnection;
  readonly #stop = new AbortController();
  #running: Promise<void> = Promise.resolve();
  /** Connection by agent, as the database has it. */
  #recorded = new Map<string, number>();
  /** Says of which server, and up to which connection, everything was seen. */
  #seen = '';
  #thoroughAt = 0;

  constructor(options: AgentPathRecorderOptions) {
    this.#options = options;
    this.#database = new ApplierConnection(options, `directorate agent-paths ${options.serverName}`, async () => {
      this.#recorded.clear();
      this.#seen = '';
    });
  }

  start(): void {
    this.#running = this.#run();
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { log, serverName, intervalMs = 2_000 } = this.#options;
    while (!this.#stop.signal.aborted) {
      const began = performance.now();
      try {
        await this.#look();
      } catch (error) {
        // Its server or the database is away, which others report.
        log.debug('agent-paths-not-recorded', { server: serverName, error: String(error) });
        await this.#database.close();
      }
      await sleep(Math.max(intervalMs, 10 * (performance.now() - began)), this.#stop.signal).catch(() => undefined);
    }
    await this.#database.close();
  }

  async #look(): Promise<void> {
    const { monitorUrl, serverName } = this.#options;
    const client = await this.#database.use();
    const now = performance.now();
    const thorough = now >= this.#thoroughAt;
    const { server_id: serverId, total_connections: count } = varzSchema.parse(await ask(monitorUrl, '/varz'));
    if (!thorough && this.#seen === `${serverId}/${count}`) return;
    const { connections, complete } = await readConnections(monitorUrl);
    const changed = connections.filter((one) => this.#recorded.get(one.agentId) !== one.cid);
    if (changed.length > 0) await recordPaths(client, serverName, changed);
    this.#recorded = new Map(connections.map((one) => [one.agentId, one.cid]));
    this.#seen = complete ? `${serverId}/${count}` : '';
    if (!thorough) return;
    await client.query('DELETE FROM agent_paths p WHERE NOT EXISTS (SELECT 1 FROM vms v WHERE v.agent_id::text = p.agent_id)');
    this.#thoroughAt = now + thoroughMs;
  }
}

/** One statement; only what is news is written. In the order of ids, so that the recorders of several servers never wait for each other in a circle. */
async function recordPaths(client: Client, serverName: string, connections: readonly AgentConnection[]): Promise<void> {
  const sorted = [...connections].sort((a, b) => (a.agentId < b.agentId ? -1 : 1));
  await client.query(
    `INSERT INTO agent_paths AS p (agent_id, server_name, since)
     SELECT c.agent_id, $1, now() - make_interval(secs => c.age) FROM unnest($2::text[], $3::float8[]) AS c(agent_id, age)
     WHERE EXISTS (SELECT 1 FROM vms v WHERE v.agent_id = c.agent_id::uuid)
     ON CONFLICT (agent_id) DO UPDATE SET server_name = excluded.server_name, since = excluded.since
     WHERE excluded.since > p.since + CASE WHEN p.server_name = excluded.server_name THEN interval '1 second' ELSE interval '0' END`,
    [serverName, sorted.map((one) => one.agentId), sorted.map((one) => one.ageS)],
  );
}

/** The agents connected to a server. `complete` is false when a client was not authorised yet: it may be one of them. */
async function readConnections(monitorUrl: string): Promise<{ connections: AgentConnection[]; complete: boolean }> {
  const newest = new Map<string, AgentConnection>();
  let complete = true;
  for (let offset = 0, total = 1; offset < total; ) {
    const page = connzSchema.parse(await ask(monitorUrl, `/connz?auth=1&limit=${pageSize}&offset=${offset}`));
    for (const { cid, start, authorized_user: user } of page.connections ?? []) {
      if (!user) complete = false;
      const agentId = agentIdOf(user ?? '');
      if (agentId !== undefined && cid > (newest.get(agentId)?.cid ?? -1)) newest.set(agentId, { agentId, cid, ageS: Math.max(0, Date.parse(page.now) - Date.parse(start)) / 1_000 });
    }
    total = page.total;
    offset += page.num_connections;
    if (page.num_connections === 0) break;
  }
  return { connections: [...newest.values()], complete };
}

/** Agent of a NATS user name, `…CN=<id>.agent.bosh-internal` or `…CN=<id>.bootstrap.agent.bosh-internal` in either order of the parts; else undefined. */
export function agentIdOf(user: string): string | undefined {
  return /(?:^|,\s*)CN=([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})(?:\.bootstrap)?\.agent\.bosh-internal(?:$|,)/i.exec(user)?.[1]?.toLowerCase();
}

async function ask(monitorUrl: string, path: string): Promise<unknown> {
  const response = await fetch(new URL(path, monitorUrl), { signal: AbortSignal.timeout(5_000) });
  if (!response.ok) throw new Error(`${path} of the NATS server answered with status ${response.status}`);
  return response.json();
}
