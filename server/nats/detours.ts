import type { NatsConnection } from '@nats-io/transport-node';
import type { Log } from '../core/log';
import { connectOnce, connectionOptions, type BusCredentials } from './connect';

/**
 * Ways to agents around the cluster: a message is handed to one server of choice instead of the one that the bus is connected to.
 *
 * A server tells the others which subjects its clients listen to. It can lose such a notice: nats-server 2.9.10 does when a client subscribes
 * while the server reads its users again. Everybody at other servers is then told that nobody listens, for as long as that
 * client stays connected, although it is well and its own messages arrive. Handed to its own server, a message reaches it.
 */
export class Detours {
  readonly #credentials: BusCredentials;
  readonly #log: Log;
  readonly #connections = new Map<string, NatsConnection | 'connecting'>();
  readonly #stopping = new AbortController();

  constructor(credentials: BusCredentials, log: Log) {
    this.#credentials = credentials;
    this.#log = log;
  }

  /** `nats://host:port` of every server. */
  get urls(): readonly string[] {
    return this.#credentials.urls;
  }

  /** Hands the message to this server; false when there is no connection to it (one is being made). Nothing tells whether anybody listens there. */
  publish(url: string, subject: string, data: Uint8Array): boolean {
    const connection = this.#connections.get(url);
    if (connection === undefined) void this.#connect(url);
    if (connection === undefined || connection === 'connecting' || connection.isClosed()) return false;
    connection.publish(subject, data);
    return true;
  }

  async stop(): Promise<void> {
    this.#stopping.abort(new Error('the detours are closed'));
    const open = [...this.#connections.values()].filter((one): one is NatsConnection => one !== 'connecting');
    await Promise.all(open.map((connection) => connection.close()));
  }

  async #connect(url: string): Promise<void> {
    this.#connections.set(url, 'connecting');
    try {
      const connection = await connectOnce({ ...connectionOptions({ ...this.#credentials, name: `${this.#credentials.name} detour`, urls: [url] }), reconnect: false }, this.#stopping.signal);
      this.#connections.set(url, connection);
      await connection.closed();
    } catch (error) {
      this.#log.debug('nats-detour-failed', { url, error: String(error) });
    }
    this.#connections.delete(url);
  }
}
