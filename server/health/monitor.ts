import { isTransient, type Database } from '../../db/client';
import type { Agents } from '../agents/agent';
import type { NewAlert } from '../alerts/alert';
import type { Component, ComponentContext } from '../cluster/component';
import { LeaseLost } from '../cluster/leases';
import type { Clock } from '../core/clock';
import { analyse, incidentKey, type AnalysisInput, type Finding } from './analysis';
import { isDownKind } from './incident-alerts';
import { closeIncidents, openIncidents, type OpenIncidents } from './incidents';
import { LastWord, lastWordMs } from './last-word';
import type { HealthListener } from './listener';
import { Prober } from './prober';
import { resurrect } from './resurrector';
import { insertAlerts, listLockedDeployments, listOpenIncidents, pruneIncidents } from './store';
import { createVitalsWriter, type VitalsWriter } from './write-vitals';

export interface HealthMonitorDeps {
  db: Database;
  listener: Pick<HealthListener, 'fleet' | 'alerts' | 'vitals' | 'scene' | 'pulse' | 'databaseNow' | 'refresh' | 'invalid' | 'hearAnew'>;
  agents: Pick<Agents, 'agentFor'>;
  /** False while the director's own connection to the bus is down: agents cannot be asked. */
  canAsk: () => boolean;
  /** Monotonic ms of unbroken contact with the database. */
  contactMs: () => number;
  settings: HealthMonitorSettings;
  clock: Clock;
}

/** `health_monitor` of the configuration; intervals in s. */
export interface HealthMonitorSettings {
  intervals: { agent_timeout: number; rogue_agent_alert: number; analyze: number; probe_agents: number; log_stats: number };
  resurrector: { enabled: boolean; minimum_down_jobs: number; percent_threshold: number; time_threshold: number; auto_fix_stateful_nodes: boolean };
  /** After an agent did not answer it is asked again so much later, and has so long to answer, ms; for tests. */
  probing?: { retryMs: number; patienceMs: number };
}

const usualProbing = { retryMs: 20_000, patienceMs: 10_000 };
/** Heard alerts stored at a time. */
const alertBatch = 500;
/** What the records did not bear out is not asked of them again before so long, ms. */
const refusedMs = 1_000;
/** How often incidents that were not just opened are looked at for a scan, ms. */
const resurrectEveryMs = 2_000;
const pruneEveryMs = 3_600_000;

/** What one holder of the lease has in its hands. */
interface Reign {
  epoch: number;
  /** Monotonic ms of its begin. */
  since: number;
  open: OpenIncidents;
  prober: Prober | undefined;
  lastWord: LastWord;
  vitals: VitalsWriter;
  /** Version of the fleet whose records the open incidents were last compared with. */
  comparedWith: number;
  refusedUntil: Map<string, number>;
  resurrectedAt: number;
  /** The deployment at which the last look ended before it was through. */
  resurrectedUpTo: string | undefined;
  loggedAt: number;
  prunedAt: number;
}

/**
 * Component: judges the agents that every node hears, and acts on what it finds. All that it decides is a transaction under the lease,
 * and all that it remembers is read again when the lease changes hands; so a holder that dies leaves nothing behind, and one that
 * wakes after its time changes nothing.
 */
export function createHealthMonitor(deps: HealthMonitorDeps): Component {
  let reign: Reign | undefined;
  return {
    name: 'health-monitor',
    intervalMs: deps.settings.intervals.analyze * 1_000,
    async tick(ctx) {
      deps.listener.pulse();
      if (reign?.epoch !== ctx.epoch) reign = await begin(ctx, deps);
      const current = reign;
      await step(ctx, 'alerts', () => storeHeardAlerts(ctx, deps));
      if (deps.listener.fleet.synced) {
        await step(ctx, 'incidents', () => judge(ctx, deps, current));
        await step(ctx, 'resurrection', () => resurrectDue(ctx, deps, current));
        await step(ctx, 'vitals', () => current.vitals.write(ctx, deps.listener.databaseNow()));
      }
      await step(ctx, 'housekeeping', () => keepHouse(ctx, deps, current));
    },
  };
}

