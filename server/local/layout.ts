import { createServer } from 'node:net';
import { join, resolve } from 'node:path';

/** Where everything of an embedded installation lies, and on which ports (all on 127.0.0.1) it listens. */
export interface Layout {
  dataDir: string;
  /** The front door's port; the others follow from it. */
  port: number;
  config: string;
  creds: string;
  certs: string;
  secrets: string;
  log: string;
  run: string;
  postgres: string;
  nats: string;
  blobstore: string;
  cloud: string;
  tmp: string;
}

export const maxNodes = 9;
const natsServers = 3;
/** Added to the front door's port. Node A has +1, B +2, …; NATS servers count from 1. */
const offsets = { node: 1, natsClient: 11, natsRoute: 21, natsMonitor: 31, postgres: 41, healthMonitor: 50 };

export function layoutOf(dataDir: string, port: number): Layout {
  const at = resolve(dataDir);
  if (!Number.isInteger(port) || port < 1 || port + offsets.healthMonitor + maxNodes > 65_535) {
    throw new Error(`the port ${port} cannot be used: it and the ${offsets.healthMonitor + maxNodes} ports after it must lie between 1 and 65535`);
  }
  const folder = (name: string) => join(at, name);
  return {
    dataDir: at,
    port,
    config: folder('config.yml'),
    creds: folder('creds.json'),
    certs: folder('certs'),
    secrets: folder('secrets'),
    log: folder('log'),
    run: folder('run'),
    postgres: folder('postgres'),
    nats: folder('nats'),
    blobstore: folder('blobstore'),
    cloud: folder('cloud'),
    tmp: folder('tmp'),
  };
}

/** Nodes in order: A, B, C, … with their ports. */
export function nodesOf(layout: Layout, count: number): { name: string; port: number; hmPort: number; url: string }[] {
  return Array.from({ length: count }, (_, index) => {
    const port = layout.port + offsets.node + index;
    return { name: String.fromCodePoint(65 + index), port, hmPort: layout.port + offsets.healthMonitor + 1 + index, url: `https://127.0.0.1:${port}` };
  });
}

export function natsServersOf(layout: Layout): { name: string; ports: { client: number; route: number; monitor: number } }[] {
  return Array.from({ length: natsServers }, (_, index) => ({
    name: `nats-${index + 1}`,
    ports: {
      client: layout.port + offsets.natsClient + index,
      route: layout.port + offsets.natsRoute + index,
      monitor: layout.port + offsets.natsMonitor + index,
    },
  }));
}

export function postgresPortOf(layout: Layout): number {
  return layout.port + offsets.postgres;
}

/** Throws, naming the ports, when another program listens on one that the installation needs. */
export async function checkPortsFree(layout: Layout, nodeCount: number): Promise<void> {
  const needed = [
    { port: layout.port, what: 'front door' },
    ...nodesOf(layout, nodeCount).flatMap(({ name, port, hmPort }) => [{ port, what: `node ${name}` }, { port: hmPort, what: `node ${name}'s health monitor` }]),
    ...natsServersOf(layout).flatMap(({ name, ports }) => [
      { port: ports.client, what: name },
      { port: ports.route, what: `${name} routes` },
      { port: ports.monitor, what: `${name} monitoring` },
    ]),
    { port: postgresPortOf(layout), what: 'Postgres' },
  ];
  const free = await Promise.all(needed.map(({ port }) => isFree(port)));
  const taken = needed.filter((_, index) => !free[index]);
  if (taken.length === 0) return;
  const list = taken.map(({ port, what }) => `${port} (${what})`).join(', ');
  throw new Error(`another program listens on 127.0.0.1 on ${list}. End it, or choose other ports with DIRECTORATE_PORT=<front door's port>`);
}

function isFree(port: number): Promise<boolean> {
  return new Promise((done) => {
    const probe = createServer();
    probe.once('error', () => done(false));
    probe.listen(port, '127.0.0.1', () => probe.close(() => done(true)));
  });
}
