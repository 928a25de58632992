import { randomUUID } from 'node:crypto';
import { code, DirectorError } from '../core/errors';
import { parseYaml } from '../core/yaml';
import { releaseNetworks } from '../deployments/networks-store';
import { withCompiled, withRendered } from '../plan/changes';
import type { CompleteInstancePlan, DeployRequest, InstancePlan, Plan } from '../plan/types';
import type { TaskContext } from '../tasks/context';
import { isInterruption } from '../tasks/interruption';
import { AddressTaken, bindPlan } from './bind';
import { compareValues, pinVersions } from './compare-values';
import { compilePackages } from './compile';
import { storeDeployAlert } from './deploy-alerts';
import { noteLostDisks } from './disk-steps';
import { planWithDnsIds } from './dns-ids';
import { generateVariables } from './generate-variables';
import { asHash, loadPlanInput } from './load';
import { prepareManagedNetworks, usedNetworkNames } from './managed-networks';
import { orphanSurplusVms } from './orphan-vm';
import type { DeployDeps } from './ports';
import { runPostDeploy } from './post-deploy';
import { completePreview, countsOf, planDeploy, type PlanOrder } from './preview';
import { previewVariables } from './preview-variables';
import { JobSourceCache, renderAgain, renderPlan, type RenderCaller, type RenderedInstance } from './render-plan';
import { findDeployment, recordSuccess, releaseUnusedAddresses } from './store';
import { hasChanges, updateGroups } from './update-groups';
import { closeVariables, openVariables, stemcellsBefore } from './variables';
import { resolveManifest } from '../variables/documents';
import { resolveUnfinishedVms } from './vm-steps';
import { calculateResources } from './vm-resources';

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
 * Dry runs raise no alerts. A node that dies before it has stored one leaves that to the next attempt.
 */
export async function deploy(ctx: TaskContext, deps: DeployDeps, order: DeployOrder): Promise<void> {
  // Freed with the task: an attempt that fails for the database's sake must not let another deploy in.
  await ctx.lock(`lock:deployment:${order.deployment}`, deploymentLockWaitMs);
  if (order.request.dryRun) return carryOut(ctx, deps, order);
  const identity = { taskId: ctx.taskId, deployment: order.deployment, directorUuid: deps.settings.director.uuid };
  await storeDeployAlert(ctx, identity, { kind: 'begin' });
  try {
    await carryOut(ctx, deps, order);
  } catch (error) {
    if (!isInterruption(error)) await storeDeployAlert(ctx.uncancellable(), identity, { kind: 'error', error }).catch((failure: unknown) => ctx.log.warn(`The alert was not stored: ${String(failure)}`));
    throw error;
  }
  await storeDeployAlert(ctx, identity, { kind: 'finish' });
}

async function carryOut(ctx: TaskContext, deps: DeployDeps, order: DeployOrder): Promise<void> {
  const deployment = await findDeployment(deps.db, order.deployment);
  if (!deployment) throw new DirectorError(code.deploymentNotFound, `Deployment '${order.deployment}' doesn't exist`);
  const manifest = asHash(parseYaml(order.manifestText), 'manifest');
  const asked = { ...order, deployment, manifest };
  await warnOfFuture(ctx, order.request.recreateVmsCreatedBefore);
  if (order.request.dryRun) return dryRun(ctx, deps, { ...asked, variables: await previewVariables(deps, asked, ctx.secrets) });
  const stemcells = await stemcellsBefore(ctx, deps, deployment);
  const variables = await openVariables(ctx, deps, deployment);
  try {
    await converge(ctx, deps, { ...asked, variables, stemcellsBefore: stemcells });
  } catch (error) {
    if (!isInterruption(error)) await closeVariables(ctx.uncancellable(), deployment, variables, false);
    throw error;
  }
  await closeVariables(ctx, deployment, variables, true);
}

/** @param before RFC 3339; VMs that are recreated only when they are older */
async function warnOfFuture(ctx: TaskContext, before: string | undefined): Promise<void> {
  if (before === undefined || ctx.attempt > 1 || Date.parse(before) <= ctx.clock.now()) return;
  await ctx.stages.warning(`The recreate_vms_created_before timestamp '${before}' is in the future. No VMs will be filtered by age - all VMs marked for recreation will be recreated.`);
}

type DeployOrderFor = Omit<DeployOrder, 'deployment'> & PlanOrder & { stemcellsBefore: readonly string[] };

async function converge(ctx: TaskContext, deps: DeployDeps, order: DeployOrderFor): Promise<void> {
  const { deployment, variables } = order;
  const prepared = await prepare(ctx, deps, order);
  const builds = await compilePackages(ctx, deps, prepared.plan, { deploymentId: deployment.id, variables });
  const plan = withCompiled(withRendered(prepared.plan, new Map([...prepared.rendered].map(([uuid, one]) => [uuid, one.hashes]))), builds);
  // A later attempt sees no change where this one has converged everything, and must still run the scripts.
  if (hasChanges(plan)) await ctx.remember(changedKey, true);
  await updateGroups(ctx, deps, { plan, deploymentId: deployment.id, rendered: prepared.rendered, renderAgain: prepared.renderAgain, instanceIds: prepared.instanceIds, variables });
  await record(ctx, order, plan);
  if (ctx.remembered(changedKey) === true) await runPostDeploy(ctx, deps, deployment);
}

