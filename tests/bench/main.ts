import { rmSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { cpus, tmpdir, totalmem } from 'node:os';
import { dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import { load, measureApi } from './api';
import { measureDeploys } from './deploys';
import { measureDns } from './dns';
import { tableOf, type Figure } from './figures';
import { measureAnalysis, measureHealth, runMonitor } from './health';
import { measureHandOvers, measureKills } from './kills';
import { measureMemory, measureStarts } from './nodes';
import { measurePlan } from './plan';
import { measureScale } from './scale';
import { startSite, type Site } from './site';
import { measureEnqueue } from './tasks';

/** `npm run bench`: measures an installation of its own, in a folder of its own, and prints the figures. Nothing is judged. */
const usage = () => `Usage: npm run bench -- [--full] [--only PART,…] [--port PORT]

  --full   more rounds: 100 kills, 1,000 simulated VMs, about 30 minutes
  --only   some of: ${Object.keys(parts).join(', ')}
  --port   front door of the installation that is measured; it needs the 59 ports after it too (default 27555)
`;

interface Counts {
  tasks: number;
  requests: number;
  seconds: number;
  fresh: number;
  noChange: number;
  starts: number;
  handovers: number;
  kills: number;
  /** Seconds of heartbeats. */
  beats: number;
  deaths: number;
  /** Groups of 20 simulated VMs. */
  groups: number;
}

const quick: Counts = { tasks: 100, requests: 1_000, seconds: 4, fresh: 4, noChange: 10, starts: 3, handovers: 5, kills: 6, beats: 15, deaths: 3, groups: 10 };
const full: Counts = { tasks: 1_000, requests: 5_000, seconds: 10, fresh: 11, noChange: 50, starts: 10, handovers: 30, kills: 100, beats: 60, deaths: 10, groups: 50 };

/** In this order: memory before anything has happened, kills last. */
const parts: Record<string, (site: Site, counts: Counts) => Promise<Figure[]>> = {
  memory: (site) => measureMemory(site),
  tasks: (site, counts) => measureEnqueue(site, counts.tasks),
  deploys: (site, counts) => measureDeploys(site, counts),
  api: (site, counts) => measureApi(site, counts),
  starts: (site, counts) => measureStarts(site, counts.starts),
  handover: (site, counts) => measureHandOvers(site, counts.handovers),
  dns: (site) => measureDns(site, { agents: 10_000, versions: 4 }),
  health: (site, counts) => measureHealth(site, { agents: 20_000, beatsPerSecond: 20_000, seconds: counts.beats, deaths: counts.deaths }),
  analysis: () => measureAnalysis(100_000),
  plan: async () => measurePlan({ groups: 50, perGroup: 20, rounds: 20 }),
  scale: (site, counts) => measureScale(site, { groups: counts.groups, perGroup: 20, rounds: 5 }),
  kills: (site, counts) => measureKills(site, counts.kills),
};

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { full: { type: 'boolean', default: false }, only: { type: 'string' }, port: { type: 'string', default: '27555' }, help: { type: 'boolean', default: false } } });
  if (values.help) return void process.stdout.write(usage());
  const wanted = values.only?.split(',').map((part) => part.trim()) ?? Object.keys(parts);
  const unknown = wanted.find((part) => !(part in parts));
  if (unknown !== undefined) throw new Error(`there is no part '${unknown}'\n${usage()}`);
  const dataDir = await mkdtemp(join(tmpdir(), 'directorate-bench-'));
  const say = (text: string) => process.stderr.write(`  ${text}\n`);
  say(`starting an installation in ${dataDir}`);
  const figures: Figure[] = [];
  let site: Site | undefined;
  const stop = async () => {
    await site?.stop();
    rmSync(dataDir, { recursive: true, force: true });
  };
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => void stop().finally(() => process.exit(1)));
  try {
    site = await startSite({ root: dirname(__dirname), dataDir, port: Number(values.port), say });
    for (const [name, measure] of Object.entries(parts)) {
      if (!wanted.includes(name)) continue;
      const measured = await measure(site, values.full ? full : quick);
      figures.push(...measured);
      process.stdout.write(`\n${tableOf(measured)}\n\n`);
    }
  } finally {
    await stop();
  }
  const [cpu] = cpus();
  process.stdout.write(`\n# All figures\n\n${tableOf(figures)}\n\n${cpus().length} × ${cpu?.model ?? 'unknown CPU'}, ${Math.round(totalmem() / 2 ** 30)} GB, Node ${process.version}; Postgres, NATS, nodes, VMs and the bench share the machine\n`);
}

(process.argv[2] === 'load' ? load() : process.argv[2] === 'monitor' ? runMonitor() : main()).then(
  () => process.exit(0),
  (error: unknown) => {
    process.stderr.write(`${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
    process.exit(1);
  },
);
