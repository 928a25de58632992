import { sql } from 'drizzle-orm';
import { retryTransient, type Database } from '../../db/client';

/** Reading the revisions of the agents' NATS identities, through outages of the database until `signal` aborts. */

/** The revision that every agent recorded until now is part of. */
export async function readUsersRevision(db: Database, signal: AbortSignal): Promise<number> {
  const { rows } = await retryTransient(() => db.execute<{ revision: number }>(sql`SELECT revision FROM nats_users_revision WHERE id = 1`), signal);
  return rows[0]?.revision ?? 0;
}

export interface LiveApplier {
  serverName: string;
  address: string;
  appliedRevision: number;
}

/** The NATS servers whose appliers reported within the last 5 s, by the database's clock. */
export async function listLiveAppliers(db: Database, signal: AbortSignal): Promise<LiveApplier[]> {
  const { rows } = await retryTransient(
    () =>
      db.execute<{ server_name: string; address: string; applied_revision: number }>(
        sql`SELECT server_name, address, applied_revision FROM nats_auth_appliers WHERE heartbeat_at > now() - interval '5 seconds' ORDER BY server_name`,
      ),
    signal,
  );
  return rows.map((row) => ({ serverName: row.server_name, address: row.address, appliedRevision: row.applied_revision }));
}
