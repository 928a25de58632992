import { sql } from 'drizzle-orm';
import type { Db } from '../../db/client';
import { alerts } from '../../db/schema/health';
import type { NewAlert } from './alert';

/**
 * Stores an alert; in a transaction when given one, so that it stands or falls with what it tells of. False when the same occurrence
 * is stored already. Its delivery is the business of `alert-delivery`, which is hinted at it.
 */
export async function insertAlert(db: Db, alert: NewAlert): Promise<boolean> {
  const { createdAt, ...rest } = alert;
  const rows = await db
    .insert(alerts)
    .values({ ...rest, createdAt: new Date(createdAt * 1_000) })
    .onConflictDoNothing({ target: alerts.dedupKey })
    .returning({ hint: sql`pg_notify('alerts', '')` });
  return rows.length > 0;
}
