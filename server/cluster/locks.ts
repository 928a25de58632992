import { randomUUID } from 'node:crypto';
import { sql } from 'drizzle-orm';
import { retryTransient, type Database } from '../../db/client';
import { abortReason, systemClock } from '../core/clock';
import { DirectorError, code } from '../core/errors';
import type { Notifications } from './notifications';

/**
 * Named locks, owned by an epoch of a task and freed with the task: nothing to renew, nothing orphaned.
 * Names, waits and texts: cloudfoundry/bosh src/bosh-director/lib/bosh/director/lock.rb and lock_helper.rb.
 */
export interface LockOwner {
  taskId: number;
  epoch: number;
}

type Attempt = 'taken' | 'not-owner' | { taskId: number; description: string };

/** One try. A lock whose task has ended is free; one of this task's earlier epochs is ours. */
async function tryLock(db: Database, name: string, owner: LockOwner, uid: string): Promise<Attempt> {
  const { rows } = await db.execute<{ owned: boolean; taken: boolean; holder: number | null; description: string | null }>(sql`
    WITH mine AS (SELECT id FROM tasks WHERE id = ${owner.taskId} AND epoch = ${owner.epoch} AND owner IS NOT NULL FOR KEY SHARE),
    taken AS (
      INSERT INTO locks AS l (name, uid, task_id, epoch) SELECT ${name}, ${uid}, ${owner.taskId}, ${owner.epoch} FROM mine
      ON CONFLICT (name) DO UPDATE SET uid = excluded.uid, task_id = excluded.task_id, epoch = excluded.epoch, acquired_at = now()
      WHERE l.task_id = excluded.task_id OR NOT EXISTS (SELECT 1 FROM tasks t WHERE t.id = l.task_id AND t.state IN ('processing', 'cancelling'))
      RETURNING 1)
    SELECT EXISTS (SELECT 1 FROM mine) AS owned, EXISTS (SELECT 1 FROM taken) AS taken,
      (SELECT l.task_id FROM locks l WHERE l.name = ${name}) AS holder,
      (SELECT t.description FROM locks l JOIN tasks t ON t.id = l.task_id WHERE l.name = ${name}) AS description`);
  const row = rows[0];
  if (!row?.owned) return 'not-owner';
  if (row.taken) return 'taken';
  return { taskId: row.holder ?? 0, description: row.description ?? '' };
}

export interface LockRequest {
  name: string;
  owner: LockOwner;
  /** ms; 0 tries once. */
  waitMs: number;
  signal: AbortSignal;
  /** Asked before each further try; its rejection ends the wait. */
  check?: () => Promise<void>;
  /** Called once when the lock is not free at first: who holds it. */
  onWait?: (holder: { taskId: number; description: string }) => Promise<void>;
}

/**
 * Takes a lock, waiting for its release. Throws code 100 with BOSH's text when it stays taken, or the signal's reason.
 * `lost` is thrown when the owner is no longer the owner.
 */
export async function acquireLock(deps: { db: Database; notifications: Notifications }, request: LockRequest, lost: () => Error): Promise<void> {
  const uid = randomUUID();
  const deadline = systemClock.monotonic() + request.waitMs;
  for (let round = 0; ; round++) {
    const attempt = await retryTransient(() => tryLock(deps.db, request.name, request.owner, uid), request.signal);
    if (attempt === 'taken') return;
    if (attempt === 'not-owner') throw lost();
    const left = deadline - systemClock.monotonic();
    if (left <= 0) {
      const holder = attempt.taskId === 0 ? 'Lock is gone' : `Locking task id is ${attempt.taskId}, description: '${attempt.description}'`;
      throw new DirectorError(code.generic, `Failed to acquire lock for ${request.name} uid: ${uid}. ${holder}`);
    }
    if (round === 0) await request.onWait?.(attempt);
    await deps.notifications.wait('locks', Math.min(left, 500), { matches: (payload) => payload === request.name, signal: request.signal });
    if (request.signal.aborted) throw abortReason(request.signal);
    await request.check?.();
  }
}

/** Frees a lock that this task epoch holds. */
export async function releaseLock(db: Database, name: string, owner: LockOwner): Promise<void> {
  await db.execute(sql`
    WITH freed AS (
      DELETE FROM locks l USING tasks t WHERE l.name = ${name} AND l.task_id = ${owner.taskId} AND t.id = l.task_id AND t.epoch = ${owner.epoch} RETURNING l.name)
    SELECT pg_notify('locks', name) FROM freed`);
}
