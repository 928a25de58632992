import { sql } from 'drizzle-orm';
import type { Db, Tx } from '../../db/client';
import type { TasksCleanupParams } from './payloads';

/**
 * A task that has just ended stays this long whatever the limits say, s: somebody may follow its output, repeat the request that made
 * it (`accepted_requests`), or be about to finish packing its output into the blob that is deleted here.
 */
const graceS = 600;

/** Types of which there are ended tasks. Goes from one type to the next along the index. */
export async function listEndedTaskTypes(db: Db): Promise<string[]> {
  const { rows } = await db.execute<{ type: string }>(sql`
    WITH RECURSIVE known(type) AS (
      SELECT min(type) FROM tasks UNION ALL SELECT (SELECT min(t.type) FROM tasks t WHERE t.type > k.type) FROM known k WHERE k.type IS NOT NULL)
    SELECT type FROM known k WHERE EXISTS (SELECT 1 FROM tasks t WHERE t.type = k.type AND t.finished_at IS NOT NULL) ORDER BY type`);
  return rows.map((row) => row.type);
}

/** The newest ended task of a type beyond those that are kept; 0 when there are not so many. */
export async function findTaskCutoff(db: Db, type: string, maxTasks: number): Promise<number> {
  const { rows } = await db.execute<{ id: number }>(sql`SELECT id FROM tasks WHERE type = ${type} AND finished_at IS NOT NULL ORDER BY id DESC OFFSET ${maxTasks} LIMIT 1`);
  return rows[0]?.id ?? 0;
}

export interface DisposableTask {
  id: number;
  /** Its packed output, when it had any. */
  blobId: string | undefined;
}

export interface TaskSearch {
  type: string;
  /** From `findTaskCutoff`. */
  cutoff: number;
  params: TasksCleanupParams;
  /** Only tasks with a larger id. */
  after: number;
  limit: number;
}

/** Ended tasks that are beyond a limit, oldest first. What an open incident waits for stays, and so does what has output that is not packed yet: the blob would be made afterwards. */
export async function listDisposableTasks(db: Db, { type, cutoff, params, after, limit }: TaskSearch): Promise<DisposableTask[]> {
  const deployments = params.tasks_deployments_retention_period;
  const { rows } = await db.execute<{ id: number; blob_id: string | null }>(sql`
    SELECT t.id, (SELECT s.blob_id FROM task_streams s WHERE s.task_id = t.id AND s.blob_id IS NOT NULL LIMIT 1) AS blob_id
    FROM tasks t
    WHERE t.type = ${type} AND t.id > ${after} AND t.state IN ('done', 'error', 'cancelled', 'timeout') AND t.output_packed AND t.finished_at < now() - make_interval(secs => ${graceS})
      AND (t.id <= ${cutoff} OR t.finished_at < now() - make_interval(days => ${params.tasks_retention_period ?? null}::int)
        OR EXISTS (SELECT 1 FROM unnest(${sql.param(deployments.map((one) => one.deployment_name))}::text[], ${sql.param(deployments.map((one) => one.retention_period))}::int[]) AS r(deployment, days)
          WHERE r.deployment = t.deployment AND t.finished_at < now() - make_interval(days => r.days)))
      AND NOT EXISTS (SELECT 1 FROM accepted_requests a WHERE a.task_id = t.id)
      AND NOT EXISTS (SELECT 1 FROM incidents i WHERE i.scan_task_id = t.id AND i.ended_at IS NULL)
    ORDER BY t.id LIMIT ${limit}`);
  return rows.map((row) => ({ id: row.id, blobId: row.blob_id ?? undefined }));
}

/** Deletes tasks with their attempts and streams. */
export async function deleteTasks(tx: Tx, ids: readonly number[]): Promise<void> {
  await tx.execute(sql`DELETE FROM tasks WHERE id = ANY(${sql.param([...ids])}::bigint[]) AND finished_at IS NOT NULL`);
}
