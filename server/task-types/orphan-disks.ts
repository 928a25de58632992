import type { Database } from '../../db/client';
import { mapPool } from '../core/concurrency';
import { code, describeError, DirectorError } from '../core/errors';
import type { DiskCalls } from '../cpi/disk-calls';
import { noteLostDisks } from '../deploy/disk-steps';
import { beginOrphanDeletion, forgetOrphanDisk, forgetOrphanSnapshot, keepOrphan, listOldOrphanDisks, listOrphanSnapshots, type OrphanDisk } from '../disks/orphan-store';
import { findDiskByCid, orphanAll } from '../disks/store';
import { recordEvent } from '../events/store';
import { isTaskCancelled, type TaskContext } from '../tasks/context';
import { isInterruption } from '../tasks/interruption';
import { deleteOrphanDisksPayload, orphanDiskPayload, orphanedDiskCleanupParams, type DeleteOrphanDisksPayload, type OrphanDiskPayload, type OrphanedDiskCleanupParams } from './disk-payloads';
import type { TaskType } from './task-type';

export interface OrphanDiskDeps {
  db: Database;
  disks: Pick<DiskCalls, 'deleteDisk' | 'deleteSnapshot'>;
  /** Disks deleted at a time. */
  maxThreads: number;
}

/** Takes a disk from its instance. It stays attached if it is: the next deploy sees an instance without it. */
export const orphanDisk: TaskType<OrphanDiskPayload, OrphanDiskDeps> = {
  type: 'orphan_disk',
  lane: 'normal',
  onNodeLoss: 'converge',
  payload: orphanDiskPayload,
  async perform(ctx, deps, { diskCid }) {
    await ctx.stages.stage('Orphan disk', 1).run(diskCid, async () => {
      const disk = await findDiskByCid(deps.db, diskCid);
      // An earlier attempt has done it.
      if (!disk && ctx.attempt > 1) return;
      if (!disk) return ctx.stages.warning(`Disk ${diskCid} does not exist. Orphaning is skipped`);
      if (disk.vmId !== null) await ctx.stages.warning(`Disk ${diskCid} is attached to a VM of '${disk.instance}': stop the instance with --hard before it is deployed again`);
      await ctx.write((tx) => orphanAll(tx, [disk], { user: ctx.user, taskId: ctx.taskId }));
    });
    return `disk ${diskCid} orphaned`;
  },
};

export const deleteOrphanDisks: TaskType<DeleteOrphanDisksPayload, OrphanDiskDeps> = {
  type: 'delete_orphan_disks',
  lane: 'normal',
  onNodeLoss: 'converge',
  payload: deleteOrphanDisksPayload,
  async perform(ctx, deps, { diskCids }) {
    const stage = ctx.stages.stage('Deleting orphaned disks', diskCids.length);
    await mapPool(diskCids, deps.maxThreads, (cid) => stage.run(`Deleting orphaned disk ${cid}`, () => deleteOrphanDisk(ctx, deps, cid)));
    return `orphaned disk(s) ${diskCids.join(', ')} deleted`;
  },
};

/** Deletes disks that have been orphans for some days. One that cannot be deleted leaves the others alone and fails the task. */
export const scheduledOrphanedDiskCleanup: TaskType<OrphanedDiskCleanupParams, OrphanDiskDeps> = {
  type: 'scheduled_orphaned_disk_cleanup',
  lane: 'normal',
  onNodeLoss: 'converge',
  payload: orphanedDiskCleanupParams,
  async perform(ctx, deps, { max_orphaned_age_in_days: days }) {
    await noteLostDisks(ctx, deps);
    const old = await listOldOrphanDisks(deps.db, days);
    const stage = ctx.stages.stage('Deleting orphan disks', old.length);
    let failed = 0;
    for (const { cid } of old) {
      await ctx.checkpoint();
      await stage.run(cid, () => deleteOrphanDisk(ctx, deps, cid).catch((error: unknown) => {
        if (isInterruption(error) || isTaskCancelled(error)) throw error;
        failed++;
        ctx.log.warn(`Failed to delete orphan disk with cid ${cid}. Failed with ${describeError(error).message}`);
      }));
    }
    const before = new Date(ctx.clock.now() - days * 86_400_000).toISOString().replace('T', ' ').replace(/\.\d+Z$/, ' +0000');
    const text = `Deleted ${old.length - failed} orphaned disk(s) older than ${before}. Failed to delete ${failed} disk(s).`;
    if (failed > 0) throw new DirectorError(code.generic, text);
    return text;
  },
};

/**
 * Deletes an orphan and its snapshots; nothing happens when there is none. Its mark keeps it from being attached meanwhile, also when
 * the node dies: whoever goes on deletes it again, and what the cloud does not know any more counts as deleted.
 */
export async function deleteOrphanDisk(ctx: TaskContext, deps: Pick<OrphanDiskDeps, 'db' | 'disks'>, cid: string): Promise<void> {
  const orphan = await ctx.write((tx) => beginOrphanDeletion(tx, cid));
  if (!orphan) return ctx.log.debug(`Disk not found: ${cid}`);
  const event = { user: ctx.user, action: 'delete', objectType: 'disk', objectName: cid, taskId: ctx.taskId, deployment: orphan.deploymentName, instance: orphan.instanceName };
  const parentId = await ctx.write((tx) => recordEvent(tx, event));
  try {
    await deleteSnapshots(ctx, deps, orphan);
    await deps.disks.deleteDisk(ctx, orphan);
  } catch (error) {
    if (!isInterruption(error)) {
      await ctx.uncancellable().write(async (tx) => {
        await keepOrphan(tx, orphan.id);
        await recordEvent(tx, { ...event, parentId, error: describeError(error).message.replaceAll('\u0000', '') });
      });
    }
    throw error;
  }
  await ctx.write(async (tx) => {
    await forgetOrphanDisk(tx, orphan.id);
    await recordEvent(tx, { ...event, parentId });
  });
}

async function deleteSnapshots(ctx: TaskContext, deps: Pick<OrphanDiskDeps, 'db' | 'disks'>, orphan: OrphanDisk): Promise<void> {
  for (const snapshot of await listOrphanSnapshots(deps.db, orphan.id)) {
    await deps.disks.deleteSnapshot(ctx, { cpi: orphan.cpi, cid: snapshot.cid });
    await ctx.write((tx) => forgetOrphanSnapshot(tx, snapshot.id));
  }
}