/** Plans and renders as a deploy would, and does nothing; what would have been done is told in the debug stream. */
async function dryRun(ctx: TaskContext, deps: DeployDeps, order: PlanOrder): Promise<void> {
  const stage = ctx.stages.stage('Preparing deployment', 1);
  const plan = await stage.run('Preparing deployment', () => planDeploy(ctx, deps, order));
  for (const warning of plan.warnings) await ctx.stages.warning(warning);
  const preview = await stage.run('Rendering templates', () => completePreview(rendererOf(ctx), deps, { plan, variables: order.variables }));
  ctx.log.info(`A deploy would do this: ${Object.entries(countsOf(preview)).map(([action, count]) => `${action} ${count}`).join(', ')}`);
}

function rendererOf(ctx: TaskContext): RenderCaller {
  return { scope: `task-${ctx.taskId}-${ctx.epoch}`, signal: ctx.signal, checkpoint: () => ctx.checkpoint() };
}

const changedKey = 'deploy/changed';

interface Prepared {
  plan: Plan;
  rendered: Map<string, RenderedInstance>;
  renderAgain: (instance: InstancePlan) => Promise<RenderedInstance>;
  instanceIds: Map<string, number>;
}

/** How often planning starts anew because another deploy took an address. */
const maxPlans = 10;

async function prepare(ctx: TaskContext, deps: DeployDeps, order: DeployOrderFor): Promise<Prepared> {
  const stage = ctx.stages.stage('Preparing deployment', 1);
  try {
    const { plan, instanceIds } = await stage.run('Preparing deployment', async () => {
      await noteLostDisks(ctx, deps);
      await resolveUnfinishedVms(ctx, deps, order.deployment.id);
      const bound = await planAndBind(ctx, deps, order);
      await orphanSurplusVms(ctx, deps, bound.plan);
      return bound;
    });
    const means = { sources: new JobSourceCache(deps), variables: order.variables };
    const rendered = await stage.run('Rendering templates', () => renderPlan(rendererOf(ctx), deps, plan, means));
    return { plan, rendered, renderAgain: (instance) => renderAgain(rendererOf(ctx), deps, { plan, ...means }, instance), instanceIds };
  } catch (error) {
    if (!isInterruption(error)) await ctx.uncancellable().write((tx) => releaseUnusedAddresses(tx, order.deployment.id)).catch(() => undefined);
    throw error;
  }
}

async function planAndBind(ctx: TaskContext, deps: DeployDeps, order: DeployOrderFor): Promise<{ plan: Plan; instanceIds: Map<string, number> }> {
  for (let attempt = 1; ; attempt++) {
    await ctx.checkpoint();
    const plan = await planWithValues(ctx, deps, order);
    for (const warning of attempt === 1 ? plan.warnings : []) await ctx.stages.warning(warning);
    try {
      return { plan, instanceIds: await bindPlan(ctx, plan, { deploymentId: order.deployment.id, variableSetId: order.variables.setId }) };
    } catch (error) {
      if (!(error instanceof AddressTaken) || attempt >= maxPlans) throw error;
      ctx.log.info(`Planning again: ${error.message}`);
    }
  }
}

/** Plans, generates the variables that the plan wants, and plans again where their values decide what changes. */
async function planWithValues(ctx: TaskContext, deps: DeployDeps, order: DeployOrderFor): Promise<Plan> {
  const loaded = await loadPlanInput(ctx, deps, { ...order, taskId: ctx.taskId, newUuid: randomUUID, calculateResources: (wanted) => calculateResources(ctx, deps, wanted) });
  const input = await prepareManagedNetworks(ctx, deps, loaded, { deploymentId: order.deployment.id, variables: order.variables });
  const plan = await planWithDnsIds(ctx, input);
  await generateVariables(ctx, deps, { ...order, plan, forceLatest: order.request.forceLatestVariables ?? false });
  await pinVersions(plan, order.variables);
  const differences = await compareValues(plan, order.variables);
  return differences ? planWithDnsIds(ctx, { ...input, differences }) : plan;
}

async function record(ctx: TaskContext, order: DeployOrderFor, plan: Plan<CompleteInstancePlan>): Promise<void> {
  const { deployment } = order;
  const manifest = await resolveManifest(order.variables.own, plan.manifest);
  await ctx.write(async (tx) => {
    await releaseNetworks(tx, deployment.id, { keep: usedNetworkNames({ ...plan, manifest }), user: ctx.user, taskId: ctx.taskId, deployment: plan.deployment });
    await recordSuccess(tx, deployment.id, {
      manifest: plan.manifest, manifestText: order.manifestText, tags: plan.tags, configIds: [...order.configIds.cloud, ...order.configIds.runtime],
      releaseVersionIds: plan.releases.map((release) => release.id), stemcellIds: plan.stemcells.flatMap((stemcell) => stemcell.images.map((image) => image.id)),
    });
  });
}
