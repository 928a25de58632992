import type { AgentTarget } from '../agents/agent';
import { isAgentFailure } from '../agents/request';
import { code, isDirectorError } from '../core/errors';
import type { TaskContext } from '../tasks/context';
import type { ProblemDeps } from './ports';

/** How long an agent has to answer, ms: cloudfoundry/bosh src/bosh-director/lib/bosh/director/problem_scanner/vm_scan_stage.rb. */
export const patienceMs = 10_000;

/** Beyond the patience, ms: the answer was waited for longer because the right to act was in doubt. */
const slackMs = 1_000;

/**
 * Whether an agent answers, with a result or a refusal. Its silence counts only when nothing on our side explains it: while this
 * node's connection to NATS was lost or changed, or the database (and with it the right to speak) was away, it is asked again, for
 * as long as that takes. Asking changes nothing, so a node may die here at any time.
 */
export async function answers(ctx: TaskContext, deps: Pick<ProblemDeps, 'agents' | 'bus'>, agent: AgentTarget): Promise<boolean> {
  for (;;) {
    await ctx.checkpoint();
    const before = deps.bus.status();
    const began = ctx.clock.monotonic();
    try {
      await deps.agents.agentFor(agent, ctx).getState({ timeoutMs: patienceMs });
      return true;
    } catch (error) {
      if (isAgentFailure(error)) return true;
      if (!isDirectorError(error) || error.code !== code.rpcTimeout) throw error;
    }
    const after = deps.bus.status();
    const heldOn = before.connected && after.connected && before.connects === after.connects;
    if (heldOn && ctx.clock.monotonic() - began < patienceMs + slackMs) return false;
    ctx.log.info(`Asking the agent of '${agent.name}' again: NATS or the database was away meanwhile`);
  }
}
