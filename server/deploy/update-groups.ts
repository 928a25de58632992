import { mapPool } from '../core/concurrency';
import { instanceLabel } from '../instances/instance';
import { isLeftAlone } from '../plan/changes';
import { isUpdated, updateRuns } from '../plan/order';
import type { CompleteInstancePlan, GroupPlan, ObsoletePlan, Plan } from '../plan/types';
import type { TaskContext } from '../tasks/context';
import { deleteInstances, type Deletion } from './delete-instance';
import { publishDns } from './dns-steps';
import type { DeployDeps } from './ports';
import type { RenderedInstance } from './render-plan';
import { isOrphanable } from './orphan-vm';
import { recordUnchanged } from './record-unchanged';
import { updateVm } from './store';
import { downloadPackages, type Replacement } from './swap-vm';
import { convergeInstance, createInstanceVm, createReplacementVm, type InstanceUpdate, type InstanceVm } from './update-instance';
import type { DeploymentVariables } from './variables';

/** Everything that the update stage works on. */
export interface UpdateWork {
  plan: Plan<CompleteInstancePlan>;
  deploymentId: number;
  rendered: ReadonlyMap<string, RenderedInstance>;
  renderAgain: InstanceUpdate['renderAgain'];
  /** uuid → row of instances. */
  instanceIds: ReadonlyMap<string, number>;
  variables: DeploymentVariables;
}

/**
 * The update stage: instances of removed groups go first, then missing VMs are made, then the groups are updated in order.
 * cloudfoundry/bosh src/bosh-director/lib/bosh/director/deployment_plan/stages/update_stage.rb.
 */
export async function updateGroups(ctx: TaskContext, deps: DeployDeps, work: UpdateWork): Promise<void> {
  const { plan } = work;
  const { maxThreads } = deps.settings;
  await deleteObsolete(ctx, deps, plan.removed, { maxInFlight: maxThreads, tags: [] });
  await renameCpis(ctx, plan);
  const vms = await createMissingVms(ctx, deps, work);
  await publishDns(ctx, deps, { plan, deploymentId: work.deploymentId, made: [...vms.vms.values()].map((vm) => vm.agentId) });
  await ctx.checkpoint();
  await downloadPackages(ctx, deps, plan, [...vms.replacements.values()]);
  await ctx.checkpoint();
  for (const run of updateRuns(plan)) {
    await mapPool(run, run.length, (group) => updateGroup(ctx, deps, { ...work, ...vms }, group));
  }
}

/** VMs are recorded under the name that their CPI has now. Their update goes by `plan`, in which they still have the earlier one: that is understood too. */
async function renameCpis(ctx: TaskContext, plan: Plan<CompleteInstancePlan>): Promise<void> {
  const renamed = plan.groups.flatMap((group) => group.instances).filter((instance) => instance.cpiRenamed);
  if (renamed.length === 0) return;
  await ctx.write(async (tx) => {
    for (const { existing, stemcell } of renamed) if (existing?.vm) await updateVm(tx, existing.vm.id, { cpi: stemcell.cpi });
  });
}

type GroupWork = UpdateWork & MadeVms;

async function updateGroup(ctx: TaskContext, deps: DeployDeps, work: GroupWork, run: ReturnType<typeof updateRuns>[number][number]): Promise<void> {
  const { group, batches } = run;
  await ctx.checkpoint();
  await deleteObsolete(ctx, deps, group.obsolete, { maxInFlight: run.deleteInFlight, tags: [group.name] });
  await recordUnchanged(ctx, group.instances.filter((instance) => !isLeftAlone(instance) && !isUpdated(instance)).map((instance) => workOf(work, instance)));
  const total = batches.reduce((sum, batch) => sum + batch.canaries.length + batch.rest.length, 0);
  const stage = ctx.stages.stage('Updating instance', total, [group.name]);
  const update = (instance: CompleteInstancePlan, canary: boolean) =>
    stage.run(`${instanceLabel(instance)}${canary ? ' (canary)' : ''}`, async (progress) => {
      await ctx.checkpoint();
      await convergeInstance(ctx, deps, { ...workOf(work, instance), vm: work.vms.get(instance.uuid) ?? presentVm(instance), replacement: work.replacements.get(instance.uuid)?.vm, canary }, progress);
    });
  for (const batch of batches) {
    await mapPool(batch.canaries, batch.maxInFlight, (instance) => update(instance, true));
    await mapPool(batch.rest, batch.maxInFlight, (instance) => update(instance, false));
  }
}

