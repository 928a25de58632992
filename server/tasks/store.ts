import { sql } from 'drizzle-orm';
import type { Db } from '../../db/client';
import type { Lane, StreamName, Task, TaskState } from './task';

/** Reading tasks; writing them is `queue.ts`. */

interface TaskRow extends Record<string, unknown> {
  id: number;
  type: string;
  lane: Lane;
  state: TaskState;
  description: string;
  result: string | null;
  username: string;
  deployment: string | null;
  context_id: string;
  teams: string[];
  created_at: Date | string;
  started_at: Date | string | null;
  finished_at: Date | string | null;
  cancel_requested_at: Date | string | null;
  epoch: number;
  attempt: number;
  owner_node: string | null;
}

const columns = sql.raw('id, type, lane, state, description, result, username, deployment, context_id, teams, created_at, started_at, finished_at, cancel_requested_at, epoch, attempt, owner_node');

function toTask(row: TaskRow): Task {
  const date = (value: Date | string | null) => (value === null ? undefined : new Date(value));
  return {
    id: row.id, type: row.type, lane: row.lane, state: row.state, description: row.description, result: row.result ?? undefined,
    user: row.username, deployment: row.deployment ?? undefined, contextId: row.context_id, teams: row.teams,
    createdAt: new Date(row.created_at), startedAt: date(row.started_at), finishedAt: date(row.finished_at), cancelRequestedAt: date(row.cancel_requested_at),
    epoch: row.epoch, attempt: row.attempt, ownerNode: row.owner_node ?? undefined,
  };
}

export interface TaskFilter {
  states?: readonly TaskState[] | undefined;
  types?: readonly string[] | undefined;
  deployment?: string | undefined;
  contextId?: string | undefined;
  /** Only tasks of these teams; undefined: all. */
  teams?: readonly string[] | undefined;
  /** Keyset paging: only tasks with a smaller id. */
  beforeId?: number | undefined;
  /** Rows at most; undefined: all. */
  limit?: number | undefined;
}

/** Tasks, newest first. */
export async function listTasks(db: Db, filter: TaskFilter): Promise<Task[]> {
  const conditions = [
    ...(filter.states ? [sql`state = ANY(${sql.param([...filter.states])}::text[])`] : []),
    ...(filter.types ? [sql`type = ANY(${sql.param([...filter.types])}::text[])`] : []),
    ...(filter.deployment !== undefined ? [sql`deployment = ${filter.deployment}`] : []),
    ...(filter.contextId !== undefined ? [sql`context_id = ${filter.contextId}`] : []),
    ...(filter.teams ? [sql`teams && ${sql.param([...filter.teams])}::text[]`] : []),
    ...(filter.beforeId !== undefined ? [sql`id < ${filter.beforeId}`] : []),
  ];
  const where = conditions.length > 0 ? sql`WHERE ${sql.join(conditions, sql` AND `)}` : sql``;
  const limit = filter.limit === undefined ? sql`` : sql`LIMIT ${filter.limit}`;
  const { rows } = await db.execute<TaskRow>(sql`SELECT ${columns} FROM tasks ${where} ORDER BY id DESC ${limit}`);
  return rows.map(toTask);
}

export async function findTask(db: Db, id: number): Promise<Task | undefined> {
  const { rows } = await db.execute<TaskRow>(sql`SELECT ${columns} FROM tasks WHERE id = ${id}`);
  return rows[0] && toTask(rows[0]);
}

export interface TaskAttempt {
  epoch: number;
  attempt: number;
  nodeId: string;
  nodeName: string;
  worker: string;
  startedAt: Date;
  endedAt: Date | undefined;
  outcome: 'done' | 'error' | 'cancelled' | 'lost' | 'handed over' | undefined;
}

/** Who worked on a task, oldest first. */
export async function listAttempts(db: Db, taskIds: readonly number[]): Promise<Map<number, TaskAttempt[]>> {
  const { rows } = await db.execute<{ task_id: number; epoch: number; attempt: number; node_id: string; node_name: string | null; worker: string; started_at: string; ended_at: string | null; outcome: TaskAttempt['outcome'] | null }>(sql`
    SELECT a.task_id, a.epoch, a.attempt, a.node_id, n.name AS node_name, a.worker, a.started_at, a.ended_at, a.outcome
    FROM task_attempts a LEFT JOIN director_nodes n ON n.id = a.node_id
    WHERE a.task_id = ANY(${sql.param([...taskIds])}::bigint[]) ORDER BY a.task_id, a.epoch`);
  const found = new Map<number, TaskAttempt[]>();
  for (const row of rows) {
    const attempts = found.get(row.task_id) ?? [];
    attempts.push({
      epoch: row.epoch, attempt: row.attempt, nodeId: row.node_id, nodeName: row.node_name ?? row.node_id.slice(0, 8), worker: row.worker,
      startedAt: new Date(row.started_at), endedAt: row.ended_at === null ? undefined : new Date(row.ended_at), outcome: row.outcome ?? undefined,
    });
    found.set(row.task_id, attempts);
  }
  return found;
}

/** Queue lengths and the age of the oldest task that waits, s. */
export async function queueFigures(db: Db): Promise<{ queued: number; running: number; oldestQueuedS: number | undefined }> {
  const { rows } = await db.execute<{ queued: number; running: number; oldest: number | null }>(sql`
    SELECT count(*) FILTER (WHERE owner IS NULL)::int AS queued, count(*) FILTER (WHERE owner IS NOT NULL)::int AS running,
      extract(epoch FROM now() - min(created_at) FILTER (WHERE owner IS NULL))::float8 AS oldest
    FROM tasks WHERE state IN ('queued', 'processing', 'cancelling')`);
  return { queued: rows[0]?.queued ?? 0, running: rows[0]?.running ?? 0, oldestQueuedS: rows[0]?.oldest ?? undefined };
}

export interface HeldLock {
  name: string;
  uid: string;
  taskId: number;
  description: string;
  acquiredAt: Date;
  /** When it would fall free if its task were lost now. */
  expiresAt: Date;
}

/** Locks of live tasks. */
export async function listLocks(db: Db): Promise<HeldLock[]> {
  const { rows } = await db.execute<{ name: string; uid: string; task_id: number; description: string; acquired_at: string; expires_at: string }>(sql`
    SELECT l.name, l.uid, l.task_id, t.description, l.acquired_at, COALESCE(t.lease_expires_at, now()) AS expires_at
    FROM locks l JOIN tasks t ON t.id = l.task_id WHERE t.state IN ('processing', 'cancelling') ORDER BY l.name`);
  return rows.map((row) => ({ name: row.name, uid: row.uid, taskId: row.task_id, description: row.description, acquiredAt: new Date(row.acquired_at), expiresAt: new Date(row.expires_at) }));
}

/** Sizes of a task's streams, bytes; absent streams are empty. */
export async function streamSizes(db: Db, taskId: number): Promise<Record<StreamName, number>> {
  const { rows } = await db.execute<{ stream: StreamName; size: number }>(sql`SELECT stream, size FROM task_streams WHERE task_id = ${taskId}`);
  const sizes: Record<StreamName, number> = { event: 0, result: 0, debug: 0, cpi: 0 };
  for (const row of rows) sizes[row.stream] = row.size;
  return sizes;
}
