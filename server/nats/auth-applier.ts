import { readFile } from 'node:fs/promises';
import type { Client } from 'pg';
import { z } from 'zod';
import { firstToAbort, sleep } from '../core/clock';
import type { Log } from '../core/log';
import { AgentPathRecorder } from './agent-paths';
import { ApplierConnection, type ApplierDatabase } from './applier-connection';
import { natsAuthFile } from './users';
import { reloadNatsServer, replaceFile } from './users-file';
import { distrust, readOrigin, writeOrigin, type Told } from './users-guard';

export interface NatsAuthApplierOptions extends ApplierDatabase {
  /** Names this server in `nats_auth_appliers`; unique in the cluster. */
  serverName: string;
  /** Shown to operators, e.g. `nats://10.0.0.7:4222`. */
  address: string;
  usersFile: string;
  /** User name of the director; must not be empty. */
  directorSubject: string;
  hmSubject: string;
  /** Pid of the nats-server while it runs and takes signals, else undefined. */
  findPid: () => Promise<number | undefined>;
  /** Its monitoring endpoint: makes certain that a reload is over before it is reported, and tells which agents are connected. */
  monitorUrl?: string | undefined;
  log: Log;
}

const pollMs = 2_000;
const beatMs = 1_000;
const reconnectMs = 500;
const longestRestMs = 1_000;
/** A failure that goes on is logged again after this time. */
const repeatLogMs = 60_000;

const usersSchema = z.object({
  director: z.string().nullish(),
  revision: z.coerce.number(),
  agents: z.array(z.object({ agent_id: z.string(), permanent_nats_credentials: z.boolean() })),
});

/**
 * Stands beside one NATS server: keeps its users file equal to the agents in the database, makes the server read it,
 * and reports which revision of the agents the server has applied. Whoever creates a VM waits for that report, so
 * it must never be early: it is written after the reload of the very process that runs now. While the server is down
 * or hangs there is no heartbeat, and nobody waits for it; it reads the file when it starts. Every step may be cut short by
 * kill -9 and is done again at the next start. When the database is away or not to be believed, the last good file stays (see `users-guard`).
 *
 * Every applier computes the file from the database by itself: 20,000 agents take it a tenth of a second, and so no director node,
 * leased duty or stored copy of the file stands between a VM's record and the servers. Changes that come while one is being applied
 * are applied together afterwards; a server with very many agents, whose reload takes long, gets as much rest as work.
 */
export class NatsAuthApplier {
  readonly #options: NatsAuthApplierOptions;
  readonly #database: ApplierConnection;
  readonly #paths: AgentPathRecorder | undefined;
  readonly #stop = new AbortController();
  #running: Promise<void> = Promise.resolve();
  /** Wakes the loop before its next beat. */
  #wake: () => void = () => undefined;
  /** What the server process is known to have loaded. */
  #loaded: { pid: number; content: string } | undefined;
  #applied: number | undefined;
  #nextPollAt = 0;
  #restUntil = 0;
  #failure = { text: '', loggedAt: 0 };

  constructor(options: NatsAuthApplierOptions) {
    if (!options.directorSubject) throw new Error('the director has no user name on NATS: without it nobody could speak to the agents');
    const { serverName, monitorUrl } = options;
    this.#options = options;
    this.#database = new ApplierConnection(options, `directorate nats-auth ${serverName}`, (client) => this.#prepare(client));
    this.#paths = monitorUrl === undefined ? undefined : new AgentPathRecorder({ ...options, monitorUrl });
  }

  start(): void {
    this.#running = this.#run();
    this.#paths?.start();
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    this.#wake();
    await Promise.all([this.#running, this.#paths?.stop()]);
  }

  async #run(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      try {
        await this.#turn();
        this.#failure = { text: '', loggedAt: 0 };
        await this.#pause(beatMs);
      } catch (error) {
        this.#report(error);
        await this.#database.close();
        await this.#pause(reconnectMs);
      }
    }
    await this.#database.close();
  }

  #report(error: unknown): void {
    const { log, serverName } = this.#options;
    const text = String(error);
    if (text === this.#failure.text && performance.now() - this.#failure.loggedAt < repeatLogMs) return;
    this.#failure = { text, loggedAt: performance.now() };
    if (isMissingTable(error)) log.info('nats-users-before-migration', { server: serverName });
    else log.warn('nats-users-not-applied', { server: serverName, error });
  }

  /** One beat: applies what is new (told by a notification or due for a poll), then reports. Throws when that failed. */
  async #turn(): Promise<void> {
    const pid = await this.#options.findPid();
    const client = await this.#database.use();
    const now = performance.now();
    if (now >= Math.max(this.#nextPollAt, this.#restUntil) || pid !== this.#loaded?.pid) {
      this.#nextPollAt = now + pollMs;
      await this.#apply(client, pid);
      const ended = performance.now();
      this.#restUntil = ended + Math.min(ended - now, longestRestMs);
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
    const told = await this.#readUsers(client);
    const { directorSubject, hmSubject } = this.#options;
    const content = natsAuthFile({ directorSubject, hmSubject, agents: told.agents });
    await this.#write(told, content);
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
    this.#applied = told.revision;
  }

  /** Throws when the database is not believed. */
  async #write(told: Told, content: string): Promise<void> {
    const { usersFile, serverName, log } = this.#options;
    const [current, origin] = await Promise.all([readFile(usersFile, 'utf8').catch(() => undefined), readOrigin(usersFile)]);
    if (current === content && origin?.director === told.director) return;
    const doubt = distrust(current, origin, told);
    if (doubt !== undefined) throw new Error(doubt);
    await writeOrigin(usersFile, told);
    if (current === content) return;
    await replaceFile(usersFile, content);
    log.info('nats-users-written', { server: serverName, revision: told.revision });
  }

  /** Everything in one statement, so in one snapshot. */
  async #readUsers(client: Client): Promise<Told> {
    const { rows } = await client.query<Record<string, unknown>>(
      `SELECT r.revision, (SELECT value #>> '{}' FROM director_settings WHERE key = 'uuid') AS director,
              (SELECT coalesce(json_agg(json_build_object('agent_id', agent_id, 'permanent_nats_credentials', permanent_nats_credentials)), '[]')
               FROM vms WHERE agent_id IS NOT NULL) AS agents
       FROM nats_users_revision r`,
    );
    const { director, revision, agents } = usersSchema.parse(rows[0]);
    return { director: director ?? undefined, revision, agents: agents.map((row) => ({ agentId: row.agent_id, bootstrap: !row.permanent_nats_credentials })) };
  }

  /** A new connection may lead to another database, and hints were missed: everything is read again. */
  async #prepare(client: Client): Promise<void> {
    client.on('notification', () => {
      this.#nextPollAt = 0;
      this.#wake();
    });
    await client.query('LISTEN nats_users');
    this.#nextPollAt = 0;
    this.#applied = undefined;
  }

  async #pause(ms: number): Promise<void> {
    const restMs = this.#restUntil - performance.now();
    // Told of a change during this turn; or during the rest.
    const told = this.#nextPollAt === 0 && ms === beatMs;
    if (told && restMs <= 0) return;
    const woken = new AbortController();
    if (!told) this.#wake = () => woken.abort();
    const ends = firstToAbort(this.#stop.signal, woken.signal);
    await sleep(told ? restMs : ms, ends.signal).catch(() => undefined);
    ends.release();
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
