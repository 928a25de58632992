import { sql } from 'drizzle-orm';
import type { Db, Tx } from '../../db/client';

/** The component that answers. */
export const dnsPublisherName = 'dns-publisher';

/** Payload of the hint on `fleet` that somebody waits for an answer. */
export const dnsRequestHint = 'dns-request';

/**
 * What tasks ask the publisher for. A request has a number; it is answered by the version that has everything which was recorded before
 * the request. Many requests may be answered by one version.
 */

/** Asks for a version with all that is recorded, and with `broadcast` that every agent is told the newest one, those that know it too. Returns the request's number. */
export async function requestDns(tx: Tx, { broadcast }: { broadcast: boolean }): Promise<number> {
  const { rows } = await tx.execute<{ requested: number }>(sql`
    UPDATE local_dns_requests SET requested = requested + 1, broadcast_requested = broadcast_requested + ${broadcast ? 1 : 0} RETURNING requested::float8 AS requested`);
  await tx.execute(sql`SELECT pg_notify('fleet', ${dnsRequestHint})`);
  return rows[0]?.requested ?? 0;
}

export interface DnsRequests {
  requested: number;
  answered: number;
  broadcastRequested: number;
  broadcastDone: number;
}

/** To be read before the records are compared: what is recorded later has a later number. */
export async function readDnsRequests(db: Db): Promise<DnsRequests> {
  const { rows } = await db.execute<{ requested: number; answered: number; broadcast_requested: number; broadcast_done: number }>(sql`
    SELECT requested::float8, answered::float8, broadcast_requested::float8, broadcast_done::float8 FROM local_dns_requests`);
  const [row] = rows;
  return { requested: row?.requested ?? 0, answered: row?.answered ?? 0, broadcastRequested: row?.broadcast_requested ?? 0, broadcastDone: row?.broadcast_done ?? 0 };
}

/** @param version of the records as they are now; undefined: there have never been any */
export async function answerDnsRequests(tx: Tx, requested: number, version: number | undefined): Promise<void> {
  await tx.execute(sql`UPDATE local_dns_requests SET answered = ${requested}, answer_version = ${version ?? null} WHERE answered < ${requested}`);
}

export async function noteBroadcast(tx: Tx, number: number): Promise<void> {
  await tx.execute(sql`UPDATE local_dns_requests SET broadcast_done = ${number} WHERE broadcast_done < ${number}`);
}

/** The version that answers a request, or a later one; undefined while there is none, null when there are no records at all. */
export async function findDnsAnswer(db: Db, request: number): Promise<number | null | undefined> {
  const { rows } = await db.execute<{ version: number | null }>(sql`SELECT answer_version::float8 AS version FROM local_dns_requests WHERE answered >= ${request}`);
  return rows[0] === undefined ? undefined : rows[0].version;
}

/** How many of these agents have not confirmed the version. */
export async function countAgentsBehind(db: Db, version: number, agentIds: readonly string[]): Promise<number> {
  const { rows } = await db.execute<{ behind: number }>(sql`
    SELECT count(*)::int AS behind FROM unnest(${sql.param([...agentIds])}::text[]) wanted (agent_id) LEFT JOIN agent_dns_versions a USING (agent_id) WHERE coalesce(a.dns_version, 0) < ${version}`);
  return rows[0]?.behind ?? 0;
}

/** Whether there is anybody to answer, now or after a takeover. */
export async function hasPublisher(db: Db): Promise<boolean> {
  return (await db.execute(sql`SELECT 1 FROM leases WHERE name = ${dnsPublisherName} AND NOT paused`)).rows.length > 0;
}
