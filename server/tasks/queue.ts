import { randomUUID } from 'node:crypto';
import { sql } from 'drizzle-orm';
import type { Database, Db, Tx } from '../../db/client';
import { timing } from '../cluster/timing';
import type { Lane, TaskState } from './task';

/** SQL of the task queue: one function, one statement. All times are the database's. */

export interface NewTask {
  type: string;
  lane: Lane;
  description: string;
  user: string;
  deployment?: string | undefined;
  contextId?: string | undefined;
  teams?: readonly string[] | undefined;
  /** JSON. */
  payload: unknown;
  /** Identifies the request that asked for it; see `enqueueTask`. */
  fingerprint?: string | undefined;
}

/** How long an unanswered request may be repeated without enqueueing its work again, s. */
const repeatWindowS = 30;

/**
 * Enqueues a task; in a transaction when given one, so that audit events commit with it.
 * A request with the same fingerprint whose answer may have been lost gets the task that it made before.
 */
export async function enqueueTask(db: Db, task: NewTask): Promise<{ id: number; requestId: string | undefined; repeated: boolean }> {
  return db.transaction(async (tx) => {
    if (task.fingerprint !== undefined) {
      await tx.execute(sql`SELECT pg_advisory_xact_lock(hashtextextended(${task.fingerprint}, 7))`);
      const { rows } = await tx.execute<{ id: string; task_id: number }>(sql`
        SELECT id, task_id FROM accepted_requests
        WHERE fingerprint = ${task.fingerprint} AND answered_at IS NULL AND accepted_at > now() - make_interval(secs => ${repeatWindowS})
        ORDER BY accepted_at DESC LIMIT 1`);
      if (rows[0]) return { id: rows[0].task_id, requestId: rows[0].id, repeated: true };
    }
    const id = await insertTask(tx, task);
    if (task.fingerprint === undefined) return { id, requestId: undefined, repeated: false };
    const requestId = randomUUID();
    await tx.execute(sql`INSERT INTO accepted_requests (id, fingerprint, task_id) VALUES (${requestId}, ${task.fingerprint}, ${id})`);
    return { id, requestId, repeated: false };
  });
}

async function insertTask(tx: Tx, task: NewTask): Promise<number> {
  const { rows } = await tx.execute<{ id: number }>(sql`
    WITH t AS (
      INSERT INTO tasks (type, lane, state, description, username, deployment, context_id, teams, payload)
      VALUES (${task.type}, ${task.lane}, 'queued', ${task.description}, ${task.user}, ${task.deployment ?? null}, ${task.contextId ?? ''},
        ${sql.param([...(task.teams ?? [])])}::text[], ${JSON.stringify(task.payload)}::jsonb)
      RETURNING id, lane)
    SELECT id, pg_notify('tasks', lane) FROM t`);
  return Number(rows[0]?.id);
}

/** The answer went out: the same request again means new work. */
export async function markAnswered(db: Db, requestId: string): Promise<void> {
  await db.execute(sql`UPDATE accepted_requests SET answered_at = now() WHERE id = ${requestId}`);
}

/** Forgets requests that can no longer be repeated. */
export async function forgetOldRequests(db: Db): Promise<void> {
  await db.execute(sql`DELETE FROM accepted_requests WHERE accepted_at < now() - interval '10 minutes'`);
}

export interface ClaimedTask {
  id: number;
  type: string;
  state: TaskState;
  description: string;
  user: string;
  deployment: string | undefined;
  contextId: string;
  payload: unknown;
  epoch: number;
  attempt: number;
  checkpoint: Record<string, unknown>;
}

interface ClaimRow extends Record<string, unknown> {
  id: number;
  type: string;
  state: TaskState;
  description: string;
  username: string;
  deployment: string | null;
  context_id: string;
  payload: unknown;
  epoch: number;
  attempt: number;
  checkpoint: Record<string, unknown>;
}

