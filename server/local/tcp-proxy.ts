import { connect, createServer, type Server, type Socket } from 'node:net';
import type { Log } from '../core/log';
import { NodeHealthCheck, type NodeAddress } from './node-health';

export interface TcpProxyOptions {
  host: string;
  port: number;
  nodes: NodeAddress[];
  /** PEM: the CA that signed the nodes' certificates. */
  ca: string;
  log: Log;
  /** How long a new connection waits for a node to become ready, ms; default 10 000. */
  holdMs?: number;
}

interface Upstream {
  check: NodeHealthCheck;
  /** Both ends of every connection to this node. */
  connections: Set<Pair>;
}

interface Pair {
  client: Socket;
  server: Socket;
}

/** A connection that has no node yet; `until`: monotonic ms. */
interface Waiting {
  client: Socket;
  until: number;
}

const sweepMs = 250;

const connectTimeoutMs = 1_000;
/** A node that has not answered its check for this long hangs: its connections are cut, so that clients try again elsewhere. Ms. */
const hungAfterMs = 5_000;

/**
 * Spreads TCP connections over the nodes that are ready, fewest connections first. It looks into nothing (TLS ends at
 * the nodes), so it invents no answers: while no node is ready a new connection is held, and then closed.
 * Closed rather than given to a node that would answer 503: the CLI sends a POST again after the one, not after the other.
 */
export class TcpProxy {
  readonly #options: TcpProxyOptions;
  readonly #server: Server;
  readonly #upstreams: Upstream[];
  /** Connections that wait for a node, oldest first. */
  readonly #held = new Set<Waiting>();
  #sweep: NodeJS.Timeout | undefined;

  constructor(options: TcpProxyOptions) {
    this.#options = options;
    this.#server = createServer({ allowHalfOpen: true, pauseOnConnect: true, noDelay: true }, (client) => this.#accept(client));
    this.#upstreams = options.nodes.map((node) => ({
      connections: new Set(),
      check: new NodeHealthCheck(node, {
        ca: options.ca,
        onChange: (health) => {
          options.log.info('node-health', { node: node.name, health });
          if (health === 'ready') this.#releaseHeld();
        },
      }),
    }));
  }

  /** Resolves when it listens. */
  async start(): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen({ host: this.#options.host, port: this.#options.port }, resolve);
    });
    for (const { check } of this.#upstreams) check.start();
    this.#sweep = setInterval(() => {
      this.#releaseHeld();
      this.#cutHung();
    }, sweepMs);
  }

  /** Stops listening and cuts every connection. */
  async stop(): Promise<void> {
    clearInterval(this.#sweep);
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    for (const { check, connections } of this.#upstreams) {
      check.stop();
      for (const { client, server } of connections) {
        client.destroy();
        server.destroy();
      }
    }
    for (const { client } of this.#held) client.destroy();
    this.#held.clear();
    await closed;
  }

  #accept(client: Socket): void {
    client.on('error', () => client.destroy());
    void this.#forward({ client, until: performance.now() + (this.#options.holdMs ?? 10_000) });
  }

  /** Tries ready nodes one after another; nothing has been read from the client yet, so each try is harmless. */
  async #forward(waiting: Waiting): Promise<void> {
    const tried = new Set<Upstream>();
    while (!waiting.client.destroyed) {
      const upstream = this.#choose(tried);
      if (upstream === undefined) {
        this.#held.add(waiting);
        return;
      }
      tried.add(upstream);
      const server = await connectTo(upstream.check.node);
      if (server !== undefined) {
        joinSockets(upstream.connections, { client: waiting.client, server });
        return;
      }
      upstream.check.reportRefused();
    }
  }

  #choose(tried: Set<Upstream>): Upstream | undefined {
    return this.#upstreams
      .filter((upstream) => upstream.check.health === 'ready' && !tried.has(upstream))
      .sort((a, b) => a.connections.size - b.connections.size)[0];
  }

  #releaseHeld(): void {
    const held = [...this.#held];
    this.#held.clear();
    for (const waiting of held) {
      if (performance.now() > waiting.until) waiting.client.destroy();
      else void this.#forward(waiting);
    }
  }

  #cutHung(): void {
    for (const { check, connections } of this.#upstreams) {
      if (check.health !== 'silent' || check.sinceMs < hungAfterMs || connections.size === 0) continue;
      this.#options.log.warn('node-hangs', { node: check.node.name, connections: connections.size });
      for (const { client, server } of connections) {
        client.destroy();
        server.destroy();
      }
    }
  }
}

/** Undefined when the node refuses or does not take the connection within a second. */
function connectTo(node: NodeAddress): Promise<Socket | undefined> {
  return new Promise((resolve) => {
    const server = connect({ host: node.host, port: node.port, allowHalfOpen: true, noDelay: true });
    const timer = setTimeout(() => fail(), connectTimeoutMs);
    const fail = () => {
      clearTimeout(timer);
      server.destroy();
      resolve(undefined);
    };
    server.once('error', fail);
    server.once('connect', () => {
      clearTimeout(timer);
      server.removeListener('error', fail);
      resolve(server);
    });
  });
}

/** Joins both ends: `pipe` keeps memory constant (it waits for the slower side) and passes each half-close on. */
function joinSockets(connections: Set<Pair>, pair: Pair): void {
  if (pair.client.destroyed) {
    pair.server.destroy();
    return;
  }
  connections.add(pair);
  for (const [socket, other] of [[pair.client, pair.server], [pair.server, pair.client]] as const) {
    socket.on('error', () => {
      socket.destroy();
      closeGently(other);
    });
    socket.once('close', () => {
      if (other.destroyed) connections.delete(pair);
      else if (!socket.readableEnded) closeGently(other); // cut off rather than ended
    });
  }
  pair.client.pipe(pair.server);
  pair.server.pipe(pair.client);
}

/** Sends what is still to be sent (an answer that was given before the upload was over, say), then closes. */
function closeGently(socket: Socket): void {
  if (socket.destroyed) return;
  socket.unpipe();
  socket.end();
  socket.resume();
  const timer = setTimeout(() => socket.destroy(), 1_000);
  socket.once('close', () => clearTimeout(timer));
}
