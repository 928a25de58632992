import { and, asc, eq, inArray, isNotNull, isNull, sql } from 'drizzle-orm';
import type { Db, Tx } from '../../db/client';
import { deployments, instances, vms } from '../../db/schema/deployments';
import { orphanDisks, orphanSnapshots, persistentDisks, snapshots } from '../../db/schema/disks';
import { recordEvent } from '../events/store';
import { noteLeak } from './leak-store';

/**
 * Persistent disks of instances as they are recorded. Every effect in the cloud has its intent here first:
 *
 *   creating → created          around `create_disk`
 *   created → updating → created around `update_disk`, which may give the disk another cid
 *   vmId, not attached → attached around `attach_disk` and `mount_disk`; the way back around `detach_disk`
 */

/** A row whose disk exists, or may exist. */
export type Disk = typeof persistentDisks.$inferSelect & { cid: string };

/** Who did something, for the audit trail. */
export interface Author {
  user: string;
  taskId: number;
}

/** The disks of instances that exist in the cloud, active ones first, by instance; one query. */
export async function listDisksOf(db: Db, instanceIds: readonly number[]): Promise<Map<number, Disk[]>> {
  const found = new Map<number, Disk[]>();
  if (instanceIds.length === 0) return found;
  const rows = await db.select().from(persistentDisks).where(and(inArray(persistentDisks.instanceId, [...instanceIds]), isNotNull(persistentDisks.cid))).orderBy(sql`${persistentDisks.active} DESC`, asc(persistentDisks.id));
  for (const row of rows) {
    if (row.cid === null) continue;
    const list = found.get(row.instanceId) ?? [];
    list.push({ ...row, cid: row.cid });
    found.set(row.instanceId, list);
  }
  return found;
}

/** The disks of one instance. */
export async function listDisks(db: Db, instanceId: number): Promise<Disk[]> {
  return (await listDisksOf(db, [instanceId])).get(instanceId) ?? [];
}

export async function findDisk(db: Db, diskId: number): Promise<Disk | undefined> {
  const [row] = await db.select().from(persistentDisks).where(eq(persistentDisks.id, diskId));
  return row && row.cid !== null ? { ...row, cid: row.cid } : undefined;
}

export interface NewDisk {
  instanceId: number;
  name: string;
  size: number;
  cloudProperties: Record<string, unknown>;
  cpi: string;
}

/** Written before `create_disk`. Returns its id. */
export async function createDiskIntent(tx: Tx, disk: NewDisk, maker: { taskId: number; epoch: number }): Promise<number> {
  const [row] = await tx.insert(persistentDisks).values({ ...disk, ...maker, state: 'creating' }).returning({ id: persistentDisks.id });
  return row?.id ?? 0;
}

/** Completes an intent after `create_disk`; the disk is not active yet. */
export async function completeDisk(tx: Tx, diskId: number, cid: string): Promise<void> {
  await tx.update(persistentDisks).set({ cid, state: 'created' }).where(eq(persistentDisks.id, diskId));
}

export async function updateDisk(tx: Tx, diskId: number, patch: Partial<typeof persistentDisks.$inferInsert>): Promise<void> {
  await tx.update(persistentDisks).set(patch).where(eq(persistentDisks.id, diskId));
}

/** Forgets a disk that was never made. */
export async function deleteDiskRecord(tx: Tx, diskId: number): Promise<void> {
  await tx.delete(persistentDisks).where(eq(persistentDisks.id, diskId));
}

/** From one moment to the next another disk has the instance's data, a first one, or none any more. */
export async function changeActive(tx: Tx, change: { from?: number; to?: number }): Promise<void> {
  if (change.from !== undefined) await tx.update(persistentDisks).set({ active: false }).where(eq(persistentDisks.id, change.from));
  if (change.to !== undefined) await tx.update(persistentDisks).set({ active: true, copying: false }).where(eq(persistentDisks.id, change.to));
}

/** Takes disks that exist from their instances; they are kept with their snapshots until they are cleaned up, or attached again. */
export async function orphanAll(tx: Tx, disks: readonly Pick<Disk, 'id'>[], author: Author): Promise<void> {
  for (const { id } of disks) await orphanOne(tx, id, author);
}

