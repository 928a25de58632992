import { sql } from 'drizzle-orm';
import type { Db } from '../../db/client';

/** Reads of the console about monitoring that span several nouns. */

const array = (values: readonly string[]) => sql`${sql.param([...values])}::text[]`;

/** Names and teams of deployments, by name; of these teams only, unless undefined. */
export async function listDeploymentTeams(db: Db, teams: readonly string[] | undefined): Promise<{ name: string; teams: string[] }[]> {
  const where = teams ? sql`WHERE teams && ${array(teams)}` : sql``;
  return (await db.execute<{ name: string; teams: string[] }>(sql`SELECT name, teams FROM deployments ${where} ORDER BY name`)).rows;
}

/** Whose an instance is, and the agent of its VM. */
export async function findInstanceOwner(db: Db, uuid: string): Promise<{ deployment: string; teams: string[]; agentId: string | undefined } | undefined> {
  const { rows } = await db.execute<{ deployment: string; teams: string[]; agent_id: string | null }>(sql`
    SELECT d.name AS deployment, d.teams, (SELECT v.agent_id FROM vms v WHERE v.instance_id = i.id AND v.active ORDER BY v.id DESC LIMIT 1) AS agent_id
    FROM instances i JOIN deployments d ON d.id = i.deployment_id WHERE i.uuid = ${uuid}::uuid`);
  return rows[0] && { deployment: rows[0].deployment, teams: rows[0].teams, agentId: rows[0].agent_id ?? undefined };
}

/** What went wrong in telling people, in the schedule and in moves of the bus, lately. */
export interface MonitoringTrouble {
  /** Plugins that gave alerts up in the last day or fail to deliver now. */
  plugins: { plugin: string; givenUp: number; waiting: number; error: string | undefined }[];
  /** Entries of the schedule with slots of the last day that nobody was there for, and of which no later one fired. */
  missed: { schedule: string; slots: number; lastAt: Date }[];
  /** Moves of the bus that have gone on for longer than 5 minutes. */
  moves: { id: number; pending: number; error: string | undefined }[];
}

export async function findMonitoringTrouble(db: Db): Promise<MonitoringTrouble> {
  const { rows: plugins } = await db.execute<{ plugin: string; given_up: number; waiting: number; error: string | null }>(sql`
    SELECT plugin, count(*) FILTER (WHERE given_up_at IS NOT NULL)::int AS given_up, count(*) FILTER (WHERE given_up_at IS NULL)::int AS waiting,
      (array_agg(error ORDER BY alert_seq DESC) FILTER (WHERE error IS NOT NULL))[1] AS error
    FROM alert_deliveries WHERE delivered_at IS NULL AND (given_up_at > now() - interval '1 day' OR (given_up_at IS NULL AND attempts > 2))
    GROUP BY plugin ORDER BY plugin`);
  const { rows: missed } = await db.execute<{ schedule: string; slots: number; last_at: string }>(sql`
    SELECT s.schedule, count(*)::int AS slots, max(s.slot_at) AS last_at FROM schedule_slots s
    WHERE s.outcome = 'missed' AND s.decided_at > now() - interval '1 day'
      AND NOT EXISTS (SELECT 1 FROM schedule_slots n WHERE n.schedule = s.schedule AND n.slot_at > s.slot_at AND n.outcome IN ('fired', 'no work'))
    GROUP BY s.schedule ORDER BY s.schedule`);
  const { rows: moves } = await db.execute<{ id: number; pending: number; error: string | null }>(sql`
    SELECT m.id, count(a.agent_id)::int AS pending, (array_agg(a.error) FILTER (WHERE a.error IS NOT NULL))[1] AS error
    FROM bus_moves m JOIN bus_move_agents a ON a.move_id = m.id AND a.state = 'pending'
    WHERE m.finished_at IS NULL AND m.superseded_by IS NULL AND m.created_at < now() - interval '5 minutes' GROUP BY m.id ORDER BY m.id`);
  return {
    plugins: plugins.map((row) => ({ plugin: row.plugin, givenUp: row.given_up, waiting: row.waiting, error: row.error ?? undefined })),
    missed: missed.map((row) => ({ schedule: row.schedule, slots: row.slots, lastAt: new Date(row.last_at) })),
    moves: moves.map((row) => ({ id: row.id, pending: row.pending, error: row.error ?? undefined })),
  };
}

/** The newest version of the DNS records that each agent has confirmed, by agent id. */
export async function listAgentDnsVersions(db: Db): Promise<Map<string, number>> {
  const { rows } = await db.execute<{ agent_id: string; dns_version: number }>(sql`SELECT agent_id, dns_version FROM agent_dns_versions`);
  return new Map(rows.map((row) => [row.agent_id, row.dns_version]));
}

/** VMs by AZ, and the NATS servers that moves have given to an AZ, or (undefined) to all. */
export async function listBusTargets(db: Db): Promise<{ azs: { az: string | undefined; vms: number }[]; targets: { az: string | undefined; urls: string[]; moveId: number }[] }> {
  const [azs, targets] = await Promise.all([
    db.execute<{ az: string | null; vms: number }>(sql`SELECT az, count(*)::int AS vms FROM vms GROUP BY az ORDER BY az NULLS LAST`),
    db.execute<{ az: string; urls: string[]; move_id: number }>(sql`SELECT az, urls, move_id FROM bus_targets ORDER BY az`),
  ]);
  return {
    azs: azs.rows.map((row) => ({ az: row.az ?? undefined, vms: row.vms })),
    targets: targets.rows.map((row) => ({ az: row.az === '' ? undefined : row.az, urls: row.urls, moveId: row.move_id })),
  };
}
