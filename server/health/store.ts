import { sql } from 'drizzle-orm';
import type { Db, Tx } from '../../db/client';
import { alerts, type IncidentKind } from '../../db/schema/health';
import type { NewAlert } from '../alerts/alert';
import { type DownInstance, downKinds, type StoredIncident } from './incident-alerts';
import type { Ending, Finding, OpenIncident } from './analysis';
import { expectsVm } from './fleet-store';

/** Incidents, alerts of many at a time, and counters. Times are the database's. */

const texts = (values: readonly (string | null)[]) => sql`${sql.param([...values])}::text[]`;
const numbers = (values: readonly number[]) => sql`${sql.param([...values])}::bigint[]`;

/** A running task holds the deployment's lock. `name` is an SQL expression. */
export const isLocked = (name: ReturnType<typeof sql>) => sql`EXISTS (
  SELECT FROM locks l JOIN tasks t ON t.id = l.task_id WHERE l.name = 'lock:deployment:' || ${name} AND t.state IN ('processing', 'cancelling'))`;

/** Names of deployments that a task is working on. */
export async function listLockedDeployments(db: Db): Promise<Set<string>> {
  const { rows } = await db.execute<{ name: string }>(sql`
    SELECT substr(l.name, 17) AS name FROM locks l JOIN tasks t ON t.id = l.task_id WHERE l.name LIKE 'lock:deployment:%' AND t.state IN ('processing', 'cancelling')`);
  return new Set(rows.map((row) => row.name));
}

export async function listOpenIncidents(db: Db): Promise<Omit<OpenIncident, 'knownAt'>[]> {
  const { rows } = await db.execute<{ id: number; kind: IncidentKind; subject: string }>(sql`SELECT id, kind, subject FROM incidents WHERE ended_at IS NULL`);
  return rows;
}

/** What the records say now of an agent that was found wanting. */
export interface AgentStanding {
  /** It is the agent of an instance's active VM, and no task works on the deployment. */
  judged: boolean;
  /** The NATS server that it was last connected to, and how long ago that began, ms. */
  path: string | undefined;
  pathAgeMs: number | undefined;
}

/** By agent id; agents without a VM are absent. */
export async function readStandings(tx: Tx, agentIds: readonly string[]): Promise<Map<string, AgentStanding>> {
  const { rows } = await tx.execute<{ agent_id: string; judged: boolean; server_name: string | null; age: number | null }>(sql`
    SELECT v.agent_id, NOT i.compilation AND NOT ${isLocked(sql`d.name`)} AS judged, p.server_name, (extract(epoch FROM now() - p.since) * 1000)::float8 AS age
    FROM vms v JOIN instances i ON i.id = v.instance_id JOIN deployments d ON d.id = i.deployment_id LEFT JOIN agent_paths p ON p.agent_id = v.agent_id::text
    WHERE v.agent_id = ANY(${sql.param([...agentIds])}::uuid[]) AND v.active AND v.cid IS NOT NULL`);
  return new Map(rows.map((row) => [row.agent_id, { judged: row.judged, path: row.server_name ?? undefined, pathAgeMs: row.age ?? undefined }]));
}

/** Of these instances those that should have a VM and have none, and whose deployment no task works on. */
export async function confirmMissing(tx: Tx, instanceUuids: readonly string[]): Promise<Set<string>> {
  const { rows } = await tx.execute<{ uuid: string }>(sql`
    WITH i AS MATERIALIZED (
      SELECT i.* FROM instances i
      WHERE i.uuid = ANY(${sql.param([...instanceUuids])}::uuid[]) AND NOT EXISTS (SELECT FROM vms v WHERE v.instance_id = i.id AND v.active AND v.cid IS NOT NULL))
    SELECT i.uuid FROM i JOIN deployments d ON d.id = i.deployment_id WHERE ${expectsVm} AND NOT ${isLocked(sql`d.name`)}`);
  return new Set(rows.map((row) => row.uuid));
}

/** Of these agents those that no record knows, neither as an instance's nor as one that is to be deleted. */
export async function confirmUnknown(tx: Tx, agentIds: readonly string[]): Promise<Set<string>> {
  const { rows } = await tx.execute<{ id: string }>(sql`
    SELECT id FROM unnest(${texts(agentIds)}) AS c(id)
    WHERE NOT EXISTS (SELECT FROM vms v WHERE v.agent_id::text = c.id) AND NOT EXISTS (SELECT FROM orphaned_vms o WHERE o.agent_id::text = c.id)`);
  return new Set(rows.map((row) => row.id));
}

/** Opens incidents; of those that are open already gives what is stored, so that a repeat of the transaction finds its own. */
export async function insertIncidents(tx: Tx, findings: readonly Finding[]): Promise<{ incidents: StoredIncident[]; opened: IncidentKind[] }> {
  const keys = sql`unnest(${texts(findings.map((one) => one.kind))}, ${texts(findings.map((one) => one.subject))}, ${texts(findings.map((one) => one.deployment ?? null))},
    ${texts(findings.map((one) => one.group ?? null))}, ${texts(findings.map((one) => one.instanceUuid ?? null))}, ${texts(findings.map((one) => one.agentId ?? null))})
    AS c(kind, subject, deployment, job, instance_id, agent_id)`;
  const { rows: opened } = await tx.execute<{ kind: IncidentKind }>(sql`
    INSERT INTO incidents (kind, subject, number, deployment, job, instance_id, agent_id)
    SELECT c.kind, c.subject, COALESCE((SELECT max(o.number) FROM incidents o WHERE o.kind = c.kind AND o.subject = c.subject), 0) + 1, c.deployment, c.job, c.instance_id, c.agent_id FROM ${keys}
    ON CONFLICT DO NOTHING RETURNING kind`);
  const { rows } = await tx.execute<{ id: number; kind: IncidentKind; subject: string; number: number; opened_at: number }>(sql`
    SELECT i.id, i.kind, i.subject, i.number, extract(epoch FROM i.opened_at)::float8 AS opened_at
    FROM ${keys} JOIN incidents i ON i.kind = c.kind AND i.subject = c.subject AND i.ended_at IS NULL ORDER BY i.id`);
  const found = new Map(findings.map((finding) => [`${finding.kind}:${finding.subject}`, finding]));
  return {
    incidents: rows.flatMap((row) => {
      const finding = found.get(`${row.kind}:${row.subject}`);
      return finding ? [{ ...finding, id: row.id, number: row.number, openedAt: row.opened_at }] : [];
    }),
    opened: opened.map((row) => row.kind),
  };
}

