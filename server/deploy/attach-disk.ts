import { code, DirectorError } from '../core/errors';
import { findActiveDisk, isOrphanDisk } from '../disks/orphan-store';
import { adoptDisk, findDiskByCid, listDisks, reviveOrphan, updateDisk } from '../disks/store';
import { instanceLabel } from '../instances/instance';
import { findInstance } from '../instances/store';
import type { Tx } from '../../db/client';
import type { TaskContext } from '../tasks/context';
import { deploymentLockWaitMs } from './deploy';
import { attachDisk, retireDisk, type DiskOwner, type DiskVm } from './disk-steps';
import type { DeployDeps } from './ports';
import { readRecordedCpi } from './recorded-spec';
import { findDeployment, findRecordedInstance, type DeploymentRow, type RecordedInstance } from './store';
import { recordedVariables } from './variables';

export interface AttachOrder {
  deployment: string;
  group: string;
  /** Uuid. */
  instance: string;
  diskCid: string;
  /** A disk that nobody knows gets size and cloud properties of the one that it replaces. */
  copyProperties: boolean;
}

/**
 * Gives an instance another managed disk: an orphan, or one that only the cloud knows. The one that it had becomes an orphan. The disk is
 * the instance's from one transaction on; what follows is repeated by whoever goes on after a lost node. Unlike BOSH it holds the deployment's lock.
 * Throws 520001 and 520003. cloudfoundry/bosh src/bosh-director/lib/bosh/director/jobs/attach_disk.rb.
 */
export async function attachDiskToInstance(ctx: TaskContext, deps: DeployDeps, order: AttachOrder): Promise<void> {
  await ctx.lock(`lock:deployment:${order.deployment}`, deploymentLockWaitMs);
  const { deployment, recorded } = await findSubject(deps, order);
  const instanceId = recorded.instance.id;
  if ((await findActiveDisk(deps.db, { instanceId, name: '' }))?.cid !== order.diskCid) await takeOver(ctx, deps, order, recorded);
  const { uuid, job: group, index } = recorded.instance;
  const owner: DiskOwner = { instanceId, deployment: deployment.name, group, uuid, index, tags: deployment.tags, variables: await recordedVariables(ctx, deps, deployment, recorded.instance.variableSetId) };
  const vm = vmOf(recorded);
  const managed = (await listDisks(deps.db, instanceId)).filter((disk) => disk.name === '');
  for (const disk of managed) if (!disk.active) await retireDisk(ctx, deps, { disk, vm: vm ?? noVm, owner });
  for (const disk of managed) if (disk.active && vm) await attachDisk(ctx, deps, { disk, vm, owner });
}

/** Of a detached instance: no disk is attached to it. */
const noVm: DiskVm = { vmId: -1, cid: '', agent: { id: '', name: '' }, apiVersion: null };

function vmOf({ instance, vms }: RecordedInstance): DiskVm | undefined {
  const vm = vms.find((candidate) => candidate.active);
  if (!vm || vm.cid === null) return undefined;
  return { vmId: vm.id, cid: vm.cid, agent: { id: vm.agentId, name: instanceLabel({ group: instance.job, uuid: instance.uuid, index: instance.index }) }, apiVersion: vm.stemcellApiVersion };
}

async function findSubject(deps: DeployDeps, order: AttachOrder): Promise<{ deployment: DeploymentRow; recorded: RecordedInstance }> {
  const name = `Instance '${order.group}/${order.instance}' in deployment '${order.deployment}'`;
  const deployment = await findDeployment(deps.db, order.deployment);
  const found = deployment && (await findInstance(deps.db, { deploymentId: deployment.id, group: order.group, id: order.instance }));
  const recorded = found && (await findRecordedInstance(deps.db, found.id));
  if (!deployment || !recorded) throw new DirectorError(code.attachDiskUnknownInstance, `${name} was not found`);
  if (recorded.instance.ignore) throw new DirectorError(code.attachDiskInvalidInstanceState, `${name} is in 'ignore' state. Attaching disks to ignored instances is not allowed.`);
  if (recorded.instance.state === 'started') throw new DirectorError(code.attachDiskInvalidInstanceState, `${name} must be in 'bosh stopped' state`);
  return { deployment, recorded };
}

/** In one transaction: the old disk is not the instance's active one any more, and the new one is; it is in the cloud in which the instance is. */
async function takeOver(ctx: TaskContext, deps: DeployDeps, order: AttachOrder, { instance, vms }: RecordedInstance): Promise<void> {
  const instanceId = instance.id;
  await ctx.write(async (tx: Tx) => {
    const owned = await findDiskByCid(tx, order.diskCid);
    if (owned) throw new DirectorError(code.generic, `Disk '${order.diskCid}' belongs to '${owned.instance}' in deployment '${owned.deployment}': orphan it first`);
    const previous = await findActiveDisk(tx, { instanceId, name: '' });
    if (previous) await updateDisk(tx, previous.id, { active: false });
    if ((await reviveOrphan(tx, order.diskCid, instanceId)) !== undefined) return;
    if (await isOrphanDisk(tx, order.diskCid)) throw new DirectorError(code.generic, `Disk '${order.diskCid}' is being deleted`);
    const like = order.copyProperties ? previous : undefined;
    await adoptDisk(tx, { instanceId, cid: order.diskCid, name: '', size: like?.size ?? 1, cloudProperties: like?.cloudProperties ?? {}, cpi: previous?.cpi ?? vms.find((vm) => vm.active)?.cpi ?? readRecordedCpi(instance.spec) ?? '' });
  });
}
