import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setTimeout as wait } from 'node:timers/promises';
import { connect, type Connections } from '../../db/client';
import { AgentClient } from '../../server/agents/client';
import { openLocalBlobstore } from '../../server/blobstore/local';
import { Notifications } from '../../server/cluster/notifications';
import { silentLog } from '../../server/core/log';
import { createDnsPublisher } from '../../server/dns/publisher';
import { listDnsState } from '../../server/dns/store';
import type { SwarmAgent } from '../../server/local/simulator/swarm';
import { Bus } from '../../server/nats/connection';
import { startTestNode } from '../support/director-parts';
import { insertFleet } from '../support/fleet-rows';
import { startNats, type TestNats } from '../support/nats';
import type { Figure } from './figures';
import { makeDatabase } from './scratch-database';
import { until, type Site } from './site';
import { SwarmProcess } from '../support/swarm-process';

export interface DnsCounts {
  agents: number;
  /** New versions after the first; the last one while a tenth of the agents is silent. */
  versions: number;
}

type Ends = (() => Promise<unknown>)[];

/** What is measured on. */
interface Bench {
  say: (text: string) => void;
  /** With all tables and nothing in them. */
  databaseUrl: string;
  /** The built simulator. */
  simulator: string;
  /** For blobs; not there yet. */
  folder: string;
}

/**
 * How long one node takes to tell a new version to thousands of simulated agents: from the transaction that records a VM to the last
 * agent's answer in the database, which is one of its own beside the site's. The publisher is alone in this process; agents, and a NATS
 * server with TLS on which one certificate may speak for many agents, are in others.
 */
export async function measureDns(site: Pick<Site, 'say'> & { embedded: Pick<Site['embedded'], 'databaseUrl'> }, counts: DnsCounts): Promise<Figure[]> {
  const database = await makeDatabase(site.embedded.databaseUrl);
  const folder = await mkdtemp(join(tmpdir(), 'directorate-bench-dns-'));
  const ends: Ends = [() => rm(folder, { recursive: true, force: true }), () => database.drop()];
  try {
    return await measureFleet({ say: site.say, databaseUrl: database.url, simulator: join(__dirname, 'simulator.cjs'), folder }, counts, ends);
  } finally {
    for (const end of ends.toReversed()) await end();
  }
}

async function measureFleet(bench: Bench, counts: DnsCounts, ends: Ends): Promise<Figure[]> {
  const connections = connect({ url: bench.databaseUrl, poolSize: 8, applicationName: 'bench' });
  ends.push(() => connections.close());
  const nats = await startNats({ agentsOpen: true });
  ends.push(() => nats.stop());
  bench.say(`${counts.agents} simulated agents are told of DNS records`);
  const agents = await insertFleet(connections.pool, { deployment: 'bench-dns', count: counts.agents, groups: 100 });
  const spares = agents.splice(0, counts.versions);
  await connections.pool.query('UPDATE vms SET cid = NULL WHERE agent_id = ANY($1::uuid[])', [spares.map((agent) => agent.id)]);
  const swarm = await SwarmProcess.start(bench.simulator, {
    urls: nats.urls, ca: nats.ca, certificate: nats.hmCreds.certificate, private_key: nats.hmCreds.private_key, connections: 4, agents: [...agents, ...spares],
  });
  ends.push(() => swarm.stop());
  await startPublisher({ bench, nats, ends });
  return measureVersions({ connections, agents, spares, counts, bench, swarm });
}

async function startPublisher({ bench, nats, ends }: { bench: Bench; nats: TestNats; ends: Ends }): Promise<void> {
  const connections = connect({ url: bench.databaseUrl, poolSize: 8, applicationName: 'bench-publisher' });
  const bus = new Bus({ name: 'bench', urls: nats.urls, ca: nats.ca, certificate: nats.directorCreds.certificate, privateKey: nats.directorCreds.private_key, log: silentLog });
  bus.start();
  const agents = new AgentClient({ bus, nodeId: randomUUID() });
  agents.start();
  const notifications = new Notifications(connections, silentLog);
  notifications.start();
  const blobstore = await openLocalBlobstore(join(bench.folder, 'blobs'));
  const publisher = createDnsPublisher({ db: connections.db, blobstore, agents, bus, notifications, settings: { domain: 'bosh', includeIndex: false, fanOut: 500 } });
  const node = await startTestNode({ store: { url: bench.databaseUrl, connections, blobstore, close: async () => undefined }, name: 'bench', perform: async () => '', components: [publisher] });
  ends.push(async () => {
    await node.stop();
    agents.stop();
    await bus.stop();
    await notifications.stop();
    await connections.close();
  });
}

interface Run {
  connections: Connections;
  agents: readonly SwarmAgent[];
  spares: readonly SwarmAgent[];
  counts: DnsCounts;
  bench: Bench;
  swarm: SwarmProcess;
}

async function measureVersions(run: Run): Promise<Figure[]> {
  const { counts, swarm, agents } = run;
  const told: number[] = [];
  const cpu: number[] = [];
  const delays: number[] = [];
  await versionTold(run, 0, 0);
  const lastRound = run.spares.at(-1);
  for (const spare of run.spares) {
    await wait(1_500);
    if (spare === lastRound) break;
    const used = process.cpuUsage();
    const loop = monitorEventLoopDelay({ resolution: 1 });
    loop.enable();
    told.push(await newVersion(run, spare, 0));
    loop.disable();
    delays.push(loop.percentile(99.9) / 1e6);
    const { user, system } = process.cpuUsage(used);
    cpu.push((user + system) / 1_000);
  }
  const silent = agents.filter((_agent, i) => i % 10 === 0).map((agent) => agent.id);
  await swarm.order({ silent });
  const despite = lastRound ? [await newVersion(run, lastRound, silent.length)] : [];
  const { dnsStepsBack } = await swarm.order({ stats: true });
  const note = `one node, ${counts.agents} agents on 4 TLS connections of another process, 500 told at a time; ${dnsStepsBack} told an older version after a newer one`;
  return [
    { what: `VM recorded → ${counts.agents} agents have confirmed the new DNS version`, unit: 'ms', samples: told, note },
    { what: 'the same when a tenth of the agents hangs, until the others have it', unit: 'ms', samples: despite, note: `${silent.length} silent agents` },
    { what: 'processor time of the node for it', unit: 'ms', samples: cpu, note: "with the bench's own questions to the database" },
    { what: 'event loop delay meanwhile, p99.9', unit: 'ms', samples: delays, note: 'of the publishing process' },
  ];
}

/** Gives an instance its VM; the time until all agents but so many silent ones have confirmed the version with it, ms. */
async function newVersion(run: Run, spare: SwarmAgent, silent: number): Promise<number> {
  const before = (await listDnsState(run.connections.db)).told ?? 0;
  const since = performance.now();
  await run.connections.pool.query('UPDATE vms SET cid = $1 WHERE agent_id = $2', [`vm-${spare.id}`, spare.id]);
  const version = await versionTold(run, before, silent);
  const ms = performance.now() - since;
  run.bench.say(`version ${version}: ${Math.round(ms)} ms`);
  return ms;
}

async function versionTold({ connections }: Run, before: number, silent: number): Promise<number> {
  return until(`all agents to be told a version after ${before}`, async () => {
    const state = await listDnsState(connections.db);
    return state.told !== undefined && state.told > before && state.agentsBehind === silent ? state.told : undefined;
  }, { everyMs: 50, longestMs: 120_000 });
}
