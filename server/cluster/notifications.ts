import type { Connections } from '../../db/client';
import { sleep } from '../core/clock';
import type { Log } from '../core/log';

/** Channels on which the database hints at changes; payloads are ids at most. Polling alone must be correct. */
export type Channel = (typeof channels)[number];
const channels = ['tasks', 'task_cancel', 'task_output', 'leases', 'locks', 'fleet', 'alerts', 'schedules', 'bus_moves'] as const;

/** One LISTEN connection per node, reconnecting for ever; after a reconnect every subscriber is woken, since hints may have been missed. */
export class Notifications {
  readonly #connections: Connections;
  readonly #log: Log;
  readonly #subscribers = new Map<Channel, Set<(payload: string) => void>>(channels.map((channel) => [channel, new Set()]));
  readonly #stopping = new AbortController();
  #loop: Promise<void> | undefined;

  constructor(connections: Connections, log: Log) {
    this.#connections = connections;
    this.#log = log;
  }

  start(): void {
    this.#loop = this.#run();
  }

  /** Calls `listener` on every hint (and with '' after a reconnect). Returns the function that ends it. */
  subscribe(channel: Channel, listener: (payload: string) => void): () => void {
    this.#subscribers.get(channel)?.add(listener);
    return () => void this.#subscribers.get(channel)?.delete(listener);
  }

  /** Resolves at the next hint that `matches`, or after `ms`. */
  async wait(channel: Channel, ms: number, options: { matches?: (payload: string) => boolean; signal?: AbortSignal } = {}): Promise<void> {
    await new Promise<void>((resolve) => {
      const done = () => {
        clearTimeout(timer);
        end();
        options.signal?.removeEventListener('abort', done);
        resolve();
      };
      const timer = setTimeout(done, ms);
      const end = this.subscribe(channel, (payload) => {
        if (payload === '' || !options.matches || options.matches(payload)) done();
      });
      if (options.signal?.aborted) done();
      else options.signal?.addEventListener('abort', done, { once: true });
    });
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#loop;
  }

  async #run(): Promise<void> {
    while (!this.#stopping.signal.aborted) {
      try {
        await this.#listen();
      } catch (error) {
        this.#log.debug('listen-failed', { error: String(error) });
      }
      await sleep(200, this.#stopping.signal).catch(() => undefined);
    }
  }

  async #listen(): Promise<void> {
    const client = await this.#connections.dedicated();
    try {
      const ended = new Promise<void>((resolve) => {
        client.once('end', resolve);
        client.once('error', () => resolve());
        if (this.#stopping.signal.aborted) resolve();
        else this.#stopping.signal.addEventListener('abort', () => resolve(), { once: true });
      });
      client.on('notification', ({ channel, payload }) => this.#tell(channel as Channel, payload ?? ''));
      await Promise.race([client.query(channels.map((channel) => `LISTEN ${channel}`).join('; ')), ended]);
      for (const channel of channels) this.#tell(channel, '');
      await ended;
    } finally {
      // A server that does not answer must not hold up the stop.
      await Promise.race([client.end().catch(() => undefined), sleep(1_000)]);
    }
  }

  #tell(channel: Channel, payload: string): void {
    for (const listener of this.#subscribers.get(channel) ?? []) listener(payload);
  }
}
