import type { Database, Tx } from '../../db/client';
import type { NewAlert } from '../alerts/alert';
import type { ComponentContext } from '../cluster/component';
import { listConfigs } from '../configs/store';
import { mapPool } from '../core/concurrency';
import { uuidFrom } from '../core/digest';
import type { Log } from '../core/log';
import { parseYaml } from '../core/yaml';
import { recordEvent } from '../events/store';
import { isResurrectionPaused } from '../instances/store';
import { scanAndFixTask } from '../problems/request';
import { enqueueTask } from '../tasks/queue';
import { byGroup } from './incident-alerts';
import { isResurrectionEnabled, judge, parseRules, verdictText, type MeltdownLimits, type ResurrectionRule } from './resurrection';
import { listDueDeployments, noteScan, readCase, type DeploymentCase, type DueIncident } from './resurrection-store';
import { addToCounters, insertAlerts } from './store';

export interface ResurrectorOptions extends MeltdownLimits {
  /** Also instances with persistent disks. */
  fixStateful: boolean;
}

/** Deployments looked at at a time. */
const concurrency = 4;
/** A round ends after this time, so that judging goes on, ms; the next one begins where it ended. */
const roundMs = 2_000;

/**
 * Has the VMs of open incidents looked at: one `scan and fix` task per incident, unless too much is down or operators do not want it.
 * Decision, task, alerts and marks of one deployment are one transaction under the lease: whatever dies when, there is one task or
 * none, and whoever acts next sees which. `after` is what the last round returned: the deployment at which it ended, undefined when it
 * was through.
 */
export async function resurrect(ctx: ComponentContext, db: Database, input: { options: ResurrectorOptions; after: string | undefined; now: () => number }): Promise<string | undefined> {
  const due = await listDueDeployments(db);
  if (due.length === 0 || (await isResurrectionPaused(db))) return undefined;
  const rules = await readRules(db, ctx.log);
  const { options, after = '', now } = input;
  const deadline = now() + roundMs;
  let endedAt: string | undefined;
  await mapPool([...due.filter((name) => name > after), ...due.filter((name) => name <= after)], concurrency, async (deployment) => {
    if (!ctx.holds() || endedAt !== undefined) return;
    // What goes wrong with one deployment must not keep the others down.
    await ctx.write((tx) => treat(tx, { deployment, rules, options })).catch((error: unknown) => ctx.log.warn('resurrection-failed', { deployment, error }));
    ctx.progress();
    if (now() > deadline) endedAt ??= deployment;
  });
  return endedAt;
}

async function readRules(db: Database, log: Log): Promise<ResurrectionRule[]> {
  const configs = await listConfigs(db, { type: 'resurrection', versions: 1 });
  return configs.flatMap(({ name, content }) => {
    const { rules, problems } = understand(content);
    for (const problem of problems) log.warn('resurrection-rule-skipped', { config: name, problem });
    return rules;
  });
}

function understand(content: string): ReturnType<typeof parseRules> {
  try {
    return parseRules(parseYaml(content));
  } catch (error) {
    return { rules: [], problems: [error instanceof Error ? error.message : String(error)] };
  }
}

interface Treatment {
  deployment: string;
  rules: readonly ResurrectionRule[];
  options: ResurrectorOptions;
}

async function treat(tx: Tx, { deployment, rules, options }: Treatment): Promise<void> {
  if (await isResurrectionPaused(tx)) return;
  const found = await readCase(tx, deployment, options.timeThreshold);
  if (found === undefined || found.due.length === 0) return;
  const verdict = judge(found, options, found.now);
  const text = verdictText(deployment, verdict);
  const alert = alertsOf(deployment, found.now);
  if (verdict.state === 'meltdown') {
    const summary = `Skipping resurrection for instances: ${listed(found.due)}; ${text}`;
    await store(tx, alert('meltdown', found.newestIncident, { severity: 1, title: 'We are in meltdown', summary }), 'resurrector_meltdowns');
    return;
  }
  const wanted = (incident: DueIncident) => isResurrectionEnabled(rules, deployment, incident.group);
  const disabled = found.due.filter((incident) => !wanted(incident));
  const enabled = found.due.filter(wanted);
  if (enabled.length > 0) {
    const taskId = await enqueueScan(tx, { deployment, found, enabled, options });
    const summary = `Notifying Director to scan instances: ${listed(enabled)}; ${text}`;
    await store(tx, alert('scan', taskId, { severity: 4, title: 'Scan unresponsive VMs', summary }), 'resurrector_scans');
  }
  if (disabled.length > 0) {
    const summary = `Skipping resurrection for instances: ${listed(disabled)}; ${text} because of resurrection config`;
    const newest = Math.max(...disabled.map(({ id }) => id));
    await store(tx, alert('disabled', newest, { severity: 1, title: 'Resurrection is disabled by resurrection config', summary }), 'resurrector_disabled');
  }
}

async function enqueueScan(tx: Tx, { deployment, found, enabled, options }: { deployment: string; found: DeploymentCase; enabled: readonly DueIncident[]; options: ResurrectorOptions }): Promise<number> {
  const jobs = byGroup(enabled);
  const { event, ...order } = scanAndFixTask({ deployment, jobs, fixStateful: options.fixStateful }, found.teams);
  const task = await enqueueTask(tx, { ...order, user: 'hm' });
  await recordEvent(tx, { ...event, user: 'hm', taskId: task.id });
  await noteScan(tx, enabled.map(({ id }) => id), task.id);
  return task.id;
}

/** Alerts of one deployment; what they are about makes their ids, so that each is told once. */
function alertsOf(deployment: string, now: number) {
  return (what: string, about: number, { severity, title, summary }: Pick<NewAlert, 'severity' | 'title' | 'summary'>): NewAlert => {
    const id = uuidFrom(`${what}:${deployment}:${about}`);
    return { id, dedupKey: id, origin: 'resurrector', severity, title, summary, source: 'HM plugin resurrector', deployment, createdAt: now };
  };
}

async function store(tx: Tx, alert: NewAlert, counter: string): Promise<void> {
  const stored = await insertAlerts(tx, [alert]);
  await addToCounters(tx, { [counter]: stored.size });
}

function listed(incidents: readonly DueIncident[]): string {
  return [...new Set(incidents.map(({ group, instanceUuid }) => `${group}/${instanceUuid}`))].join(', ');
}