/** Instances of these deployments that are down now. */
export async function listDown(tx: Tx, deployments: readonly string[]): Promise<DownInstance[]> {
  const { rows } = await tx.execute<{ id: number; kind: DownInstance['kind']; deployment: string; job: string; instance_id: string }>(sql`
    SELECT id, kind, deployment, job, instance_id FROM incidents
    WHERE ended_at IS NULL AND deployment = ANY(${texts(deployments)}) AND kind = ANY(${texts(downKinds)}) AND job IS NOT NULL AND instance_id IS NOT NULL ORDER BY id`);
  return rows.map((row) => ({ incidentId: row.id, kind: row.kind, deployment: row.deployment, group: row.job, instanceUuid: row.instance_id }));
}

export async function endIncidents(tx: Tx, endings: readonly Ending[]): Promise<void> {
  await tx.execute(sql`
    UPDATE incidents i SET ended_at = now(), end_reason = c.reason
    FROM unnest(${numbers(endings.map((one) => one.id))}, ${texts(endings.map((one) => one.reason))}) AS c(id, reason) WHERE i.id = c.id AND i.ended_at IS NULL`);
}

/** Ends the incidents whose VM or instance is not what it was; returns the ids of all that go on. */
export async function endByRecords(tx: Tx): Promise<Set<number>> {
  await tx.execute(sql`
    WITH open AS MATERIALIZED (
      SELECT n.id, n.kind, i.id AS instance, i.state, i.compilation, CASE WHEN n.kind = 'missing_vm' THEN i.spec END AS spec,
        EXISTS (SELECT FROM vms v WHERE v.instance_id = i.id AND v.active AND v.cid IS NOT NULL AND (n.kind = 'missing_vm' OR v.agent_id::text = n.agent_id)) AS vm
      FROM incidents n LEFT JOIN instances i ON i.uuid = n.instance_id::uuid WHERE n.ended_at IS NULL AND n.kind = ANY(${texts(downKinds)})),
    over AS (
      SELECT i.id, CASE WHEN i.instance IS NULL THEN 'the instance is gone' WHEN i.kind = 'missing_vm' AND i.vm THEN 'the VM appeared'
        WHEN i.kind = 'missing_vm' AND NOT ${expectsVm} THEN 'no VM is expected any more' WHEN i.kind <> 'missing_vm' AND NOT i.vm THEN 'the VM is gone' END AS reason FROM open i)
    UPDATE incidents n SET ended_at = now(), end_reason = o.reason FROM over o WHERE n.id = o.id AND o.reason IS NOT NULL AND n.ended_at IS NULL`);
  const { rows } = await tx.execute<{ id: number }>(sql`SELECT id FROM incidents WHERE ended_at IS NULL`);
  return new Set(rows.map((row) => row.id));
}

/** Stores alerts, each once, and hints at them; the dedup keys of those that were new. */
export async function insertAlerts(tx: Tx, list: readonly NewAlert[]): Promise<Set<string>> {
  if (list.length === 0) return new Set();
  const rows = await tx
    .insert(alerts)
    .values(list.map(({ createdAt, ...rest }) => ({ ...rest, createdAt: new Date(createdAt * 1_000) })))
    .onConflictDoNothing({ target: alerts.dedupKey })
    .returning({ dedupKey: alerts.dedupKey });
  if (rows.length > 0) {
    await tx.execute(sql`SELECT pg_notify('alerts', '')`);
    await addToCounters(tx, { alerts_stored: rows.length });
  }
  return new Set(rows.map((row) => row.dedupKey));
}

/** Adds to counters that outlive whoever counts. */
export async function addToCounters(tx: Tx, increments: Record<string, number>): Promise<void> {
  const entries = Object.entries(increments).filter(([, by]) => by > 0).toSorted(([a], [b]) => (a < b ? -1 : 1));
  if (entries.length === 0) return;
  await tx.execute(sql`
    INSERT INTO health_counters AS h (name, value) SELECT * FROM unnest(${texts(entries.map(([name]) => name))}, ${numbers(entries.map(([, by]) => by))})
    ON CONFLICT (name) DO UPDATE SET value = h.value + excluded.value`);
}

/** Forgets incidents that ended long ago and of which no alert is left. */
export async function pruneIncidents(tx: Tx): Promise<void> {
  await tx.execute(sql`
    DELETE FROM incidents WHERE id IN (
      SELECT i.id FROM incidents i WHERE i.ended_at < now() - interval '30 days' AND NOT EXISTS (SELECT FROM alerts a WHERE a.incident_id = i.id) LIMIT 1000)`);
}
