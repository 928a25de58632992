import type { Tx } from '../../db/client';
import type { IncidentKind } from '../../db/schema/health';
import type { ComponentContext } from '../cluster/component';
import { endReason, incidentKey, type Ending, type Finding, type OpenIncident } from './analysis';
import type { Fleet } from './fleet';
import { deploymentAlert, downKinds, incidentAlert, isDownKind, type StoredIncident } from './incident-alerts';
import { silenceMs, type Scene } from './paths';
import { addToCounters, confirmMissing, confirmUnknown, endByRecords, endIncidents, insertAlerts, insertIncidents, listDown, readStandings } from './store';

/** The open incidents as their holder knows them, by `incidentKey`; the database has the truth. */
export type OpenIncidents = Map<string, OpenIncident>;

/** Findings of one transaction. */
const batchSize = 500;

export interface OpenDeps {
  fleet: Pick<Fleet, 'managed'>;
  /** The bus as it is at that moment. */
  scene: () => Scene;
  /** Monotonic ms. */
  now: () => number;
  agentTimeoutMs: number;
}

/**
 * Stores incidents with their alerts, in one transaction each batch, after a look at the records: what is in memory may be older than
 * the deploy that has just replaced a VM. Returns the findings that the records do not bear out.
 */
export async function openIncidents(ctx: ComponentContext, deps: OpenDeps, input: { findings: readonly Finding[]; open: OpenIncidents }): Promise<Finding[]> {
  const sorted = input.findings.toSorted(byDeployment);
  const refused: Finding[] = [];
  for (let at = 0; at < sorted.length; at += batchSize) {
    const batch = sorted.slice(at, at + batchSize);
    const knownAt = deps.now();
    const { confirmed, stored } = await ctx.write(async (tx) => {
      const borneOut = await confirm(tx, deps, batch);
      return { confirmed: new Set(borneOut), stored: await store(tx, borneOut) };
    });
    for (const { id, kind, subject } of stored) {
      input.open.set(incidentKey({ kind, subject }), { id, kind, subject, knownAt });
      ctx.log.warn('incident-opened', { incident: id, kind, subject });
    }
    refused.push(...batch.filter((finding) => !confirmed.has(finding)));
    ctx.progress();
  }
  return refused;
}

function byDeployment({ deployment: a = '' }: Finding, { deployment: b = '' }: Finding): number {
  return a === b ? 0 : a < b ? -1 : 1;
}

async function confirm(tx: Tx, deps: OpenDeps, findings: readonly Finding[]): Promise<Finding[]> {
  const ofKinds = (...kinds: IncidentKind[]) => findings.filter(({ kind }) => kinds.includes(kind));
  const subjects = (list: readonly Finding[]) => list.map(({ subject }) => subject);
  const [agents, missing, unmanaged] = [ofKinds('agent_timeout', 'deaf_agent'), ofKinds('missing_vm'), ofKinds('rogue_agent', 'unmanaged_timeout')];
  const standings = agents.length > 0 ? await readStandings(tx, subjects(agents)) : new Map<string, never>();
  const scene = deps.scene();
  const borneOut = agents.filter((finding) => {
    const standing = standings.get(finding.subject);
    const agent = deps.fleet.managed.get(finding.subject);
    if (!standing?.judged || agent === undefined) return false;
    // Where the agent is connected may have changed since the records were read.
    agent.path = standing.path;
    agent.pathSince = standing.pathAgeMs === undefined ? Number.NEGATIVE_INFINITY : deps.now() - standing.pathAgeMs;
    return finding.kind !== 'agent_timeout' || silenceMs(agent, scene) > deps.agentTimeoutMs;
  });
  const without = missing.length > 0 ? await confirmMissing(tx, subjects(missing)) : new Set<string>();
  const unknown = unmanaged.length > 0 ? await confirmUnknown(tx, subjects(unmanaged)) : new Set<string>();
  return [...borneOut, ...missing.filter(({ subject }) => without.has(subject)), ...unmanaged.filter(({ subject }) => unknown.has(subject))];
}

async function store(tx: Tx, findings: readonly Finding[]): Promise<StoredIncident[]> {
  if (findings.length === 0) return [];
  const { incidents, opened } = await insertIncidents(tx, findings);
  await insertAlerts(tx, incidents.map(incidentAlert));
  await insertAlerts(tx, await deploymentAlerts(tx, incidents));
  const counters: Record<string, number> = {};
  for (const kind of opened) counters[`incidents_opened_${kind}`] = (counters[`incidents_opened_${kind}`] ?? 0) + 1;
  await addToCounters(tx, counters);
  return incidents;
}

/** Of each deployment whose down instances have become more: all that are down. */
async function deploymentAlerts(tx: Tx, incidents: readonly StoredIncident[]) {
  const touched = new Set(incidents.flatMap(({ kind, deployment }) => (deployment !== undefined && isDownKind(kind) ? [deployment] : [])));
  if (touched.size === 0) return [];
  const down = await listDown(tx, [...touched]);
  const createdAt = Math.max(...incidents.map((incident) => incident.openedAt));
  return [...touched].flatMap((deployment) =>
    downKinds.filter((kind) => incidents.some((incident) => incident.kind === kind && incident.deployment === deployment)).map((kind) => deploymentAlert(deployment, kind, { down, createdAt })),
  );
}

/** Ends what is over by what was heard and, if `byRecords`, by what the records say. */
export async function closeIncidents(ctx: ComponentContext, open: OpenIncidents, input: Parameters<typeof endReason>[1] & { byRecords: boolean }): Promise<void> {
  const endings: Ending[] = [];
  for (const incident of open.values()) {
    const reason = endReason(incident, input);
    if (reason !== undefined) endings.push({ id: incident.id, reason });
  }
  const ended = new Set(endings.map(({ id }) => id));
  if (endings.length > 0) await ctx.write((tx) => endIncidents(tx, endings));
  if (input.byRecords && open.size > 0) {
    // Not what this transaction ended, but what goes on: it may be the repetition of one whose commit was not heard of.
    const goingOn = await ctx.write((tx) => endByRecords(tx));
    for (const { id } of open.values()) if (!goingOn.has(id)) ended.add(id);
  }
  for (const [key, incident] of open) {
    if (!ended.has(incident.id)) continue;
    open.delete(key);
    ctx.log.info('incident-ended', { incident: incident.id, kind: incident.kind, subject: incident.subject });
  }
}

