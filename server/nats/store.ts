import { sql } from 'drizzle-orm';
import type { Db } from '../../db/client';

/** Reading the revisions of the agents' NATS identities: see `nats_users_revision` and `nats_auth_appliers`. */

/** The revision that every agent recorded until now is part of. */
export async function readUsersRevision(db: Db): Promise<number> {
  const { rows } = await db.execute<{ revision: number }>(sql`SELECT revision FROM nats_users_revision WHERE id = 1`);
  return rows[0]?.revision ?? 0;
}

export interface LiveApplier {
  serverName: string;
  address: string;
  appliedRevision: number;
}

/** The NATS servers whose appliers reported within the last 5 s, by the database's clock. */
export async function listLiveAppliers(db: Db): Promise<LiveApplier[]> {
  const { rows } = await db.execute<{ server_name: string; address: string; applied_revision: number }>(
    sql`SELECT server_name, address, applied_revision FROM nats_auth_appliers WHERE heartbeat_at > now() - interval '5 seconds' ORDER BY server_name`,
  );
  return rows.map((row) => ({ serverName: row.server_name, address: row.address, appliedRevision: row.applied_revision }));
}
