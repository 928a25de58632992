import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { connect, type Connections } from '../../db/client';
import type { Agents } from '../../server/agents/agent';
import { systemClock } from '../../server/core/clock';
import { silentLog } from '../../server/core/log';
import { analyse } from '../../server/health/analysis';
import { createFleet } from '../../server/health/fleet';
import { HealthListener } from '../../server/health/listener';
import { createMonitorServer } from '../../server/health/http';
import { createHealthMonitor } from '../../server/health/monitor';
import type { Scene } from '../../server/health/paths';
import { Bus } from '../../server/nats/connection';
import { openLocalBlobstore } from '../../server/blobstore/local';
import { startTestNode } from '../support/director-parts';
import { insertFleet } from '../support/fleet-rows';
import { startNats, type TestNats } from '../support/nats';
import { SwarmProcess } from '../support/swarm-process';
import type { Figure } from './figures';
import { makeDatabase } from './scratch-database';
import { residentMb, until, type Site } from './site';

export interface HealthCounts {
  agents: number;
  beatsPerSecond: number;
  seconds: number;
  /** VMs that die while the heartbeats of the others go on. */
  deaths: number;
}

/** Timeout of the measured monitor, s. */
const agentTimeoutS = 10;

interface MonitorOrder {
  databaseUrl: string;
  folder: string;
  nats: { urls: string[]; ca: string; certificate: string; privateKey: string };
}

/** What the monitor's process says every second. */
interface MonitorReport {
  heartbeats: number;
  synced: boolean;
}

/**
 * One node's health monitor under load: a process of its own hears, keeps and judges the agents of a whole fleet, which another process
 * speaks for over a NATS server with TLS. Meanwhile single agents fall silent: how long until the task that brings their VM back.
 */
export async function measureHealth(site: Pick<Site, 'say'> & { embedded: Pick<Site['embedded'], 'databaseUrl'> }, counts: HealthCounts): Promise<Figure[]> {
  const ends: (() => Promise<unknown>)[] = [];
  try {
    const database = await makeDatabase(site.embedded.databaseUrl);
    ends.push(() => database.drop());
    const connections = connect({ url: database.url, poolSize: 4, applicationName: 'bench' });
    ends.push(() => connections.close());
    const nats = await startNats({ agentsOpen: true });
    ends.push(() => nats.stop());
    site.say(`${counts.agents} simulated agents, ${counts.beatsPerSecond} heartbeats a second`);
    const agents = await insertFleet(connections.pool, { deployment: 'bench', count: counts.agents, groups: 100 });
    const swarm = await SwarmProcess.start(join(__dirname, 'simulator.cjs'), {
      urls: nats.urls, ca: nats.ca, certificate: nats.hmCreds.certificate, private_key: nats.hmCreds.private_key, connections: 4, agents,
    });
    ends.push(() => swarm.stop());
    await swarm.order({ heartbeats_per_second: counts.beatsPerSecond });
    const monitor = await startMonitor({ databaseUrl: database.url, nats });
    ends.push(() => monitor.stop());
    const load = await measureLoad(monitor, counts);
    const deaths = await measureDeaths({ connections, swarm, ids: agents.map((agent) => agent.id), counts });
    return [...load, deaths];
  } finally {
    for (const end of ends.toReversed()) await end();
  }
}

interface MonitorProcess {
  pid: number;
  report(): MonitorReport;
  stop(): Promise<unknown>;
}