async function orphanOne(tx: Tx, diskId: number, author: Author): Promise<void> {
  const [found] = await tx
    .select({ disk: persistentDisks, az: instances.az, instance: sql<string>`${instances.job} || '/' || ${instances.uuid}::text`, deployment: deployments.name })
    .from(persistentDisks)
    .innerJoin(instances, eq(instances.id, persistentDisks.instanceId))
    .innerJoin(deployments, eq(deployments.id, instances.deploymentId))
    .where(and(eq(persistentDisks.id, diskId), isNotNull(persistentDisks.cid)));
  if (!found || found.disk.cid === null) return;
  const { disk, az, instance, deployment } = found;
  const cid = found.disk.cid;
  const [orphan] = await tx.insert(orphanDisks).values({ cid, name: disk.name, size: disk.size, az, deploymentName: deployment, instanceName: instance, cloudProperties: disk.cloudProperties, cpi: disk.cpi }).returning({ id: orphanDisks.id });
  for (const { id } of await tx.select({ id: snapshots.id }).from(snapshots).where(and(eq(snapshots.diskId, diskId), isNull(snapshots.cid)))) await noteLeak(tx, { kind: 'snapshot', id }, author);
  await tx.execute(sql`
    INSERT INTO orphan_snapshots (orphan_disk_id, cid, clean, snapshot_created_at)
    SELECT ${orphan?.id ?? 0}, cid, clean, created_at FROM snapshots WHERE disk_id = ${diskId} AND cid IS NOT NULL`);
  await tx.delete(persistentDisks).where(eq(persistentDisks.id, diskId));
  const event = { ...author, action: 'orphan', objectType: 'disk', objectName: cid, deployment, instance };
  const parentId = await recordEvent(tx, event);
  await recordEvent(tx, { ...event, parentId });
}

/** `disk_associations` of a VM: its instance's named disks. */
export async function listDiskAssociations(db: Db, vmId: number): Promise<{ name: string; cid: string }[]> {
  const rows = await db
    .select({ name: persistentDisks.name, cid: persistentDisks.cid })
    .from(vms)
    .innerJoin(persistentDisks, eq(persistentDisks.instanceId, vms.instanceId))
    .where(and(eq(vms.id, vmId), eq(persistentDisks.active, true), sql`${persistentDisks.name} <> ''`, isNotNull(persistentDisks.cid)))
    .orderBy(persistentDisks.name);
  return rows.flatMap(({ name, cid }) => (cid === null ? [] : [{ name, cid }]));
}

/** The instance's disk of that cid and how it is called, whoever has it. */
export async function findDiskByCid(db: Db, cid: string): Promise<(Disk & { deployment: string; instance: string }) | undefined> {
  const [row] = await db
    .select({ disk: persistentDisks, deployment: deployments.name, instance: sql<string>`${instances.job} || '/' || ${instances.uuid}::text` })
    .from(persistentDisks)
    .innerJoin(instances, eq(instances.id, persistentDisks.instanceId))
    .innerJoin(deployments, eq(deployments.id, instances.deploymentId))
    .where(eq(persistentDisks.cid, cid));
  return row ? { ...row.disk, cid, deployment: row.deployment, instance: row.instance } : undefined;
}

/** A snapshot that exists. */
export interface Snapshot {
  id: number;
  cid: string;
  clean: boolean;
  createdAt: Date;
  cpi: string;
  group: string;
  index: number;
  uuid: string;
}

/** Snapshots of a deployment, or of one of its instances. */
export async function listSnapshots(db: Db, of: { deploymentId: number } | { instanceId: number } | { cid: string; deployment: string }): Promise<Snapshot[]> {
  const which = 'deploymentId' in of ? eq(instances.deploymentId, of.deploymentId) : 'instanceId' in of ? eq(instances.id, of.instanceId) : and(eq(snapshots.cid, of.cid), eq(deployments.name, of.deployment));
  const rows = await db
    .select({ id: snapshots.id, cid: snapshots.cid, clean: snapshots.clean, createdAt: snapshots.createdAt, cpi: persistentDisks.cpi, group: instances.job, index: instances.index, uuid: instances.uuid })
    .from(snapshots)
    .innerJoin(persistentDisks, eq(persistentDisks.id, snapshots.diskId))
    .innerJoin(instances, eq(instances.id, persistentDisks.instanceId))
    .innerJoin(deployments, eq(deployments.id, instances.deploymentId))
    .where(and(which, isNotNull(snapshots.cid)))
    .orderBy(instances.job, instances.index, snapshots.id);
  return rows.flatMap(({ cid, ...row }) => (cid === null ? [] : [{ ...row, cid }]));
}

/** Whether a snapshot with that cid exists anywhere. */
export async function isSnapshot(db: Db, cid: string): Promise<boolean> {
  return (await db.select({ id: snapshots.id }).from(snapshots).where(eq(snapshots.cid, cid))).length > 0;
}

