import type { NatsConnection, Status, Subscription } from '@nats-io/transport-node';
import { sleep } from '../core/clock';
import type { Log } from '../core/log';
import { connectOnce, connectionOptions, retryMs, type BusCredentials } from './connect';

/**
 * A connection to the NATS cluster. It goes on for ever: another server is tried within a few hundred ms when one is lost,
 * within 7 s when one hangs. NATS is a bus and nothing more: what is published while no server is connected is dropped,
 * and a message under way when a server dies may be lost in either direction. Whoever asks must be able to ask again.
 */

export interface BusOptions extends BusCredentials {
  log: Log;
}

/** What the bus delivers. */
export interface BusMessage {
  subject: string;
  data: Uint8Array;
  /**
   * True for the server's own answer to a `publish` with `replyTo`: nobody was listening, nothing was delivered
   * (https://docs.nats.io/nats-concepts/core-nats/reqreply, "No Responders").
   */
  noResponders: boolean;
}

export interface BusStatus {
  connected: boolean;
  /** `host:port` of the server; undefined while not connected. */
  server: string | undefined;
  /** When the present state (connected or not) began. */
  since: Date;
  /** How many times a connection was made since `start`. */
  connects: number;
}

/** A message larger than the servers accept; it was not sent (they would drop the connection). */
export class MessageTooLarge extends Error {
  constructor(subject: string, size: number, limit: number) {
    super(`the message to ${subject} has ${size} bytes, the NATS servers accept ${limit}: raise their max_payload`);
    this.name = 'MessageTooLarge';
  }
}

interface Interest {
  subject: string;
  handler: (message: BusMessage) => void;
  subscription: Subscription | undefined;
}

export class Bus {
  readonly #options: BusOptions;
  readonly #log: Log;
  readonly #interests = new Set<Interest>();
  readonly #connectListeners = new Set<() => void>();
  readonly #stopping = new AbortController();
  #connection: NatsConnection | undefined;
  #connected = false;
  #since = new Date();
  #connects = 0;
  #running: Promise<void> | undefined;

  constructor(options: BusOptions) {
    this.#options = options;
    this.#log = options.log.scope({ bus: options.name });
  }

  /** Begins to connect, in the background; see `isConnected`. */
  start(): void {
    this.#running ??= this.#run();
  }

  /** Closes the connection. Subscriptions end with it. */
  async stop(): Promise<void> {
    this.#stopping.abort(new Error('the bus is stopped'));
    await this.#connection?.close();
    await this.#running;
  }

  isConnected(): boolean {
    return this.#connected;
  }

  status(): BusStatus {
    return { connected: this.#connected, server: this.#connected ? this.#connection?.getServer() : undefined, since: this.#since, connects: this.#connects };
  }

  /** Makes the connection anew, and with it every subscription. */
  reconnect(): void {
    void this.#connection?.reconnect().catch(() => undefined);
  }

  /**
   * Sends a message if a server is connected; false when not (nothing was sent). True says only that it was handed to the socket.
   * With `replyTo` the server says there at once when nobody listens. Throws MessageTooLarge.
   */
  publish(subject: string, data: Uint8Array, replyTo?: string): boolean {
    const connection = this.#connection;
    if (!connection || !this.#connected) return false;
    const limit = connection.info?.max_payload;
    if (limit !== undefined && data.length > limit) throw new MessageTooLarge(subject, data.length, limit);
    connection.publish(subject, data, replyTo === undefined ? {} : { reply: replyTo });
    return true;
  }

  /** Hears messages from now on, through every reconnect; the returned function ends it. `handler` must not throw. */
  subscribe(subject: string, handler: (message: BusMessage) => void): () => void {
    const interest: Interest = { subject, handler, subscription: undefined };
    this.#interests.add(interest);
    if (this.#connection) this.#attach(interest, this.#connection);
    return () => {
      this.#interests.delete(interest);
      if (this.#connection && !this.#connection.isClosed()) interest.subscription?.unsubscribe();
    };
  }

  /** Calls `listener` after every connection that is made, subscriptions included: what was under way may be lost. */
  onConnect(listener: () => void): () => void {
    this.#connectListeners.add(listener);
    return () => this.#connectListeners.delete(listener);
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopping;
    const options = connectionOptions(this.#options);
    let lastFailure = '';
    while (!signal.aborted) {
      try {
        await this.#hold(await connectOnce(options, signal));
        lastFailure = '';
      } catch (error) {
        if (signal.aborted) break;
        const failure = error instanceof Error ? error.message : String(error);
        if (failure !== lastFailure) this.#log.warn('nats-not-reachable', { urls: this.#options.urls, error: failure });
        lastFailure = failure;
        await sleep(retryMs, signal).catch(() => undefined);
      }
    }
  }

  /** Uses a connection until it is closed for good. */
  async #hold(connection: NatsConnection): Promise<void> {
    this.#connection = connection;
    const statuses = connection.status();
    for (const interest of this.#interests) this.#attach(interest, connection);
    this.#becomeConnected(connection.getServer());
    for await (const status of statuses) this.#note(status, connection);
    const error = await connection.closed();
    this.#becomeDisconnected();
    this.#connection = undefined;
    for (const interest of this.#interests) interest.subscription = undefined;
    if (error && !this.#stopping.signal.aborted) throw error;
  }

  #note(status: Status, connection: NatsConnection): void {
    switch (status.type) {
      case 'disconnect':
        this.#log.warn('nats-disconnected', { server: status.server });
        this.#becomeDisconnected();
        break;
      case 'reconnect':
        this.#becomeConnected(status.server);
        break;
      case 'ldm':
        this.#log.info('nats-server-leaves', { server: status.server });
        void connection.reconnect();
        break;
      case 'error':
        this.#log.warn('nats-error', { error: status.error.message });
        break;
      case 'staleConnection':
        this.#log.warn('nats-server-hangs', { server: connection.getServer() });
        break;
      case 'slowConsumer':
        this.#log.warn('nats-slow-consumer', { subject: status.sub.getSubject(), pending: status.pending });
        break;
      case 'reconnecting': case 'update': case 'ping': case 'forceReconnect': case 'close':
        break;
    }
  }

  #becomeConnected(server: string): void {
    this.#connected = true;
    this.#since = new Date();
    this.#connects += 1;
    this.#log.info('nats-connected', { server });
    for (const listener of this.#connectListeners) listener();
  }

  #becomeDisconnected(): void {
    if (!this.#connected) return;
    this.#connected = false;
    this.#since = new Date();
  }

  #attach(interest: Interest, connection: NatsConnection): void {
    interest.subscription = connection.subscribe(interest.subject, {
      callback: (error, message) => {
        if (error) return this.#log.warn('nats-subscription-refused', { subject: interest.subject, error: error.message });
        interest.handler({ subject: message.subject, data: message.data, noResponders: message.data.length === 0 && message.headers?.code === 503 });
      },
    });
  }
}