function workOf(work: UpdateWork, instance: CompleteInstancePlan): Pick<InstanceUpdate, 'plan' | 'instance' | 'instanceId' | 'rendered' | 'renderAgain' | 'variables'> {
  const instanceId = instance.existing?.id ?? work.instanceIds.get(instance.uuid);
  if (instanceId === undefined) throw new Error(`instance ${instanceLabel(instance)} has no record`);
  return { plan: work.plan, instance, instanceId, rendered: renderedOf(work, instance), renderAgain: work.renderAgain, variables: work.variables };
}

function renderedOf(work: UpdateWork, instance: CompleteInstancePlan): RenderedInstance {
  const rendered = work.rendered.get(instance.uuid);
  if (!rendered) throw new Error(`the templates of ${instanceLabel(instance)} were not rendered`);
  return rendered;
}

function presentVm(instance: CompleteInstancePlan): InstanceVm | undefined {
  const vm = instance.existing?.vm;
  return vm && { vmId: vm.id, cid: vm.cid, agentId: vm.agentId, cpi: vm.cpi, apiVersion: vm.stemcellApiVersion, fresh: false };
}

/** VMs made in this attempt, by the uuid of their instance. */
interface MadeVms {
  vms: ReadonlyMap<string, InstanceVm>;
  /** Beside VMs whose place they are to take. */
  replacements: ReadonlyMap<string, Replacement>;
}

/** VMs for instances that have none, and those that will be swapped in; they are kept when a later one fails. */
async function createMissingVms(ctx: TaskContext, deps: DeployDeps, work: UpdateWork): Promise<MadeVms> {
  const missing = work.plan.groups.flatMap((group) => group.instances).filter((instance) => instance.needsVm || instance.swap);
  const made = { vms: new Map<string, InstanceVm>(), replacements: new Map<string, Replacement>() };
  const stage = ctx.stages.stage('Creating missing vms', missing.length);
  await mapPool(missing, deps.settings.maxThreads, async (instance) => {
    await ctx.checkpoint();
    await stage.run(instanceLabel(instance), async () => {
      if (instance.swap) made.replacements.set(instance.uuid, { instance, vm: await createReplacementVm(ctx, deps, workOf(work, instance)) });
      else made.vms.set(instance.uuid, await createInstanceVm(ctx, deps, workOf(work, instance)));
    });
  });
  return made;
}

async function deleteObsolete(ctx: TaskContext, deps: DeployDeps, obsolete: readonly ObsoletePlan[], how: { maxInFlight: number; tags: string[] }): Promise<void> {
  if (obsolete.length === 0) return;
  const stage = ctx.stages.stage('Deleting unneeded instances', obsolete.length, how.tags);
  const deletions = obsolete.map((one): Deletion => {
    const { id, uuid, group, index, vm, spareVms, spec, reservations, agentState, persistentDisks } = one.instance;
    const silent = agentState?.jobState === 'unresponsive';
    const orphansVms = isOrphanable({ spec, addresses: reservations, disks: persistentDisks }) && !silent;
    return { instance: { id, uuid, job: group, index }, vms: [...(vm ? [vm] : []), ...(spareVms ?? [])], skipDrain: one.skipDrain, silent, orphansVms };
  });
  await deleteInstances(ctx, deps, stage, { deletions, options: { intent: { vm: 'delete', instance: 'delete', deployment: 'keep' }, maxInFlight: how.maxInFlight } });
}

/** Whether anything was to be done at all: post-deploy scripts run only then. */
export function hasChanges(plan: Plan<CompleteInstancePlan>): boolean {
  return plan.removed.length > 0 || plan.groups.some((group: GroupPlan<CompleteInstancePlan>) => group.obsolete.length > 0 || group.instances.some(isUpdated));
}
