import { z } from 'zod';
import { code, DirectorError, isDirectorError } from '../core/errors';
import { namesIn } from '../deploy/load';
import { runPostDeploy } from '../deploy/post-deploy';
import { readRecordedUpdate } from '../deploy/recorded-spec';
import { findDeployment, listRecordedInstances, type RecordedInstance } from '../deploy/store';
import type { UpdateConfig } from '../deployments/manifest';
import type { TaskContext } from '../tasks/context';
import { applyResolutions } from './apply';
import { resolutionRuns } from './order';
import type { ProblemDeps } from './ports';
import { problemSchema, type Problem } from './problem';
import { scanVms } from './scan';
import type { ScanAndFixPayload } from './request';

/** Key under which the task remembers what its scan found. */
const foundKey = 'scan-and-fix/found';

/**
 * Scans VMs that the health monitor holds for dead and recreates those that are. Because it looks for itself, a wrong or repeated
 * request does no harm to VMs that are well.
 * cloudfoundry/bosh src/bosh-director/lib/bosh/director/jobs/cloud_check/scan_and_fix.rb.
 *
 * When the node dies during the scan, the next attempt scans anew. From then on the findings are remembered, because a VM that is
 * half made would look well: the next attempt goes on with what is not resolved yet (see `applyResolutions`, `recreateVm`), and runs
 * the post-deploy scripts again. The deployment's lock is the task's and stays through all of it.
 */
export async function scanAndFix(ctx: TaskContext, deps: ProblemDeps, order: ScanAndFixPayload): Promise<string> {
  await lockDeployment(ctx, order.deployment);
  const deployment = await findDeployment(deps.db, order.deployment);
  if (!deployment) throw new DirectorError(code.deploymentNotFound, `Deployment '${order.deployment}' doesn't exist`);
  const recorded = await listRecordedInstances(deps.db, deployment.id);
  const problems = await findProblems(ctx, deps, { order, recorded });
  if (problems.length > 0) {
    const runs = resolutionRuns(problems, namesIn(deployment.manifest?.instance_groups), (group) => updateOf(recorded, group));
    const errors = await applyResolutions(ctx, deps, { deployment, runs, resolution: 'recreate_vm' });
    if (errors.length < problems.length) await runPostDeploy(ctx, deps, deployment, 'pass over');
    if (errors.length > 0) throw new DirectorError(code.generic, errors.join('\n'));
  }
  return 'scan and fix complete';
}

/** Taken at once or not at all: a deploy that is under way recreates dead VMs itself, or the next alert comes after it. */
async function lockDeployment(ctx: TaskContext, deployment: string): Promise<void> {
  try {
    await ctx.lock(`lock:deployment:${deployment}`, 0);
  } catch (error) {
    if (!isDirectorError(error)) throw error;
    ctx.log.info(error.message);
    throw new DirectorError(code.generic, 'Unable to get deployment lock, maybe a deployment is in progress. Try again later.', { cause: error });
  }
}

async function findProblems(ctx: TaskContext, deps: ProblemDeps, { order, recorded }: { order: ScanAndFixPayload; recorded: readonly RecordedInstance[] }): Promise<Problem[]> {
  const known = ctx.remembered(foundKey);
  if (known !== undefined) return z.array(problemSchema).parse(known);
  const chosen = await chooseInstances(ctx, order, recorded);
  const problems = await scanVms(ctx, deps, chosen);
  await ctx.remember(foundKey, problems);
  return problems;
}

/** The instances that were asked for, each once, without those that are to have no VM, or a disk that is to be left alone. */
async function chooseInstances(ctx: TaskContext, order: ScanAndFixPayload, recorded: readonly RecordedInstance[]): Promise<RecordedInstance[]> {
  const chosen = new Set<RecordedInstance>();
  const gone: string[] = [];
  for (const [group, ids] of Object.entries(order.jobs)) {
    for (const id of ids) {
      const found = recorded.find(({ instance }) => !instance.compilation && instance.job === group && (/^\d+$/.test(id) ? instance.index === Number(id) : instance.uuid === id.toLowerCase()));
      if (found) chosen.add(found);
      else gone.push(`'${order.deployment}/${group}/${id}' doesn't exist`);
    }
  }
  if (chosen.size === 0 && gone.length > 0) throw new DirectorError(code.instanceNotFound, gone.join('; '));
  for (const text of gone) await ctx.stages.warning(text);
  return [...chosen].filter((one) => expectsVm(one) && (order.fixStateful || !hasDisk(one)));
}

function expectsVm({ instance }: RecordedInstance): boolean {
  return instance.state !== 'detached' && (instance.spec?.lifecycle ?? 'service') === 'service';
}

function hasDisk({ disks }: RecordedInstance): boolean {
  return disks.length > 0;
}

/** How a group is updated, as its instances have recorded it. */
function updateOf(recorded: readonly RecordedInstance[], group: string): UpdateConfig | undefined {
  for (const { instance } of recorded) {
    const update = instance.job === group ? readRecordedUpdate(instance.spec) : undefined;
    if (update) return update;
  }
  return undefined;
}
