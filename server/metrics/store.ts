import { drizzle } from 'drizzle-orm/node-postgres';
import { sql } from 'drizzle-orm';
import type pg from 'pg';
import type { Database, Db } from '../../db/client';
import * as schema from '../../db/schema';
import { timing } from '../cluster/timing';

/**
 * What the metrics say of the whole installation: one cheap statement each. Every node reads them for itself, so none may touch more
 * than what is live, recent or few: never the ended tasks, of which there may be 20 million. Ages are by the database clock, seconds.
 */

/** Queries on a connection of the metrics' own. Only reads; a statement ends after `statementMs`. */
export async function readingDatabase(client: pg.Client, statementMs: number): Promise<Database> {
  await client.query(`SET default_transaction_read_only = on; SET statement_timeout = ${Math.round(statementMs)}`);
  return drizzle(client, { schema });
}

/** Live tasks of one kind. */
export interface LiveTasks extends Record<string, unknown> {
  lane: string;
  type: string;
  state: string;
  /** A worker runs them; else they wait for one. */
  owned: boolean;
  count: number;
  /** Since the oldest was made (waiting ones) or first began (owned ones). */
  oldestSeconds: number;
}

/** Reads the two partial indexes of live tasks, `tasks_unowned` and `tasks_owned`. */
export async function countLiveTasks(db: Db): Promise<LiveTasks[]> {
  return (await db.execute<LiveTasks>(sql`
    SELECT lane, type, state, false AS owned, count(*)::int AS count, extract(epoch FROM now() - min(created_at))::float8 AS "oldestSeconds"
    FROM tasks WHERE owner IS NULL AND state IN ('queued', 'processing', 'cancelling') GROUP BY lane, type, state
    UNION ALL
    SELECT lane, type, state, true, count(*)::int, extract(epoch FROM now() - min(started_at))::float8
    FROM tasks WHERE owner IS NOT NULL AND state IN ('processing', 'cancelling') GROUP BY lane, type, state`)).rows;
}

/** Every type that has a task, live or ended: one look into the index `tasks_type` per type. */
export async function listTaskTypes(db: Db): Promise<string[]> {
  const found = (await db.execute<{ type: string }>(sql`
    WITH RECURSIVE types AS (
      (SELECT type FROM tasks ORDER BY type LIMIT 1)
      UNION ALL
      SELECT (SELECT t.type FROM tasks t WHERE t.type > types.type ORDER BY t.type LIMIT 1) FROM types WHERE types.type IS NOT NULL)
    SELECT type FROM types WHERE type IS NOT NULL`)).rows;
  return found.map(({ type }) => type);
}

export interface LeaseState extends Record<string, unknown> {
  component: string;
  held: boolean;
  paused: boolean;
  epoch: number;
  /** Null without a holder. */
  holder: string | null;
  /** The holder's name; null when there is none. */
  holderName: string | null;
  /** Null before the first holder. */
  acquiredSeconds: number | null;
  progressSeconds: number | null;
}

export async function listLeaseStates(db: Db): Promise<LeaseState[]> {
  return (await db.execute<LeaseState>(sql`
    SELECT l.name AS component, l.holder IS NOT NULL AND l.expires_at > now() AS held, l.paused, l.epoch, l.holder, n.name AS "holderName",
      extract(epoch FROM now() - l.acquired_at)::float8 AS "acquiredSeconds", extract(epoch FROM now() - l.last_progress_at)::float8 AS "progressSeconds"
    FROM leases l LEFT JOIN director_nodes n ON n.id = l.holder ORDER BY l.name`)).rows;
}

/** Nodes seen within the last hour, by state; one without beats is `lost`. */
export async function countNodes(db: Db): Promise<{ state: string; count: number }[]> {
  return (await db.execute<{ state: string; count: number }>(sql`
    SELECT CASE WHEN state <> 'stopped' AND heartbeat_at < now() - make_interval(secs => ${timing.nodeLostMs / 1_000}) THEN 'lost' ELSE state END AS state, count(*)::int AS count
    FROM director_nodes WHERE heartbeat_at > now() - interval '1 hour' GROUP BY 1`)).rows;
}