async function begin(ctx: ComponentContext, deps: HealthMonitorDeps): Promise<Reign> {
  const since = deps.clock.monotonic();
  const open: OpenIncidents = new Map((await listOpenIncidents(deps.db)).map((incident) => [incidentKey(incident), { ...incident, knownAt: since }]));
  const prober = createProber(ctx, deps, since);
  prober?.start(ctx.signal);
  return {
    epoch: ctx.epoch, since, open, prober, lastWord: new LastWord(deps), vitals: createVitalsWriter(deps.listener.vitals), comparedWith: 0, refusedUntil: new Map(),
    resurrectedAt: Number.NEGATIVE_INFINITY, resurrectedUpTo: undefined, loggedAt: since, prunedAt: since,
  };
}

function createProber(ctx: ComponentContext, { db, listener, agents, canAsk, settings, clock }: HealthMonitorDeps, since: number): Prober | undefined {
  const { agent_timeout: agentTimeout, probe_agents: probeAgents } = settings.intervals;
  if (probeAgents === 0) return undefined;
  return new Prober(
    { agents, fleet: listener.fleet, scene: () => listener.scene(since), canAsk, lockedDeployments: () => listLockedDeployments(db), holds: () => ctx.holds(), clock, log: ctx.log },
    { everyMs: probeAgents * 1_000, agentTimeoutMs: agentTimeout * 1_000, ...(settings.probing ?? usualProbing) },
  );
}

/** A step that fails must not keep the others from being done; the next round tries it again. */
async function step(ctx: ComponentContext, name: string, work: () => Promise<void>): Promise<void> {
  if (ctx.signal.aborted || !ctx.holds()) return;
  try {
    await work();
  } catch (error) {
    if (!ctx.signal.aborted) ctx.log.warn('health-monitor-step-failed', { step: name, error });
  }
  ctx.progress();
}

/** Alerts that were heard: by whoever acts now, including those that its predecessor may not have stored. */
async function storeHeardAlerts(ctx: ComponentContext, { listener }: HealthMonitorDeps): Promise<void> {
  for (;;) {
    const batch = listener.alerts.take(alertBatch);
    if (batch.length === 0) return;
    await ctx.write((tx) => insertAlerts(tx, batch)).catch((error: unknown) => {
      if (isTransient(error) || ctx.signal.aborted) throw error;
      return storeOneByOne(ctx, batch);
    });
    listener.alerts.remove(batch);
    ctx.progress();
  }
}

/** An alert that the database refuses is lost; it must not keep the others waiting for ever. */
async function storeOneByOne(ctx: ComponentContext, batch: readonly NewAlert[]): Promise<void> {
  for (const alert of batch) {
    await ctx.write((tx) => insertAlerts(tx, [alert])).catch((error: unknown) => {
      if (isTransient(error) || error instanceof LeaseLost || ctx.signal.aborted) throw error;
      ctx.log.error('alert-not-stored', { title: alert.title, source: alert.source, error });
    });
  }
}

async function judge(ctx: ComponentContext, deps: HealthMonitorDeps, reign: Reign): Promise<void> {
  const { listener, settings, clock } = deps;
  const { fleet } = listener;
  const scene = () => listener.scene(graceOf(deps, reign));
  const agentTimeoutMs = settings.intervals.agent_timeout * 1_000;
  const input: AnalysisInput = { fleet, deaf: reign.prober?.deaf ?? new Set(), scene: scene(), agentTimeoutMs, rogueAfterMs: settings.intervals.rogue_agent_alert * 1_000 };
  const { findings, forgotten } = analyse(input);
  fleet.forget(forgotten);
  const { version } = fleet;
  await closeIncidents(ctx, reign.open, { ...input, answeredAt: (id) => reign.prober?.answeredAt(id), byRecords: version !== reign.comparedWith });
  reign.comparedWith = version;
  askSoonSilent(ctx, reign, input);
  const fresh = (await selectFresh(deps, reign, findings)).filter((finding) => !isSpared(deps, reign, finding));
  if (fresh.length === 0) return;
  const refused = await openIncidents(ctx, { fleet, scene, now: () => clock.monotonic(), agentTimeoutMs }, { findings: fresh, open: reign.open });
  for (const finding of refused) reign.refusedUntil.set(incidentKey(finding), clock.monotonic() + refusedMs);
  if (refused.length > 0) listener.refresh();
  if (fresh.some(({ kind }) => isDownKind(kind))) reign.resurrectedAt = Number.NEGATIVE_INFINITY;
}

