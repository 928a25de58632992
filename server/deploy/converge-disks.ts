import { isAgentFailure } from '../agents/request';
import { sameValue } from '../core/compare';
import { code, DirectorError } from '../core/errors';
import { changeActive, listDisks, updateDisk, type Disk } from '../disks/store';
import { diskChanges, onlyGrows, type DiskChange, type PlannedDisk } from '../plan/disks';
import type { TaskContext } from '../tasks/context';
import { isInterruption } from '../tasks/interruption';
import { attachDisk, createDisk, detachDisk, reread, retireDisk, type DiskOwner, type DiskVm } from './disk-steps';
import type { DeployDeps } from './ports';

/** What the disks of an instance are brought to. Its jobs must be stopped. */
export interface DiskGoal {
  vm: DiskVm;
  owner: DiskOwner;
  desired: readonly PlannedDisk[];
  /** Also disks that would do are replaced. */
  recreate: boolean;
  /** CPI of disks that are made. */
  cpi: string;
}

/**
 * Brings the disks of an instance to what is planned. Until the one transaction in which another disk becomes the active one, the old
 * disk has all the data; nothing writes to it meanwhile, because the jobs are stopped, also by an attempt that goes on later:
 *
 *   died while the new disk was made       → a possible leak is noted, another one is made
 *   before its content was copied          → the same disk is used, if this task made it; otherwise it becomes an orphan
 *   while it was copied                    → the agent is asked which disks it has mounted: both, then it is copied again; only the new one, then it was done
 *   after the new one became active        → the old one is inactive: it is taken from the VM and becomes an orphan
 *
 * Order: cloudfoundry/bosh src/bosh-director/lib/bosh/director/disk_manager.rb.
 */
export async function convergeDisks(ctx: TaskContext, deps: DeployDeps, goal: DiskGoal): Promise<void> {
  const rows = await listDisks(deps.db, goal.owner.instanceId);
  if (rows.length === 0 && goal.desired.length === 0) return;
  const changes = diskChanges(rows.map((disk) => ({ ...disk, fresh: disk.taskId === ctx.taskId })), goal.desired, goal.recreate);
  const begun = new Map(changes.flatMap((change) => {
    const disk = findBegun(ctx, rows, change);
    return disk ? [[change.name, disk] as const] : [];
  }));
  for (const disk of rows) {
    if (!disk.active && begun.get(disk.name)?.id !== disk.id) await retireDisk(ctx, deps, { disk, ...goal });
  }
  if (goal.desired.length > 0) await attachActive(ctx, deps, goal, begun.get(''));
  for (const change of changes) await changeDisk(ctx, deps, { goal, change, begun: begun.get(change.name) });
}

/** The new disk of an earlier attempt of this task, for the same change. Between two tasks the jobs may have run, and its content be of old. */
function findBegun(ctx: TaskContext, rows: readonly Disk[], { name, to }: DiskChange): Disk | undefined {
  return rows.find((disk) => !disk.active && disk.taskId === ctx.taskId && disk.name === name && to !== undefined && disk.size === to.size && sameValue(disk.cloudProperties, to.cloudProperties));
}

/** The disks with the data are at the VM, and the agent has mounted what the records say. Throws 400010 and 390002. */
async function attachActive(ctx: TaskContext, deps: DeployDeps, goal: DiskGoal, begun: Disk | undefined): Promise<void> {
  const { vm, owner } = goal;
  const active = (await listDisks(deps.db, owner.instanceId)).filter((disk) => disk.active);
  for (const disk of active) {
    await settleUpdate(ctx, deps, { disk, vm });
    await attachDisk(ctx, deps, { disk, vm, owner });
  }
  const managed = active.find((disk) => disk.name === '');
  if (!managed || goal.desired.some((disk) => disk.name !== '')) return;
  const mounted = await deps.agents.agentFor(vm.agent, ctx).listDisk();
  const foreign = mounted.find((cid) => cid !== managed.cid && cid !== begun?.cid);
  if (foreign !== undefined) {
    throw new DirectorError(code.agentDiskOutOfSync, `'${vm.agent.name}' has invalid disks: agent reports '${foreign}' while director record shows '${managed.cid}'`);
  }
  if (mounted.includes(managed.cid) || (begun?.copying && mounted.includes(begun.cid))) return;
  ctx.log.warn(`The agent of '${vm.agent.name}' has no disk mounted while the records have '${managed.cid}': it is attached again`);
  const disk = await reread(deps, managed.id);
  await ctx.write((tx) => updateDisk(tx, disk.id, { attached: false }));
  await attachDisk(ctx, deps, { disk: { ...disk, attached: false }, vm, owner });
}

/** A change by the cloud of which the end is not known: it may be repeated unless the cloud has given the disk another cid. */
async function settleUpdate(ctx: TaskContext, deps: DeployDeps, { disk, vm }: { disk: Disk; vm: DiskVm }): Promise<void> {
  if (disk.state !== 'updating') return;
  if ((await deps.disks.hasDisk(ctx, disk)) === false) {
    throw new DirectorError(code.cloudDiskMissing, `Disk '${disk.cid}' of '${vm.agent.name}' is gone since the cloud was asked to change it: look in the cloud for the disk that has taken its place, stop the instance and give it that one with 'bosh attach-disk'`);
  }
  await ctx.write((tx) => updateDisk(tx, disk.id, { state: 'created' }));
}

interface ChangeWork {
  goal: DiskGoal;
  change: DiskChange;
  /** What an earlier attempt has made. */
  begun: Disk | undefined;
}

