import { sql, type SQL } from 'drizzle-orm';
import type { Db, Tx } from '../../db/client';
import type { RecordsCleanupParams } from './payloads';

/** Records that have an end and would otherwise grow for ever. */
export type RecordKind = (typeof recordKinds)[number];
/** In this order: an incident goes after the alerts that tell of it. */
export const recordKinds = ['nodes', 'lease holders', 'schedule slots', 'alerts', 'incidents', 'moves of the bus'] as const;

/** Which table, and which of its rows `r` may go. */
function expired(kind: RecordKind, { node_days, record_days }: RecordsCleanupParams): { table: SQL; where: SQL } {
  const nodesBefore = sql`now() - make_interval(days => ${node_days})`;
  const before = sql`now() - make_interval(days => ${record_days})`;
  switch (kind) {
    case 'nodes':
      return { table: sql`director_nodes`, where: sql`r.heartbeat_at < ${nodesBefore}` };
    case 'lease holders':
      return { table: sql`lease_history`, where: sql`r.ended_at < ${before} AND EXISTS (SELECT 1 FROM lease_history n WHERE n.name = r.name AND n.epoch > r.epoch)` };
    case 'schedule slots':
      return { table: sql`schedule_slots`, where: sql`r.decided_at < ${before} AND EXISTS (SELECT 1 FROM schedule_slots n WHERE n.schedule = r.schedule AND n.slot_at > r.slot_at)` };
    case 'alerts':
      return {
        table: sql`alerts`,
        where: sql`r.stored_at < ${before} AND r.dispatched
          AND NOT EXISTS (SELECT 1 FROM alert_deliveries d WHERE d.alert_seq = r.seq AND d.delivered_at IS NULL AND d.given_up_at IS NULL)
          AND NOT EXISTS (SELECT 1 FROM incidents i WHERE i.id = r.incident_id AND i.ended_at IS NULL)`,
      };
    case 'incidents':
      // Their numbers make the keys of alerts, so a number must not come again while an alert has it.
      return { table: sql`incidents`, where: sql`r.ended_at < ${before} AND NOT EXISTS (SELECT 1 FROM alerts a WHERE a.incident_id = r.id)` };
    case 'moves of the bus':
      return { table: sql`bus_moves`, where: sql`r.finished_at < ${before} AND NOT EXISTS (SELECT 1 FROM bus_targets t WHERE t.move_id = r.id)` };
  }
}

export async function hasExpiredRecords(db: Db, params: RecordsCleanupParams): Promise<boolean> {
  const checks = recordKinds.map((kind) => {
    const { table, where } = expired(kind, params);
    return sql`EXISTS (SELECT 1 FROM ${table} r WHERE ${where})`;
  });
  const { rows } = await db.execute<{ found: boolean }>(sql`SELECT ${sql.join(checks, sql` OR `)} AS found`);
  return rows[0]?.found ?? false;
}

/** Deletes at most `limit` of a kind; returns how many. */
export async function deleteExpiredRecords(tx: Tx, { kind, params, limit }: { kind: RecordKind; params: RecordsCleanupParams; limit: number }): Promise<number> {
  const { table, where } = expired(kind, params);
  const { rowCount } = await tx.execute(sql`DELETE FROM ${table} WHERE ctid = ANY(ARRAY(SELECT r.ctid FROM ${table} r WHERE ${where} LIMIT ${limit}))`);
  return rowCount ?? 0;
}
