import { eq, sql } from 'drizzle-orm';
import type { Db, Tx } from '../../db/client';
import { exportedReleases } from '../../db/schema/releases';

/** Exported releases that lie in the blobstore until a clean-up. The record comes before the blob, so no blob is unknown. */

/** Written before the blob is stored; repeating it is harmless. */
export async function createExport(tx: Tx, intent: { blobId: string; taskId: number }): Promise<void> {
  await tx.insert(exportedReleases).values({ blobstoreId: intent.blobId, taskId: intent.taskId }).onConflictDoNothing();
}

/** The blob is stored. `digest`: BOSH multi-digest. */
export async function completeExport(tx: Tx, blobId: string, digest: string): Promise<void> {
  await tx.update(exportedReleases).set({ digest }).where(eq(exportedReleases.blobstoreId, blobId));
}

/** To be called after the blob is gone. */
export async function deleteExport(tx: Tx, blobId: string): Promise<void> {
  await tx.delete(exportedReleases).where(eq(exportedReleases.blobstoreId, blobId));
}

/** Digest of a stored export; undefined while it is not stored. */
export async function findExportDigest(db: Db, blobId: string): Promise<string | undefined> {
  const [row] = await db.select({ digest: exportedReleases.digest }).from(exportedReleases).where(eq(exportedReleases.blobstoreId, blobId));
  return row?.digest ?? undefined;
}

/** Ids of the blobs of all exports that are over, oldest first; what a task is still working on is left out. */
export async function listFinishedExports(db: Db): Promise<string[]> {
  const rows = await db
    .select({ blobId: exportedReleases.blobstoreId })
    .from(exportedReleases)
    .where(sql`NOT EXISTS (SELECT 1 FROM tasks t WHERE t.id = ${exportedReleases.taskId} AND t.state IN ('queued', 'processing', 'cancelling'))`)
    .orderBy(exportedReleases.createdAt, exportedReleases.blobstoreId);
  return rows.map((row) => row.blobId);
}