/** What each NATS server last reported of its users file; servers that reported nothing for a week are gone. */
export async function listNatsAppliers(db: Db): Promise<{ server: string; heartbeatSeconds: number; behind: number }[]> {
  return (await db.execute<{ server: string; heartbeatSeconds: number; behind: number }>(sql`
    SELECT a.server_name AS server, extract(epoch FROM now() - a.heartbeat_at)::float8 AS "heartbeatSeconds", greatest(r.revision - a.applied_revision, 0) AS behind
    FROM nats_auth_appliers a CROSS JOIN nats_users_revision r WHERE a.heartbeat_at > now() - interval '7 days' ORDER BY a.server_name`)).rows;
}

/** Reads the index `agent_paths_server`. */
export async function countAgentsByNatsServer(db: Db): Promise<{ server: string; count: number }[]> {
  return (await db.execute<{ server: string; count: number }>(sql`SELECT server_name AS server, count(*)::int AS count FROM agent_paths GROUP BY server_name ORDER BY server_name`)).rows;
}

/** How far back, in alerts, the numbers of alerts look. */
const newestAlerts = 10_000;

/** The `seq` after which alerts are recent: given as a number, it lets the planner see how few these are. */
export async function findRecentAlertSeq(db: Db): Promise<number> {
  return (await db.execute<{ seq: number }>(sql`SELECT COALESCE(max(seq), 0) - ${newestAlerts} AS seq FROM alerts`)).rows[0]?.seq ?? 0;
}

/** Alerts after `seq` that were stored within the last hour. */
export async function countRecentAlerts(db: Db, seq: number): Promise<{ severity: number; count: number }[]> {
  return (await db.execute<{ severity: number; count: number }>(sql`SELECT severity, count(*)::int AS count FROM alerts WHERE seq > ${seq} AND stored_at > now() - interval '1 hour' GROUP BY severity`)).rows;
}

/** Alerts whose deliveries do not exist yet; reads the index `alerts_undispatched`. */
export async function countUndispatchedAlerts(db: Db): Promise<number> {
  return (await db.execute<{ count: number }>(sql`SELECT count(*)::int AS count FROM alerts WHERE NOT dispatched`)).rows[0]?.count ?? 0;
}

export interface OpenDeliveries extends Record<string, unknown> {
  plugin: string;
  pending: number;
  /** Pending ones that failed at least once. */
  failing: number;
  /** Since the oldest pending alert was stored. */
  oldestSeconds: number;
}

/** Deliveries on their way, by plugin; reads the index `alert_deliveries_open`. */
export async function countOpenDeliveries(db: Db): Promise<OpenDeliveries[]> {
  return (await db.execute<OpenDeliveries>(sql`
    SELECT d.plugin, d.pending, d.failing, extract(epoch FROM now() - a.stored_at)::float8 AS "oldestSeconds"
    FROM (
      SELECT plugin, count(*)::int AS pending, (count(*) FILTER (WHERE attempts > 0))::int AS failing, min(alert_seq) AS first
      FROM alert_deliveries WHERE delivered_at IS NULL AND given_up_at IS NULL GROUP BY plugin) d
    JOIN alerts a ON a.seq = d.first ORDER BY d.plugin`)).rows;
}

/** Plugins of alerts after `seq`, and how many of these were given up within the last day. */
export async function countGivenUpDeliveries(db: Db, seq: number): Promise<{ plugin: string; count: number }[]> {
  return (await db.execute<{ plugin: string; count: number }>(sql`
    SELECT plugin, (count(*) FILTER (WHERE given_up_at > now() - interval '1 day'))::int AS count
    FROM alert_deliveries WHERE alert_seq > ${seq} GROUP BY plugin ORDER BY plugin`)).rows;
}

/** Open incidents; reads the index `incidents_one_open`. */
export async function countOpenIncidentsByKind(db: Db): Promise<{ kind: string; count: number }[]> {
  return (await db.execute<{ kind: string; count: number }>(sql`SELECT kind, count(*)::int AS count FROM incidents WHERE ended_at IS NULL GROUP BY kind`)).rows;
}

