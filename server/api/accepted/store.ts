import { sql } from 'drizzle-orm';
import type { Db } from '../../../db/client';

/**
 * The client has followed the redirect to a task: it knows of it, so the same request again means new work.
 * (`enqueueTask` answers an unanswered request's repetition with the task that it made.)
 */
export async function markTaskSeen(db: Db, taskId: number): Promise<void> {
  await db.execute(sql`UPDATE accepted_requests SET answered_at = now() WHERE task_id = ${taskId} AND answered_at IS NULL`);
}

/** Whether the upload that a task works on is the blob. */
export async function isUploadOfTask(db: Db, taskId: number, blobId: string): Promise<boolean> {
  const { rows } = await db.execute(sql`SELECT 1 FROM tasks WHERE id = ${taskId} AND payload->'source'->>'blobId' = ${blobId}`);
  return rows.length > 0;
}
