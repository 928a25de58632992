import { and, asc, eq, isNotNull, sql } from 'drizzle-orm';
import type { Db } from '../../db/client';
import { deployments, instances, vms } from '../../db/schema/deployments';
import { orphanDisks, persistentDisks } from '../../db/schema/disks';
import { enqueueTask } from '../tasks/queue';

/** Disks as the console shows them. */

export interface DiskRow {
  cid: string;
  /** Empty for the managed disk. */
  name: string;
  /** MB */
  size: number;
  deployment: string;
  group: string;
  index: number;
  uuid: string;
  az: string | undefined;
  cpi: string;
  /** False: left from an update that was not finished. */
  active: boolean;
  /** `changing`: the VM may or may not have it. */
  attachment: 'attached' | 'changing' | 'detached';
  vmCid: string | undefined;
  snapshots: number;
  createdAt: Date;
}

/** Disks of all instances, or of one, by deployment and instance; one query. */
export async function listDiskRows(db: Db, filter: { uuid?: string } = {}): Promise<DiskRow[]> {
  const rows = await db
    .select({
      cid: persistentDisks.cid, name: persistentDisks.name, size: persistentDisks.size, deployment: deployments.name, group: instances.job, index: instances.index, uuid: instances.uuid, az: instances.az,
      cpi: persistentDisks.cpi, active: persistentDisks.active, attached: persistentDisks.attached, vmId: persistentDisks.vmId, vmCid: vms.cid, createdAt: persistentDisks.createdAt,
      snapshots: sql<number>`(SELECT count(*)::int FROM snapshots s WHERE s.disk_id = ${persistentDisks.id} AND s.cid IS NOT NULL)`,
    })
    .from(persistentDisks)
    .innerJoin(instances, eq(instances.id, persistentDisks.instanceId))
    .innerJoin(deployments, eq(deployments.id, instances.deploymentId))
    .leftJoin(vms, eq(vms.id, persistentDisks.vmId))
    .where(and(isNotNull(persistentDisks.cid), filter.uuid === undefined ? undefined : eq(instances.uuid, filter.uuid)))
    .orderBy(asc(deployments.name), asc(instances.job), asc(instances.index), asc(persistentDisks.id));
  return rows.flatMap(({ cid, attached, vmId, vmCid, az, ...row }) =>
    cid === null ? [] : [{ ...row, cid, az: az ?? undefined, vmCid: vmCid ?? undefined, attachment: vmId === null ? 'detached' : attached ? 'attached' : 'changing' } satisfies DiskRow]);
}

export interface OrphanRow {
  cid: string;
  size: number;
  deployment: string;
  /** `<group>/<uuid>` */
  instance: string;
  az: string | undefined;
  cpi: string;
  deleting: boolean;
  snapshots: number;
  orphanedAt: Date;
}

/** Oldest first. */
export async function listOrphanRows(db: Db): Promise<OrphanRow[]> {
  const rows = await db
    .select({
      cid: orphanDisks.cid, size: orphanDisks.size, deployment: orphanDisks.deploymentName, instance: orphanDisks.instanceName, az: orphanDisks.az, cpi: orphanDisks.cpi, deleting: orphanDisks.deleting,
      orphanedAt: orphanDisks.orphanedAt, snapshots: sql<number>`(SELECT count(*)::int FROM orphan_snapshots s WHERE s.orphan_disk_id = ${orphanDisks.id})`,
    })
    .from(orphanDisks)
    .orderBy(asc(orphanDisks.id));
  return rows.map((row) => ({ ...row, az: row.az ?? undefined }));
}

/** Enqueues the deletion of an orphan. Returns the task's id. */
export async function orderDeletion(db: Db, cid: string, user: string): Promise<number> {
  return (await enqueueTask(db, { type: 'delete_orphan_disks', lane: 'normal', description: 'delete orphan disks', user, payload: { diskCids: [cid] } })).id;
}