/** Asks the agents whose time is nearly over. */
function askSoonSilent(ctx: ComponentContext, { lastWord, open }: Reign, input: AnalysisInput): void {
  const early = analyse({ ...input, agentTimeoutMs: Math.max(input.agentTimeoutMs / 2, input.agentTimeoutMs - lastWordMs.before) }).findings;
  lastWord.ask(early.filter((finding) => finding.kind === 'agent_timeout' && !open.has(incidentKey(finding))).map(({ subject }) => subject), ctx.signal);
}

function isSpared({ listener }: HealthMonitorDeps, { lastWord }: Reign, finding: Finding): boolean {
  if (finding.kind !== 'agent_timeout' || !lastWord.spares(finding.subject)) return false;
  listener.hearAnew();
  return true;
}

/** Nobody is judged by what was before this reign, or before the database came back. */
function graceOf({ clock, contactMs }: HealthMonitorDeps, reign: Reign): number {
  return Math.max(reign.since, clock.monotonic() - contactMs());
}

/** Findings that are not open yet, of deployments that no task works on. */
async function selectFresh({ db, clock }: HealthMonitorDeps, { open, refusedUntil }: Reign, findings: readonly Finding[]): Promise<Finding[]> {
  const now = clock.monotonic();
  for (const [key, until] of refusedUntil) if (until <= now) refusedUntil.delete(key);
  const fresh = findings.filter((finding) => !open.has(incidentKey(finding)) && !refusedUntil.has(incidentKey(finding)));
  if (fresh.length === 0) return fresh;
  const locked = await listLockedDeployments(db);
  return fresh.filter(({ deployment }) => deployment === undefined || !locked.has(deployment));
}

async function resurrectDue(ctx: ComponentContext, { db, settings, clock }: HealthMonitorDeps, reign: Reign): Promise<void> {
  const { resurrector } = settings;
  const now = clock.monotonic();
  if (!resurrector.enabled || (reign.resurrectedUpTo === undefined && now - reign.resurrectedAt < resurrectEveryMs)) return;
  if (![...reign.open.values()].some(({ kind }) => isDownKind(kind))) return;
  reign.resurrectedAt = now;
  const options = {
    minimumDownJobs: resurrector.minimum_down_jobs, percentThreshold: resurrector.percent_threshold, timeThreshold: resurrector.time_threshold, fixStateful: resurrector.auto_fix_stateful_nodes,
  };
  reign.resurrectedUpTo = await resurrect(ctx, db, { options, after: reign.resurrectedUpTo, now: () => clock.monotonic() });
}

async function keepHouse(ctx: ComponentContext, { listener, settings, clock }: HealthMonitorDeps, reign: Reign): Promise<void> {
  const now = clock.monotonic();
  if (now - reign.loggedAt >= settings.intervals.log_stats * 1_000) {
    reign.loggedAt = now;
    const { fleet } = listener;
    ctx.log.info('health-monitor-stats', {
      deployments: fleet.deployments, agents: fleet.managed.size, unmanaged: fleet.unmanaged.size, missingVms: fleet.missing.length, heartbeats: fleet.heartbeats, invalidMessages: listener.invalid,
      alertsWaiting: listener.alerts.size, alertsDropped: listener.alerts.dropped, openIncidents: reign.open.size,
    });
  }
  if (now - reign.prunedAt < pruneEveryMs) return;
  reign.prunedAt = now;
  await ctx.write((tx) => pruneIncidents(tx));
}
