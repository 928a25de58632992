import { sql } from 'drizzle-orm';
import type { Db, Tx } from '../../db/client';
import { downKinds } from './incident-alerts';
import { expectsVm } from './fleet-store';
import type { DeploymentHistory } from './resurrection';
import { isLocked } from './store';
import { scanAndFixType } from '../problems/request';

/** What the resurrector reads and writes. */


/** An incident that goes on although its scan is done is scanned again so much later, s. */
const againAfterS = 60;
/** After a failed scan sooner at first, then in growing steps, s. */
const retryAfterS = 5;

const kinds = sql`${sql.param([...downKinds])}::text[]`;
const active = sql`('queued', 'processing', 'cancelling')`;

/** Open incident `n` with its newest scan `t` (may be null), whose instance is `i`: somebody should look at its VM. */
const isDue = sql`(n.ended_at IS NULL AND n.kind = ANY(${kinds}) AND NOT i.ignore AND (t.id IS NULL OR (t.state NOT IN ${active}
  AND COALESCE(t.finished_at, t.created_at) < now() - make_interval(secs => CASE WHEN t.state = 'done' THEN ${againAfterS} ELSE least(${againAfterS}, ${retryAfterS} * 2 ^ least(n.scans - 1, 10)) END))))`;

/** Deployments with something to scan that nothing is working on, by name. */
export async function listDueDeployments(db: Db): Promise<string[]> {
  const { rows } = await db.execute<{ deployment: string }>(sql`
    SELECT DISTINCT n.deployment FROM incidents n JOIN instances i ON i.uuid = n.instance_id::uuid LEFT JOIN tasks t ON t.id = n.scan_task_id
    WHERE n.ended_at IS NULL AND n.kind = ANY(${kinds}) AND ${isDue} AND NOT ${isLocked(sql`n.deployment`)}
      AND NOT EXISTS (SELECT FROM tasks s WHERE s.type = ${scanAndFixType} AND s.deployment = n.deployment AND s.state IN ${active})
    ORDER BY n.deployment`);
  return rows.map((row) => row.deployment);
}

/** An open incident whose VM should be looked at. */
export interface DueIncident {
  id: number;
  group: string;
  instanceUuid: string;
}

export interface DeploymentCase extends DeploymentHistory {
  /** The database's clock, epoch s. */
  now: number;
  teams: string[];
  due: DueIncident[];
  /** Newest incident among the unhealthy: names the set of them. */
  newestIncident: number;
}

/** All that the verdict on a deployment needs, as of one moment; undefined when it is locked, gone, or being scanned. */
export async function readCase(tx: Tx, deployment: string, timeThresholdS: number): Promise<DeploymentCase | undefined> {
  const { rows: heads } = await tx.execute<{ id: number; teams: string[]; now: number }>(sql`
    SELECT d.id, d.teams, extract(epoch FROM now())::float8 AS now FROM deployments d WHERE d.name = ${deployment} AND NOT ${isLocked(sql`d.name`)}
      AND NOT EXISTS (SELECT FROM tasks s WHERE s.type = ${scanAndFixType} AND s.deployment = d.name AND s.state IN ${active})`);
  const [head] = heads;
  if (head === undefined) return undefined;
  const { rows: due } = await tx.execute<{ id: number; job: string; instance_id: string }>(sql`
    SELECT n.id, n.job, n.instance_id FROM incidents n JOIN instances i ON i.uuid = n.instance_id::uuid LEFT JOIN tasks t ON t.id = n.scan_task_id
    WHERE n.ended_at IS NULL AND n.deployment = ${deployment} AND n.kind = ANY(${kinds}) AND ${isDue} ORDER BY n.job, n.instance_id`);
  const { rows: members } = await tx.execute<{ uuid: string }>(sql`
    WITH i AS MATERIALIZED (
      SELECT i.uuid, i.state, i.compilation, v.id AS vm, CASE WHEN v.id IS NULL THEN i.spec END AS spec
      FROM instances i LEFT JOIN vms v ON v.instance_id = i.id AND v.active AND v.cid IS NOT NULL WHERE i.deployment_id = ${head.id} AND NOT i.compilation)
    SELECT i.uuid FROM i WHERE i.vm IS NOT NULL OR ${expectsVm}`);
  const { rows: downs } = await tx.execute<{ id: number; instance_id: string; until: number | null }>(sql`
    SELECT id, instance_id, extract(epoch FROM ended_at)::float8 AS until FROM incidents
    WHERE deployment = ${deployment} AND kind = ANY(${kinds}) AND (ended_at IS NULL OR ended_at >= now() - make_interval(secs => ${timeThresholdS + 1}))`);
  return {
    now: head.now, teams: head.teams, members: members.map((row) => row.uuid), downtimes: downs.map((row) => ({ instance: row.instance_id, until: row.until ?? undefined })),
    due: due.map((row) => ({ id: row.id, group: row.job, instanceUuid: row.instance_id })), newestIncident: Math.max(0, ...downs.map((row) => row.id)),
  };
}

/** These incidents are looked at by this task. */
export async function noteScan(tx: Tx, incidents: readonly number[], taskId: number): Promise<void> {
  await tx.execute(sql`UPDATE incidents SET scan_task_id = ${taskId}, scans = scans + 1 WHERE id = ANY(${sql.param([...incidents])}::bigint[])`);
}