async function changeDisk(ctx: TaskContext, deps: DeployDeps, work: ChangeWork): Promise<void> {
  const { change, goal } = work;
  const { from, to } = change;
  if (from && to && from.name === '' && !work.begun && !goal.recreate) {
    const { cpiResizesDisks, cpiUpdatesDisks } = deps.settings;
    if (cpiResizesDisks && onlyGrows(change) && (await resize(ctx, deps, { goal, diskId: from.id, size: to.size }))) return;
    if (cpiUpdatesDisks && (await updateByCloud(ctx, deps, { goal, diskId: from.id, to }))) return;
  }
  await replace(ctx, deps, work);
}

/** The cloud makes the disk larger, while it is not attached. */
async function resize(ctx: TaskContext, deps: DeployDeps, { goal, diskId, size }: { goal: DiskGoal; diskId: number; size: number }): Promise<boolean> {
  await detachDisk(ctx, deps, { disk: await reread(deps, diskId), ...goal });
  const done = await deps.disks.resizeDisk(ctx, await reread(deps, diskId), size);
  if (done) await ctx.write((tx) => updateDisk(tx, diskId, { size }));
  await attachDisk(ctx, deps, { disk: await reread(deps, diskId), ...goal });
  return done;
}

async function updateByCloud(ctx: TaskContext, deps: DeployDeps, work: { goal: DiskGoal; diskId: number; to: PlannedDisk }): Promise<boolean> {
  await detachDisk(ctx, deps, { disk: await reread(deps, work.diskId), ...work.goal });
  const done = await updateDetached(ctx, deps, work);
  await attachDisk(ctx, deps, { disk: await reread(deps, work.diskId), ...work.goal });
  return done;
}

/** The cloud changes a disk that no VM has; what it answers, perhaps another cid, is recorded at once. False when it cannot do it. */
async function updateDetached(ctx: TaskContext, deps: DeployDeps, { diskId, to, goal }: { goal: Pick<DiskGoal, 'owner'>; diskId: number; to: PlannedDisk }): Promise<boolean> {
  const disk = await reread(deps, diskId);
  const cloudProperties = await goal.owner.variables.own.resolve(to.cloudProperties);
  await ctx.write((tx) => updateDisk(tx, diskId, { state: 'updating' }));
  const cid = await deps.disks.updateDisk(ctx, disk, { ...to, cloudProperties });
  await ctx.write((tx) => updateDisk(tx, diskId, cid === undefined ? { state: 'created' } : { state: 'created', cid, size: to.size, cloudProperties: to.cloudProperties }));
  return cid !== undefined;
}

/** Lets the cloud change managed disks while the VM is being replaced and has none of them. What it cannot do is copied later. */
export async function updateDetachedDisks(ctx: TaskContext, deps: DeployDeps, goal: Pick<DiskGoal, 'owner' | 'desired' | 'vm'>): Promise<void> {
  if (!deps.settings.cpiUpdatesDisks) return;
  const rows = await listDisks(deps.db, goal.owner.instanceId);
  const begun = rows.some((disk) => !disk.active);
  for (const { from, to } of begun ? [] : diskChanges(rows.map((disk) => ({ ...disk, fresh: false })), goal.desired, false)) {
    const disk = rows.find((row) => row.id === from?.id);
    if (!disk || !to || disk.name !== '' || disk.vmId !== null) continue;
    await settleUpdate(ctx, deps, { disk, vm: goal.vm });
    await updateDetached(ctx, deps, { goal, diskId: disk.id, to });
  }
}

/** Another disk, with the content of the old one when it is a managed disk. */
async function replace(ctx: TaskContext, deps: DeployDeps, { goal, change, begun }: ChangeWork): Promise<void> {
  const { vm, owner, cpi } = goal;
  const { from, to } = change;
  let made: Disk | undefined;
  if (to) {
    made = begun ?? (await createDisk(ctx, deps, { disk: { name: to.name, size: to.size, cloudProperties: to.cloudProperties }, vm, owner, cpi }));
    made = await attachDisk(ctx, deps, { disk: made, vm, owner });
    if (from && from.name === '') await copy(ctx, deps, { goal, from: from.cid, made });
  }
  await ctx.write((tx) => changeActive(tx, { ...(from ? { from: from.id } : {}), ...(made ? { to: made.id } : {}) }));
  if (from) await retireDisk(ctx, deps, { disk: await reread(deps, from.id), vm, owner });
}

async function copy(ctx: TaskContext, deps: DeployDeps, { goal, from, made }: { goal: DiskGoal; from: string; made: Disk }): Promise<void> {
  const agent = deps.agents.agentFor(goal.vm.agent, ctx);
  if (made.copying) {
    const mounted = await agent.listDisk();
    // Agents unmount the old disk when everything is copied. Mounting is repeated: it may have been the last thing that was missing.
    if (mounted.includes(made.cid) && !mounted.includes(from)) return agent.mountDisk(made.cid);
  }
  await ctx.write((tx) => updateDisk(tx, made.id, { copying: true }));
  try {
    await agent.migrateDisk(from, made.cid);
  } catch (error) {
    if (isInterruption(error) || !isAgentFailure(error)) throw error;
    ctx.log.warn(`The content of disk '${from}' could not be copied: disk '${made.cid}' is taken away again`);
    await retireDisk(ctx.uncancellable(), deps, { disk: { ...made, copying: true }, ...goal }).catch((failure: unknown) => ctx.log.warn(`Disk '${made.cid}' stays attached until the next deploy: ${String(failure)}`));
    throw error;
  }
}
