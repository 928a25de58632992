import { mapPool } from '../core/concurrency';
import { code, isDirectorError } from '../core/errors';
import { instanceLabel } from '../instances/instance';
import type { TaskContext } from '../tasks/context';
import type { DeployDeps } from './ports';
import { listRecordedInstances, type DeploymentRow } from './store';

/** How long an agent has to answer where its silence is no failure, ms. */
const patienceMs = 10_000;

/**
 * Runs `post-deploy` on every instance that has a VM and is meant to run. May be repeated.
 * @param silence what to do about agents that do not answer: after a resurrection others of the deployment may still be away
 * Rules: cloudfoundry/bosh src/bosh-director/lib/bosh/director/post_deployment_script_runner.rb.
 */
export async function runPostDeploy(ctx: TaskContext, deps: DeployDeps, deployment: Pick<DeploymentRow, 'id'>, silence: 'fail' | 'pass over' = 'fail'): Promise<void> {
  const instances = await listRecordedInstances(deps.db, deployment.id);
  await mapPool(instances, deps.settings.maxThreads, async ({ instance, vms }) => {
    const vm = vms.find((candidate) => candidate.active);
    if (!vm || instance.state !== 'started' || instance.ignore || instance.compilation) return;
    const name = instanceLabel({ group: instance.job, uuid: instance.uuid, index: instance.index });
    const agent = deps.agents.agentFor({ id: vm.agentId, name }, ctx);
    try {
      if (silence === 'pass over') await agent.getState({ timeoutMs: patienceMs });
      await agent.runScript('post-deploy');
    } catch (error) {
      if (silence === 'fail' || !isDirectorError(error) || error.code !== code.rpcTimeout) throw error;
      ctx.log.warn(`post-deploy of '${name}' was passed over: ${error.message}`);
    }
  });
}
