import { inArray, sql } from 'drizzle-orm';
import type { Db, Tx } from '../../db/client';
import { alerts } from '../../db/schema/health';
import type { Alert } from './alert';

/**
 * Alerts on their way to plugins: a row per alert and plugin. Whoever calls a plugin claims the row first, so that nobody else does while
 * the call may last; after that time it is anybody's again. Times are the database's.
 */

/** Alerts that get their deliveries in one go. */
const dispatchBatch = 500;
/** Of so many of the oldest alerts those are removed that may be. */
const removedAtOnce = 2_000;
/** Of so many of the newest alerts it is counted what became of them. */
const counted = 10_000;

/** What there is to do: whether alerts without deliveries wait, and plugins with deliveries that are due. */
export async function findWork(db: Db): Promise<{ undispatched: boolean; due: string[] }> {
  const { rows } = await db.execute<{ undispatched: boolean; due: string[] }>(sql`
    SELECT EXISTS (SELECT FROM alerts WHERE NOT dispatched) AS undispatched,
      ARRAY(SELECT DISTINCT plugin FROM alert_deliveries WHERE delivered_at IS NULL AND given_up_at IS NULL AND next_attempt_at <= now()) AS due`);
  return rows[0] ?? { undispatched: false, due: [] };
}

/** Makes deliveries to these plugins for the oldest alerts that have none; returns of how many alerts. */
export async function dispatchAlerts(tx: Tx, plugins: readonly string[]): Promise<number> {
  const { rows } = await tx.execute<{ alerts: number }>(sql`
    WITH taken AS (
      UPDATE alerts SET dispatched = true WHERE seq IN (SELECT seq FROM alerts WHERE NOT dispatched ORDER BY seq LIMIT ${dispatchBatch}) RETURNING seq
    ), made AS (
      INSERT INTO alert_deliveries (alert_seq, plugin) SELECT seq, plugin FROM taken CROSS JOIN unnest(${sql.param([...plugins])}::text[]) AS p(plugin) ON CONFLICT DO NOTHING
    )
    SELECT count(*)::int AS alerts FROM taken`);
  return rows[0]?.alerts ?? 0;
}

/** Deliveries to one plugin that are one caller's for a while. */
export interface Claim {
  plugin: string;
  /** In the order of their storing; never empty. */
  alerts: Alert[];
  /** Until when it lasts; no other claim to these has the same. */
  until: string;
}

/**
 * Claims the oldest deliveries that are due, for `claimMs`. At most `batch`; fewer at each repetition of what failed before, down to
 * one, so that an alert that can never be delivered is found alone in the end.
 */
export async function claimDue(tx: Tx, plugin: string, { batch, claimMs }: { batch: number; claimMs: number }): Promise<Claim | undefined> {
  const { rows } = await tx.execute<{ alert_seq: number; until: string }>(sql`
    WITH open AS MATERIALIZED (
      SELECT alert_seq, attempts FROM alert_deliveries
      WHERE plugin = ${plugin} AND delivered_at IS NULL AND given_up_at IS NULL AND next_attempt_at <= now() ORDER BY alert_seq LIMIT ${batch}
    ), due AS (
      SELECT alert_seq FROM open ORDER BY alert_seq LIMIT (SELECT greatest(1, ${batch}::int >> (attempts % 8)) FROM open ORDER BY alert_seq LIMIT 1)
    )
    UPDATE alert_deliveries d SET next_attempt_at = now() + make_interval(secs => ${claimMs / 1_000}) FROM due
    WHERE d.plugin = ${plugin} AND d.alert_seq = due.alert_seq AND d.delivered_at IS NULL AND d.given_up_at IS NULL
    RETURNING d.alert_seq, d.next_attempt_at::text AS until`);
  const until = rows[0]?.until;
  if (until === undefined) return undefined;
  const found = await tx.select().from(alerts).where(inArray(alerts.seq, rows.map((row) => row.alert_seq))).orderBy(alerts.seq);
  return { plugin, alerts: found.map(toAlert), until };
}

/** Notes that they arrived; returns the `seq` of those of which it was not noted yet. It is a fact, whoever holds the claim by now. */
export async function markDelivered(db: Db, plugin: string, seqs: readonly number[]): Promise<number[]> {
  const { rows } = await db.execute<{ alert_seq: number }>(sql`
    UPDATE alert_deliveries SET delivered_at = now(), attempts = attempts + 1, error = NULL
    WHERE plugin = ${plugin} AND alert_seq = ANY(${sql.param([...seqs])}::bigint[]) AND delivered_at IS NULL RETURNING alert_seq`);
  return rows.map((row) => row.alert_seq);
}

export interface Retry {
  /** Delay after the first failure, doubled after each further one, ms; the real one is between its half and itself. */
  firstMs: number;
  longestMs: number;
  /** An alert that was stored longer ago is not tried again, ms. */
  giveUpMs: number;
}

/** Notes a failed attempt, unless the claim was lost; returns how many were given up with it. */
export async function markFailed(db: Db, claim: Claim, { error, retry }: { error: string; retry: Retry }): Promise<number> {
  const { rows } = await db.execute<{ given_up: boolean }>(sql`
    UPDATE alert_deliveries d SET attempts = d.attempts + 1, error = ${error.slice(0, 2_000)},
      next_attempt_at = now() + make_interval(secs => least(${retry.longestMs / 1_000}::float8, ${retry.firstMs / 1_000}::float8 * 2 ^ least(d.attempts, 30)) * (0.5 + random() / 2)),
      given_up_at = CASE WHEN a.stored_at < now() - make_interval(secs => ${retry.giveUpMs / 1_000}) THEN now() END
    FROM alerts a WHERE a.seq = d.alert_seq AND ${ofClaim(claim)} RETURNING d.given_up_at IS NOT NULL AS given_up`);
  return rows.filter((row) => row.given_up).length;
}

