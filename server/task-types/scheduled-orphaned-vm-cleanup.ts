import type { Database } from '../../db/client';
import { mapPool } from '../core/concurrency';
import { describeError } from '../core/errors';
import type { VmCalls } from '../cpi/vm-calls';
import { recordEndEvent } from '../events/store';
import { beginVmDeletion, findDoomedVm, forgetOrphanedVm, listDoomedVms, type DoomedVm } from '../scheduler/orphaned-vm-store';
import { noParams } from '../scheduler/payloads';
import { isTaskCancelled, type TaskContext } from '../tasks/context';
import { isInterruption } from '../tasks/interruption';
import type { TaskType } from './task-type';

export interface OrphanedVmDeps {
  db: Database;
  /** Calls of the CPI of that name; '' is the director's own. */
  vmCalls(cpiName: string): Pick<VmCalls, 'deleteVm'>;
  /** VMs deleted at a time. */
  maxThreads: number;
}

const lockWaitMs = 5_000;

/**
 * Deletes VMs that no instance has any more. One that cannot be deleted is left to the next run.
 * Rules: cloudfoundry/bosh src/bosh-director/lib/bosh/director/orphaned_vm_deleter.rb.
 */
export const scheduledOrphanedVmCleanup: TaskType<Record<string, never>, OrphanedVmDeps> = {
  type: 'scheduled_orphaned_vm_cleanup',
  lane: 'normal',
  onNodeLoss: 'converge',
  payload: noParams,
  async perform(ctx, deps) {
    const outcomes = await mapPool(await listDoomedVms(deps.db), deps.maxThreads, (vm) => deleteOrphanedVm(ctx, deps, vm, lockWaitMs));
    const count = (wanted: string) => outcomes.filter((outcome) => outcome === wanted).length;
    return `Deleted ${count('deleted')} orphaned vm(s)${count('left') > 0 ? `, ${count('left')} could not be deleted` : ''}`;
  },
};

/**
 * Deletes an orphaned VM. Safe to be cut short anywhere: its record goes when the cloud has deleted it. `waitMs`: how long for another
 * task that deletes it. `gone`: another one was quicker; `left`: it could not be deleted, which the task's log tells.
 */
export async function deleteOrphanedVm(ctx: TaskContext, deps: OrphanedVmDeps, vm: Pick<DoomedVm, 'id' | 'cid'>, waitMs: number): Promise<'deleted' | 'gone' | 'left'> {
  await ctx.checkpoint();
  try {
    return await deleteUnderLock(ctx, deps, vm, waitMs);
  } catch (error) {
    if (isInterruption(error) || isTaskCancelled(error) || ctx.signal.aborted) throw error;
    ctx.log.warn(`Orphaned VM '${vm.cid}' could not be deleted and will be tried again: ${describeError(error).message}`);
    return 'left';
  }
}

async function deleteUnderLock(ctx: TaskContext, deps: OrphanedVmDeps, { id, cid }: Pick<DoomedVm, 'id' | 'cid'>, waitMs: number): Promise<'deleted' | 'gone'> {
  const unlock = await ctx.lock(`lock:orphan_vm_cleanup:${cid}`, waitMs);
  try {
    const vm = await findDoomedVm(deps.db, id);
    return vm ? await deleteOne(ctx, deps, vm) : 'gone';
  } finally {
    await unlock();
  }
}

async function deleteOne(ctx: TaskContext, deps: OrphanedVmDeps, vm: DoomedVm): Promise<'deleted' | 'gone'> {
  const start = await ctx.write((tx) => beginVmDeletion(tx, vm, { id: ctx.taskId, user: ctx.user }));
  try {
    await deps.vmCalls(vm.cpi).deleteVm(ctx, vm.cid, vm.stemcellApiVersion);
  } catch (error) {
    if (!isInterruption(error) && !isTaskCancelled(error)) await ctx.write((tx) => recordEndEvent(tx, start, { error: describeError(error).message }));
    throw error;
  }
  return ctx.write(async (tx) => {
    if (!(await forgetOrphanedVm(tx, vm.id))) return 'gone';
    await recordEndEvent(tx, start, {});
    return 'deleted';
  });
}
