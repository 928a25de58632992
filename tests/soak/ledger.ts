import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { crons, type Pace, type SoakSystem } from './system';

/** A VM that died, as the soak knows. */
export interface Death {
  agentId: string;
  instance: string;
  /** Epoch ms. */
  diedAt: number;
  /** From when on it could be found: its death, or the end of the fault during which it died. Epoch ms. */
  findableAt: number;
  during: string;
}

export interface Vm {
  agentId: string;
  instance: string;
}

export interface LedgerReport {
  /** What does not hold, in sentences; empty when the ledger is exact. */
  wrong: string[];
  /** ms from a death to its incident. */
  detectionMs: number[];
  firings: number;
  alerts: number;
}

/** Every VM of the deployments. */
export async function listVms({ db }: SoakSystem): Promise<Vm[]> {
  const { rows } = await db.query<{ agent_id: string; uuid: string }>('SELECT v.agent_id, i.uuid FROM vms v JOIN instances i ON i.id = v.instance_id WHERE v.active AND NOT i.compilation AND v.cid IS NOT NULL ORDER BY v.agent_id');
  return rows.map((row) => ({ agentId: row.agent_id, instance: row.uuid }));
}

/** Whether the instances of these deaths have other VMs by now. */
export async function areReplaced(system: SoakSystem, deaths: readonly Death[]): Promise<boolean> {
  const now = new Map((await listVms(system)).map((vm) => [vm.instance, vm.agentId]));
  const { rowCount } = await system.db.query("SELECT 1 FROM tasks WHERE type = 'cck_scan_and_fix' AND state IN ('queued', 'processing') LIMIT 1");
  return rowCount === 0 && deaths.every((death) => now.has(death.instance) && now.get(death.instance) !== death.agentId);
}

/** How much later than promised a death may be found on a machine that does everything at once, ms. */
const slackMs = 6_000;

/** Compares what the director recorded with what really happened. */
export async function audit(system: SoakSystem, facts: { before: readonly Vm[]; deaths: readonly Death[]; pace: Pace }): Promise<LedgerReport> {
  const report: LedgerReport = { wrong: [], detectionMs: [], firings: 0, alerts: 0 };
  await auditIncidents(system, facts, report);
  await auditScans(system, facts, report);
  await auditVms(system, facts, report);
  await auditAlerts(system, report);
  for (const cron of crons) await auditCron(system, cron, report);
  const doubled = await system.db.query<{ name: string }>('SELECT name FROM lease_history GROUP BY name, epoch HAVING count(*) > 1');
  for (const { name } of doubled.rows) report.wrong.push(`two holders of ${name} had the same epoch`);
  return report;
}

type Facts = Parameters<typeof audit>[1];

interface Repair {
  deployment: string;
  started_at: Date;
  finished_at: Date;
}

/** The same, put off while the repair of another death holds the deployment's lock: locked deployments are not judged. Times in ms. */
function findableUntil(until: number, repairs: readonly Repair[]): number {
  return repairs.reduce((latest, { started_at: from, finished_at: to }) => (from.getTime() < latest && to.getTime() + slackMs > latest ? to.getTime() + slackMs : latest), until);
}

async function auditIncidents({ db }: SoakSystem, { deaths, pace }: Facts, report: LedgerReport): Promise<void> {
  const { rows } = await db.query<{ kind: string; subject: string; deployment: string | null; n: number; opened_at: Date }>('SELECT kind, subject, min(deployment) AS deployment, count(*)::int AS n, min(opened_at) AS opened_at FROM incidents GROUP BY kind, subject');
  const repairs = await db.query<Repair>("SELECT deployment, started_at, finished_at FROM tasks WHERE type = 'cck_scan_and_fix' AND finished_at IS NOT NULL ORDER BY started_at");
  const died = new Map(deaths.map((death) => [death.agentId, death]));
  for (const { kind, subject, deployment, n, opened_at: openedAt } of rows) {
    const death = died.get(subject);
    if (!death) report.wrong.push(`false incident: ${kind} of ${subject}, whose VM is well`);
    else if (kind !== 'agent_timeout') report.wrong.push(`incident of kind ${kind} for the dead VM ${subject}`);
    else if (n !== 1) report.wrong.push(`${n} incidents for one death of ${subject}`);
    if (death) report.detectionMs.push(openedAt.getTime() - death.diedAt);
    if (death && openedAt.getTime() > findableUntil(death.findableAt + pace.agentTimeoutMs + slackMs, repairs.rows.filter((repair) => repair.deployment === deployment))) {
      report.wrong.push(`the death of ${subject} (${death.during}) was found ${openedAt.getTime() - death.findableAt} ms after it could be, with a timeout of ${pace.agentTimeoutMs} ms`);
    }
  }
  for (const death of deaths) if (!rows.some((row) => row.subject === death.agentId)) report.wrong.push(`the death of ${death.agentId} (${death.during}) was not found`);
}

