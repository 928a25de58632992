import { sql, type SQL } from 'drizzle-orm';
import type { Db } from '../../db/client';
import type { IncidentKind } from '../../db/schema/health';
import type { TaskState } from '../tasks/task';

/** Reads of the health monitor's records for people. */

const array = (values: readonly string[]) => sql`${sql.param([...values])}::text[]`;

export interface IncidentFilter {
  /** Only incidents of these teams' deployments; undefined: all. */
  teams?: readonly string[] | undefined;
  /** Open ones, or those that have ended. */
  open: boolean;
  deployment?: string | undefined;
  agentId?: string | undefined;
  /** For the next page: the smallest id seen. */
  beforeId?: number | undefined;
  limit: number;
}

export interface IncidentRow {
  id: number;
  kind: IncidentKind;
  subject: string;
  deployment: string | undefined;
  group: string | undefined;
  instanceUuid: string | undefined;
  index: number | undefined;
  agentId: string | undefined;
  openedAt: Date;
  endedAt: Date | undefined;
  endReason: string | undefined;
  scans: number;
  /** Newest scan-and-fix task for it. */
  scanTask: { id: number; state: TaskState } | undefined;
}

interface IncidentSql extends Record<string, unknown> {
  id: number;
  kind: IncidentKind;
  subject: string;
  deployment: string | null;
  job: string | null;
  instance_id: string | null;
  index: number | null;
  agent_id: string | null;
  opened_at: string;
  ended_at: string | null;
  end_reason: string | null;
  scans: number;
  task_id: number | null;
  task_state: TaskState | null;
}

/** Incidents, the newest first. */
export async function listIncidents(db: Db, filter: IncidentFilter): Promise<IncidentRow[]> {
  const conditions: SQL[] = [
    filter.open ? sql`i.ended_at IS NULL` : sql`i.ended_at IS NOT NULL`,
    ...(filter.teams ? [sql`i.deployment IN (SELECT name FROM deployments WHERE teams && ${array(filter.teams)})`] : []),
    ...(filter.deployment === undefined ? [] : [sql`i.deployment = ${filter.deployment}`]),
    ...(filter.agentId === undefined ? [] : [sql`i.agent_id = ${filter.agentId}`]),
    ...(filter.beforeId === undefined ? [] : [sql`i.id < ${filter.beforeId}`]),
  ];
  const { rows } = await db.execute<IncidentSql>(sql`
    SELECT i.*, n.index, t.id AS task_id, t.state AS task_state FROM incidents i
    LEFT JOIN instances n ON n.uuid = CASE WHEN i.instance_id ~ '^[0-9a-f-]{36}$' THEN i.instance_id::uuid END LEFT JOIN tasks t ON t.id = i.scan_task_id
    WHERE ${sql.join(conditions, sql` AND `)} ORDER BY i.id DESC LIMIT ${filter.limit}`);
  return rows.map((row) => ({
    id: row.id, kind: row.kind, subject: row.subject, deployment: row.deployment ?? undefined, group: row.job ?? undefined, instanceUuid: row.instance_id ?? undefined, index: row.index ?? undefined,
    agentId: row.agent_id ?? undefined, openedAt: new Date(row.opened_at), endedAt: row.ended_at === null ? undefined : new Date(row.ended_at), endReason: row.end_reason ?? undefined, scans: row.scans,
    scanTask: row.task_id === null || row.task_state === null ? undefined : { id: row.task_id, state: row.task_state },
  }));
}

/** Numbers of open incidents by deployment (undefined: of no deployment) and kind. */
export async function countOpenIncidents(db: Db): Promise<{ deployment: string | undefined; kind: IncidentKind; count: number; since: Date }[]> {
  const { rows } = await db.execute<{ deployment: string | null; kind: IncidentKind; count: number; since: string }>(sql`
    SELECT deployment, kind, count(*)::int AS count, min(opened_at) AS since FROM incidents WHERE ended_at IS NULL GROUP BY deployment, kind ORDER BY deployment, kind`);
  return rows.map((row) => ({ deployment: row.deployment ?? undefined, kind: row.kind, count: row.count, since: new Date(row.since) }));
}

/** The NATS server that each agent was last connected to, by agent id. */
export async function listAgentPaths(db: Db): Promise<Map<string, { server: string; since: Date }>> {
  const { rows } = await db.execute<{ agent_id: string; server_name: string; since: string }>(sql`SELECT agent_id, server_name, since FROM agent_paths`);
  return new Map(rows.map((row) => [row.agent_id, { server: row.server_name, since: new Date(row.since) }]));
}

/** Means over one slot. */
export interface VitalsSlot {
  at: Date;
  samples: number;
  /** In the order of `vitalNames`; NaN where the agent did not say. */
  values: number[];
}

/** The kept vitals of an instance of the last `hours`, oldest first; slots in which nothing was heard are absent. */
export async function listVitals(db: Db, instanceUuid: string, hours: number): Promise<{ now: Date; slots: VitalsSlot[] }> {
  const { rows } = await db.execute<{ now: string; at: string | null; samples: number | null; values: (number | string)[] | null }>(sql`
    SELECT now() AS now, v.at, v.samples, v."values" FROM (SELECT 1) one
    LEFT JOIN instance_vitals v ON v.instance_id = (SELECT id FROM instances WHERE uuid = ${instanceUuid}::uuid) AND v.at > now() - make_interval(hours => ${hours})
    ORDER BY v.at`);
  const slots = rows.flatMap((row) => (row.at === null || row.samples === null || row.values === null ? [] : [{ at: new Date(row.at), samples: row.samples, values: row.values.map(Number) }]));
  return { now: new Date(rows[0]?.now ?? Date.now()), slots };
}
