import { mapPool } from '../core/concurrency';
import { instanceLabel, type FullSpec } from '../instances/instance';
import { applySpec, specOfNewVm } from '../plan/specs';
import type { CompleteInstancePlan, Plan } from '../plan/types';
import type { TaskContext } from '../tasks/context';
import { withSignedUrls } from './delivery';
import { orphanVm } from './orphan-vm';
import type { DeployDeps } from './ports';
import { activateVm, releaseAddresses, retireVm, updateInstance } from './store';
import type { InstanceUpdate, InstanceVm } from './update-instance';
import { setOf } from './variables';
import { deleteVm } from './vm-steps';

/** A VM that was made beside the one that it will replace. */
export interface Replacement {
  instance: CompleteInstancePlan;
  vm: InstanceVm;
}

/**
 * The stage `Downloading packages`: VMs that are to take the place of others fetch their packages while those still run.
 * cloudfoundry/bosh src/bosh-director/lib/bosh/director/deployment_plan/stages/download_packages_stage.rb.
 */
export async function downloadPackages(ctx: TaskContext, deps: DeployDeps, plan: Plan<CompleteInstancePlan>, replacements: readonly Replacement[]): Promise<void> {
  const stage = ctx.stages.stage('Downloading packages', replacements.length);
  await mapPool(replacements, deps.settings.maxThreads, async ({ instance, vm }) => {
    await ctx.checkpoint();
    await stage.run(instanceLabel(instance), async () => {
      const spec = await withSignedUrls(deps, { apiVersion: vm.apiVersion }, applySpec(instance, plan, undefined));
      await deps.agents.agentFor({ id: vm.agentId, name: instanceLabel(instance) }, ctx).prepare({ ...spec, job: {} });
    });
  });
}

/**
 * Puts the VM that was made beside an instance's VM in its place. The instance's jobs are stopped and its disks detached already.
 * Order: cloudfoundry/bosh src/bosh-director/lib/bosh/director/instance_updater/recreate_handler.rb.
 *
 * When the node dies
 *   before the new VM is the active one → the old one is still the instance's: the next attempt stops it again and swaps then
 *   after that                          → the old one is recorded as `retiring`: the next attempt orphans it before it plans, and goes on
 *                                         with the new one, whose instance is unfinished
 *   after the old one was orphaned      → the clean-up deletes it, whoever goes on
 * An agent that does not answer is not told anything: its VM is deleted first; dying then leaves an instance without a VM.
 */
export async function swapVm(ctx: TaskContext, deps: DeployDeps, update: InstanceUpdate & { vm: InstanceVm; replacement: InstanceVm }): Promise<InstanceVm> {
  const { instance, instanceId, vm, replacement } = update;
  const isSilent = instance.existing?.agentState?.jobState === 'unresponsive';
  if (isSilent) await deleteVm(ctx, deps, { id: vm.vmId, cid: vm.cid, cpi: vm.cpi, stemcellApiVersion: vm.apiVersion });
  const given = (instance.existing?.reservations ?? []).filter((one) => one.vmId === vm.vmId).map((one) => one.address);
  const spec: Partial<FullSpec> = specOfNewVm({ ...instance, networks: replacement.networks ?? instance.networks });
  await ctx.write(async (tx) => {
    if (isSilent) await releaseAddresses(tx, instanceId, given);
    else await retireVm(tx, vm.vmId);
    await activateVm(tx, replacement.vmId);
    await updateInstance(tx, instanceId, { cloudProperties: instance.cloudProperties, spec: { ...spec }, dns: instance.dns, ...setOf(update) });
  });
  if (!isSilent) await orphanVm(ctx, deps, { id: vm.vmId, agentId: vm.agentId }, instanceLabel(instance));
  return replacement;
}
