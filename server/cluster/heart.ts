import type pg from 'pg';
import type { Connections } from '../../db/client';
import { sleep, systemClock, type Clock } from '../core/clock';
import type { Log } from '../core/log';
import { timing } from './timing';

/** Renewed in every beat, on the beat's own connection. */
export interface Renewal {
  /** Renews; `startedAt` is the monotonic ms from before the beat, the base of local deadlines. */
  renew(client: pg.Client, startedAt: number): Promise<void>;
}

/**
 * The node's contact with the database: one connection of its own, one beat every 500 ms that renews everything the
 * node holds. Rights end by local deadlines when beats fail, so a node that is cut off or was stopped falls silent by itself.
 */
export class Heart {
  readonly #connections: Connections;
  readonly #log: Log;
  readonly #clock: Clock;
  readonly #renewals: Renewal[] = [];
  #client: pg.Client | undefined;
  #timer: NodeJS.Timeout | undefined;
  #stopped = false;
  #beating: Promise<void> | undefined;
  #lastBeatAt = Number.NEGATIVE_INFINITY;
  #contactSince = Number.POSITIVE_INFINITY;

  constructor(connections: Connections, log: Log, clock: Clock = systemClock) {
    this.#connections = connections;
    this.#log = log;
    this.#clock = clock;
  }

  register(renewal: Renewal): void {
    this.#renewals.push(renewal);
  }

  /** Starts beating; resolves after the first successful beat. Rejects when that fails. */
  async start(): Promise<void> {
    await this.beat();
    const loop = () => {
      if (this.#stopped) return;
      this.#timer = setTimeout(() => void this.beat().catch((error: unknown) => this.#log.warn('beat-failed', { error: String(error) })).finally(loop), timing.beatMs);
    };
    loop();
  }

  /** One beat now; joins the one under way. */
  beat(): Promise<void> {
    this.#beating ??= this.#beatOnce().finally(() => {
      this.#beating = undefined;
    });
    return this.#beating;
  }

  /** Monotonic ms of unbroken contact with the database: how long nothing was missed. 0 when contact is lost. */
  contactMs(): number {
    const now = this.#clock.monotonic();
    return now - this.#lastBeatAt > timing.beatMs + timing.beatTimeoutMs ? 0 : Math.max(0, now - this.#contactSince);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#timer);
    await this.#beating?.catch(() => undefined);
    // A server that does not answer must not hold up the stop.
    await Promise.race([this.#client?.end().catch(() => undefined), sleep(1_000)]);
    this.#client = undefined;
  }

  async #beatOnce(): Promise<void> {
    const startedAt = this.#clock.monotonic();
    try {
      this.#client ??= await this.#connections.dedicated();
      for (const renewal of this.#renewals) await withTimeout(renewal.renew(this.#client, startedAt), timing.beatTimeoutMs);
    } catch (error) {
      this.#contactSince = Number.POSITIVE_INFINITY;
      const client = this.#client;
      this.#client = undefined;
      // A connection in doubt is not used again; ending it may hang with the server, so nobody waits for it.
      void client?.end().catch(() => undefined);
      throw error;
    }
    const gap = startedAt - this.#lastBeatAt;
    if (gap > timing.beatMs + timing.beatTimeoutMs || this.#contactSince === Number.POSITIVE_INFINITY) this.#contactSince = startedAt;
    this.#lastBeatAt = this.#clock.monotonic();
  }
}

async function withTimeout<T>(work: Promise<T>, ms: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer from the database within ${ms} ms`)), ms);
  });
  try {
    return await Promise.race([work, timeout]);
  } finally {
    clearTimeout(timer);
    work.catch(() => undefined);
  }
}
