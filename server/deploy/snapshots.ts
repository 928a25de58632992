import { isCpiError } from '../cpi/errors';
import { noteLeak } from '../disks/leak-store';
import { completeSnapshot, createSnapshotIntent, deleteSnapshotRecord, listDisks, type Disk } from '../disks/store';
import { isTaskCancelled, type TaskContext } from '../tasks/context';
import { isInterruption } from '../tasks/interruption';
import type { DeployDeps } from './ports';

export interface SnapshotOrder {
  instance: { id: number; uuid: string; group: string; index: number };
  deployment: { name: string; tags: Record<string, string> };
  agentId: string | undefined;
  /** The jobs of the instance are stopped. */
  clean: boolean;
}

export type SnapshotDeps = Pick<DeployDeps, 'db' | 'disks'> & { settings: { director: { name: string; uuid: string }; snapshots: boolean } };

/**
 * Snapshots of all disks of an instance, when the director makes any. A task makes one of each disk, however often it is repeated.
 * Returns the cids of those made now. Rule: cloudfoundry/bosh src/bosh-director/lib/bosh/director/api/snapshot_manager.rb.
 *
 *   died before the answer was recorded → the intent becomes a possible leak, and another snapshot is made
 */
export async function takeSnapshots(ctx: TaskContext, deps: SnapshotDeps, order: SnapshotOrder): Promise<string[]> {
  if (!deps.settings.snapshots) {
    ctx.log.info('Snapshots are disabled; skipping');
    return [];
  }
  const made: string[] = [];
  for (const disk of await listDisks(deps.db, order.instance.id)) {
    const cid = await takeSnapshot(ctx, deps, { disk, order });
    if (cid !== undefined) made.push(cid);
  }
  return made;
}

async function takeSnapshot(ctx: TaskContext, deps: SnapshotDeps, { disk, order }: { disk: Disk; order: SnapshotOrder }): Promise<string | undefined> {
  const { instance, deployment, agentId, clean } = order;
  const intent = await ctx.write((tx) => createSnapshotIntent(tx, disk.id, { taskId: ctx.taskId, epoch: ctx.epoch, clean }));
  if (intent === undefined) return undefined;
  try {
    const { name, uuid } = deps.settings.director;
    const cid = await deps.disks.snapshotDisk(ctx, disk, {
      deployment: deployment.name, job: instance.group, index: instance.index, director_name: name, director_uuid: uuid, agent_id: agentId ?? null, instance_id: instance.uuid, ...deployment.tags,
    });
    if (cid === undefined) ctx.log.info('CPI does not support disk snapshots; skipping');
    const known = await ctx.write(async (tx) => (cid === undefined ? deleteSnapshotRecord(tx, intent).then(() => true) : completeSnapshot(tx, intent, cid)));
    if (cid !== undefined && !known) await deps.disks.deleteSnapshot(ctx, { cpi: disk.cpi, cid });
    return known ? cid : undefined;
  } catch (error) {
    if (isInterruption(error)) throw error;
    const refused = isTaskCancelled(error) || (isCpiError(error) && !isCpiError(error, 'Unusable'));
    await ctx.uncancellable().write(async (tx) => {
      if (refused) await deleteSnapshotRecord(tx, intent);
      else await noteLeak(tx, { kind: 'snapshot', id: intent }, { user: ctx.user, taskId: ctx.taskId });
    });
    throw error;
  }
}
