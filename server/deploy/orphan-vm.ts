import { recordEvent } from '../events/store';
import { describeError } from '../core/errors';
import { mapPool } from '../core/concurrency';
import { instanceLabel } from '../instances/instance';
import type { Plan, RecordedInstance } from '../plan/types';
import type { TaskContext } from '../tasks/context';
import { isInterruption } from '../tasks/interruption';
import type { DeployDeps } from './ports';
import { recordOrphan, type InstanceRow } from './store';

/**
 * Takes a VM from its instance: its agent is told to shut down, and the scheduled clean-up deletes it. Until then its addresses are
 * nobody else's. Dying before the record: the agent is told again; after it: the VM is the clean-up's.
 * Order: cloudfoundry/bosh src/bosh-director/lib/bosh/director/deployment_plan/steps/orphan_vm_step.rb.
 */
export async function orphanVm(ctx: TaskContext, deps: DeployDeps, vm: { id: number; agentId: string }, label: string): Promise<void> {
  try {
    await ctx.fence();
    await deps.agents.agentFor({ id: vm.agentId, name: label }, ctx).shutdown();
  } catch (error) {
    if (ctx.signal.aborted || isInterruption(error)) throw error;
    ctx.log.warn(`The agent of '${label}' was not told to shut down: ${describeError(error).message}`);
  }
  await ctx.write(async (tx) => {
    const orphan = await recordOrphan(tx, vm.id);
    if (!orphan) return;
    const event = { user: ctx.user, action: 'orphan', objectType: 'vm', objectName: orphan.cid, taskId: ctx.taskId, deployment: orphan.deployment, instance: orphan.instance };
    const parentId = await recordEvent(tx, event);
    await recordEvent(tx, { ...event, parentId });
  });
}

/** Takes away VMs that earlier deploys made beside others and that nobody can use. */
export async function orphanSurplusVms(ctx: TaskContext, deps: DeployDeps, plan: Plan): Promise<void> {
  const surplus = plan.groups.flatMap((group) => group.instances.flatMap((instance) => instance.surplusVms.map((vm) => ({ vm, label: instanceLabel(instance) }))));
  await mapPool(surplus, deps.settings.maxThreads, ({ vm, label }) => orphanVm(ctx, deps, vm, label));
}

/**
 * Whether the VMs of an instance that is deleted are left to the clean-up: those of a group that swaps VMs and has no static addresses.
 * Disks are only free when the VM that has them is gone: with disks it is deleted at once.
 * Rule: cloudfoundry/bosh src/bosh-director/lib/bosh/director/models/instance.rb (orphanable?).
 */
export function isOrphanable({ spec, addresses, disks }: { spec: InstanceRow['spec'] | RecordedInstance['spec']; addresses: readonly { static: boolean }[]; disks: readonly unknown[] }): boolean {
  const update: unknown = spec?.update;
  const strategy = typeof update === 'object' && update !== null && 'vm_strategy' in update ? update.vm_strategy : undefined;
  return strategy === 'create-swap-delete' && disks.length === 0 && !addresses.some((address) => address.static);
}
