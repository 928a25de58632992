import type { Tx } from '../../db/client';
import { loadCpis } from '../configs/load-cpis';
import { code, DirectorError } from '../core/errors';
import { aliasesOf } from '../cpi/configured';
import { instanceLabel, instanceName } from '../instances/instance';
import { loadStemcells, type StemcellRecord } from '../stemcells/store';
import type { TaskContext } from '../tasks/context';
import { withoutLearned } from '../plan/network-settings';
import { startJobs, watchWindow } from './agent-steps';
import { sendTemplates, withSignedUrls } from './delivery';
import { attachInstanceDisks } from './disk-steps';
import { recordedOperation } from './instance-event';
import { introduceNetworks } from './learn-addresses';
import { orphanVm } from './orphan-vm';
import type { DeployDeps } from './ports';
import { addressesOf, readRecordedSpec, type RecordedSpec } from './recorded-spec';
import { findRecordedInstance, reserveAddresses, updateInstance, updateVm, type DeploymentRow, type RecordedInstance, type VmRow } from './store';
import { recordedVariables } from './variables';
import { abandonAndSweep, becomesReady, createVm, deleteVm, introduceVm, type CreatedVm, type VmOrder } from './vm-steps';

/** Everything that a recreation works on. */
interface Recreation {
  recorded: RecordedInstance;
  spec: RecordedSpec;
  order: VmOrder;
}

/**
 * Gives an instance a new VM that is what its last update left: the same identity, addresses, jobs and templates, from the records
 * alone. An instance that was stopped gets its jobs but they are not started; one to which nothing was ever applied gets a bare VM,
 * and the next deploy goes on with it. Wants the deployment's lock to be held.
 * Order: cloudfoundry/bosh src/bosh-director/lib/bosh/director/cloudcheck_helper.rb.
 *
 * When the node dies, the next attempt of the task comes here again:
 *   before the instance was marked unfinished → nothing has happened
 *   while the old VM was deleted              → it is recorded as `deleting` and is deleted again; a VM that is gone counts as deleted
 *   while the new VM was made                 → as `vm-steps` says: adopted when it is recorded and its agent comes, otherwise swept away
 *   while jobs were applied or started        → the new VM, known by the task that made it, is stopped, applied to and started anew
 *   after the instance was marked finished    → the same once more; the caller notes what is done, so this happens rarely
 * The instance stays unfinished until the end, so a deploy converges what a failed recreation leaves.
 */
export async function recreateVm(ctx: TaskContext, deps: DeployDeps, request: { deployment: DeploymentRow; instanceId: number }): Promise<void> {
  const recreation = await prepare(ctx, deps, request);
  const { instance } = recreation.recorded;
  const wasComplete = await completeBefore(ctx, instance);
  const operation = {
    instance: { group: instance.job, uuid: instance.uuid }, deployment: request.deployment.name, action: 'recreate', context: { az: instance.az, changes: ['recreate'] },
    begin: async (tx: Tx) => {
      await holdAddresses(tx, ctx, recreation);
      await updateInstance(tx, instance.id, { updateCompleted: false, lastChanges: ['recreate'] });
    },
  };
  await recordedOperation(ctx, operation, async () => {
    const vm = await replaceVm(ctx, deps, recreation);
    const networks = await hearAddresses(ctx, deps, recreation, vm);
    const { applied } = recreation.spec;
    if (applied) await bringUp(ctx, deps, { ...recreation, vm, applied: { ...applied, spec: { ...applied.spec, networks } } });
    await ctx.write((tx) => updateInstance(tx, instance.id, { updateCompleted: wasComplete && recreation.spec.applied !== undefined }));
  });
}

async function prepare(ctx: TaskContext, deps: DeployDeps, { deployment, instanceId }: { deployment: DeploymentRow; instanceId: number }): Promise<Recreation> {
  const recorded = await findRecordedInstance(deps.db, instanceId);
  if (!recorded) throw new DirectorError(code.instanceNotFound, `The instance of deployment '${deployment.name}' is not recorded any more`);
  const { uuid, job: group, index, az, cloudProperties } = recorded.instance;
  const label = instanceLabel({ group, uuid, index });
  const spec = readRecordedSpec(recorded.instance.spec, label);
  const stemcell = await findStemcell(deps, spec.stemcell);
  if (!stemcell) throw new DirectorError(code.stemcellNotFound, `Stemcell '${spec.stemcell.name}/${spec.stemcell.version}', of which the VM of '${label}' was made, is not there any more: upload it or deploy with another one`);
  return {
    recorded, spec,
    order: {
      instanceId, label, deployment: deployment.name, group, az, cpi: spec.stemcell.cpi, stemcell, cloudProperties: cloudProperties ?? {}, networks: withoutLearned(spec.networks), env: spec.env, diskCids: recorded.disks.filter((disk) => disk.active).map((disk) => disk.cid), tags: deployment.tags, variables: await recordedVariables(ctx, deps, deployment, recorded.instance.variableSetId),
      metadata: { id: uuid, job: group, instance_group: group, index: String(index), name: instanceName({ group, uuid }) },
    },
  };
}

/** The image from which the VM was made, in the CPI that made it: under the name that this has now, or an earlier one. */
async function findStemcell({ db }: DeployDeps, { name, version, cpi }: RecordedSpec['stemcell']): Promise<StemcellRecord | undefined> {
  const images = (await loadStemcells(db)).filter((one) => one.name === name && one.version === version);
  const aliases = cpi === '' ? [''] : aliasesOf(await loadCpis(db), cpi);
  return aliases.map((alias) => images.find((one) => one.cpi === alias)).find((image) => image !== undefined);
}

