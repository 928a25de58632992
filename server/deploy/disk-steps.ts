import type { AgentTarget } from '../agents/agent';
import { isCpiError } from '../cpi/errors';
import { code, DirectorError } from '../core/errors';
import { noteLeak } from '../disks/leak-store';
import { completeDisk, createDiskIntent, deleteDiskRecord, findDisk, listDisks, listUnanswered, orphanAll, updateDisk, type Disk, type NewDisk } from '../disks/store';
import { recordEvent } from '../events/store';
import { isTaskCancelled, type TaskContext } from '../tasks/context';
import { isInterruption } from '../tasks/interruption';
import type { DeployDeps } from './ports';
import type { DeploymentVariables } from './variables';

/**
 * Disks, so that none is lost from sight and no two VMs ever have one. Each step is recorded before it is done and again when it is done:
 *
 *   create_disk   died before the answer was recorded → nobody knows the cid: the intent becomes a possible leak, told in events and console
 *   attach, mount died in between → the record says that the VM may have it: it is taken away from the VM and given to it again
 *   detach        died in between → the same: it is detached again, and that it is not attached is no error
 */

/** A VM whose disks are changed. */
export interface DiskVm {
  vmId: number;
  cid: string;
  agent: AgentTarget;
  apiVersion: number | null;
}

/** The instance that disks belong to, as messages, events and the cloud are told. */
export interface DiskOwner {
  instanceId: number;
  deployment: string;
  group: string;
  uuid: string;
  index: number;
  /** For the disk's metadata. */
  tags: Record<string, string>;
  /** Of the placeholders in the cloud properties of disks; their values go to the CPI and nowhere else. */
  variables: Pick<DeploymentVariables, 'own'>;
}

/** What the steps below work on. */
export interface DiskWork {
  disk: Disk;
  vm: DiskVm;
  owner: DiskOwner;
}

/** How long another task is waited for that attaches or detaches disks of the same VM, ms (lock_helper.rb). */
const vmLockWaitMs = 10_000;

/** Turns intents of lost attempts into possible leaks, each with a warning: the cloud may have made something that no record has. */
export async function noteLostDisks(ctx: TaskContext, deps: Pick<DeployDeps, 'db'>): Promise<void> {
  for (const intent of await listUnanswered(deps.db)) {
    const leak = await ctx.write((tx) => noteLeak(tx, intent, { user: ctx.user, taskId: ctx.taskId }));
    if (leak) await ctx.stages.warning(`A ${leak.kind} for '${leak.instanceName}' may have been left in the cloud: a node died while it was made. Look for it there; see the page Disks of the console`);
  }
}

/** Makes a disk that is not active yet. */
export async function createDisk(ctx: TaskContext, deps: DeployDeps, order: { disk: Omit<NewDisk, 'instanceId' | 'cpi'>; vm: DiskVm; owner: DiskOwner; cpi: string }): Promise<Disk> {
  const { disk, vm, owner, cpi } = order;
  const instance = `${owner.group}/${owner.uuid}`;
  const event = { user: ctx.user, action: 'create', objectType: 'disk', taskId: ctx.taskId, deployment: owner.deployment, instance };
  const cloudProperties = await owner.variables.own.resolve(disk.cloudProperties);
  const { id, parentId } = await ctx.write(async (tx) => ({
    id: await createDiskIntent(tx, { ...disk, instanceId: owner.instanceId, cpi }, { taskId: ctx.taskId, epoch: ctx.epoch }),
    parentId: await recordEvent(tx, event),
  }));
  let cid: string | undefined;
  try {
    const made = await deps.disks.createDisk(ctx, { cpi, size: disk.size, cloudProperties, vmCid: vm.cid });
    cid = made;
    await ctx.write(async (tx) => {
      await completeDisk(tx, id, made);
      await recordEvent(tx, { ...event, parentId, objectName: made });
    });
  } catch (error) {
    if (isInterruption(error)) throw error;
    // A CPI that says why it failed has made nothing; one that broke off may have.
    const refused = isTaskCancelled(error) || (isCpiError(error) && !isCpiError(error, 'Unusable'));
    const known = cid;
    await ctx.uncancellable().write(async (tx) => {
      if (known !== undefined) await completeDisk(tx, id, known);
      else if (refused) await deleteDiskRecord(tx, id);
      else await noteLeak(tx, { kind: 'disk', id }, { user: ctx.user, taskId: ctx.taskId });
      await recordEvent(tx, { ...event, parentId, error: ctx.secrets.clean(error instanceof Error ? error.message.replaceAll('\u0000', '') : String(error)) });
    });
    throw error;
  }
  return reread(deps, id);
}