export async function listHealthCounters(db: Db): Promise<{ name: string; value: number }[]> {
  return (await db.execute<{ name: string; value: number }>(sql`SELECT name, value FROM health_counters ORDER BY name`)).rows;
}

export interface ScheduleState extends Record<string, unknown> {
  schedule: string;
  paused: boolean;
  /** How long the next slot has been due; 0 while it lies ahead. */
  overdueSeconds: number;
  /** Until the next slot, negative when it is overdue; null without one. */
  nextSeconds: number | null;
  /** Since the newest decided slot; null before the first. */
  lastSeconds: number | null;
  lastOutcome: string | null;
  /** State of the task that the slot made; null when it made none or the task is gone. */
  lastTaskState: string | null;
}

export async function listScheduleStates(db: Db): Promise<ScheduleState[]> {
  return (await db.execute<ScheduleState>(sql`
    SELECT s.name AS schedule, s.paused, CASE WHEN s.paused OR s.next_slot_at IS NULL THEN 0 ELSE greatest(extract(epoch FROM now() - s.next_slot_at), 0) END::float8 AS "overdueSeconds",
      extract(epoch FROM s.next_slot_at - now())::float8 AS "nextSeconds", extract(epoch FROM now() - last.slot_at)::float8 AS "lastSeconds",
      last.outcome AS "lastOutcome", t.state AS "lastTaskState"
    FROM schedules s
    LEFT JOIN LATERAL (SELECT slot_at, outcome, task_id FROM schedule_slots WHERE schedule = s.name ORDER BY slot_at DESC LIMIT 1) last ON true
    LEFT JOIN tasks t ON t.id = last.task_id ORDER BY s.position, s.name`)).rows;
}

/** Version of the DNS records that agents shall have (0: none published), and the agents that have not confirmed it. */
export async function readDnsState(db: Db): Promise<{ version: number; agentsBehind: number }> {
  const [found] = (await db.execute<{ version: number; agentsBehind: number }>(sql`
    WITH newest AS (SELECT COALESCE(max(id), 0) AS version FROM local_dns_blobs WHERE stored)
    SELECT newest.version, (
      SELECT count(*)::int FROM vms v JOIN instances i ON i.id = v.instance_id LEFT JOIN agent_dns_versions d ON d.agent_id = v.agent_id::text
      WHERE v.active AND v.cid IS NOT NULL AND NOT i.compilation AND COALESCE(d.dns_version, 0) < newest.version) AS "agentsBehind"
    FROM newest`)).rows;
  return found ?? { version: 0, agentsBehind: 0 };
}

/** Moves to other NATS servers that go on, and their agents that are not told yet; reads the index `bus_move_agents_pending`. */
export async function readBusMoves(db: Db): Promise<{ open: number; pendingAgents: number; failingAgents: number }> {
  const [found] = (await db.execute<{ open: number; pendingAgents: number; failingAgents: number }>(sql`
    SELECT (SELECT count(*)::int FROM bus_moves WHERE finished_at IS NULL AND superseded_by IS NULL) AS open, count(*)::int AS "pendingAgents", (count(*) FILTER (WHERE a.attempts > 0))::int AS "failingAgents"
    FROM bus_move_agents a JOIN bus_moves m ON m.id = a.move_id WHERE a.state = 'pending' AND m.superseded_by IS NULL`)).rows;
  return found ?? { open: 0, pendingAgents: 0, failingAgents: 0 };
}

export async function hasDeployConfig(db: Db): Promise<boolean> {
  return (await db.execute(sql`SELECT 1 FROM configs WHERE type = 'deploy' AND NOT deleted LIMIT 1`)).rows.length > 0;
}

/** Addresses in use that were not asked for by name, by network. */
export async function countDynamicAddresses(db: Db): Promise<{ network: string; count: number }[]> {
  return (await db.execute<{ network: string; count: number }>(sql`SELECT network_name AS network, count(*)::int AS count FROM ip_addresses WHERE NOT static GROUP BY network_name`)).rows;
}
