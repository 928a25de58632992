import { code, DirectorError } from '../core/errors';
import { releaseNetworks } from '../deployments/networks-store';
import type { TaskContext } from '../tasks/context';
import { deleteInstances } from './delete-instance';
import { deploymentLockWaitMs } from './deploy';
import { noteLostDisks } from './disk-steps';
import { isOrphanable } from './orphan-vm';
import type { DeployDeps } from './ports';
import { deleteDeploymentRecord, findDeployment, listRecordedInstances } from './store';
import { resolveUnfinishedVms } from './vm-steps';

/**
 * Deletes a deployment: its instances, then what it used, then its record. A second attempt goes on with what is left; a deployment
 * that is gone counts as deleted when an earlier attempt did it.
 * cloudfoundry/bosh src/bosh-director/lib/bosh/director/jobs/delete_deployment.rb.
 */
export async function deleteDeployment(ctx: TaskContext, deps: DeployDeps, order: { deployment: string; force: boolean }): Promise<void> {
  await ctx.lock(`lock:deployment:${order.deployment}`, deploymentLockWaitMs);
  const deployment = await findDeployment(deps.db, order.deployment);
  if (!deployment) {
    if (ctx.attempt > 1) return;
    throw new DirectorError(code.deploymentNotFound, `Deployment '${order.deployment}' doesn't exist`);
  }
  await noteLostDisks(ctx, deps);
  await resolveUnfinishedVms(ctx, deps, deployment.id, order.force ? 'delete by force' : 'delete');
  const instances = await listRecordedInstances(deps.db, deployment.id);
  if (instances.some(({ instance }) => instance.ignore)) {
    throw new DirectorError(code.deploymentIgnoredInstancesDeletion, `You are trying to delete deployment '${order.deployment}', which contains ignored instance(s). Operation not allowed.`);
  }
  await deleteInstances(ctx, deps, ctx.stages.stage('Deleting instances', instances.length), {
    deletions: instances.map(({ instance, vms, addresses, disks }) => ({ instance, vms, skipDrain: false, silent: instance.compilation, orphansVms: isOrphanable({ spec: instance.spec, addresses, disks }) })),
    options: { intent: { vm: 'delete', instance: 'delete', deployment: 'delete' }, maxInFlight: deps.settings.maxThreads, force: order.force },
  });
  const artifacts = ctx.stages.stage('Removing deployment artifacts', 3);
  await artifacts.run('Detaching stemcells', async () => undefined);
  await artifacts.run('Detaching releases', async () => undefined);
  const properties = ctx.stages.stage('Deleting properties', 0);
  await properties.run('Deleting dynamic disks', async () => undefined);
  // Removing the record detaches stemcells, releases and configs in the same transaction.
  await properties.run('Destroying deployment', () =>
    ctx.write(async (tx) => {
      await releaseNetworks(tx, deployment.id, { keep: [], user: ctx.user, taskId: ctx.taskId, deployment: order.deployment });
      await deleteDeploymentRecord(tx, deployment.id);
    }),
  );
}
