import { drizzle, type NodePgDatabase } from 'drizzle-orm/node-postgres';
import pg from 'pg';
import * as schema from './schema';

/** Queries outside a transaction. */
export type Database = NodePgDatabase<typeof schema>;
/** Queries inside one. */
export type Tx = Parameters<Parameters<Database['transaction']>[0]>[0];
/** Either: what a store function takes. */
export type Db = Database | Tx;

export interface DatabaseOptions {
  /** `postgres://…` of the primary. */
  url: string;
  /** PEM; turns TLS on. */
  ca?: string | undefined;
  poolSize: number;
  /** Idle connections break when the server restarts; told here, and the pool makes new ones. */
  onConnectionError?: (error: Error) => void;
  applicationName?: string;
}

export interface Connections {
  db: Database;
  pool: pg.Pool;
  /** A connection of one's own, for LISTEN; the caller ends it. */
  dedicated(): Promise<pg.Client>;
  close(): Promise<void>;
}

// Counts and ids stay well below 2^53.
pg.types.setTypeParser(20, Number);

/** Opens the pool. Nothing is connected until the first query. */
export function connect(options: DatabaseOptions): Connections {
  const settings: pg.ClientConfig = {
    connectionString: options.url,
    ...(options.ca ? { ssl: { ca: options.ca } } : {}),
    connectionTimeoutMillis: 5_000,
    keepAlive: true,
    application_name: options.applicationName ?? 'directorate',
  };
  // A process that is stopped in the middle of a transaction must not keep others from taking its work over.
  const pool = new pg.Pool({ ...settings, options: '-c idle_in_transaction_session_timeout=2500', max: options.poolSize, idleTimeoutMillis: 30_000 });
  pool.on('error', (error) => options.onConnectionError?.(error));
  surviveLostConnections(pool, (error) => options.onConnectionError?.(error));
  return {
    db: drizzle(pool, { schema }),
    pool,
    dedicated: async () => {
      const client = new pg.Client(settings);
      client.on('error', (error) => options.onConnectionError?.(error));
      await client.connect();
      return client;
    },
    close: () => pool.end(),
  };
}

/**
 * A connection may also break in somebody's hands. pg then ends the process unless somebody listens, and counts the connection for
 * ever when its holder does not give it back, as drizzle does not after a failed BEGIN.
 */
function surviveLostConnections(pool: pg.Pool, onError: (error: Error) => void): void {
  const inUse = new WeakSet<pg.PoolClient>();
  pool.on('acquire', (client) => inUse.add(client));
  pool.on('release', (_error, client) => inUse.delete(client));
  pool.on('connect', (client) => {
    client.on('error', onError);
    client.once('end', () => {
      if (!inUse.has(client)) return;
      client.release(true);
      // Its holder may still give it back, once.
      client.release = () => undefined;
    });
  });
}

const transientStates = new Set(['25006', '25P03', '40001', '40P01', '57P01', '57P02', '57P03', '53300', '08000', '08001', '08003', '08004', '08006']);
const transientCodes = new Set(['ECONNREFUSED', 'ECONNRESET', 'EPIPE', 'ETIMEDOUT', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENETUNREACH']);

/** SQLSTATE or system error code of a failure, looking through drizzle's wrapping. */
export function errorCodeOf(error: unknown): string | undefined {
  for (let at: unknown = error; typeof at === 'object' && at !== null; at = 'cause' in at ? at.cause : undefined) {
    if ('code' in at && typeof at.code === 'string') return at.code;
  }
  return undefined;
}

/** True for failures that say nothing about the statement: lost connections, restarts, a primary that is one no longer, serialization conflicts. */
export function isTransient(error: unknown): boolean {
  const found = errorCodeOf(error);
  if (found !== undefined && (transientStates.has(found) || transientCodes.has(found))) return true;
  const text = String(error instanceof Error ? `${error.message} ${error.cause instanceof Error ? error.cause.message : ''}` : error);
  return /Connection terminated|timeout exceeded when trying to connect|Client has encountered a connection error/.test(text);
}

/** True when a unique constraint refused the row. */
export function isUniqueViolation(error: unknown): boolean {
  return errorCodeOf(error) === '23505';
}

/**
 * Runs `work` again, with jittered back-off of at most 1 s, for as long as it fails for transient reasons:
 * a Postgres outage pauses work instead of failing it. Ends with the signal's reason when that aborts.
 * `work` must be safe to repeat: a whole transaction, or a statement conditional on its own effect.
 */
export async function retryTransient<T>(work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
  for (let attempt = 0; ; attempt++) {
    try {
      return await work();
    } catch (error) {
      if (!isTransient(error)) throw error;
      if (signal?.aborted) throw signal.reason;
      const ceiling = Math.min(1_000, 25 * 2 ** attempt);
      await new Promise((resolve) => setTimeout(resolve, ceiling / 2 + Math.random() * (ceiling / 2)));
      if (signal?.aborted) throw signal.reason;
    }
  }
}