/** Attaches a disk to the VM and mounts it when it is the managed one. One that the VM may have already is taken from it first. */
export async function attachDisk(ctx: TaskContext, deps: DeployDeps, { disk, vm, owner }: DiskWork): Promise<Disk> {
  if (disk.vmId === vm.vmId && disk.attached) return disk;
  if (disk.vmId !== null && disk.vmId !== vm.vmId) throw new DirectorError(code.generic, `Disk '${disk.cid}' of '${vm.agent.name}' is still attached to another VM of it: deploy again when that VM is gone`);
  if (disk.vmId === vm.vmId) await detachDisk(ctx, deps, { disk, vm, owner });
  await ctx.write((tx) => updateDisk(tx, disk.id, { vmId: vm.vmId, attached: false, copying: false }));
  const hint = await locked(ctx, vm, () => deps.disks.attachDisk(ctx, { cpi: disk.cpi, cid: disk.cid, vmCid: vm.cid, stemcellApiVersion: vm.apiVersion }));
  const agent = deps.agents.agentFor(vm.agent, ctx);
  await deps.agents.waitUntilReady({ ...vm.agent, cid: vm.cid }, deps.settings.agentWaitTimeoutMs, ctx);
  await agent.addPersistentDisk(disk.cid, hint);
  await writeDiskMetadata(ctx, deps, { disk, owner });
  if (disk.name === '') {
    await deps.agents.waitUntilReady({ ...vm.agent, cid: vm.cid }, deps.settings.agentWaitTimeoutMs, ctx);
    await agent.mountDisk(disk.cid);
  }
  await ctx.write((tx) => updateDisk(tx, disk.id, { attached: true }));
  return { ...disk, vmId: vm.vmId, attached: true, copying: false };
}

/** Tells the cloud whose disk it is. */
export async function writeDiskMetadata(ctx: TaskContext, deps: DeployDeps, { disk, owner }: Pick<DiskWork, 'disk' | 'owner'>): Promise<void> {
  await deps.disks.setDiskMetadata(ctx, disk, {
    ...owner.tags, director: deps.settings.director.name, deployment: owner.deployment, instance_id: owner.uuid, instance_index: String(owner.index), instance_group: owner.group,
    attached_at: new Date(ctx.clock.now()).toISOString().replace(/\.\d+Z$/, 'Z'),
  });
}

/**
 * Takes a disk from the VM: unmounted first, and unknown to the agent before the cloud detaches it. Throws 390001 when the cloud says that
 * the instance's active disk is not there, although it was attached for certain.
 */
export async function detachDisk(ctx: TaskContext, deps: DeployDeps, { disk, vm }: DiskWork): Promise<void> {
  if (disk.vmId !== vm.vmId) return;
  await ctx.write((tx) => updateDisk(tx, disk.id, { attached: false }));
  const agent = deps.agents.agentFor(vm.agent, ctx);
  if (disk.name === '' && (await agent.listDisk()).includes(disk.cid)) await agent.unmountDisk(disk.cid);
  await agent.removePersistentDisk(disk.cid);
  const was = await locked(ctx, vm, () => deps.disks.detachDisk(ctx, { cpi: disk.cpi, cid: disk.cid, vmCid: vm.cid, stemcellApiVersion: vm.apiVersion }));
  if (!was && disk.attached && disk.active) {
    await ctx.write((tx) => updateDisk(tx, disk.id, { attached: true }));
    throw new DirectorError(code.cloudDiskNotAttached, `'${vm.agent.name}' VM should have persistent disk '${disk.cid}' attached but it doesn't (according to CPI)`);
  }
  await ctx.write((tx) => updateDisk(tx, disk.id, { vmId: null, attached: false, copying: false }));
}

/** A disk that the instance does not need any more: taken from the VM, then kept as an orphan. */
export async function retireDisk(ctx: TaskContext, deps: DeployDeps, work: DiskWork): Promise<void> {
  await detachDisk(ctx, deps, work);
  await ctx.write((tx) => orphanAll(tx, [work.disk], { user: ctx.user, taskId: ctx.taskId }));
}

/** Gives a VM the disks of its instance that hold its data. May be repeated. */
export async function attachInstanceDisks(ctx: TaskContext, deps: DeployDeps, { vm, owner }: Omit<DiskWork, 'disk'>): Promise<void> {
  for (const disk of await listDisks(deps.db, owner.instanceId)) if (disk.active) await attachDisk(ctx, deps, { disk, vm, owner });
}

/** Takes every disk from a VM that is about to be deleted or replaced; its agent must answer. May be repeated. */
export async function detachInstanceDisks(ctx: TaskContext, deps: DeployDeps, { vm, owner }: Omit<DiskWork, 'disk'>): Promise<void> {
  for (const disk of await listDisks(deps.db, owner.instanceId)) await detachDisk(ctx, deps, { disk, vm, owner });
}

/** Cids of disks that a new VM of the instance will get: a hint for its placement in the cloud. */
export async function diskCidsOf(deps: Pick<DeployDeps, 'db'>, instanceId: number): Promise<string[]> {
  return (await listDisks(deps.db, instanceId)).filter((disk) => disk.active).map((disk) => disk.cid);
}

export async function reread(deps: Pick<DeployDeps, 'db'>, diskId: number): Promise<Disk> {
  const disk = await findDisk(deps.db, diskId);
  if (!disk) throw new Error(`the record of disk ${diskId} is gone`);
  return disk;
}

async function locked<T>(ctx: TaskContext, vm: DiskVm, work: () => Promise<T>): Promise<T> {
  const unlock = await ctx.lock(`lock:vm:${vm.cid}`, vmLockWaitMs);
  try {
    return await work();
  } finally {
    await unlock();
  }
}