/** Claims the oldest unowned task of the lane: a new epoch, a new attempt, a lease. Undefined when there is none. */
export async function claimTask(db: Database, lane: Lane, node: string, worker: string): Promise<ClaimedTask | undefined> {
  const { rows } = await db.execute<ClaimRow>(sql`
    WITH next AS (
      SELECT id FROM tasks WHERE owner IS NULL AND state IN ('queued', 'processing', 'cancelling') AND lane = ${lane}
      ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED),
    claimed AS (
      UPDATE tasks t SET owner_node = ${node}, owner = ${worker}, epoch = t.epoch + 1, attempt = t.attempt + 1,
        state = CASE t.state WHEN 'cancelling' THEN 'cancelling' ELSE 'processing' END,
        started_at = COALESCE(t.started_at, now()), lease_expires_at = now() + make_interval(secs => ${timing.taskLeaseMs / 1000})
      FROM next WHERE t.id = next.id RETURNING t.*),
    noted AS (INSERT INTO task_attempts (task_id, epoch, attempt, node_id, worker) SELECT id, epoch, attempt, ${node}, ${worker} FROM claimed)
    SELECT id, type, state, description, username, deployment, context_id, payload, epoch, attempt, checkpoint FROM claimed`);
  const row = rows[0];
  if (!row) return undefined;
  return {
    id: row.id, type: row.type, state: row.state, description: row.description, user: row.username, deployment: row.deployment ?? undefined,
    contextId: row.context_id, payload: row.payload, epoch: row.epoch, attempt: row.attempt, checkpoint: row.checkpoint,
  };
}

/** Locks the task's epoch into the transaction; false when the attempt no longer owns the task. */
export async function lockOwnership(tx: Tx, taskId: number, epoch: number): Promise<boolean> {
  const { rows } = await tx.execute(sql`SELECT 1 FROM tasks WHERE id = ${taskId} AND epoch = ${epoch} AND owner IS NOT NULL FOR KEY SHARE`);
  return rows.length > 0;
}

/** Ends the attempt and the task; its locks go with it. False when the attempt no longer owns the task. */
export async function finishTask(db: Db, task: { id: number; epoch: number }, outcome: { state: 'done' | 'error' | 'cancelled'; result: string }): Promise<boolean> {
  const { rows } = await db.execute(sql`
    WITH mine AS (SELECT id FROM tasks WHERE id = ${task.id} AND epoch = ${task.epoch} AND owner IS NOT NULL FOR UPDATE),
    ended AS (
      UPDATE tasks t SET state = ${outcome.state}, result = ${outcome.result}, finished_at = now(), owner = NULL, owner_node = NULL, lease_expires_at = NULL, checkpoint = '{}'
      FROM mine WHERE t.id = mine.id RETURNING t.id),
    attempt AS (UPDATE task_attempts a SET ended_at = now(), outcome = ${outcome.state} FROM ended WHERE a.task_id = ended.id AND a.epoch = ${task.epoch}),
    freed AS (DELETE FROM locks l USING ended WHERE l.task_id = ended.id RETURNING l.name)
    SELECT id, pg_notify('task_output', id::text), (SELECT count(pg_notify('locks', name)) FROM freed) FROM ended`);
  return rows.length > 0;
}

/** Gives a task back for any node to go on with, at a new epoch. False when the attempt no longer owns it. */
export async function handOverTask(db: Database, task: { id: number; epoch: number }): Promise<boolean> {
  const { rows } = await db.execute(sql`
    WITH mine AS (SELECT id FROM tasks WHERE id = ${task.id} AND epoch = ${task.epoch} AND owner IS NOT NULL FOR UPDATE),
    freed AS (
      UPDATE tasks t SET owner = NULL, owner_node = NULL, lease_expires_at = NULL, epoch = t.epoch + 1 FROM mine WHERE t.id = mine.id RETURNING t.id, t.lane),
    attempt AS (UPDATE task_attempts a SET ended_at = now(), outcome = 'handed over' FROM freed WHERE a.task_id = freed.id AND a.epoch = ${task.epoch})
    SELECT pg_notify('tasks', lane) FROM freed`);
  return rows.length > 0;
}

export interface LostTask {
  id: number;
  type: string;
  epoch: number;
  nodeName: string;
}