/** Written before `snapshot_disk`; undefined when this task has made one of that disk already. */
export async function createSnapshotIntent(tx: Tx, diskId: number, maker: { taskId: number; epoch: number; clean: boolean }): Promise<number | undefined> {
  const made = await tx.select({ id: snapshots.id }).from(snapshots).where(and(eq(snapshots.diskId, diskId), eq(snapshots.taskId, maker.taskId), isNotNull(snapshots.cid)));
  if (made.length > 0) return undefined;
  const [row] = await tx.insert(snapshots).values({ diskId, ...maker }).returning({ id: snapshots.id });
  return row?.id;
}

/** False when the disk has gone meanwhile and nothing knows the snapshot. */
export async function completeSnapshot(tx: Tx, snapshotId: number, cid: string): Promise<boolean> {
  return (await tx.update(snapshots).set({ cid }).where(eq(snapshots.id, snapshotId)).returning({ id: snapshots.id })).length > 0;
}

export async function deleteSnapshotRecord(tx: Tx, snapshotId: number): Promise<void> {
  await tx.delete(snapshots).where(eq(snapshots.id, snapshotId));
}

/** Cids of the snapshots that a task has made. */
export async function listSnapshotsOfTask(db: Db, taskId: number): Promise<string[]> {
  const rows = await db.select({ cid: snapshots.cid }).from(snapshots).where(and(eq(snapshots.taskId, taskId), isNotNull(snapshots.cid))).orderBy(snapshots.id);
  return rows.flatMap(({ cid }) => (cid === null ? [] : [cid]));
}

/** How an orphan disk comes back: its snapshots with it. Undefined when there is none, or when its deletion has begun. */
export async function reviveOrphan(tx: Tx, cid: string, instanceId: number): Promise<number | undefined> {
  const [orphan] = await tx.select().from(orphanDisks).where(and(eq(orphanDisks.cid, cid), eq(orphanDisks.deleting, false))).for('update');
  if (!orphan) return undefined;
  const [disk] = await tx
    .insert(persistentDisks)
    .values({ instanceId, cid, size: orphan.size, cloudProperties: orphan.cloudProperties, cpi: orphan.cpi, state: 'created', active: true })
    .returning({ id: persistentDisks.id });
  const kept = await tx.select().from(orphanSnapshots).where(eq(orphanSnapshots.orphanDiskId, orphan.id));
  for (const one of kept) await tx.insert(snapshots).values({ diskId: disk?.id ?? 0, cid: one.cid, clean: one.clean, createdAt: one.snapshotCreatedAt });
  await tx.delete(orphanDisks).where(eq(orphanDisks.id, orphan.id));
  return disk?.id;
}

/** A disk of that cid that no record knows is taken for the instance's. */
export async function adoptDisk(tx: Tx, disk: NewDisk & { cid: string }): Promise<number> {
  const [row] = await tx.insert(persistentDisks).values({ ...disk, state: 'created', active: true }).returning({ id: persistentDisks.id });
  return row?.id ?? 0;
}

/** Everything that an instance leaves when it is deleted: its disks become orphans, intents without an answer possible leaks. */
export async function orphanDisksOf(tx: Tx, instanceId: number, author: Author): Promise<void> {
  const rows = await tx.select({ id: persistentDisks.id, cid: persistentDisks.cid }).from(persistentDisks).where(eq(persistentDisks.instanceId, instanceId)).orderBy(persistentDisks.id);
  for (const { id, cid } of rows) {
    if (cid === null) await noteLeak(tx, { kind: 'disk', id }, author);
    else await orphanOne(tx, id, author);
  }
}

/** Intents to make disks and snapshots of attempts that are over: their answers never came. */
export async function listUnanswered(db: Db): Promise<{ kind: 'disk' | 'snapshot'; id: number }[]> {
  const dead = (row: typeof persistentDisks | typeof snapshots) =>
    sql`NOT EXISTS (SELECT 1 FROM tasks t WHERE t.id = ${row.taskId} AND t.epoch = ${row.epoch} AND t.state IN ('processing', 'cancelling'))`;
  const disks = await db.select({ id: persistentDisks.id }).from(persistentDisks).where(and(isNull(persistentDisks.cid), dead(persistentDisks))).orderBy(persistentDisks.id);
  const made = await db.select({ id: snapshots.id }).from(snapshots).where(and(isNull(snapshots.cid), dead(snapshots))).orderBy(snapshots.id);
  return [...disks.map(({ id }) => ({ kind: 'disk' as const, id })), ...made.map(({ id }) => ({ kind: 'snapshot' as const, id }))];
}
