import { sql, type SQL } from 'drizzle-orm';
import type { Db } from '../../db/client';
import type { Alert, AlertCategory } from './alert';

/** Reads of stored alerts for people: pages of them, and how one came to its plugins. */

export interface AlertFilter {
  /** Only alerts of these teams' deployments; undefined: all. */
  teams?: readonly string[] | undefined;
  deployment?: string | undefined;
  severities?: readonly number[] | undefined;
  origins?: readonly Alert['origin'][] | undefined;
  /** A part of title, summary or source, in any case. */
  text?: string | undefined;
  /** For the next page: the smallest `seq` seen. */
  beforeSeq?: number | undefined;
  limit: number;
}

/** How far an alert has come: numbers of plugins. */
export interface DeliveryCounts {
  delivered: number;
  waiting: number;
  givenUp: number;
}

export interface AlertRow extends Alert {
  /** False until its deliveries exist. */
  dispatched: boolean;
  deliveries: DeliveryCounts;
}

interface AlertSql extends Record<string, unknown> {
  seq: number;
  id: string;
  dedup_key: string;
  origin: Alert['origin'];
  category: AlertCategory | null;
  severity: number;
  title: string;
  summary: string;
  source: string;
  deployment: string | null;
  job: string | null;
  instance_id: string | null;
  agent_id: string | null;
  incident_id: number | null;
  jobs_to_instance_ids: Record<string, string[]> | null;
  created_at: string;
  stored_at: string;
  dispatched: boolean;
  delivered: number;
  waiting: number;
  given_up: number;
}

const array = (values: readonly string[]) => sql`${sql.param([...values])}::text[]`;
const ofTeams = (teams: readonly string[] | undefined): SQL[] => (teams ? [sql`a.deployment IN (SELECT name FROM deployments WHERE teams && ${array(teams)})`] : []);

/** One page of alerts, newest first. */
export async function listAlerts(db: Db, filter: AlertFilter): Promise<AlertRow[]> {
  const pattern = `%${(filter.text ?? '').replace(/[\\%_]/g, (char) => `\\${char}`)}%`;
  return select(db, filter.limit, [
    ...ofTeams(filter.teams),
    ...(filter.deployment === undefined ? [] : [sql`a.deployment = ${filter.deployment}`]),
    ...(filter.severities ? [sql`a.severity = ANY(${sql.param([...filter.severities])}::int[])`] : []),
    ...(filter.origins ? [sql`a.origin = ANY(${array(filter.origins)})`] : []),
    ...(filter.text ? [sql`(a.title ILIKE ${pattern} OR a.summary ILIKE ${pattern} OR a.source ILIKE ${pattern})`] : []),
    ...(filter.beforeSeq === undefined ? [] : [sql`a.seq < ${filter.beforeSeq}`]),
  ]);
}

/** One alert, unless it is not of these teams' deployments. */
export async function findAlert(db: Db, seq: number, teams?: readonly string[]): Promise<AlertRow | undefined> {
  return (await select(db, 1, [sql`a.seq = ${seq}`, ...ofTeams(teams)]))[0];
}

async function select(db: Db, limit: number, conditions: SQL[]): Promise<AlertRow[]> {
  const where = conditions.length > 0 ? sql`WHERE ${sql.join(conditions, sql` AND `)}` : sql``;
  const { rows } = await db.execute<AlertSql>(sql`
    SELECT a.*, d.delivered, d.waiting, d.given_up FROM (SELECT * FROM alerts a ${where} ORDER BY a.seq DESC LIMIT ${limit}) a
    LEFT JOIN LATERAL (
      SELECT count(*) FILTER (WHERE delivered_at IS NOT NULL)::int AS delivered, count(*) FILTER (WHERE delivered_at IS NULL AND given_up_at IS NULL)::int AS waiting,
        count(*) FILTER (WHERE delivered_at IS NULL AND given_up_at IS NOT NULL)::int AS given_up
      FROM alert_deliveries WHERE alert_seq = a.seq) d ON true
    ORDER BY a.seq DESC`);
  return rows.map((row) => ({
    seq: row.seq, id: row.id, dedupKey: row.dedup_key, origin: row.origin, category: row.category ?? undefined, severity: row.severity, title: row.title, summary: row.summary, source: row.source,
    deployment: row.deployment ?? undefined, job: row.job ?? undefined, instanceId: row.instance_id ?? undefined, agentId: row.agent_id ?? undefined, incidentId: row.incident_id ?? undefined,
    jobsToInstanceIds: row.jobs_to_instance_ids ?? undefined, createdAt: new Date(row.created_at).getTime() / 1_000, storedAt: new Date(row.stored_at), dispatched: row.dispatched,
    deliveries: { delivered: row.delivered, waiting: row.waiting, givenUp: row.given_up },
  }));
}

/** An alert on its way to one plugin. */
export interface AlertDelivery {
  plugin: string;
  attempts: number;
  state: 'delivered' | 'waiting' | 'given up';
  /** When it was delivered or given up, or when it is tried next. */
  at: Date;
  /** Why the last attempt failed. */
  error: string | undefined;
}

/** Every delivery of an alert, by plugin. */
export async function listDeliveriesOf(db: Db, seq: number): Promise<AlertDelivery[]> {
  const { rows } = await db.execute<{ plugin: string; attempts: number; state: AlertDelivery['state']; at: string; error: string | null }>(sql`
    SELECT plugin, attempts, CASE WHEN delivered_at IS NOT NULL THEN 'delivered' WHEN given_up_at IS NOT NULL THEN 'given up' ELSE 'waiting' END AS state,
      COALESCE(delivered_at, given_up_at, next_attempt_at) AS at, error
    FROM alert_deliveries WHERE alert_seq = ${seq} ORDER BY plugin`);
  return rows.map((row) => ({ plugin: row.plugin, attempts: row.attempts, state: row.state, at: new Date(row.at), error: row.error ?? undefined }));
}