/** Tasks whose owner has not renewed them; skips those that are being written this moment. */
export async function findLostTasks(db: Db): Promise<LostTask[]> {
  const { rows } = await db.execute<{ id: number; type: string; epoch: number; node_name: string | null }>(sql`
    SELECT t.id, t.type, t.epoch, n.name AS node_name FROM tasks t LEFT JOIN director_nodes n ON n.id = t.owner_node
    WHERE t.state IN ('processing', 'cancelling') AND t.owner IS NOT NULL AND t.lease_expires_at < now() ORDER BY t.id LIMIT 100`);
  return rows.map((row) => ({ id: row.id, type: row.type, epoch: row.epoch, nodeName: row.node_name ?? 'unknown' }));
}

/**
 * Takes a lost task from its owner: a new epoch fences everything the owner may still try. Locks stay with the task.
 * False when the owner renewed it meanwhile, or is writing this moment (the next round will see).
 */
export async function takeLostTask(tx: Tx, lost: LostTask): Promise<boolean> {
  const { rows } = await tx.execute(sql`
    WITH gone AS (SELECT id FROM tasks WHERE id = ${lost.id} AND epoch = ${lost.epoch} AND owner IS NOT NULL AND lease_expires_at < now() FOR UPDATE SKIP LOCKED),
    freed AS (UPDATE tasks t SET owner = NULL, owner_node = NULL, lease_expires_at = NULL, epoch = t.epoch + 1 FROM gone WHERE t.id = gone.id RETURNING t.id, t.lane),
    attempt AS (UPDATE task_attempts a SET ended_at = now(), outcome = 'lost' FROM freed WHERE a.task_id = freed.id AND a.epoch = ${lost.epoch})
    SELECT pg_notify('tasks', lane) FROM freed`);
  return rows.length > 0;
}

/** Ends an unowned task that must not run twice. */
export async function failUnownedTask(tx: Tx, taskId: number, result: string): Promise<void> {
  await tx.execute(sql`
    WITH ended AS (UPDATE tasks SET state = 'error', result = ${result}, finished_at = now() WHERE id = ${taskId} AND owner IS NULL AND state IN ('processing', 'cancelling') RETURNING id),
    freed AS (DELETE FROM locks l USING ended WHERE l.task_id = ended.id)
    SELECT pg_notify('task_output', id::text) FROM ended`);
}

/** Asks a task to stop. `state` is the one found; it changed only if it was cancellable. Undefined when there is no such task. */
export async function cancelTask(db: Db, id: number): Promise<{ state: TaskState; cancelled: boolean } | undefined> {
  const { rows } = await db.execute<{ state: TaskState; cancelled: boolean }>(sql`
    WITH found AS (SELECT id, state FROM tasks WHERE id = ${id} FOR UPDATE),
    changed AS (
      UPDATE tasks t SET state = 'cancelling', cancel_requested_at = now() FROM found
      WHERE t.id = found.id AND found.state IN ('queued', 'processing') RETURNING t.id, t.lane)
    SELECT found.state, changed.id IS NOT NULL AS cancelled, pg_notify('task_cancel', found.id::text), pg_notify('tasks', changed.lane)
    FROM found LEFT JOIN changed ON changed.id = found.id`);
  return rows[0];
}

/** Asks many tasks to stop; returns their ids. */
export async function cancelTasks(db: Db, filter: { states: readonly TaskState[]; types?: readonly string[] | undefined; deployment?: string | undefined }): Promise<number[]> {
  const { rows } = await db.execute<{ id: number }>(sql`
    UPDATE tasks SET state = 'cancelling', cancel_requested_at = now()
    WHERE state = ANY(${sql.param([...filter.states])}::text[]) AND state IN ('queued', 'processing')
      AND (${filter.types === undefined}::boolean OR type = ANY(${sql.param([...(filter.types ?? [])])}::text[]))
      AND (${filter.deployment ?? null}::text IS NULL OR deployment = ${filter.deployment ?? null})
    RETURNING id, pg_notify('task_cancel', id::text), pg_notify('tasks', lane)`);
  return rows.map((row) => row.id);
}
