import { and, asc, desc, eq, lt, sql } from 'drizzle-orm';
import type { Db, Tx } from '../../db/client';
import { orphanDisks, orphanSnapshots, persistentDisks } from '../../db/schema/disks';

/** Disks that no instance has any more, and their way out of the cloud. */

export type OrphanDisk = typeof orphanDisks.$inferSelect;
export type OrphanSnapshot = typeof orphanSnapshots.$inferSelect;

/** All of them, oldest first; one query. */
export async function listOrphanDisks(db: Db): Promise<OrphanDisk[]> {
  return db.select().from(orphanDisks).orderBy(asc(orphanDisks.id));
}

export async function isOrphanDisk(db: Db, cid: string): Promise<boolean> {
  return (await db.select({ id: orphanDisks.id }).from(orphanDisks).where(eq(orphanDisks.cid, cid))).length > 0;
}

const olderThan = (days: number) => lt(orphanDisks.orphanedAt, sql`now() - make_interval(secs => ${days * 86_400})`);

export async function hasOldOrphanDisks(db: Db, days: number): Promise<boolean> {
  return (await db.select({ id: orphanDisks.id }).from(orphanDisks).where(olderThan(days)).limit(1)).length > 0;
}

/** Those that were orphaned longer ago than so many days. */
export async function listOldOrphanDisks(db: Db, days: number): Promise<OrphanDisk[]> {
  return db.select().from(orphanDisks).where(olderThan(days)).orderBy(asc(orphanDisks.id));
}

/** Marks an orphan before its deletion: from here on nobody gets it again. Undefined when there is none. */
export async function beginOrphanDeletion(tx: Tx, cid: string): Promise<OrphanDisk | undefined> {
  const [row] = await tx.update(orphanDisks).set({ deleting: true }).where(eq(orphanDisks.cid, cid)).returning();
  return row;
}

/** The cloud did not delete it: it may be given to an instance again. */
export async function keepOrphan(tx: Tx, id: number): Promise<void> {
  await tx.update(orphanDisks).set({ deleting: false }).where(eq(orphanDisks.id, id));
}

export async function listOrphanSnapshots(db: Db, orphanDiskId: number): Promise<OrphanSnapshot[]> {
  return db.select().from(orphanSnapshots).where(eq(orphanSnapshots.orphanDiskId, orphanDiskId)).orderBy(asc(orphanSnapshots.id));
}

export async function forgetOrphanSnapshot(tx: Tx, id: number): Promise<void> {
  await tx.delete(orphanSnapshots).where(eq(orphanSnapshots.id, id));
}

export async function forgetOrphanDisk(tx: Tx, id: number): Promise<void> {
  await tx.delete(orphanDisks).where(eq(orphanDisks.id, id));
}

/** Whether any instance has a disk: without one there is nothing to make snapshots of. */
export async function hasDisks(db: Db): Promise<boolean> {
  return (await db.select({ id: persistentDisks.id }).from(persistentDisks).limit(1)).length > 0;
}

/** The newest intact disk of that name of an instance. */
export async function findActiveDisk(db: Db, of: { instanceId: number; name: string }): Promise<typeof persistentDisks.$inferSelect | undefined> {
  const [row] = await db.select().from(persistentDisks).where(and(eq(persistentDisks.instanceId, of.instanceId), eq(persistentDisks.name, of.name), eq(persistentDisks.active, true))).orderBy(desc(persistentDisks.id)).limit(1);
  return row;
}
