import { readFile } from 'node:fs/promises';
import { Client } from 'pg';
import { z } from 'zod';
import { sleep } from '../core/clock';
import type { Log } from '../core/log';
import { natsAuthFile } from './users';
import { reloadNatsServer, writeUsersFile } from './users-file';

export interface NatsAuthApplierOptions {
  /** `postgres://…` of the director's database. */
  databaseUrl: string;
  /** PEM; turns TLS to the database on. */
  databaseCa?: string | undefined;
  /** Names this server in `nats_auth_appliers`; unique in the cluster. */
  serverName: string;
  /** Shown to operators, e.g. `nats://10.0.0.7:4222`. */
  address: string;
  usersFile: string;
  directorSubject: string;
  hmSubject: string;
  /** Pid of the nats-server while it runs and takes signals, else undefined. */
  findPid: () => Promise<number | undefined>;
  /** Its monitoring endpoint: makes certain that a reload is over before it is reported. */
  monitorUrl?: string | undefined;
  log: Log;
}

const pollMs = 2_000;
const beatMs = 1_000;
const reconnectMs = 500;
const statementTimeoutMs = 5_000;

const usersSchema = z.object({
  revision: z.coerce.number(),
  agents: z.array(z.object({ agent_id: z.string(), permanent_nats_credentials: z.boolean() })),
});

/**
 * Stands beside one NATS server: keeps its users file equal to the agents in the database, makes the server read it,
 * and reports which revision of the agents the server has applied. Whoever creates a VM waits for that report, so
 * it must never be early: it is written after the reload of the very process that runs now. While the server is down
 * or hangs there is no heartbeat, and nobody waits for it; it reads the file when it starts. Without a database the
 * last good file stays. Every step may be cut short by kill -9 and is done again at the next start.
 */
export class NatsAuthApplier {
  readonly #options: NatsAuthApplierOptions;
  readonly #stop = new AbortController();
  #running: Promise<void> = Promise.resolve();
  /** Wakes the loop before its next beat. */
  #wake: () => void = () => undefined;
  #client: Client | undefined;
  /** What the server process is known to have loaded. */
  #loaded: { pid: number; content: string } | undefined;
  #applied: number | undefined;
  #nextPollAt = 0;

  constructor(options: NatsAuthApplierOptions) {
    this.#options = options;
  }

  start(): void {
    this.#running = this.#run();
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    this.#wake();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { log } = this.#options;
    while (!this.#stop.signal.aborted) {
      try {
        await this.#turn();
        await this.#pause(beatMs);
      } catch (error) {
        if (isMissingTable(error)) log.debug('nats-users-before-migration', { server: this.#options.serverName });
        else log.warn('nats-users-not-applied', { server: this.#options.serverName, error });
        await this.#disconnect();
        await this.#pause(reconnectMs);
      }
    }
    await this.#disconnect();
  }

  /** One beat: applies what is new (told by a notification or due for a poll), then reports. Throws when that failed. */
  async #turn(): Promise<void> {
    const pid = await this.#options.findPid();
    const client = await this.#connected();
    if (performance.now() >= this.#nextPollAt || pid !== this.#loaded?.pid) {
      this.#nextPollAt = performance.now() + pollMs;
      await this.#apply(client, pid);
    }
    if (pid === undefined || this.#applied === undefined) return;
    await client.query(
      `INSERT INTO nats_auth_appliers (server_name, applied_revision, heartbeat_at, address) VALUES ($1, $2, now(), $3)
       ON CONFLICT (server_name) DO UPDATE SET applied_revision = excluded.applied_revision, heartbeat_at = now(), address = excluded.address`,
      [this.#options.serverName, this.#applied, this.#options.address],
    );
  }

  async #apply(client: Client, pid: number | undefined): Promise<void> {
    if (pid !== undefined && pid === this.#loaded?.pid && this.#applied === (await readRevision(client))) return;
    const { revision, content } = await this.#readUsers(client);
    if ((await readFile(this.#options.usersFile, 'utf8').catch(() => undefined)) !== content) {
      await writeUsersFile(this.#options.usersFile, content);
      this.#options.log.info('nats-users-written', { server: this.#options.serverName, revision });
    }
    if (pid === undefined) {
      this.#loaded = undefined;
      this.#applied = undefined;
      return;
    }
    if (this.#loaded?.pid !== pid || this.#loaded.content !== content) {
      this.#loaded = undefined;
      this.#applied = undefined;
      await reloadNatsServer({ pid, monitorUrl: this.#options.monitorUrl });
      this.#loaded = { pid, content };
    }
    this.#applied = revision;
  }

  /** Agents and revision in one statement, so in one snapshot. */
  async #readUsers(client: Client): Promise<{ revision: number; content: string }> {
    const { rows } = await client.query<Record<string, unknown>>(
      `SELECT r.revision, (SELECT coalesce(json_agg(json_build_object('agent_id', agent_id, 'permanent_nats_credentials', permanent_nats_credentials)), '[]')
                           FROM vms WHERE agent_id IS NOT NULL) AS agents
       FROM nats_users_revision r`,
    );
    const { revision, agents } = usersSchema.parse(rows[0]);
    const { directorSubject, hmSubject } = this.#options;
    const content = natsAuthFile({ directorSubject, hmSubject, agents: agents.map((row) => ({ agentId: row.agent_id, bootstrap: !row.permanent_nats_credentials })) });
    return { revision, content };
  }

  /** The connection for LISTEN and everything else; made anew, with everything read again, after it broke. */
  async #connected(): Promise<Client> {
    if (this.#client !== undefined) return this.#client;
    const client = new Client({
      connectionString: this.#options.databaseUrl,
      ...(this.#options.databaseCa === undefined ? {} : { ssl: { ca: this.#options.databaseCa } }),
      connectionTimeoutMillis: 5_000,
      query_timeout: statementTimeoutMs,
      keepAlive: true,
      application_name: `directorate nats-auth ${this.#options.serverName}`,
    });
    const broken = () => {
      if (this.#client === client) this.#client = undefined;
      void client.end().catch(() => undefined);
    };
    client.on('error', broken);
    client.on('end', broken);
    client.on('notification', () => {
      this.#nextPollAt = 0;
      this.#wake();
    });
    try {
      await client.connect();
      await client.query('LISTEN nats_users');
    } catch (error) {
      broken();
      throw error;
    }
    this.#client = client;
    this.#nextPollAt = 0;
    return client;
  }

  async #disconnect(): Promise<void> {
    const client = this.#client;
    this.#client = undefined;
    this.#nextPollAt = 0;
    // A connection into a black hole never says goodbye.
    if (client !== undefined) await Promise.race([client.end().catch(() => undefined), sleep(1_000)]);
  }

  async #pause(ms: number): Promise<void> {
    if (this.#nextPollAt === 0 && ms === beatMs) return; // told of a change during this turn
    const woken = new AbortController();
    this.#wake = () => woken.abort();
    await sleep(ms, AbortSignal.any([this.#stop.signal, woken.signal])).catch(() => undefined);
    this.#wake = () => undefined;
  }
}

async function readRevision(client: Client): Promise<number> {
  const { rows } = await client.query<Record<string, unknown>>('SELECT revision FROM nats_users_revision');
  return z.coerce.number().parse(rows[0]?.revision);
}

/** Before the first node has made the tables there are no agents either. */
function isMissingTable(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === '42P01';
}
