import type { Tx } from '../../db/client';
import { insertAlert } from '../alerts/store';
import { uuidFrom } from '../core/digest';
import { code, DirectorError } from '../core/errors';
import { isCpiError } from '../cpi/errors';
import { noteLostDisks } from '../deploy/disk-steps';
import { takeSnapshots, type SnapshotDeps } from '../deploy/snapshots';
import { findDeployment, findRecordedInstance, listRecordedInstances, type DeploymentRow, type RecordedInstance } from '../deploy/store';
import { deleteSnapshotRecord, listSnapshots, listSnapshotsOfTask, type Snapshot } from '../disks/store';
import { enqueueSnapshots } from '../scheduler/snapshot-store';
import { noParams } from '../scheduler/payloads';
import type { TaskContext } from '../tasks/context';
import { createSnapshotPayload, deleteSnapshotPayload, deploymentSnapshotsPayload, type CreateSnapshotPayload, type DeleteSnapshotPayload, type DeploymentSnapshotsPayload } from './disk-payloads';
import type { TaskType } from './task-type';

/** Tasks about snapshots. Those that operators ask for are not clean: jobs may be writing. Source: cloudfoundry/bosh src/bosh-director/lib/bosh/director/jobs/. */

export const createSnapshot: TaskType<CreateSnapshotPayload, SnapshotDeps> = {
  type: 'create_snapshot',
  lane: 'normal',
  onNodeLoss: 'converge',
  payload: createSnapshotPayload,
  async perform(ctx, deps, { deployment, instanceId }) {
    await noteLostDisks(ctx, deps);
    const recorded = await findRecordedInstance(deps.db, instanceId);
    if (!recorded) throw new DirectorError(code.instanceNotFound, `The instance of deployment '${deployment}' is not recorded any more`);
    await snapshotInstance(ctx, deps, await getDeployment(deps, deployment), recorded);
    return `snapshot(s) ${(await listSnapshotsOfTask(deps.db, ctx.taskId)).join(', ')} created`;
  },
};

export const snapshotDeployment: TaskType<DeploymentSnapshotsPayload, SnapshotDeps> = {
  type: 'snapshot_deployment',
  lane: 'normal',
  onNodeLoss: 'converge',
  payload: deploymentSnapshotsPayload,
  async perform(ctx, deps, { deployment: name }) {
    await noteLostDisks(ctx, deps);
    const deployment = await getDeployment(deps, name);
    let failures = 0;
    for (const recorded of await listRecordedInstances(deps.db, deployment.id)) {
      await ctx.checkpoint();
      if (recorded.instance.compilation || !recorded.vms.some((vm) => vm.active)) continue;
      try {
        await snapshotInstance(ctx, deps, deployment, recorded);
      } catch (error) {
        if (!isCpiError(error)) throw error;
        failures++;
        const { job, index } = recorded.instance;
        ctx.log.error(`failed to take snapshot of: ${job}/${index} - ${error.message}`);
        await ctx.write((tx) => tellFailure(tx, ctx, { instance: `${job}/${index}`, message: error.message, directorUuid: deps.settings.director.uuid }));
      }
    }
    return `snapshots of deployment '${name}' created${failures === 0 ? '' : `, with ${failures} failure(s)`}`;
  },
};

export const deleteSnapshot: TaskType<DeleteSnapshotPayload, SnapshotDeps> = {
  type: 'delete_snapshot',
  lane: 'normal',
  onNodeLoss: 'converge',
  payload: deleteSnapshotPayload,
  async perform(ctx, deps, { deployment, snapshotCids }) {
    for (const cid of snapshotCids) await deleteAll(ctx, deps, await listSnapshots(deps.db, { cid, deployment }));
    return `snapshot(s) ${snapshotCids.join(', ')} deleted`;
  },
};

export const deleteDeploymentSnapshots: TaskType<DeploymentSnapshotsPayload, SnapshotDeps> = {
  type: 'delete_deployment_snapshots',
  lane: 'normal',
  onNodeLoss: 'converge',
  payload: deploymentSnapshotsPayload,
  async perform(ctx, deps, { deployment: name }) {
    const deployment = await getDeployment(deps, name);
    await deleteAll(ctx, deps, await listSnapshots(deps.db, { deploymentId: deployment.id }));
    return `snapshots of deployment '${name}' deleted`;
  },
};

/** Enqueues a snapshot of every deployment. */
export const snapshotDeployments: TaskType<Record<string, never>, SnapshotDeps> = {
  type: 'snapshot_deployments',
  lane: 'normal',
  onNodeLoss: 'converge',
  payload: noParams,
  async perform(ctx, deps) {
    if (!deps.settings.snapshots) return 'Snapshots are disabled: set snapshots.enabled in the configuration to have them';
    const ids = await ctx.write((tx) => enqueueSnapshots(tx, ctx.taskId));
    return `Enqueued snapshot tasks [${ids.join(', ')}]`;
  },
};

async function getDeployment(deps: SnapshotDeps, name: string): Promise<DeploymentRow> {
  const deployment = await findDeployment(deps.db, name);
  if (!deployment) throw new DirectorError(code.deploymentNotFound, `Deployment '${name}' doesn't exist`);
  return deployment;
}

async function snapshotInstance(ctx: TaskContext, deps: SnapshotDeps, deployment: DeploymentRow, { instance, vms }: RecordedInstance): Promise<void> {
  await takeSnapshots(ctx, deps, { instance: { id: instance.id, uuid: instance.uuid, group: instance.job, index: instance.index }, deployment, agentId: vms.find((vm) => vm.active)?.agentId, clean: false });
}

/** In the cloud first: what dies in between is done again, and a snapshot that is gone counts as deleted. */
async function deleteAll(ctx: TaskContext, deps: SnapshotDeps, snapshots: readonly Snapshot[]): Promise<void> {
  for (const snapshot of snapshots) {
    await ctx.checkpoint();
    await deps.disks.deleteSnapshot(ctx, snapshot);
    await ctx.write((tx) => deleteSnapshotRecord(tx, snapshot.id));
  }
}

async function tellFailure(tx: Tx, ctx: TaskContext, failure: { instance: string; message: string; directorUuid: string }): Promise<void> {
  const dedupKey = `director/task/${ctx.taskId}/snapshot/${failure.instance}`;
  await insertAlert(tx, {
    id: uuidFrom(`${failure.directorUuid}/${dedupKey}`), dedupKey, origin: 'director', source: 'director', severity: 3, title: 'director - snapshot failure',
    summary: `failed to snapshot ${failure.instance}: ${failure.message.replaceAll('\u0000', '')}`, createdAt: Math.floor(ctx.clock.now() / 1_000),
  });
}