/** Gives a claim back, unless it was lost: no attempt was made. */
export async function releaseClaim(db: Db, claim: Claim): Promise<void> {
  await db.execute(sql`UPDATE alert_deliveries d SET next_attempt_at = now() WHERE ${ofClaim(claim)}`);
}

function ofClaim(claim: Claim) {
  return sql`d.plugin = ${claim.plugin} AND d.alert_seq = ANY(${sql.param(claim.alerts.map((alert) => alert.seq))}::bigint[]) AND d.next_attempt_at = ${claim.until}::timestamptz AND d.delivered_at IS NULL AND d.given_up_at IS NULL`;
}

/**
 * Gives up deliveries to plugins that are not configured any more, as late as others are, and removes alerts stored longer ago than
 * `keepMs` of which nothing is left to do, with their deliveries.
 */
export async function tidyDeliveries(tx: Tx, { plugins, giveUpMs, keepMs }: { plugins: readonly string[]; giveUpMs: number; keepMs: number }): Promise<void> {
  await tx.execute(sql`
    UPDATE alert_deliveries d SET given_up_at = now(), error = 'the plugin is not configured' FROM alerts a
    WHERE a.seq = d.alert_seq AND d.delivered_at IS NULL AND d.given_up_at IS NULL AND d.plugin <> ALL(${sql.param([...plugins])}::text[])
      AND a.stored_at < now() - make_interval(secs => ${giveUpMs / 1_000})`);
  await tx.execute(sql`
    DELETE FROM alerts WHERE seq IN (
      SELECT seq FROM (SELECT * FROM alerts ORDER BY seq LIMIT ${removedAtOnce}) a WHERE a.dispatched AND a.stored_at < now() - make_interval(secs => ${keepMs / 1_000})
        AND NOT EXISTS (SELECT FROM alert_deliveries d WHERE d.alert_seq = a.seq AND d.delivered_at IS NULL AND d.given_up_at IS NULL))`);
}

/** How deliveries to a plugin stand. */
export interface DeliveryState {
  plugin: string;
  /** Neither delivered nor given up. */
  pending: number;
  /** Of the pending ones, those that failed at least once. */
  failing: number;
  /** Age of the oldest pending alert, ms; 0 when there is none. */
  oldestMs: number;
  /** Of the newest 10,000 alerts. */
  delivered: number;
  /** Likewise. */
  givenUp: number;
  /** Why an attempt failed, of the oldest pending alert that has one. */
  error: string | undefined;
}

/** Every plugin that has pending deliveries or had one of the newest alerts, by name. */
export async function listDeliveryStates(db: Db): Promise<DeliveryState[]> {
  const { rows } = await db.execute<{ plugin: string; pending: number; failing: number; oldest_ms: number; delivered: number; given_up: number; error: string | null }>(sql`
    WITH settled AS (
      SELECT plugin, count(delivered_at)::int AS delivered, count(*) FILTER (WHERE delivered_at IS NULL AND given_up_at IS NOT NULL)::int AS given_up
      FROM alert_deliveries WHERE alert_seq > (SELECT max(seq) - ${counted}::bigint FROM alerts) GROUP BY plugin
    ), open AS (
      SELECT d.plugin, count(*)::int AS pending, count(*) FILTER (WHERE d.attempts > 0)::int AS failing, (EXTRACT(EPOCH FROM now() - min(a.stored_at)) * 1000)::float8 AS oldest_ms,
        (array_agg(d.error ORDER BY d.alert_seq) FILTER (WHERE d.error IS NOT NULL))[1] AS error
      FROM alert_deliveries d JOIN alerts a ON a.seq = d.alert_seq WHERE d.delivered_at IS NULL AND d.given_up_at IS NULL GROUP BY d.plugin
    )
    SELECT plugin, COALESCE(pending, 0) AS pending, COALESCE(failing, 0) AS failing, COALESCE(oldest_ms, 0) AS oldest_ms, COALESCE(delivered, 0) AS delivered, COALESCE(given_up, 0) AS given_up, error
    FROM settled FULL JOIN open USING (plugin) ORDER BY plugin`);
  return rows.map((row) => ({ plugin: row.plugin, pending: row.pending, failing: row.failing, oldestMs: Math.max(0, Math.round(row.oldest_ms)), delivered: row.delivered, givenUp: row.given_up, error: row.error ?? undefined }));
}

function toAlert(row: typeof alerts.$inferSelect): Alert {
  return {
    seq: row.seq, id: row.id, dedupKey: row.dedupKey, origin: row.origin, category: row.category ?? undefined, severity: row.severity, title: row.title, summary: row.summary, source: row.source,
    deployment: row.deployment ?? undefined, job: row.job ?? undefined, instanceId: row.instanceId ?? undefined, agentId: row.agentId ?? undefined, incidentId: row.incidentId ?? undefined,
    jobsToInstanceIds: row.jobsToInstanceIds ?? undefined, createdAt: row.createdAt.getTime() / 1_000, storedAt: row.storedAt,
  };
}