async function startMonitor({ databaseUrl, nats }: { databaseUrl: string; nats: TestNats }): Promise<MonitorProcess> {
  let last: MonitorReport = { heartbeats: 0, synced: false };
  const child: ChildProcess = fork(__filename, ['monitor'], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
  child.on('message', (message) => (last = message as MonitorReport));
  const order: MonitorOrder = { databaseUrl, folder: '/tmp', nats: { urls: nats.urls, ca: nats.ca, certificate: nats.hmCreds.certificate, privateKey: nats.hmCreds.private_key } };
  child.send(order);
  await until('the monitor to hear its agents', async () => (last.synced && last.heartbeats > 0 ? true : undefined));
  return {
    pid: child.pid ?? 0,
    report: () => last,
    stop: async () => {
      const ended = once(child, 'exit');
      child.kill('SIGKILL');
      await ended;
    },
  };
}

async function measureLoad(monitor: MonitorProcess, { agents, seconds }: HealthCounts): Promise<Figure[]> {
  await wait(5_000);
  const [cores, memory, heard]: [number[], number[], number[]] = [[], [], []];
  for (let second = 0; second < seconds; second++) {
    const [cpu, beats, at] = [cpuSeconds(monitor.pid), monitor.report().heartbeats, performance.now()];
    await wait(1_000);
    const elapsed = (performance.now() - at) / 1_000;
    cores.push((cpuSeconds(monitor.pid) - cpu) / elapsed);
    memory.push(residentMb(monitor.pid));
    heard.push((monitor.report().heartbeats - beats) / elapsed);
  }
  const note = `one process with listener, judge and vitals of ${agents} agents, each second of ${seconds}`;
  return [
    { what: 'heartbeats heard by one node', unit: '1/s', samples: heard, note },
    { what: 'processor used for it', unit: 'cores', samples: cores, note },
    { what: 'resident memory of it', unit: 'MB', samples: memory, note },
  ];
}

/** Processor time that a process has used, s. */
function cpuSeconds(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').replace(/^.*\) /, '').split(' ');
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

async function measureDeaths({ connections, swarm, ids, counts }: { connections: Connections; swarm: SwarmProcess; ids: string[]; counts: HealthCounts }): Promise<Figure> {
  const samples: number[] = [];
  for (let round = 0; round < counts.deaths; round++) {
    const victim = ids[round * 97] ?? '';
    const silentAt = Date.now();
    await swarm.order({ silent: [victim] });
    const scannedAt = await until('the task that scans the dead VM', async () => {
      const { rows } = await connections.pool.query<{ at: Date }>("SELECT t.created_at AS at FROM incidents i JOIN tasks t ON t.id = i.scan_task_id WHERE i.subject = $1", [victim]);
      return rows[0]?.at.getTime();
    }, { everyMs: 50 });
    samples.push(scannedAt - silentAt - agentTimeoutS * 1_000);
    // No worker runs here: the task would keep the deployment from being scanned again.
    await connections.pool.query("UPDATE tasks SET state = 'done', finished_at = now() WHERE state = 'queued'");
  }
  return { what: 'VM falls silent → scan-and-fix task, beyond the timeout', unit: 'ms', samples, note: `timeout ${agentTimeoutS} s; up to ${Math.round((counts.agents / counts.beatsPerSecond) * 1_000)} ms less, since its last heartbeat was that much earlier` };
}

/** The measured process: the health monitor of a node, alone. */
export async function runMonitor(): Promise<void> {
  const [order] = (await once(process, 'message')) as [MonitorOrder];
  const connections = connect({ url: order.databaseUrl, poolSize: 8, applicationName: 'bench-monitor' });
  const bus = new Bus({ name: 'bench monitor', ...order.nats, log: silentLog });
  bus.start();
  const intervals = { agent_timeout: agentTimeoutS, rogue_agent_alert: 120, analyze: 0.5, poll_director: 60, probe_agents: 0, path_grace: 300, log_stats: 60 };
  const store = { url: order.databaseUrl, connections, blobstore: await openLocalBlobstore(join(order.folder, 'bench-blobs')), close: async () => undefined };
  const resurrector = { enabled: true, minimum_down_jobs: 5, percent_threshold: 0.2, time_threshold: 600, auto_fix_stateful_nodes: true };
  const listener = new HealthListener({ bus, db: connections.db, notifications: { subscribe: () => () => undefined }, natsUrls: order.nats.urls, intervals, clock: systemClock, log: silentLog });
  listener.start();
  const since = performance.now();
  const monitor = createHealthMonitor({ db: connections.db, listener, agents: nobody, canAsk: () => true, contactMs: () => performance.now() - since, settings: { intervals, resurrector }, clock: systemClock });
  await startTestNode({ store, name: 'bench', perform: async () => '', components: [monitor], slots: { normal: 0, urgent: 0 } });
  await createMonitorServer({ host: '127.0.0.1', port: 0, fleet: listener.fleet, clock: systemClock }).start();
  setInterval(() => process.send?.({ heartbeats: listener.fleet.heartbeats, synced: listener.fleet.synced } satisfies MonitorReport), 200);
  await once(process, 'disconnect');
}

const nobody: Pick<Agents, 'agentFor'> = {
  agentFor: () => {
    throw new Error('the bench asks no agent');
  },
};

/** One judgement of a fleet in this process; half a hundred agents are silent. */
export async function measureAnalysis(agents: number): Promise<Figure[]> {
  const now = 1_000_000;
  const server = { healthy: true, okAt: now, lostAt: undefined, backAt: Number.NEGATIVE_INFINITY };
  const scene: Scene = { now, grace: 0, provenAt: now, servers: new Map(), anywhere: server, pathGraceMs: 300_000 };
  const fleet = createFleet({ agentTimeoutMs: 60_000, unmanagedLimit: 10_000, scene: () => scene, epochOffset: () => 0 });
  const records = Array.from({ length: agents }, (_, i) => ({
    agentId: `agent-${i}`, deployment: `deployment-${i % 500}`, group: `group-${i % 20}`, index: i, instanceId: i, instanceUuid: `uuid-${i}`, az: `z${i % 3}`, cid: `vm-${i}`, compilation: false,
    path: undefined, pathSince: Number.NEGATIVE_INFINITY,
  }));
  fleet.sync({ deployments: new Map(Array.from({ length: 500 }, (_, i) => [`deployment-${i}`, { teams: [] }])), agents: records, missing: [], others: new Set() }, now - 70_000);
  for (const { agentId } of records.slice(50)) fleet.beat(agentId, { job_state: 'running' }, now - 1_000);
  const samples = Array.from({ length: 50 }, () => {
    const since = performance.now();
    const { findings } = analyse({ fleet, deaf: new Set(), scene, agentTimeoutMs: 60_000, rogueAfterMs: 120_000 });
    if (findings.length !== 50) throw new Error(`${findings.length} agents were found silent instead of 50`);
    return performance.now() - since;
  });
  return [{ what: `one judgement of ${agents} agents`, unit: 'ms', samples, note: '50 of them silent; no database' }];
}
