import { z } from 'zod';
import { mapPool } from '../core/concurrency';
import { describeError } from '../core/errors';
import type { DeploymentRow } from '../deploy/store';
import { isTaskCancelled, type Stage, type TaskContext } from '../tasks/context';
import { isInterruption } from '../tasks/interruption';
import type { Run } from './order';
import type { ProblemDeps } from './ports';
import { describeProblem, type Problem } from './problem';
import { resolutions, type ResolutionName } from './resolutions';

export interface ResolutionOrder {
  deployment: DeploymentRow;
  runs: readonly Run[];
  /** The same for every problem. */
  resolution: ResolutionName;
}

/** What became of a problem, as the task remembers it. */
const outcomeSchema = z.strictObject({ error: z.string().optional() });
type Outcome = z.infer<typeof outcomeSchema>;

/** Key under which a task remembers the outcome of a problem. */
const outcomeKey = (problem: Problem) => `problem/${problem.id}`;

/**
 * Resolves problems, as a stage with one step each. A failure leaves the others alone. Returns the sentences of all failures.
 * Each outcome is remembered with the task: whoever goes on after a lost node repeats only what was under way.
 * Rule and texts: cloudfoundry/bosh src/bosh-director/lib/bosh/director/problem_resolver.rb.
 */
export async function applyResolutions(ctx: TaskContext, deps: ProblemDeps, order: ResolutionOrder): Promise<string[]> {
  const problems = order.runs.flatMap((run) => run.flatMap((group) => group.problems));
  const stage = ctx.stages.stage('Applying problem resolutions', problems.length);
  const outcomes = new Map<Problem, Outcome>();
  for (const run of order.runs) {
    await mapPool(run, run.length, (group) =>
      mapPool(group.problems, group.inFlight, async (problem) => {
        outcomes.set(problem, await resolveOnce(ctx, deps, { ...order, stage, problem }));
      }),
    );
  }
  return problems.flatMap((problem) => outcomes.get(problem)?.error ?? []);
}

async function resolveOnce(ctx: TaskContext, deps: ProblemDeps, work: ResolutionOrder & { stage: Stage; problem: Problem }): Promise<Outcome> {
  const { problem } = work;
  const key = outcomeKey(problem);
  const known = ctx.remembered(key);
  if (known !== undefined) return outcomeSchema.parse(known);
  await ctx.checkpoint();
  const outcome = await resolve(ctx, deps, work);
  await ctx.remember(key, outcome);
  return outcome;
}

async function resolve(ctx: TaskContext, deps: ProblemDeps, { stage, problem, deployment, resolution }: ResolutionOrder & { stage: Stage; problem: Problem }): Promise<Outcome> {
  const chosen = resolutions[problem.type][resolution];
  try {
    await stage.run(`${describeProblem(problem)} (${problem.type} ${problem.instance.id}): ${chosen.plan}`, () => chosen.apply(ctx, deps, { problem, deployment }));
    return {};
  } catch (error) {
    if (isInterruption(error) || isTaskCancelled(error) || ctx.signal.aborted) throw error;
    const message = ctx.secrets.clean(describeError(error).message);
    ctx.log.error(`Error resolving problem '${problem.id}': ${error instanceof Error && error.stack ? error.stack : message}`);
    return { error: `Error resolving problem '${problem.id}': ${message.replaceAll('\u0000', '')}` };
  }
}
