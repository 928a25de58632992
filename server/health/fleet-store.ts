import { sql } from 'drizzle-orm';
import type { Db } from '../../db/client';
import type { AgentRecord, FleetRecords, MissingVm } from './fleet';

/** The records that the warm state mirrors. */
export interface ReadFleet extends FleetRecords {
  /** The database's clock, epoch ms. */
  now: number;
  /** Names of NATS servers by `host:port`, as those say who keep their users. */
  serverNames: ReadonlyMap<string, string>;
}

interface AgentRow extends Record<string, unknown> {
  agent_id: string;
  deployment: string;
  instance_id: number;
  uuid: string;
  job: string;
  index: number;
  az: string | null;
  cid: string;
  compilation: boolean;
  server_name: string | null;
  path_age_ms: number | null;
}

/** Reads all of it; `monotonic` is this process' clock, in which ages become times. */
export async function readFleet(db: Db, monotonic: () => number): Promise<ReadFleet> {
  const { rows: deployments } = await db.execute<{ name: string; teams: string[]; now: number }>(sql`
    SELECT name, teams, extract(epoch FROM now())::float8 * 1000 AS now FROM deployments`);
  const { rows: agents } = await db.execute<AgentRow>(sql`
    SELECT v.agent_id, d.name AS deployment, i.id AS instance_id, i.uuid, i.job, i.index, i.az, v.cid, i.compilation, p.server_name,
      (extract(epoch FROM now() - p.since) * 1000)::float8 AS path_age_ms
    FROM vms v JOIN instances i ON i.id = v.instance_id JOIN deployments d ON d.id = i.deployment_id LEFT JOIN agent_paths p ON p.agent_id = v.agent_id::text
    WHERE v.active AND v.cid IS NOT NULL`);
  const readAt = monotonic();
  const { rows: others } = await db.execute<{ agent_id: string }>(sql`
    SELECT agent_id FROM vms WHERE NOT active OR cid IS NULL OR instance_id IS NULL UNION SELECT agent_id FROM orphaned_vms`);
  const { rows: servers } = await db.execute<{ server_name: string; address: string }>(sql`SELECT server_name, address FROM nats_auth_appliers`);
  return {
    now: deployments[0]?.now ?? (await readClock(db)),
    deployments: new Map(deployments.map(({ name, teams }) => [name, { teams }])),
    agents: agents.map((row) => toAgent(row, readAt)),
    missing: await listMissingVms(db),
    others: new Set(others.map((row) => row.agent_id)),
    serverNames: new Map(servers.map((row) => [row.address.replace(/^nats:\/\//, ''), row.server_name])),
  };
}

function toAgent(row: AgentRow, readAt: number): AgentRecord {
  return {
    agentId: row.agent_id, deployment: row.deployment, group: row.job, index: row.index, instanceId: row.instance_id, instanceUuid: row.uuid, az: row.az ?? undefined, cid: row.cid,
    compilation: row.compilation, path: row.server_name ?? undefined, pathSince: row.path_age_ms === null ? Number.NEGATIVE_INFINITY : readAt - row.path_age_ms,
  };
}

async function readClock(db: Db): Promise<number> {
  const { rows } = await db.execute<{ now: number }>(sql`SELECT extract(epoch FROM now())::float8 * 1000 AS now`);
  return rows[0]?.now ?? Date.now();
}

/**
 * Instances `i` that should have a VM: services that were deployed once and are not detached. To be asked of few instances only: it
 * reads the whole spec of each.
 */
export const expectsVm = sql`(NOT i.compilation AND i.state IN ('started', 'stopped') AND i.spec IS NOT NULL AND COALESCE(i.spec->>'lifecycle', 'service') = 'service')`;

async function listMissingVms(db: Db): Promise<MissingVm[]> {
  const { rows } = await db.execute<{ deployment: string; job: string; index: number; uuid: string }>(sql`
    WITH i AS MATERIALIZED (
      SELECT i.deployment_id, i.job, i.index, i.uuid, i.state, i.compilation, i.spec FROM instances i
      WHERE NOT EXISTS (SELECT FROM vms v WHERE v.instance_id = i.id AND v.active AND v.cid IS NOT NULL))
    SELECT d.name AS deployment, i.job, i.index, i.uuid FROM i JOIN deployments d ON d.id = i.deployment_id WHERE ${expectsVm}`);
  return rows.map((row) => ({ deployment: row.deployment, group: row.job, index: row.index, instanceUuid: row.uuid }));
}
