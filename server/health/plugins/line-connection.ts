import { connect, type Socket } from 'node:net';
import type { Log } from '../../core/log';

export interface LineConnectionOptions {
  /** In the log. */
  name: string;
  host: string;
  port: number;
  /** Attempts in a row after which it gives up; -1: never. */
  maxRetries: number;
  log: Log;
}

const connectTimeoutMs = 10_000;
/** The reconnect delay does not double for ever. */
const longestDoubling = 9;
/** A receiver that has so much before it does not read any more, bytes. */
const mostWaiting = 4 << 20;

/**
 * A TCP connection for lines of text to a receiver that answers nothing. It is made again when it is lost, after 2^retries − 1 s (at most
 * 511 s); what is sent meanwhile is lost. cloudfoundry/bosh src/bosh-monitor/lib/bosh/monitor/protocols/tcp_connection.rb.
 */
export class LineConnection {
  readonly #options: LineConnectionOptions;
  #socket: Socket | undefined;
  #connected = false;
  #retries = 0;
  #timer: NodeJS.Timeout | undefined;
  #stopped = false;

  constructor(options: LineConnectionOptions) {
    this.#options = options;
  }

  start(): void {
    this.#connect();
  }

  /** Throws when there is no connection now: the lines are lost. */
  send(lines: string): void {
    const { name, host, port } = this.#options;
    const socket = this.#socket;
    if (!this.#connected || !socket) throw new Error(`${name}: no connection to ${host}:${port}`);
    if (socket.writableLength > mostWaiting) {
      socket.destroy();
      throw new Error(`${name}: ${host}:${port} does not read`);
    }
    socket.write(lines);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#timer);
    // What was sent goes out, unless the other side does not take it.
    const socket = this.#socket;
    if (!this.#connected || !socket) return void socket?.destroy();
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, 500);
      socket.once('close', () => {
        clearTimeout(timer);
        resolve();
      });
      socket.end(() => socket.destroy());
    });
    socket.destroy();
  }

  #connect(): void {
    const { name, host, port, log } = this.#options;
    const socket = connect({ host, port, keepAlive: true, keepAliveInitialDelay: 30_000 });
    this.#socket = socket;
    socket.setTimeout(connectTimeoutMs, () => socket.destroy(new Error('no answer')));
    socket.once('connect', () => {
      socket.setTimeout(0);
      this.#connected = true;
      this.#retries = 0;
      log.info('plugin-connected', { plugin: name, host, port });
    });
    // Nothing is expected; a receiver that complains must be read all the same.
    socket.on('data', (data) => log.debug('plugin-was-answered', { plugin: name, text: data.toString('utf8', 0, 300) }));
    let reason = 'closed';
    socket.on('error', (error) => {
      reason = error.message;
    });
    socket.once('close', () => {
      if (this.#connected && !this.#stopped) log.warn('plugin-connection-lost', { plugin: name, host, port, reason });
      this.#connected = false;
      if (!this.#stopped) this.#retry(reason);
    });
  }

  #retry(reason: string): void {
    const { name, host, port, maxRetries, log } = this.#options;
    const delayS = 2 ** Math.min(this.#retries, longestDoubling) - 1;
    this.#retries += 1;
    if (maxRetries > -1 && this.#retries > maxRetries) {
      log.error('plugin-gave-up', { plugin: name, host, port, reason, attempts: maxRetries });
      return;
    }
    if (this.#retries > 1) log.info('plugin-reconnects', { plugin: name, host, port, reason, delayS });
    this.#timer = setTimeout(() => this.#connect(), delayS * 1_000);
  }
}
