import type pg from 'pg';
import type { Connections, Database } from '../../db/client';
import { sleep } from '../core/clock';
import type { Log } from '../core/log';
import { readClusterState, type ClusterState } from './cluster-state';
import { readingDatabase } from './store';

export interface ClusterReaderOptions {
  connections: Pick<Connections, 'dedicated'>;
  log: Log;
  /** How long what was read is told again, failures too, ms. */
  holdMs?: number | undefined;
  /** How long a scrape waits for the database, ms. */
  patienceMs?: number | undefined;
}

/** One reading, or that there was none. */
export interface Reading {
  /** Undefined: the database did not answer. */
  state: ClusterState | undefined;
  /** How long it took, s. */
  seconds: number;
}

/** A reading that takes longer has failed; its connection is given up, ms. */
const readingLimitMs = 10_000;

/**
 * Reads the cluster's state for whoever scrapes: on a connection of its own, so that metrics show a used-up pool instead of suffering
 * from it; at most once per `holdMs` and one reading at a time, however many scrape.
 */
export class ClusterReader {
  readonly #connections: Pick<Connections, 'dedicated'>;
  readonly #log: Log;
  readonly #holdMs: number;
  readonly #patienceMs: number;
  #open: { client: pg.Client; db: Database } | undefined;
  #last: { reading: Reading; at: number } | undefined;
  #running: Promise<Reading> | undefined;
  #failing = false;
  #stopped = false;

  constructor(options: ClusterReaderOptions) {
    this.#connections = options.connections;
    this.#log = options.log;
    this.#holdMs = options.holdMs ?? 5_000;
    this.#patienceMs = options.patienceMs ?? 2_000;
  }

  /** The newest reading; without a state when the database keeps the caller waiting for longer than `patienceMs`. */
  async read(): Promise<Reading> {
    if (this.#last && performance.now() - this.#last.at < this.#holdMs) return this.#last.reading;
    this.#running ??= this.#readOnce().finally(() => {
      this.#running = undefined;
    });
    const patience = new AbortController();
    const tooLate = sleep(this.#patienceMs, patience.signal).then((): Reading => ({ state: undefined, seconds: this.#patienceMs / 1_000 }));
    tooLate.catch(() => undefined);
    try {
      return await Promise.race([this.#running, tooLate]);
    } finally {
      patience.abort();
    }
  }

  /** Closes the connection. */
  async stop(): Promise<void> {
    this.#stopped = true;
    // A server that does not answer must not hold up the stop.
    await Promise.race([this.#open?.client.end().catch(() => undefined), sleep(1_000)]);
    this.#open = undefined;
  }

  async #readOnce(): Promise<Reading> {
    const startedAt = performance.now();
    const reading = await this.#attempt().then(
      (state): Reading => ({ state, seconds: (performance.now() - startedAt) / 1_000 }),
      (error: unknown): Reading => this.#failed(error, (performance.now() - startedAt) / 1_000),
    );
    if (reading.state) this.#failing = false;
    this.#last = { reading, at: performance.now() };
    return reading;
  }

  async #attempt(): Promise<ClusterState> {
    const limit = new AbortController();
    const tooLong = sleep(readingLimitMs, limit.signal).then(() => Promise.reject(new Error(`no reading within ${readingLimitMs} ms`)));
    tooLong.catch(() => undefined);
    try {
      return await Promise.race([this.#connected().then(readClusterState), tooLong]);
    } finally {
      limit.abort();
    }
  }

  async #connected(): Promise<Database> {
    if (this.#stopped) throw new Error('the metrics are stopped');
    if (this.#open) return this.#open.db;
    const client = await this.#connections.dedicated();
    client.once('end', () => {
      if (this.#open?.client === client) this.#open = undefined;
    });
    const db = await readingDatabase(client, readingLimitMs);
    this.#open = { client, db };
    return db;
  }

  #failed(error: unknown, seconds: number): Reading {
    if (!this.#failing && !this.#stopped) this.#log.warn('metrics-not-read', { error });
    this.#failing = true;
    // A connection in doubt is not used again; ending it may hang with the server, so nobody waits for it.
    void this.#open?.client.end().catch(() => undefined);
    this.#open = undefined;
    return { state: undefined, seconds };
  }
}
