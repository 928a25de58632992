import { setTimeout as wait } from 'node:timers/promises';
import { faults, nodesReady } from './faults';
import { areReplaced, audit, listVms, type Death, type LedgerReport } from './ledger';
import { startSoakSystem, type SoakOptions, type SoakSystem } from './system';

export interface SoakReport extends LedgerReport {
  rounds: { fault: string; deaths: number }[];
  deaths: number;
  agents: number;
}

export interface SoakRun extends SoakOptions {
  minutes: number;
  /** Goes on until every fault was there at least once. */
  everyFault?: boolean;
}

/**
 * Random faults of the director's own parts for `minutes`, during some of which VMs really die. Afterwards the ledger must be exact:
 * each death found once, in time, and repaired once; nothing else touched; every alert delivered; every cron slot decided once.
 */
export async function runSoak(options: SoakRun): Promise<SoakReport> {
  const system = await startSoakSystem(options);
  let report: SoakReport | undefined;
  try {
    report = await soak(system, options);
    return report;
  } finally {
    const keep = report === undefined || report.wrong.length > 0;
    if (keep) options.say(`its files stay for a look: ${system.embedded.layout.cloud}/..`);
    await system.stop({ keep });
  }
}

async function soak(system: SoakSystem, { pace, minutes, say, everyFault = false }: SoakRun): Promise<SoakReport> {
  await wait(2 * pace.heartbeatMs);
  const before = await listVms(system);
  const deaths: Death[] = [];
  const rounds: SoakReport['rounds'] = [];
  const until = performance.now() + minutes * 60_000;
  const leastRounds = everyFault ? faults.length : 0;
  // Each fault once before any comes again.
  let order: typeof faults = [];
  while (performance.now() < until || rounds.length < leastRounds) {
    if (order.length === 0) order = shuffled(faults);
    const [fault, ...rest] = order;
    order = rest;
    if (!fault) break;
    const victims = await chooseVictims(system, Math.floor(Math.random() * 3));
    say(`${fault.name}, ${victims.length} VMs die`);
    const running = fault.run(system, pace);
    await wait(Math.random() * 1_000);
    const diedAt = Date.now();
    system.killVms(victims.map((vm) => vm.agentId));
    await running;
    const findableAt = Date.now();
    deaths.push(...victims.map((vm) => ({ ...vm, diedAt, findableAt, during: fault.name })));
    rounds.push({ fault: fault.name, deaths: victims.length });
    await repaired(system, deaths, pace.agentTimeoutMs + 120_000);
    await wait(pace.restMs);
  }
  await nodesReady(system);
  await quiet(system);
  return { ...(await audit(system, { before, deaths, pace })), rounds, deaths: deaths.length, agents: before.length };
}

async function chooseVictims(system: SoakSystem, count: number): Promise<{ agentId: string; instance: string }[]> {
  return shuffled(await listVms(system)).slice(0, count);
}

function shuffled<T>(items: readonly T[]): T[] {
  return items.map((item) => ({ item, key: Math.random() })).toSorted((a, b) => a.key - b.key).map(({ item }) => item);
}

/** Waits until everything that died has been replaced; the audit tells when it was not. */
async function repaired(system: SoakSystem, deaths: readonly Death[], withinMs: number): Promise<void> {
  const deadline = performance.now() + withinMs;
  while (performance.now() < deadline) {
    if (await areReplaced(system, deaths).catch(() => false)) return;
    await wait(200);
  }
}

/** Waits until no alert is on its way any more. */
async function quiet(system: SoakSystem): Promise<void> {
  const deadline = performance.now() + 30_000;
  while (performance.now() < deadline) {
    const { rows } = await system.db.query<{ n: number }>('SELECT (SELECT count(*) FROM alerts WHERE NOT dispatched)::int + (SELECT count(*) FROM alert_deliveries WHERE delivered_at IS NULL AND given_up_at IS NULL)::int AS n');
    if (rows[0]?.n === 0) return;
    await wait(200);
  }
}
