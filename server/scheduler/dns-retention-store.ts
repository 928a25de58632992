import { and, eq, isNull, lt, sql, type SQL } from 'drizzle-orm';
import type { Db, Tx } from '../../db/client';
import { localDnsAliases, localDnsBlobs, localDnsRecords } from '../../db/schema/dns';
import type { DnsBlobsCleanupParams } from './payloads';

/** Versions of the DNS records that nobody needs any more: old ones beyond the newest few. The one that agents are told stays, even when every newer one waits for its blob. */
function disposable({ max_blob_age, num_dns_blobs_to_keep }: DnsBlobsCleanupParams): SQL {
  return sql`created_at < now() - make_interval(secs => ${max_blob_age})
    AND id < (SELECT min(id) FROM (SELECT id FROM local_dns_blobs ORDER BY id DESC LIMIT ${num_dns_blobs_to_keep}) newest)
    AND id IS DISTINCT FROM (SELECT max(id) FROM local_dns_blobs WHERE stored)`;
}

export async function hasDisposableDnsBlobs(db: Db, params: DnsBlobsCleanupParams): Promise<boolean> {
  return (await db.select({ one: sql`1` }).from(localDnsBlobs).where(disposable(params)).limit(1)).length > 0;
}

export interface DisposableDnsBlob {
  version: number;
  blobId: string;
}

/** Oldest first. */
export async function listDisposableDnsBlobs(db: Db, params: DnsBlobsCleanupParams): Promise<DisposableDnsBlob[]> {
  return db.select({ version: localDnsBlobs.id, blobId: localDnsBlobs.blobstoreId }).from(localDnsBlobs).where(disposable(params)).orderBy(localDnsBlobs.id);
}

export async function deleteDnsBlobRecord(tx: Tx, version: number): Promise<void> {
  await tx.delete(localDnsBlobs).where(eq(localDnsBlobs.id, version));
}

export async function hasTombstones(db: Db): Promise<boolean> {
  const [{ records, aliases } = { records: 0, aliases: 0 }] = (await db.execute<{ records: number; aliases: number }>(sql`
    SELECT (SELECT count(*)::int FROM (SELECT FROM local_dns_records WHERE tombstone LIMIT 2) r) AS records, (SELECT count(*)::int FROM (SELECT FROM local_dns_aliases WHERE deployment_id IS NULL LIMIT 2) a) AS aliases`)).rows;
  return records > 1 || aliases > 1;
}

/** Deletes tombstones of records and aliases, but never the newest of either: its id is what versions are compared by. Returns how many. */
export async function deleteTombstones(tx: Tx): Promise<number> {
  const records = await tx
    .delete(localDnsRecords)
    .where(and(eq(localDnsRecords.tombstone, true), lt(localDnsRecords.id, sql`(SELECT max(id) FROM local_dns_records)`)))
    .returning({ id: localDnsRecords.id });
  const aliases = await tx
    .delete(localDnsAliases)
    .where(and(isNull(localDnsAliases.deploymentId), lt(localDnsAliases.id, sql`(SELECT max(id) FROM local_dns_aliases)`)))
    .returning({ id: localDnsAliases.id });
  return records.length + aliases.length;
}
