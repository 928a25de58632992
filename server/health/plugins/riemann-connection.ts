import { connect, type Socket } from 'node:net';
import protobuf from 'protobufjs/light';
import { z } from 'zod';
import { abortReason } from '../../core/clock';
import { SerialQueue } from '../../core/concurrency';

/** An event on the wire; one of the three metrics counts. */
export interface RiemannEvent {
  /** Seconds since 1970. */
  time: number;
  timeMicros: number;
  state?: string;
  service: string;
  host: string;
  attributes: { key: string; value: string }[];
  metricSint64?: number;
  metricD?: number;
  metricF?: number;
}

/** The messages of Riemann's protocol, as far as they are used: riemann/riemann-java-client proto/riemann/proto.proto. */
export const riemannProtocol = {
  nested: {
    Attribute: { fields: { key: { id: 1, type: 'string', rule: 'required' }, value: { id: 2, type: 'string' } } },
    Event: {
      fields: {
        time: { id: 1, type: 'int64' }, state: { id: 2, type: 'string' }, service: { id: 3, type: 'string' }, host: { id: 4, type: 'string' }, description: { id: 5, type: 'string' },
        tags: { id: 7, type: 'string', rule: 'repeated' }, ttl: { id: 8, type: 'float' }, attributes: { id: 9, type: 'Attribute', rule: 'repeated' }, timeMicros: { id: 10, type: 'int64' },
        metricSint64: { id: 13, type: 'sint64' }, metricD: { id: 14, type: 'double' }, metricF: { id: 15, type: 'float' },
      },
    },
    Msg: { fields: { ok: { id: 2, type: 'bool' }, error: { id: 3, type: 'string' }, events: { id: 6, type: 'Event', rule: 'repeated' } } },
  },
};

const Msg = protobuf.Root.fromJSON(riemannProtocol).lookupType('Msg');
const answer = z.object({ ok: z.boolean().optional(), error: z.string().optional() });
/** No answer is longer, bytes. */
const longestAnswer = 1 << 20;

/** Sends events over TCP, each message after the answer to the one before; connects when there is something to send. */
export class RiemannConnection {
  readonly #address: { host: string; port: number };
  readonly #queue = new SerialQueue();
  #socket: Socket | undefined;

  constructor(address: { host: string; port: number }) {
    this.#address = { host: address.host, port: address.port };
  }

  /** Resolves when Riemann has answered that it took them. Throws otherwise, also when the signal aborts. */
  send(events: readonly RiemannEvent[], signal: AbortSignal): Promise<void> {
    return this.#queue.run(async () => {
      signal.throwIfAborted();
      const socket = await this.#connect(signal);
      try {
        await exchange(socket, Buffer.from(Msg.encode(Msg.create({ events })).finish()), signal);
      } catch (error) {
        // The next answer would be taken for this one's.
        this.close();
        throw error;
      }
    });
  }

  close(): void {
    this.#socket?.destroy();
    this.#socket = undefined;
  }

  async #connect(signal: AbortSignal): Promise<Socket> {
    if (this.#socket && !this.#socket.destroyed && this.#socket.writable) return this.#socket;
    this.close();
    const socket = connect({ ...this.#address, keepAlive: true });
    // Told to whoever exchanges something; an idle connection that breaks is noticed at the next message.
    socket.on('error', () => undefined);
    this.#socket = socket;
    await settle(socket, signal, (resolve) => socket.once('connect', resolve));
    return socket;
  }
}

/** A message is preceded by its length in four bytes, big-endian; so is the answer. */
async function exchange(socket: Socket, message: Buffer, signal: AbortSignal): Promise<void> {
  let received = Buffer.alloc(0);
  let onData: ((data: Buffer) => void) | undefined;
  const whole = settle<Buffer>(socket, signal, (resolve, reject) => {
    onData = (data) => {
      received = Buffer.concat([received, data]);
      if (received.length < 4) return;
      const length = received.readUInt32BE(0);
      if (length > longestAnswer) reject(new Error('Riemann answered with what is no message'));
      else if (received.length >= 4 + length) resolve(received.subarray(4, 4 + length));
    };
    socket.on('data', onData);
  });
  const length = Buffer.alloc(4);
  length.writeUInt32BE(message.length);
  socket.write(Buffer.concat([length, message]));
  try {
    const { ok, error } = answer.parse(Msg.toObject(Msg.decode(await whole)));
    if (ok !== true) throw new Error(`Riemann refused the events: ${error ?? 'it does not say why'}`);
  } finally {
    if (onData) socket.off('data', onData);
  }
}

/** A promise that fails as well when the connection ends or the signal aborts. */
async function settle<T = void>(socket: Socket, signal: AbortSignal, begin: (resolve: (value: T) => void, reject: (error: Error) => void) => void): Promise<T> {
  const done = new AbortController();
  try {
    return await new Promise<T>((resolve, reject) => {
      const on = (event: string, listener: (error?: Error) => void) => {
        socket.once(event, listener);
        done.signal.addEventListener('abort', () => socket.off(event, listener), { once: true });
      };
      on('error', (error) => reject(new Error(`the connection to Riemann failed: ${error?.message ?? ''}`, { cause: error })));
      on('close', () => reject(new Error('Riemann closed the connection')));
      signal.addEventListener('abort', () => reject(abortReason(signal)), { once: true, signal: done.signal });
      begin(resolve, reject);
    });
  } catch (error) {
    if (signal.aborted) socket.destroy();
    throw error;
  } finally {
    done.abort();
  }
}
