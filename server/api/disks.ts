import { code, DirectorError } from '../core/errors';
import { rubyInspect } from '../core/fields';
import { getDeployment } from '../deployments/store';
import { listOrphanDisks, type OrphanDisk } from '../disks/orphan-store';
import { findDiskByCid, isSnapshot, listSnapshots, type Snapshot } from '../disks/store';
import type { AttachDiskPayload, CreateSnapshotPayload, DeleteOrphanDisksPayload, DeleteSnapshotPayload, DeploymentSnapshotsPayload, OrphanDiskPayload } from '../task-types/disk-payloads';
import { acceptTask } from './accept-task';
import type { ApiDeps } from './deps';
import { getInstance } from './instances';
import { presentTime } from './present';
import { json, type Reply } from './reply';
import { deploymentOf, parameter, type ApiRequest } from './route';

/** Disks and snapshots. Source: cloudfoundry/bosh src/bosh-director/lib/bosh/director/api/controllers/{disks,orphan_disks,deployments}_controller.rb. */

/** `GET /disks`, `GET /orphan_disks`: the orphans. */
export async function listOrphans(deps: ApiDeps): Promise<Reply> {
  return json((await listOrphanDisks(deps.db)).map(presentOrphanDisk));
}

export function presentOrphanDisk(disk: OrphanDisk) {
  return {
    disk_cid: disk.cid, size: disk.size, az: disk.az, deployment_name: disk.deploymentName, instance_name: disk.instanceName, cloud_properties: disk.cloudProperties, orphaned_at: presentTime(disk.orphanedAt),
  };
}

/** `DELETE /disks/:cid`, with `?orphan=true` only taken from its instance. Throws 520000 for a disk that an instance has. */
export async function remove(deps: ApiDeps, request: ApiRequest): Promise<Reply> {
  const orphan = request.query.get('orphan');
  if (orphan === null || orphan === 'false') return removeOrphan(deps, request);
  const payload: OrphanDiskPayload = { diskCid: request.param('cid') };
  return acceptTask(deps, request, async () => ({ type: 'orphan_disk', lane: 'normal', description: 'orphan disk', payload }));
}

/** `DELETE /orphan_disks/:cid`. */
export async function removeOrphan(deps: ApiDeps, request: ApiRequest): Promise<Reply> {
  const payload: DeleteOrphanDisksPayload = { diskCids: [request.param('cid')] };
  return acceptTask(deps, request, async (tx) => {
    const owned: string[] = [];
    for (const cid of payload.diskCids) if (await findDiskByCid(tx, cid)) owned.push(cid);
    if (owned.length > 0) throw new DirectorError(code.deletingPersistentDisk, `Deleting persistent disk is not supported: ${rubyInspect(owned)}`);
    return { type: 'delete_orphan_disks', lane: 'normal', description: 'delete orphan disks', payload };
  });
}

/** `PUT /disks/:cid/attachments?deployment=&job=&instance_id=&disk_properties=`. */
export async function attach(deps: ApiDeps, request: ApiRequest): Promise<Reply> {
  const { name, teams } = await getDeployment(deps.db, parameter(request, 'deployment') ?? '');
  const payload: AttachDiskPayload = {
    deployment: name, group: parameter(request, 'job') ?? '', instance: parameter(request, 'instance_id') ?? '', diskCid: request.param('cid'), copyProperties: parameter(request, 'disk_properties') === 'copy',
  };
  return acceptTask(deps, request, async () => ({
    type: 'attach_disk', lane: 'normal', description: `attach disk '${payload.diskCid}' to '${payload.group}/${payload.instance}'`, deployment: name, teams, payload,
  }));
}

export async function listSnapshotsOfDeployment(deps: ApiDeps, request: ApiRequest): Promise<Reply> {
  return json((await listSnapshots(deps.db, { deploymentId: deploymentOf(request).id })).map(presentSnapshot));
}

export async function listSnapshotsOfInstance(deps: ApiDeps, request: ApiRequest): Promise<Reply> {
  const instance = await getInstance(deps, request, request.param('job'));
  return json((await listSnapshots(deps.db, { instanceId: instance.id })).map(presentSnapshot));
}

function presentSnapshot(snapshot: Snapshot) {
  return { job: snapshot.group, index: snapshot.index, uuid: snapshot.uuid, snapshot_cid: snapshot.cid, created_at: presentTime(snapshot.createdAt), clean: snapshot.clean };
}

export async function snapshotDeployment(deps: ApiDeps, request: ApiRequest): Promise<Reply> {
  return ofDeployment(deps, request, { type: 'snapshot_deployment', description: 'snapshot deployment' });
}

export async function removeSnapshots(deps: ApiDeps, request: ApiRequest): Promise<Reply> {
  return ofDeployment(deps, request, { type: 'delete_deployment_snapshots', description: 'delete deployment snapshots' });
}

async function ofDeployment(deps: ApiDeps, request: ApiRequest, task: { type: string; description: string }): Promise<Reply> {
  const { name, teams } = deploymentOf(request);
  const payload: DeploymentSnapshotsPayload = { deployment: name };
  return acceptTask(deps, request, async () => ({ ...task, lane: 'normal', deployment: name, teams, payload }));
}

/** Its task belongs to no deployment, as in BOSH. */
export async function snapshotInstance(deps: ApiDeps, request: ApiRequest): Promise<Reply> {
  const instance = await getInstance(deps, request, request.param('job'));
  const payload: CreateSnapshotPayload = { deployment: deploymentOf(request).name, instanceId: instance.id };
  return acceptTask(deps, request, async () => ({ type: 'create_snapshot', lane: 'normal', description: 'create snapshot', payload }));
}

/** Throws 70008 for a snapshot that does not exist or is of another deployment. */
export async function removeSnapshot(deps: ApiDeps, request: ApiRequest): Promise<Reply> {
  const { name } = deploymentOf(request);
  const cid = request.param('cid');
  const payload: DeleteSnapshotPayload = { deployment: name, snapshotCids: [cid] };
  return acceptTask(deps, request, async (tx) => {
    if (!(await isSnapshot(tx, cid))) throw new DirectorError(code.snapshotNotFound, `snapshot ${cid} not found`);
    if ((await listSnapshots(tx, { cid, deployment: name })).length === 0) throw new DirectorError(code.snapshotNotFound, `snapshot ${cid} not found in deployment ${name}`);
    return { type: 'delete_snapshot', lane: 'normal', description: 'delete snapshot', payload };
  });
}
