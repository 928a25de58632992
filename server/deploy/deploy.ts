import { randomUUID } from 'node:crypto';
import { mapPool } from '../core/concurrency';
import { code, DirectorError } from '../core/errors';
import { parseYaml, type Hash } from '../core/yaml';
import { instanceLabel } from '../instances/instance';
import { buildPlan } from '../plan/build-plan';
import { withCompiled, withRendered } from '../plan/changes';
import type { CompleteInstancePlan, DeployRequest, Plan } from '../plan/types';
import type { TaskContext } from '../tasks/context';
import { isInterruption } from '../tasks/interruption';
import { AddressTaken, bindPlan } from './bind';
import { compilePackages } from './compile';
import { asHash, loadPlanInput } from './load';
import type { DeployDeps } from './ports';
import { JobSourceCache, renderPlan, type RenderedInstance } from './render-plan';
import { findDeployment, listRecordedInstances, recordSuccess, releaseUnusedAddresses, type DeploymentRow } from './store';
import { hasChanges, updateGroups } from './update-groups';
import { resolveUnfinishedVms } from './vm-steps';

export interface DeployOrder {
  deployment: string;
  manifestText: string;
  configIds: { cloud: readonly number[]; runtime: readonly number[] };
  request: DeployRequest;
}

/** How long a deploy waits for its deployment's lock, ms (lock_helper.rb). */
export const deploymentLockWaitMs = 10_000;

/**
 * What `bosh deploy` does, top to bottom. Every attempt starts here and finds in the records what earlier ones achieved.
 * cloudfoundry/bosh src/bosh-director/lib/bosh/director/jobs/update_deployment.rb.
 */
export async function deploy(ctx: TaskContext, deps: DeployDeps, order: DeployOrder): Promise<void> {
  // Freed with the task: an attempt that fails for the database's sake must not let another deploy in.
  await ctx.lock(`lock:deployment:${order.deployment}`, deploymentLockWaitMs);
  const deployment = await findDeployment(deps.db, order.deployment);
  if (!deployment) throw new DirectorError(code.deploymentNotFound, `Deployment '${order.deployment}' doesn't exist`);
  const manifest = asHash(parseYaml(order.manifestText), 'manifest');
  const prepared = await prepare(ctx, deps, { ...order, deployment, manifest });
  if (order.request.dryRun) return;
  const builds = await compilePackages(ctx, deps, prepared.plan, deployment.id);
  const plan = withCompiled(withRendered(prepared.plan, new Map([...prepared.rendered].map(([uuid, one]) => [uuid, one.hashes]))), builds);
  // A later attempt sees no change where this one has converged everything, and must still run the scripts.
  if (hasChanges(plan)) await ctx.remember(changedKey, true);
  await updateGroups(ctx, deps, { plan, rendered: prepared.rendered, instanceIds: prepared.instanceIds });
  await record(ctx, order, deployment, plan);
  if (ctx.remembered(changedKey) === true) await runPostDeploy(ctx, deps, deployment);
}

const changedKey = 'deploy/changed';

interface Prepared {
  plan: Plan;
  rendered: Map<string, RenderedInstance>;
  instanceIds: Map<string, number>;
}

/** How often planning starts anew because another deploy took an address. */
const maxPlans = 10;

async function prepare(ctx: TaskContext, deps: DeployDeps, order: DeployOrderFor): Promise<Prepared> {
  const stage = ctx.stages.stage('Preparing deployment', 1);
  const dryRun = order.request.dryRun === true;
  try {
    const { plan, instanceIds } = await stage.run('Preparing deployment', async () => {
      if (!dryRun) await resolveUnfinishedVms(ctx, deps, order.deployment.id);
      return planAndBind(ctx, deps, order);
    });
    const rendered = await stage.run('Rendering templates', () => renderPlan(ctx, deps, plan, new JobSourceCache(deps)));
    return { plan, rendered, instanceIds };
  } catch (error) {
    if (!dryRun && !isInterruption(error)) await ctx.uncancellable().write((tx) => releaseUnusedAddresses(tx, order.deployment.id)).catch(() => undefined);
    throw error;
  }
}

type DeployOrderFor = Omit<DeployOrder, 'deployment'> & { deployment: DeploymentRow; manifest: Hash };

async function planAndBind(ctx: TaskContext, deps: DeployDeps, order: DeployOrderFor): Promise<{ plan: Plan; instanceIds: Map<string, number> }> {
  for (let attempt = 1; ; attempt++) {
    await ctx.checkpoint();
    const plan = buildPlan(await loadPlanInput(ctx, deps, { ...order, newUuid: randomUUID }));
    for (const warning of attempt === 1 ? plan.warnings : []) await ctx.stages.warning(warning);
    if (order.request.dryRun) return { plan, instanceIds: new Map() };
    try {
      return { plan, instanceIds: await bindPlan(ctx, plan, order.deployment.id) };
    } catch (error) {
      if (!(error instanceof AddressTaken) || attempt >= maxPlans) throw error;
      ctx.log.info(`Planning again: ${error.message}`);
    }
  }
}

async function record(ctx: TaskContext, order: DeployOrder, deployment: DeploymentRow, plan: Plan<CompleteInstancePlan>): Promise<void> {
  await ctx.write((tx) =>
    recordSuccess(tx, deployment.id, {
      manifest: plan.manifest, manifestText: order.manifestText, tags: plan.tags, configIds: [...order.configIds.cloud, ...order.configIds.runtime],
      releaseVersionIds: plan.releases.map((release) => release.id), stemcellIds: plan.stemcells.flatMap((stemcell) => stemcell.ids),
    }),
  );
}

/** Runs `post-deploy` on every instance that has a VM and is meant to run. */
async function runPostDeploy(ctx: TaskContext, deps: DeployDeps, deployment: DeploymentRow): Promise<void> {
  const instances = await listRecordedInstances(deps.db, deployment.id);
  await mapPool(instances, deps.settings.maxThreads, async ({ instance, vms }) => {
    const vm = vms.find((candidate) => candidate.active);
    if (!vm || instance.state !== 'started' || instance.ignore || instance.compilation) return;
    const agent = { id: vm.agentId, name: instanceLabel({ group: instance.job, uuid: instance.uuid, index: instance.index }) };
    await deps.agents.agentFor(agent, ctx).runScript('post-deploy');
  });
}
