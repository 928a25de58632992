import { Client } from 'pg';
import { sleep } from '../core/clock';

export interface ApplierDatabase {
  /** `postgres://…` of the director's database. */
  databaseUrl: string;
  /** PEM; turns TLS to the database on. */
  databaseCa?: string | undefined;
}

const statementTimeoutMs = 5_000;

/**
 * One connection of a program beside a NATS server, made at the first use and again after it broke. Statements that take longer than
 * 5 s fail.
 */
export class ApplierConnection {
  readonly #database: ApplierDatabase;
  readonly #name: string;
  readonly #onConnect: (client: Client) => Promise<unknown>;
  #client: Client | undefined;

  /** `onConnect` prepares each new connection, e.g. with LISTEN. */
  constructor(database: ApplierDatabase, name: string, onConnect: (client: Client) => Promise<unknown> = async () => undefined) {
    this.#database = database;
    this.#name = name;
    this.#onConnect = onConnect;
  }

  async use(): Promise<Client> {
    if (this.#client !== undefined) return this.#client;
    const { databaseUrl, databaseCa } = this.#database;
    const client = new Client({
      connectionString: databaseUrl,
      ...(databaseCa === undefined ? {} : { ssl: { ca: databaseCa } }),
      connectionTimeoutMillis: 5_000,
      query_timeout: statementTimeoutMs,
      keepAlive: true,
      application_name: this.#name,
    });
    const broken = () => {
      if (this.#client === client) this.#client = undefined;
      void client.end().catch(() => undefined);
    };
    client.on('error', broken);
    client.on('end', broken);
    try {
      await client.connect();
      await this.#onConnect(client);
    } catch (error) {
      broken();
      throw error;
    }
    this.#client = client;
    return client;
  }

  async close(): Promise<void> {
    const client = this.#client;
    this.#client = undefined;
    // A connection into a black hole never says goodbye.
    if (client !== undefined) await Promise.race([client.end().catch(() => undefined), sleep(1_000)]);
  }
}
