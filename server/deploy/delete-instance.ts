import { mapPool } from '../core/concurrency';
import { orphanDisksOf } from '../disks/store';
import type { Stage, TaskContext } from '../tasks/context';
import { stopJobs, type StopIntent } from './agent-steps';
import { recordedOperation } from './instance-event';
import { orphanVm } from './orphan-vm';
import type { DeployDeps } from './ports';
import { deleteInstanceRecord, listArchives, type InstanceRow, type VmRow } from './store';
import { deleteOrAbandonVm, deleteVm } from './vm-steps';

export interface Deletion {
  instance: Pick<InstanceRow, 'id' | 'uuid' | 'job' | 'index'>;
  vms: readonly Pick<VmRow, 'id' | 'agentId' | 'cid' | 'cpi' | 'active' | 'stemcellApiVersion'>[];
  skipDrain: boolean;
  /** Nothing is to be stopped: its agent does not answer, or it only compiled. */
  silent?: boolean;
  /** Its VMs are left to the clean-up instead of being deleted at once. */
  orphansVms?: boolean;
}

export interface DeletionOptions {
  intent: StopIntent;
  maxInFlight: number;
  /** Go on when stopping or deleting fails (`delete-deployment --force`). */
  force?: boolean;
}

/**
 * Deletes instances: stop, delete the VM, keep the disks as orphans, forget the record. Each step finds what an interrupted deletion left.
 * Order: cloudfoundry/bosh src/bosh-director/lib/bosh/director/instance_deleter.rb.
 */
export async function deleteInstances(ctx: TaskContext, deps: DeployDeps, stage: Stage, request: { deletions: readonly Deletion[]; options: DeletionOptions }): Promise<void> {
  await mapPool(request.deletions, request.options.maxInFlight, async (deletion) => {
    await ctx.checkpoint();
    const { job, uuid, index } = deletion.instance;
    const operation = { instance: { group: job, uuid }, deployment: ctx.deployment, action: 'delete', context: {}, begin: async () => undefined };
    await stage.run(`${job}/${uuid} (${index})`, () => recordedOperation(ctx, operation, () => deleteInstance(ctx, deps, deletion, request.options)));
  });
}

async function deleteInstance(ctx: TaskContext, deps: DeployDeps, deletion: Deletion, options: DeletionOptions): Promise<void> {
  const { instance, vms } = deletion;
  const active = vms.find((vm) => vm.active);
  const tolerate = async (work: Promise<void>) => {
    if (!options.force) return work;
    await work.catch((error: unknown) => {
      if (ctx.signal.aborted) throw error;
      ctx.log.warn(`Ignored, because the deletion is forced: ${error instanceof Error ? error.message : String(error)}`);
    });
  };
  if (active && !deletion.silent) {
    const agent = { id: active.agentId, name: `${instance.job}/${instance.uuid} (${instance.index})` };
    await tolerate(stopJobs(ctx, deps, agent, { intent: options.intent, drain: 'shutdown', spec: undefined, skipDrain: deletion.skipDrain }));
  }
  for (const vm of vms) {
    if (deletion.orphansVms && vm.cid !== null) await orphanVm(ctx, deps, vm, `${instance.job}/${instance.uuid} (${instance.index})`);
    else await (options.force ? deleteOrAbandonVm : deleteVm)(ctx, deps, vm);
  }
  const archives = await listArchives(deps.db, instance.id);
  await ctx.fence();
  for (const archive of archives) await tolerate(deps.blobstore.delete(archive.blobstoreId));
  await ctx.write(async (tx) => {
    await orphanDisksOf(tx, instance.id, { user: ctx.user, taskId: ctx.taskId });
    await deleteInstanceRecord(tx, instance.id);
  });
}
