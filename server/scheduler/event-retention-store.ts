import { sql, type SQL } from 'drizzle-orm';
import type { Db, Tx } from '../../db/client';

/** The newest event beyond those that are kept; undefined when there are not so many. */
export async function findEventCutoff(db: Db, maxEvents: number): Promise<number | undefined> {
  const { rows } = await db.execute<{ id: number }>(sql`SELECT id FROM events ORDER BY id DESC OFFSET ${maxEvents} LIMIT 1`);
  return rows[0]?.id;
}

/** Older events that stay: those of tasks that still run, whose ends will refer to them, and whatever events that stay have as parents. */
function kept(cutoff: number): SQL {
  return sql`WITH RECURSIVE kept(id) AS (
    SELECT * FROM (
      SELECT parent_id FROM events WHERE id > ${cutoff} AND parent_id IS NOT NULL
      UNION SELECT e.id FROM events e JOIN tasks t ON t.id = e.task_id WHERE t.state IN ('queued', 'processing', 'cancelling') AND e.id <= ${cutoff}
    ) seed
    UNION SELECT e.parent_id FROM kept k JOIN events e ON e.id = k.id WHERE e.parent_id IS NOT NULL)`;
}

export async function hasDisposableEvents(db: Db, maxEvents: number): Promise<boolean> {
  const cutoff = await findEventCutoff(db, maxEvents);
  if (cutoff === undefined) return false;
  const { rows } = await db.execute(sql`${kept(cutoff)} SELECT 1 FROM events e WHERE e.id <= ${cutoff} AND NOT EXISTS (SELECT 1 FROM kept k WHERE k.id = e.id) LIMIT 1`);
  return rows.length > 0;
}

/** Deletes what may go of the next `limit` events after `after`. `last` is the end of that stretch, undefined when there is none left. */
export async function deleteEvents(tx: Tx, { cutoff, after, limit }: { cutoff: number; after: number; limit: number }): Promise<{ deleted: number; last: number | undefined }> {
  const { rows } = await tx.execute<{ deleted: number; last: number | null }>(sql`
    ${kept(cutoff)},
    stretch AS (SELECT id FROM events WHERE id > ${after} AND id <= ${cutoff} ORDER BY id LIMIT ${limit}),
    gone AS (DELETE FROM events e USING stretch s WHERE e.id = s.id AND NOT EXISTS (SELECT 1 FROM kept k WHERE k.id = e.id) RETURNING 1)
    SELECT (SELECT count(*)::int FROM gone) AS deleted, (SELECT max(id) FROM stretch) AS last`);
  return { deleted: rows[0]?.deleted ?? 0, last: rows[0]?.last ?? undefined };
}