async function auditScans({ db }: SoakSystem, { deaths }: Facts, report: LedgerReport): Promise<void> {
  const { rows } = await db.query<{ id: number; state: string; result: string | null; payload: { jobs: Record<string, string[]> } }>("SELECT id::int, state, result, payload FROM tasks WHERE type = 'cck_scan_and_fix' ORDER BY id");
  const scanned = rows.flatMap((task) => Object.values(task.payload.jobs).flat());
  const died = new Map<string, number>();
  for (const { instance } of deaths) died.set(instance, (died.get(instance) ?? 0) + 1);
  for (const task of rows) if (task.state !== 'done') report.wrong.push(`scan-and-fix task ${task.id} ended ${task.state}: ${task.result ?? ''}`);
  for (const instance of new Set([...scanned, ...died.keys()])) {
    const [scans, expected] = [scanned.filter((one) => one === instance).length, died.get(instance) ?? 0];
    if (scans !== expected) report.wrong.push(`instance ${instance} died ${expected} times and was scanned ${scans} times`);
  }
}

/** Nothing was resurrected that was well; what died is back; cloud and records agree. */
async function auditVms(system: SoakSystem, { before, deaths }: Facts, report: LedgerReport): Promise<void> {
  const after = new Map((await listVms(system)).map((vm) => [vm.instance, vm.agentId]));
  const died = new Set(deaths.map((death) => death.agentId));
  for (const vm of before) {
    const now = after.get(vm.instance);
    if (now === undefined) report.wrong.push(`instance ${vm.instance} has no VM`);
    else if (died.has(now)) report.wrong.push(`instance ${vm.instance} still has its dead VM`);
    else if (now !== vm.agentId && !deaths.some((death) => death.instance === vm.instance)) report.wrong.push(`false resurrection of ${vm.instance}`);
  }
  const recorded = (await system.db.query<{ cid: string | null }>('SELECT cid FROM vms')).rows.map((row) => row.cid ?? 'open').toSorted();
  const cloud = readdirSync(join(system.embedded.layout.cloud, 'vms')).toSorted();
  if (JSON.stringify(recorded) !== JSON.stringify(cloud)) report.wrong.push(`the cloud has ${cloud.length} VMs, the records ${recorded.length}: ${cloud.filter((cid) => !recorded.includes(cid)).join(', ')} / ${recorded.filter((cid) => !cloud.includes(cid)).join(', ')}`);
}

/** One alert per incident, each brought to each plugin; the audit trail has each once. */
async function auditAlerts({ db }: SoakSystem, report: LedgerReport): Promise<void> {
  const twice = await db.query<{ incident_id: number; n: number }>("SELECT incident_id, count(*)::int AS n FROM alerts WHERE category = 'vm_health' GROUP BY incident_id HAVING count(*) > 1");
  for (const row of twice.rows) report.wrong.push(`${row.n} alerts for incident ${row.incident_id}`);
  const without = await db.query<{ id: number }>("SELECT i.id FROM incidents i WHERE NOT EXISTS (SELECT 1 FROM alerts a WHERE a.incident_id = i.id AND a.category = 'vm_health')");
  for (const row of without.rows) report.wrong.push(`no alert for incident ${row.id}`);
  const { rows } = await db.query<{ id: string; title: string; events: number; open: number }>(
    `SELECT a.id, a.title, (SELECT count(*)::int FROM events e WHERE e.object_type = 'alert' AND e.object_name = a.id) AS events,
            (SELECT count(*)::int FROM alert_deliveries d WHERE d.alert_seq = a.seq AND d.delivered_at IS NULL) AS open FROM alerts a`);
  report.alerts = rows.length;
  for (const row of rows) {
    if (row.events !== 1) report.wrong.push(`alert '${row.title}' is ${row.events} times in the audit trail`);
    if (row.open > 0) report.wrong.push(`alert '${row.title}' was not delivered to ${row.open} plugins`);
  }
}

/** Every slot from the first to the last was decided once, and every firing is one task. */
async function auditCron({ db }: SoakSystem, cron: (typeof crons)[number], report: LedgerReport): Promise<void> {
  const { rows } = await db.query<{ slot_at: Date; outcome: string; task_id: number | null }>('SELECT slot_at, outcome, task_id::int FROM schedule_slots WHERE schedule = $1 ORDER BY slot_at', [cron.command]);
  const [first, last] = [rows[0]?.slot_at.getTime() ?? 0, rows.at(-1)?.slot_at.getTime() ?? 0];
  const expected: number[] = [];
  for (let at = Math.floor(first / 60_000) * 60_000; at <= last; at += 1_000) if (at >= first && new Date(at).getUTCSeconds() % cron.everyS === 0) expected.push(at);
  const decided = new Set(rows.map((row) => row.slot_at.getTime()));
  for (const at of expected) if (!decided.has(at)) report.wrong.push(`${cron.command}: nothing is recorded of its slot ${new Date(at).toISOString()}`);
  if (rows.length !== expected.length) report.wrong.push(`${cron.command}: ${rows.length} slots recorded, ${expected.length} expected`);
  const fired = rows.filter((row) => row.outcome === 'fired');
  report.firings += fired.length;
  const tasks = new Set(fired.map((row) => row.task_id));
  if (tasks.size !== fired.length || tasks.has(null)) report.wrong.push(`${cron.command}: ${fired.length} firings, ${tasks.size} tasks`);
}