/** Whether the instance was up to date before this task touched it: only then may the recreation say so at its end. */
async function completeBefore(ctx: TaskContext, instance: { uuid: string; updateCompleted: boolean }): Promise<boolean> {
  const key = `recreate/${instance.uuid}`;
  const known = ctx.remembered(key);
  if (typeof known === 'boolean') return known;
  await ctx.remember(key, instance.updateCompleted);
  return instance.updateCompleted;
}

/** A failed deploy may have given addresses of the instance back. They are taken again if they are free: the VM is never made at another's address. */
async function holdAddresses(tx: Tx, ctx: TaskContext, { recorded, spec, order }: Recreation): Promise<void> {
  const held = new Set(recorded.addresses.map((row) => row.address));
  const wishes = addressesOf(spec).filter(({ address }) => !held.has(address)).map((wish) => ({ ...wish, static: false, instanceId: recorded.instance.id }));
  const taken = await reserveAddresses(tx, wishes, ctx.taskId);
  if (taken.length > 0) throw new DirectorError(code.networkReservationAlreadyInUse, `'${order.label}' cannot be made again at ${taken.join(', ')}, which another instance has by now: deploy, so that it gets another address`);
}

/** Deletes what the instance has and makes its new VM, or goes on with the one that an earlier attempt of this task made. */
async function replaceVm(ctx: TaskContext, deps: DeployDeps, { recorded, order }: Recreation): Promise<CreatedVm> {
  const made = recorded.vms.find((vm) => vm.taskId === ctx.taskId && vm.state === 'created');
  for (const vm of recorded.vms) {
    // One that was made beside it is the next deploy's to decide about.
    if (vm === made || (vm.state === 'created' && !vm.active)) continue;
    if (vm.state === 'retiring') await orphanVm(ctx, deps, vm, order.label);
    else if (vm.cid === null) await abandonAndSweep(ctx, deps, vm);
    else await deleteVm(ctx, deps, vm);
  }
  const adopted = made && (await adopt(ctx, deps, { vm: made, order }));
  const vm = adopted ?? (await createVm(ctx, deps, order));
  const { uuid, index, job: group } = recorded.instance;
  const disksOf = { vm: { ...vm, apiVersion: order.stemcell.apiVersion }, owner: { instanceId: order.instanceId, deployment: order.deployment, group, uuid, index, tags: order.tags, variables: order.variables } };
  await attachInstanceDisks(ctx, deps, disksOf);
  return vm;
}

/**
 * Tells the new VM who it is, and records the addresses that the cloud gave it. Its jobs come back as they were last delivered: one that
 * writes its own address into a file gets the new one with the next deploy, which sees that it has changed.
 */
async function hearAddresses(ctx: TaskContext, deps: DeployDeps, { recorded, spec, order }: Recreation, vm: CreatedVm): Promise<RecordedSpec['networks']> {
  const { id, uuid, index, spec: stored } = recorded.instance;
  const job = spec.applied?.spec.job ?? null;
  const networks = { ...(await introduceNetworks(ctx, deps, { agent: vm.agent, spec: { deployment: order.deployment, job, index, id: uuid, networks: { ...order.networks } } })) };
  if (!Object.values(networks).some((settings) => settings.type === 'dynamic')) return networks;
  await ctx.write(async (tx) => {
    await updateVm(tx, vm.vmId, { networks });
    await updateInstance(tx, id, { spec: { ...stored, networks } });
  });
  const moved = Object.keys(networks).filter((name) => networks[name]?.ip !== spec.networks[name]?.ip);
  if (moved.length > 0) await ctx.stages.warning(`'${order.label}' has got another address on network ${moved.map((name) => `'${name}'`).join(', ')}: templates that name it follow with the next deploy`);
  return networks;
}

/** The VM of a lost attempt, ready to be used; undefined, and deleted, when its agent does not come. What that attempt has started is stopped. */
async function adopt(ctx: TaskContext, deps: DeployDeps, { vm, order }: { vm: VmRow; order: VmOrder }): Promise<CreatedVm | undefined> {
  if (vm.cid === null) return undefined;
  const found = { vmId: vm.id, cid: vm.cid, agent: { id: vm.agentId, name: order.label } };
  if (!(await becomesReady(ctx, deps, { ...found.agent, cid: vm.cid }))) {
    await deleteVm(ctx, deps, vm);
    return undefined;
  }
  if (!vm.permanentNatsCredentials) await introduceVm(ctx, deps, order, found);
  await deps.agents.agentFor(found.agent, ctx).stop();
  return found;
}

/** The recorded jobs with the templates that were delivered last, started when the instance is to run. */
async function bringUp(ctx: TaskContext, deps: DeployDeps, { vm, applied, order, recorded }: Recreation & { vm: CreatedVm; applied: NonNullable<RecordedSpec['applied']> }): Promise<void> {
  const recipient = { agent: vm.agent, apiVersion: order.stemcell.apiVersion };
  const spec = await withSignedUrls(deps, recipient, applied.spec);
  await sendTemplates(ctx, deps, recipient, spec.rendered_templates_archive);
  await deps.agents.agentFor(vm.agent, ctx).apply(spec);
  if (recorded.instance.state === 'started') await startJobs(ctx, deps, vm.agent, watchWindow(applied.update, false));
}
