import { sql } from 'drizzle-orm';
import type { Database, Tx } from '../../db/client';
import { timing } from './timing';

/**
 * Component leases: at most one holder per epoch, epochs only grow, expiry by the database clock.
 * Every write made under a lease is conditional on its epoch (`assertLease`).
 */
export interface LeaseInfo {
  name: string;
  holder: string | undefined;
  epoch: number;
  acquiredAt: Date | undefined;
  /** ms until expiry by the database clock; negative when expired, undefined when free. */
  expiresInMs: number | undefined;
  lastProgressAt: Date | undefined;
  paused: boolean;
  wantedHolder: string | undefined;
}

interface LeaseRow extends Record<string, unknown> {
  name: string;
  holder: string | null;
  epoch: number;
  acquired_at: string | Date | null;
  expires_in_ms: number | null;
  last_progress_at: string | Date | null;
  paused: boolean;
  wanted_holder: string | null;
}

/** Makes the rows of new components. */
export async function ensureLeases(db: Database, names: readonly string[]): Promise<void> {
  for (const name of names) await db.execute(sql`INSERT INTO leases (name) VALUES (${name}) ON CONFLICT DO NOTHING`);
}

export async function listLeases(db: Database): Promise<LeaseInfo[]> {
  const { rows } = await db.execute<LeaseRow>(sql`
    SELECT name, holder, epoch, acquired_at, last_progress_at, paused, wanted_holder,
      (extract(epoch FROM expires_at - now()) * 1000)::float8 AS expires_in_ms FROM leases ORDER BY name`);
  return rows.map((row) => ({
    name: row.name,
    holder: row.holder ?? undefined,
    epoch: row.epoch,
    acquiredAt: row.acquired_at === null ? undefined : new Date(row.acquired_at),
    expiresInMs: row.expires_in_ms ?? undefined,
    lastProgressAt: row.last_progress_at === null ? undefined : new Date(row.last_progress_at),
    paused: row.paused,
    wantedHolder: row.wanted_holder ?? undefined,
  }));
}

/**
 * Takes the lease if it is free or expired, not paused and not wanted by another living node; the wish of a node that cannot have
 * it any more is forgotten, lest every holder give it up again; so is that of one which does not take it, if `overrule` says so.
 * Returns the new epoch, or undefined. Closes the previous holder's history in the same statement.
 */
export async function acquireLease(db: Database, name: string, node: string, overrule = false): Promise<number | undefined> {
  const { rows } = await db.execute<{ epoch: number }>(sql`
    WITH before AS (SELECT name, epoch AS old_epoch, holder AS old_holder, expires_at < now() AS expired FROM leases WHERE name = ${name} FOR UPDATE SKIP LOCKED),
    taken AS (
      UPDATE leases l SET holder = ${node}, epoch = l.epoch + 1, acquired_at = now(), last_progress_at = now(),
        wanted_holder = NULL,
        expires_at = now() + make_interval(secs => ${timing.componentLeaseMs / 1000})
      FROM before
      WHERE l.name = before.name AND NOT l.paused AND (l.holder IS NULL OR before.expired)
        AND (${overrule}::boolean OR l.wanted_holder IS NULL OR l.wanted_holder = ${node} OR NOT EXISTS (
          SELECT 1 FROM director_nodes n WHERE n.id = l.wanted_holder AND n.state = 'ready' AND 'components' = ANY(n.roles) AND n.heartbeat_at > now() - make_interval(secs => ${timing.nodeLostMs / 1000})))
      RETURNING l.name, l.epoch),
    closed AS (
      UPDATE lease_history h SET ended_at = now(), reason = 'expired' FROM before, taken
      WHERE h.name = before.name AND h.epoch = before.old_epoch AND h.ended_at IS NULL),
    opened AS (INSERT INTO lease_history (name, epoch, holder) SELECT name, epoch, ${node} FROM taken)
    SELECT epoch FROM taken`);
  return rows[0] === undefined ? undefined : rows[0].epoch;
}

/** Gives the lease back and tells the others at once. No effect when it is no longer ours. */
export async function releaseLease(db: Database, name: string, epoch: number, reason: string): Promise<void> {
  await db.execute(sql`
    WITH freed AS (UPDATE leases SET holder = NULL, expires_at = NULL WHERE name = ${name} AND epoch = ${epoch} AND holder IS NOT NULL RETURNING name),
    closed AS (UPDATE lease_history h SET ended_at = now(), reason = ${reason} FROM freed WHERE h.name = freed.name AND h.epoch = ${epoch} AND h.ended_at IS NULL)
    SELECT pg_notify('leases', name) FROM freed`);
}

/** Pauses or resumes a component; a paused one is given up by its holder at the next beat. */
export async function pauseLease(db: Database, name: string, paused: boolean): Promise<boolean> {
  const { rows } = await db.execute(sql`UPDATE leases SET paused = ${paused} WHERE name = ${name} RETURNING pg_notify('leases', name)`);
  return rows.length > 0;
}

/** Ready nodes that take components, with how many leases each holds, fewest first. */
export async function listLoads(db: Database): Promise<{ node: string; held: number }[]> {
  const { rows } = await db.execute<{ node: string; held: number }>(sql`
    SELECT n.id AS node, count(l.name)::int AS held FROM director_nodes n LEFT JOIN leases l ON l.holder = n.id
    WHERE n.state = 'ready' AND 'components' = ANY(n.roles) AND n.heartbeat_at > now() - make_interval(secs => ${timing.componentLeaseMs / 1000})
    GROUP BY n.id ORDER BY held, n.id`);
  return rows;
}

/** Asks that `node` hold the lease: the present holder gives it up at its next beat. */
export async function moveLease(db: Database, name: string, node: string): Promise<boolean> {
  const { rows } = await db.execute(sql`UPDATE leases SET wanted_holder = ${node} WHERE name = ${name} AND holder IS DISTINCT FROM ${node} RETURNING pg_notify('leases', name)`);
  return rows.length > 0;
}

/** The lease is no longer ours: stop the duty, write nothing. */
export class LeaseLost extends Error {
  constructor(name: string, epoch: number) {
    super(`lease '${name}' is no longer held at epoch ${epoch}`);
    this.name = 'LeaseLost';
  }
}

/** Locks the lease's epoch into the transaction: it commits only while the lease is ours. Throws LeaseLost. */
export async function assertLease(tx: Tx, name: string, epoch: number): Promise<void> {
  const { rows } = await tx.execute(sql`SELECT 1 FROM leases WHERE name = ${name} AND epoch = ${epoch} AND holder IS NOT NULL AND expires_at > now() FOR KEY SHARE`);
  if (rows.length === 0) throw new LeaseLost(name, epoch);
}

/** Holders of a lease, newest first. */
export async function listLeaseHistory(db: Database, sinceMs: number): Promise<{ name: string; epoch: number; holder: string; acquiredAt: Date; endedAt: Date | undefined; reason: string | undefined }[]> {
  const { rows } = await db.execute<{ name: string; epoch: number; holder: string; acquired_at: string; ended_at: string | null; reason: string | null }>(sql`
    SELECT name, epoch, holder, acquired_at, ended_at, reason FROM lease_history
    WHERE ended_at IS NULL OR ended_at > now() - make_interval(secs => ${sinceMs / 1000}) ORDER BY id DESC LIMIT 2000`);
  return rows.map((row) => ({
    name: row.name, epoch: row.epoch, holder: row.holder, acquiredAt: new Date(row.acquired_at),
    endedAt: row.ended_at === null ? undefined : new Date(row.ended_at), reason: row.reason ?? undefined,
  }));
}
