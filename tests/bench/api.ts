import { spawn } from 'node:child_process';
import { z } from 'zod';
import { percentile, type Figure } from './figures';
import { KeepAlive } from './keep-alive';
import { deployHello } from './deploys';
import { allReady, prepareArtifacts, query, type Site } from './site';

const deployment = 'bench-api';
const paths = ['/tasks', '/deployments', `/deployments/${deployment}/instances`];
const loadSchema = z.object({ requests: z.number(), seconds: z.number(), p50: z.number(), p99: z.number(), failed: z.number() });

export interface ApiCounts {
  /** Requests per path on one connection. */
  requests: number;
  /** How long the load lasts per path, s. */
  seconds: number;
}

/** Latency of one kept TLS connection to a node, then the throughput of a node under 20 connections of another process. */
export async function measureApi(site: Site, counts: ApiCounts): Promise<Figure[]> {
  await prepareArtifacts(site);
  await deployHello(site, { name: deployment, instances: 3 });
  await allReady(site);
  const [node] = site.embedded.nodes;
  if (!node) throw new Error('there is no node');
  const { ca, client, clientSecret } = site.embedded.installation;
  const target = { port: node.port, ca, auth: `${client}:${clientSecret}` };
  const [sizes] = await query<{ tasks: number; deployments: number }>(site, 'SELECT (SELECT count(*) FROM tasks) AS tasks, (SELECT count(*) FROM deployments) AS deployments');
  const note = `${sizes?.tasks ?? 0} tasks, ${sizes?.deployments ?? 0} deployment(s), 3 instances recorded`;
  const figures: Figure[] = [];
  const connection = new KeepAlive(target);
  for (const path of paths) {
    site.say(`GET ${path}: ${counts.requests} requests on one connection`);
    await connection.time(path, Math.min(300, counts.requests));
    figures.push({ what: `GET ${path}, one connection`, unit: 'ms', samples: await connection.time(path, counts.requests), note });
  }
  connection.close();
  for (const path of paths) {
    site.say(`GET ${path}: 20 connections for ${counts.seconds} s`);
    const load = await runLoad({ ...target, path, connections: 20, seconds: counts.seconds });
    figures.push({
      what: `GET ${path}, one node, 20 connections`, unit: 'req/s', samples: [load.requests / load.seconds],
      note: `latency p50 ${load.p50.toFixed(1)} ms, p99 ${load.p99.toFixed(1)} ms, ${load.failed} failed; the load comes from another process on this machine`,
    });
  }
  return figures;
}

interface Load {
  port: number;
  ca: string;
  auth: string;
  path: string;
  connections: number;
  seconds: number;
}

const loadOrder = z.object({ port: z.number(), ca: z.string(), auth: z.string(), path: z.string(), connections: z.number(), seconds: z.number() });

/** Runs `load` in a process of its own. */
function runLoad(order: Load): Promise<z.infer<typeof loadSchema>> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [process.argv[1] ?? '', 'load'], { stdio: ['pipe', 'pipe', 'inherit'] });
    let text = '';
    child.stdout.setEncoding('utf8').on('data', (part: string) => (text += part));
    child.once('error', reject);
    child.once('close', (code) => (code === 0 ? resolve(loadSchema.parse(JSON.parse(text))) : reject(new Error(`the load ended with exit code ${code ?? '?'}`))));
    child.stdin.end(JSON.stringify(order));
  });
}

/** The other process: as many requests as the connections carry; the order comes on stdin, the result goes to stdout. */
export async function load(): Promise<void> {
  let text = '';
  for await (const part of process.stdin.setEncoding('utf8')) text += String(part);
  const order = loadOrder.parse(JSON.parse(text));
  const connections = Array.from({ length: order.connections }, () => new KeepAlive(order));
  await Promise.all(connections.map((connection) => connection.time(order.path, 5)));
  const since = performance.now();
  const deadline = since + order.seconds * 1_000;
  const samples: number[] = [];
  let failed = 0;
  await Promise.all(
    connections.map(async (connection) => {
      while (performance.now() < deadline) {
        const started = performance.now();
        const ok = await connection.get(order.path).then((status) => status === 200, () => false);
        if (ok) samples.push(performance.now() - started);
        else failed++;
      }
    }),
  );
  const seconds = (performance.now() - since) / 1_000;
  for (const connection of connections) connection.close();
  process.stdout.write(JSON.stringify({ requests: samples.length, seconds, p50: percentile(samples, 50), p99: percentile(samples, 99), failed }));
}
