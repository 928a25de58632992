import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';

/** A TCP relay between two processes of a test, which can fail as networks do. */
export interface ChaosProxy {
  port: number;
  /** Connections are reset and new ones refused. */
  cut(): void;
  /** Packets vanish: connections stay open, nothing comes through in either direction, new ones hang. */
  blackhole(): void;
  /** Lets new connections through; black-holed ones are reset, as a network that comes back makes them. */
  heal(): void;
  close(): Promise<void>;
}

export async function startChaosProxy(target: { host: string; port: number }): Promise<ChaosProxy> {
  let mode: 'open' | 'cut' | 'blackhole' = 'open';
  const sockets = new Set<Socket>();
  const drop = () => {
    for (const socket of sockets) socket.destroy();
    sockets.clear();
  };
  const track = (socket: Socket) => {
    sockets.add(socket);
    socket.on('error', () => socket.destroy());
    socket.on('close', () => sockets.delete(socket));
  };
  const relay = (from: Socket, to: Socket) => {
    from.on('data', (bytes) => {
      if (mode !== 'blackhole') to.write(bytes);
    });
    from.on('close', () => {
      if (mode !== 'blackhole') to.destroy();
    });
  };
  const server: Server = createServer((client) => {
    track(client);
    if (mode === 'cut') return void client.resetAndDestroy();
    if (mode === 'blackhole') return;
    const upstream = connect(target.port, target.host);
    track(upstream);
    relay(client, upstream);
    relay(upstream, client);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    cut: () => {
      mode = 'cut';
      drop();
    },
    blackhole: () => {
      mode = 'blackhole';
    },
    heal: () => {
      if (mode === 'blackhole') drop();
      mode = 'open';
    },
    close: () =>
      new Promise<void>((resolve) => {
        drop();
        server.close(() => resolve());
      }),
  };
}
