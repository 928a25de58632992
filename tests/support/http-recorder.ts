import http, { type IncomingHttpHeaders, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import https from 'node:https';
import { connect, type AddressInfo, type Server as NetServer, type Socket } from 'node:net';

export interface RecordedRequest {
  method: string;
  /** With the query. */
  path: string;
  headers: IncomingHttpHeaders;
  body: string;
}

export interface HttpRecorder {
  /** `http(s)://127.0.0.1:port` */
  url: string;
  port: number;
  requests: RecordedRequest[];
  /** What it answers from now on; never, when undefined. */
  answer: ((request: RecordedRequest) => { status: number; body?: string }) | undefined;
  stop(): Promise<void>;
}

/** A server that notes what it is asked and answers 200 unless told otherwise. */
export async function startHttpRecorder(credentials?: { certificate: string; privateKey: string }): Promise<HttpRecorder> {
  const listener = (request: IncomingMessage, response: ServerResponse) => void handle(request, response);
  const server = credentials ? https.createServer({ cert: credentials.certificate, key: credentials.privateKey }, listener) : http.createServer(listener);
  const port = await listen(server);
  const recorder: HttpRecorder = { url: `${credentials ? 'https' : 'http'}://127.0.0.1:${port}`, port, requests: [], answer: () => ({ status: 200 }), stop: () => close(server) };
  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    let body = '';
    for await (const part of request.setEncoding('utf8')) body += String(part);
    const recorded = { method: request.method ?? '', path: request.url ?? '', headers: request.headers, body };
    recorder.requests.push(recorded);
    if (!recorder.answer) return;
    const { status, body: text = '' } = recorder.answer(recorded);
    response.writeHead(status, { location: '/elsewhere' });
    response.end(text);
  }
  return recorder;
}

export interface HttpProxy {
  /** `http://user:password@127.0.0.1:port` */
  url: string;
  /** First lines: `CONNECT host:port` or `POST http://…`. */
  requests: string[];
  /** Connections of tunnels that are open now. */
  tunnels: Set<Socket>;
  stop(): Promise<void>;
}

/** A proxy that demands `user:password` and opens tunnels for CONNECT; other requests it only answers. */
export async function startHttpProxy(): Promise<HttpProxy> {
  const requests: string[] = [];
  const tunnels = new Set<Socket>();
  const allowed = (request: IncomingMessage) => request.headers['proxy-authorization'] === `Basic ${Buffer.from('user:password').toString('base64')}`;
  const server = http.createServer((request, response) => {
    requests.push(`${request.method} ${request.url}`);
    request.resume();
    response.writeHead(allowed(request) ? 200 : 407).end();
  });
  server.on('connect', (request: IncomingMessage, socket: Socket) => {
    requests.push(`CONNECT ${request.url}`);
    tunnels.add(socket);
    socket.once('close', () => tunnels.delete(socket));
    if (!allowed(request)) return socket.resume().end('HTTP/1.1 407 Proxy Authentication Required\r\n\r\n');
    const [host = '', port = ''] = (request.url ?? '').split(':');
    const target = connect(Number(port), host, () => {
      socket.write('HTTP/1.1 200 Connection Established\r\n\r\n');
      target.pipe(socket).pipe(target);
    });
    // What nobody reads any more would not show that the client has gone.
    target.once('close', () => socket.resume());
    for (const end of [target, socket]) end.on('error', () => undefined);
  });
  const port = await listen(server);
  return { url: `http://user:password@127.0.0.1:${port}`, requests, tunnels, stop: () => close(server) };
}

/** Listens on a port of 127.0.0.1: any free one unless given. */
export function listen(server: NetServer, port = 0): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', () => resolve((server.address() as AddressInfo).port));
  });
}

async function close(server: Server): Promise<void> {
  server.closeAllConnections();
  await new Promise<void>((resolve) => void server.close(() => resolve()));
}
