import { randomUUID } from 'node:crypto';
import type { AgentCaller } from '../agents/agent';
import { DirectorError, isDirectorError, notSupported } from '../core/errors';
import { buildPlan } from '../plan/build-plan';
import { withCompiled, withRendered } from '../plan/changes';
import { outcomeOf, type Outcome } from '../plan/outcome';
import type { CompiledBuild, CompleteInstancePlan, Plan, RequirementKey } from '../plan/types';
import type { CalculatedResources, ResourcesOfCpi } from '../plan/vm-resources';
import { SecretTexts } from '../tasks/secret-texts';
import { compareValues } from './compare-values';
import { loadPlanInput, type LoadDeps, type LoadRequest } from './load';
import { JobSourceCache, renderPlan, type RenderCaller, type RenderDeps } from './render-plan';
import { previewVariables } from './preview-variables';
import { listUnfinishedVms } from './store';
import type { DeploymentVariables, VariableDeps } from './variables';

/** What a deploy would do, found out in the way in which a deploy does it: nothing is recorded, and no lock is needed. */

export type PlanOrder = Omit<LoadRequest, 'newUuid' | 'calculateResources'>;

/** A plan with the values that it stands for. */
export interface PlanToComplete {
  plan: Plan;
  variables: DeploymentVariables;
}

/** Patience with each agent, ms: somebody waits for the preview. */
const agentTimeoutMs = 2_000;

/** The plan of a deploy from what is recorded now and what its agents say; see `buildPlan` for errors. */
export async function planDeploy(caller: AgentCaller, deps: LoadDeps, order: PlanOrder): Promise<Plan> {
  const input = await loadPlanInput(caller, deps, { ...order, newUuid: randomUUID, calculateResources: askNobody });
  const plan = buildPlan(input);
  const differences = await compareValues(plan, order.variables);
  return differences ? buildPlan({ ...input, differences }) : plan;
}

/** CPIs are called by tasks only: their output belongs to one. */
async function askNobody(wanted: readonly ResourcesOfCpi[]): Promise<CalculatedResources[]> {
  if (wanted.length > 0) throw notSupported("A preview of instance groups with 'vm_resources'", 'deploy with --dry-run, which asks the CPI');
  return [];
}

/** Adds what rendering and compiling would change. Packages that are still to be compiled count as different from what instances have, as they will be. */
export async function completePreview(caller: RenderCaller, deps: RenderDeps, { plan, variables }: PlanToComplete): Promise<Plan<CompleteInstancePlan>> {
  const rendered = await renderPlan(caller, deps, plan, { sources: new JobSourceCache(deps), variables });
  return withCompiled(withRendered(plan, new Map([...rendered].map(([uuid, one]) => [uuid, one.hashes]))), buildsToCome(plan));
}

function buildsToCome(plan: Plan): Map<RequirementKey, CompiledBuild> {
  return new Map(plan.packages.flatMap(({ key, compiled }) => (compiled ? [] : [[key, { build: 0, blobstoreId: '', sha1: '' }]])));
}

/**
 * The plan of a deploy that nobody carries out yet. Agents have little time to answer; those that do not are noted in the plan
 * (or lead to a recreation, with `fix`), and told of in its warnings.
 */
export async function previewDeploy(caller: AgentCaller & RenderCaller, deps: LoadDeps & RenderDeps & VariableDeps, order: Omit<PlanOrder, 'variables'>): Promise<Plan<CompleteInstancePlan>> {
  const secrets = new SecretTexts();
  const variables = await previewVariables(deps, order, secrets);
  const preview = await withoutSecrets(secrets, async () => completePreview(caller, deps, { variables, plan: await planDeploy(caller, deps, { ...order, variables, agentTimeoutMs, silence: 'note' }) }));
  const unfinished = await listUnfinishedVms(deps.db, order.deployment.id, { taskId: 0, epoch: 0 });
  return { ...preview, warnings: [...preview.warnings, ...silenceWarnings(preview), ...unfinishedWarnings(unfinished.length)] };
}

/** Errors of the work do not show what it has read. */
async function withoutSecrets<T>(secrets: SecretTexts, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (isDirectorError(error)) throw new DirectorError(error.code, secrets.clean(error.message), { status: error.status });
    throw error;
  }
}

function silenceWarnings(plan: Plan): string[] {
  const silent = plan.groups.flatMap((group) => group.instances).filter((instance) => instance.existing?.agentState?.silent);
  if (silent.length === 0) return [];
  return [`${silent.length === 1 ? 'One agent does' : `${silent.length} agents do`} not answer now: the deploy fails unless that changes. Choose 'fix' to recreate such VMs.`];
}

function unfinishedWarnings(count: number): string[] {
  if (count === 0) return [];
  return [`${count === 1 ? 'One VM was' : `${count} VMs were`} left unfinished by another task: the deploy decides about that first, and then plans anew.`];
}

/** How many instances would meet which fate. */
export function countsOf(plan: Plan): Record<Outcome, number> {
  const counts: Record<Outcome, number> = { create: 0, recreate: 0, update: 0, delete: plan.removed.length, none: 0, ignored: 0 };
  for (const { instances, obsolete } of plan.groups) {
    counts.delete += obsolete.length;
    for (const instance of instances) counts[outcomeOf(instance)]++;
  }
  return counts;
}
