import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { rmSync, writeFileSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Pool } from 'pg';
import { stringify } from 'yaml';
import { DirectorClient } from '../../server/local/director-client';
import { startEmbedded, type Embedded } from '../../server/local/embedded';
import { networkOf } from '../../server/local/install-samples';
import { layoutOf, natsServersOf } from '../../server/local/layout';
import { helloManifest, sampleCloudConfig } from '../../server/local/samples/manifests';
import { buildHelloRelease } from '../../server/local/samples/release';
import { buildLocalStemcell } from '../../server/local/samples/stemcell';
import { startChaosProxy, type ChaosProxy } from '../support/chaos-proxy';

/** How long things take in a run; the short form keeps the proportions. All in ms. */
export interface Pace {
  heartbeatMs: number;
  agentTimeoutMs: number;
  /** For how long a leader is paused, Postgres is away, a NATS server swallows packets. */
  pauseMs: number;
  postgresAwayMs: number;
  blackHoleMs: number;
  /** Quiet time between two faults. */
  restMs: number;
}

export interface SoakOptions {
  root: string;
  agents: number;
  pace: Pace;
  /** Front door's port. */
  port: number;
  say: (text: string) => void;
}

/** Three nodes and simulated VMs; nodes and VMs reach the NATS servers through relays that can swallow packets. */
export interface SoakSystem {
  embedded: Embedded;
  db: Pool;
  relays: ChaosProxy[];
  /** Makes VMs die: their agents are neither heard nor do they answer from now on. */
  killVms(agentIds: readonly string[]): void;
  /** Ends everything that it started; `keep` leaves its files for a look. */
  stop(options?: { keep?: boolean }): Promise<void>;
}

/** Every 5 s and every 7 s: the firings that the ledger counts. */
export const crons = [
  { command: 'ScheduledTasksCleanup', schedule: '*/5 * * * * *', everyS: 5 },
  { command: 'ScheduledEventsCleanup', schedule: '*/7 * * * * *', everyS: 7 },
] as const;

export async function startSoakSystem({ root, agents, pace, port, say }: SoakOptions): Promise<SoakSystem> {
  const dataDir = await mkdtemp(join(tmpdir(), 'directorate-soak-'));
  const relays = await Promise.all(natsServersOf(layoutOf(dataDir, port)).map(({ ports }) => startChaosProxy({ host: '127.0.0.1', port: ports.client })));
  const embedded = await startEmbedded({
    root, dataDir, port, fsync: false,
    natsUrls: relays.map((relay) => `nats://127.0.0.1:${relay.port}`),
    nodeEnv: () => ({ DIRECTORATE_CONSOLE: 'off' }),
    config: {
      health_monitor: {
        intervals: { agent_timeout: pace.agentTimeoutMs / 1_000, probe_agents: 30, path_grace: Math.max(30, (3 * pace.agentTimeoutMs) / 1_000) },
        // So many deaths in one small deployment would be a meltdown; here each is to be repaired.
        resurrector: { percent_threshold: 1 },
      },
      scheduler: { scheduled_jobs: crons.map(({ command, schedule }) => ({ command, schedule })) },
    },
  });
  const simulator = startSimulator(root, embedded.layout.cloud, pace.heartbeatMs);
  const db = new Pool({ connectionString: embedded.databaseUrl, max: 4 });
  db.on('error', () => undefined);
  const silent = new Set<string>();
  const system: SoakSystem = {
    embedded, db, relays,
    killVms: (agentIds) => {
      for (const id of agentIds) silent.add(id);
      writeFileSync(join(embedded.layout.cloud, 'simulator.json'), JSON.stringify({ agents: Object.fromEntries([...silent].map((id) => [id, { silent: true }])) }));
    },
    stop: async ({ keep = false } = {}) => {
      await db.end();
      simulator.kill('SIGTERM');
      await embedded.stopAll();
      await Promise.all(relays.map((relay) => relay.close()));
      if (!keep) rmSync(dataDir, { recursive: true, force: true });
    },
  };
  try {
    await deployAll(system, agents, say);
    return system;
  } catch (error) {
    await system.stop();
    throw error;
  }
}

function startSimulator(root: string, cloud: string, heartbeatMs: number): ChildProcess {
  const child = spawn(process.execPath, [join(root, 'dist', 'simulator.cjs'), '--state', cloud, '--heartbeat-ms', String(heartbeatMs)], { stdio: ['ignore', 'ignore', 'inherit'] });
  process.once('exit', () => child.kill('SIGKILL'));
  void once(child, 'exit');
  return child;
}

/** Instances of one deployment at most: a few deaths must not be a meltdown, and there shall be several deployments. */
const perDeployment = 30;

async function deployAll({ embedded }: SoakSystem, agents: number, say: (text: string) => void): Promise<void> {
  const { ca, client, clientSecret } = embedded.installation;
  const director = new DirectorClient({ url: embedded.url, ca, client, clientSecret });
  const archive = 'application/x-compressed';
  await director.followTask(await director.startTask('/stemcells', { contentType: archive, content: (await buildLocalStemcell({ agent: { agent: 'simulated' } })).tarball }));
  await director.followTask(await director.startTask('/releases', { contentType: archive, content: (await buildHelloRelease()).tarball }));
  const content = stringify(sampleCloudConfig({ net: networkOf(embedded.layout.port) }));
  await director.post('/configs', { contentType: 'application/json', content: JSON.stringify({ name: 'default', type: 'cloud', content }) });
  for (let made = 0; made < agents; made += perDeployment) {
    const name = `soak-${made / perDeployment + 1}`;
    const update = { canaries: 1, max_in_flight: 30, canary_watch_time: '100-60000', update_watch_time: '100-60000' };
    const manifest = { ...helloManifest({ name, instances: Math.min(perDeployment, agents - made), node: process.execPath }), update };
    await director.followTask(await director.startTask('/deployments', { contentType: 'text/yaml', content: stringify(manifest) }));
    say(`deployed ${name}`);
  }
}
