import { createHash, randomBytes } from 'node:crypto';
import { Agent, createServer, request, type Server } from 'node:https';
import { connect as connectTcp, createServer as createTcpServer, type Socket } from 'node:net';
import { Readable } from 'node:stream';
import { afterEach, beforeAll, expect, test } from 'vitest';
import { silentLog } from '../../server/core/log';
import { TcpProxy } from '../../server/local/tcp-proxy';
import { createCa, issueServerCertificate, type Certificate } from '../../server/nats/credentials';
import { freePort } from '../support/postgres';

let ca: Certificate;
let certificate: Certificate;
const cleanups: (() => Promise<void> | void)[] = [];

beforeAll(async () => {
  ca = await createCa('test');
  certificate = await issueServerCertificate(ca, { cn: 'director', dnsNames: ['localhost'], ips: ['127.0.0.1'] });
});

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

/** A node that tells its name, hashes what it is sent, and can be told to drain, hang or die. */
class FakeNode {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  draining = false;
  hanging = false;

  constructor(readonly name: string, readonly port: number) {
    this.#server = createServer({ key: certificate.privateKey, cert: certificate.certificate, requestTimeout: 0 }, (incoming, outgoing) => {
      if (this.hanging) return;
      if (incoming.url === '/readyz') {
        outgoing.writeHead(this.draining ? 503 : 200).end();
        return;
      }
      const hash = createHash('sha1');
      let size = 0;
      incoming.on('data', (chunk: Buffer) => {
        size += chunk.length;
        hash.update(chunk);
      });
      incoming.on('end', () => outgoing.end(JSON.stringify({ name, size, sha1: hash.digest('hex') })));
    });
    this.#server.on('connection', (socket: Socket) => {
      this.#sockets.add(socket);
      socket.once('close', () => this.#sockets.delete(socket));
    });
    cleanups.push(() => this.kill());
  }

  start(): Promise<void> {
    return new Promise((resolve) => this.#server.listen(this.port, '127.0.0.1', resolve));
  }

  kill(): Promise<void> {
    for (const socket of this.#sockets) socket.resetAndDestroy();
    return new Promise((resolve) => this.#server.close(() => resolve()));
  }
}

async function startNodes(...names: string[]): Promise<FakeNode[]> {
  const nodes = await Promise.all(names.map(async (name) => new FakeNode(name, await freePort())));
  await Promise.all(nodes.map((node) => node.start()));
  return nodes;
}

async function startDoor(nodes: { name: string; port: number }[], holdMs?: number): Promise<number> {
  const port = await freePort();
  const proxy = new TcpProxy({
    host: '127.0.0.1',
    port,
    ca: ca.certificate,
    nodes: nodes.map(({ name, port: at }) => ({ name, host: '127.0.0.1', port: at })),
    log: silentLog,
    ...(holdMs === undefined ? {} : { holdMs }),
  });
  await proxy.start();
  cleanups.push(() => proxy.stop());
  return port;
}

/** One request on a connection of its own, as the CLI makes them. */
function ask(port: number, body?: Readable): Promise<{ name: string; size: number; sha1: string }> {
  return new Promise((resolve, reject) => {
    const agent = new Agent({ keepAlive: false });
    const asking = request({ host: '127.0.0.1', port, path: '/', method: body ? 'POST' : 'GET', agent, ca: ca.certificate }, (response) => {
      let text = '';
      response.on('data', (chunk: Buffer) => (text += chunk.toString()));
      response.on('error', reject);
      response.on('end', () => {
        const answer = JSON.parse(text) as { name: string; size: number; sha1: string };
        resolve(answer);
      });
    });
    asking.once('error', reject);
    if (body) body.pipe(asking);
    else asking.end();
  });
}

test('connections go to ready nodes only: a draining node gets none, and gets them again afterwards', async () => {
  const [a, b] = await startNodes('A', 'B');
  if (!a || !b) throw new Error('two nodes expected');
  a.draining = true;
  const port = await startDoor([a, b]);
  for (let i = 0; i < 5; i++) expect((await ask(port)).name).toBe('B');
  a.draining = false;
  b.draining = true;
  await expect.poll(async () => (await ask(port)).name, { timeout: 5_000 }).toBe('A');
});

test('a node that was killed a moment ago costs no request: the next one is tried', async () => {
  const [a, b] = await startNodes('A', 'B');
  if (!a || !b) throw new Error('two nodes expected');
  const port = await startDoor([a, b]);
  await expect.poll(async () => new Set([(await ask(port)).name, ...(await Promise.all([ask(port), ask(port), ask(port)])).map((each) => each.name)]).size).toBe(2);
  await a.kill();
  const names = await Promise.all(Array.from({ length: 10 }, async () => (await ask(port)).name));
  expect(new Set(names)).toEqual(new Set(['B']));
});

test('while no node is ready a connection is held, and served by the first that comes', async () => {
  const node = new FakeNode('A', await freePort());
  const port = await startDoor([node]);
  const answer = ask(port);
  await new Promise((resolve) => setTimeout(resolve, 300));
  await node.start();
  expect((await answer).name).toBe('A');
});

test('a held connection is closed in the end, without an invented answer', async () => {
  const port = await startDoor([{ name: 'A', port: await freePort() }], 300);
  await expect(ask(port)).rejects.toThrow(/socket|ECONNRESET/i);
});

test('fewest connections first', async () => {
  const [a, b] = await startNodes('A', 'B');
  if (!a || !b) throw new Error('two nodes expected');
  const port = await startDoor([a, b]);
  await ask(port);
  await new Promise((resolve) => setTimeout(resolve, 600));
  const open = Array.from({ length: 4 }, () => connectTcp(port, '127.0.0.1'));
  cleanups.push(() => open.forEach((socket) => socket.destroy()));
  const names = await Promise.all([ask(port), ask(port)].map(async (each) => (await each).name));
  expect(names.sort()).toEqual(['A', 'B']);
});

test('connections to a node that hangs are cut, so that clients can try another', { timeout: 20_000 }, async () => {
  const [a, b] = await startNodes('A', 'B');
  if (!a || !b) throw new Error('two nodes expected');
  b.draining = true;
  const port = await startDoor([a, b]);
  await ask(port);
  a.hanging = true;
  b.draining = false;
  await expect(ask(port)).rejects.toThrow(/socket|ECONNRESET/i);
  expect((await ask(port)).name).toBe('B');
});

test('a large upload passes unchanged and is not kept in memory', async () => {
  const [a] = await startNodes('A');
  if (!a) throw new Error('a node expected');
  const port = await startDoor([a]);
  const chunk = randomBytes(1024 * 1024);
  const count = 200;
  const hash = createHash('sha1');
  for (let i = 0; i < count; i++) hash.update(chunk);
  const chunks = function* () {
    for (let i = 0; i < count; i++) yield chunk;
  };
  const before = process.memoryUsage.rss();
  const answer = await ask(port, Readable.from(chunks()));
  expect(answer).toMatchObject({ size: count * chunk.length, sha1: hash.digest('hex') });
  expect(process.memoryUsage.rss() - before).toBeLessThan(120 * 1024 * 1024);
});

test('each side may end its half first, and a late answer still arrives whole', async () => {
  const answer = randomBytes(4 * 1024 * 1024);
  const health = new FakeNode('A', await freePort());
  await health.start();
  // The proxy looks into nothing but /readyz, so behind the checks there may be any TCP server: here one that ends first reads all.
  const tcp = createTcpServer({ allowHalfOpen: true }, (socket) => {
    const relay = connectTcp({ port: health.port, host: '127.0.0.1' });
    socket.once('data', (first: Buffer) => {
      if (first[0] === 0x16) {
        relay.write(first); // a TLS handshake: the health check
        socket.pipe(relay).pipe(socket);
        return;
      }
      relay.destroy();
      socket.on('data', () => undefined);
      socket.once('end', () => socket.end(answer));
    });
    for (const each of [socket, relay]) each.on('error', () => each.destroy());
  });
  const tcpPort = await freePort();
  await new Promise<void>((resolve) => tcp.listen(tcpPort, '127.0.0.1', resolve));
  cleanups.push(() => void tcp.close());
  const port = await startDoor([{ name: 'A', port: tcpPort }]);
  const client = connectTcp({ port, host: '127.0.0.1', allowHalfOpen: true });
  client.end('question');
  const parts: Buffer[] = [];
  for await (const part of client) parts.push(part as Buffer);
  expect(Buffer.concat(parts).equals(answer)).toBe(true);
});
