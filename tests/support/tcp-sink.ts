import { createServer, type Socket } from 'node:net';
import { listen } from './http-recorder';

export interface TcpSink {
  port: number;
  /** Whole lines, of all connections. */
  lines: string[];
  /** How many connections there were. */
  connections: number;
  /** Reads nothing any more from what is connected. */
  pause(): void;
  /** Breaks what is connected; new connections are taken. */
  breakConnections(): void;
  stop(): Promise<void>;
}

/** A server that reads lines and answers nothing. */
export async function startTcpSink(port = 0): Promise<TcpSink> {
  const sockets = new Set<Socket>();
  const sink: TcpSink = {
    port: 0, lines: [], connections: 0,
    pause: () => {
      for (const socket of sockets) socket.pause();
    },
    breakConnections: () => {
      for (const socket of sockets) socket.destroy();
    },
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        sink.breakConnections();
      }),
  };
  const server = createServer((socket) => {
    sockets.add(socket);
    sink.connections += 1;
    let rest = '';
    socket.setEncoding('utf8');
    socket.on('data', (text: string) => {
      const parts = (rest + text).split('\n');
      rest = parts.pop() ?? '';
      sink.lines.push(...parts);
    });
    socket.on('error', () => undefined);
    socket.once('close', () => sockets.delete(socket));
  });
  sink.port = await listen(server, port);
  return sink;
}
