import { createServer, type Socket } from 'node:net';
import protobuf from 'protobufjs/light';
import { listen } from './http-recorder';

/**
 * Riemann's messages, from their numbers on the wire and not from what the client takes them to be:
 * riemann/riemann-ruby-client lib/riemann/{message,event,attribute}.rb.
 */
const Attribute = new protobuf.Type('Attribute').add(new protobuf.Field('key', 1, 'string')).add(new protobuf.Field('value', 2, 'string'));
const Event = new protobuf.Type('Event').add(new protobuf.Field('time', 1, 'int64')).add(new protobuf.Field('state', 2, 'string')).add(new protobuf.Field('service', 3, 'string'))
  .add(new protobuf.Field('host', 4, 'string')).add(new protobuf.Field('attributes', 9, 'Attribute', 'repeated')).add(new protobuf.Field('timeMicros', 10, 'int64'))
  .add(new protobuf.Field('sint64', 13, 'sint64')).add(new protobuf.Field('double', 14, 'double')).add(new protobuf.Field('float', 15, 'float'));
const Msg = new protobuf.Type('Msg').add(new protobuf.Field('ok', 2, 'bool')).add(new protobuf.Field('error', 3, 'string')).add(new protobuf.Field('events', 6, 'Event', 'repeated'));
new protobuf.Root().add(Attribute).add(Event).add(Msg);

/** An event as the server understood it. */
export interface ReceivedEvent {
  time: number;
  timeMicros: number;
  state?: string;
  service: string;
  host: string;
  sint64?: number;
  double?: number;
  float?: number;
  /** As key and value. */
  attributes: Record<string, string>;
}

export interface RiemannServer {
  port: number;
  /** The events of each message. */
  messages: ReceivedEvent[][];
  connections: number;
  /** What it answers from now on; `close`: it breaks the connection instead, `nothing`: it keeps silent. */
  answer: { ok: boolean; error?: string } | 'close' | 'nothing';
  stop(): Promise<void>;
}

/** A TCP server that speaks Riemann's protocol. */
export async function startRiemann(): Promise<RiemannServer> {
  const sockets = new Set<Socket>();
  const riemann: RiemannServer = {
    port: 0, messages: [], connections: 0, answer: { ok: true },
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  };
  const server = createServer((socket) => {
    sockets.add(socket);
    riemann.connections += 1;
    let rest = Buffer.alloc(0);
    socket.on('error', () => undefined);
    socket.on('data', (data) => {
      rest = Buffer.concat([rest, data]);
      while (rest.length >= 4 && rest.length >= 4 + rest.readUInt32BE(0)) {
        const end = 4 + rest.readUInt32BE(0);
        riemann.messages.push(understand(rest.subarray(4, end)));
        rest = rest.subarray(end);
        reply(socket, riemann.answer);
      }
    });
  });
  riemann.port = await listen(server);
  return riemann;
}

function understand(message: Buffer): ReceivedEvent[] {
  const { events } = Msg.toObject(Msg.decode(message), { longs: Number, arrays: true }) as { events: (Omit<ReceivedEvent, 'attributes'> & { attributes: { key: string; value: string }[] })[] };
  return events.map((event) => ({ ...event, attributes: Object.fromEntries(event.attributes.map(({ key, value }) => [key, value])) }));
}

/** In two parts, as a network may bring it. */
function reply(socket: Socket, answer: RiemannServer['answer']): void {
  if (answer === 'nothing') return;
  if (answer === 'close') return void socket.destroy();
  const body = Buffer.from(Msg.encode(Msg.create(answer)).finish());
  const whole = Buffer.concat([Buffer.from([0, 0, 0, body.length]), body]);
  socket.setNoDelay();
  socket.write(whole.subarray(0, 3));
  setTimeout(() => socket.write(whole.subarray(3)), 5);
}
