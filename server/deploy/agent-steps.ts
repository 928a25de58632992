import { DirectorError, code } from '../core/errors';
import { sleep } from '../core/clock';
import type { ApplySpec } from '../instances/instance';
import type { UpdateConfig } from '../deployments/manifest';
import type { StageProgress, TaskContext } from '../tasks/context';
import type { AgentTarget } from '../agents/agent';
import type { DeployDeps } from './ports';

/**
 * The agent's part of an update, as steps that may be repeated: each brings the VM to a state and does no harm when it is there already.
 * Sequences: cloudfoundry/bosh src/bosh-director/lib/bosh/director/stopper.rb, starter.rb, post_deployment_script_runner.rb.
 */

/** What becomes of VM, instance and deployment after the stop, as pre-stop scripts are told. */
export interface StopIntent {
  vm: 'keep' | 'delete';
  instance: 'keep' | 'delete';
  deployment: 'keep' | 'delete';
}

export interface StopRequest {
  intent: StopIntent;
  drain: 'update' | 'shutdown';
  /** New spec, for drain scripts that compare. */
  spec: ApplySpec | undefined;
  skipDrain: boolean;
}

/** pre-stop, drain, stop, post-stop. */
export async function stopJobs(ctx: TaskContext, deps: DeployDeps, agent: AgentTarget, request: StopRequest, progress?: StageProgress): Promise<void> {
  const to = deps.agents.agentFor(agent, ctx);
  if (request.skipDrain) {
    await progress?.advance(10, 'skipped pre-stop & drain');
  } else {
    await progress?.advance(5, 'executing pre-stop');
    await to.runScript('pre-stop', {
      BOSH_VM_NEXT_STATE: request.intent.vm,
      BOSH_INSTANCE_NEXT_STATE: request.intent.instance,
      BOSH_DEPLOYMENT_NEXT_STATE: request.intent.deployment,
    });
    await progress?.advance(5, 'executing drain');
    await to.drain(request.drain, request.spec);
  }
  await progress?.advance(20, 'stopping jobs');
  await to.stop();
  await progress?.advance(10, 'executing post-stop');
  await to.runScript('post-stop');
}

/** pre-start, start, wait until running, post-start. */
export async function startJobs(ctx: TaskContext, deps: DeployDeps, agent: AgentTarget, watch: { minMs: number; maxMs: number }, progress?: StageProgress): Promise<void> {
  const to = deps.agents.agentFor(agent, ctx);
  await progress?.advance(10, 'executing pre-start');
  await to.runScript('pre-start');
  await progress?.advance(20, 'starting jobs');
  await to.start();
  await waitUntilRunning(ctx, deps, agent, watch);
  await progress?.advance(10, 'executing post-start');
  await to.runScript('post-start');
}

/** The watch window of an instance, ms. */
export function watchWindow(update: UpdateConfig, canary: boolean): { minMs: number; maxMs: number } {
  const range = canary ? update.canaryWatchTime : update.updateWatchTime;
  return { minMs: range.minMs, maxMs: range.maxMs };
}

/**
 * Times of the state checks after a start, ms from the start: first after the minimum, then in steps up to the maximum.
 * Rule: cloudfoundry/bosh src/bosh-director/lib/bosh/director/instance_updater/state_applier.rb and starter.rb.
 */
export function watchSchedule(watch: { minMs: number; maxMs: number }): number[] {
  const step = Math.min(15_000, Math.max(1_000, (watch.maxMs - watch.minMs) / 9));
  const times = [watch.minMs];
  const count = Math.floor((watch.maxMs - watch.minMs) / step);
  for (let i = 1; i <= count; i++) times.push(watch.minMs + i * step);
  return times;
}

async function waitUntilRunning(ctx: TaskContext, deps: DeployDeps, agent: AgentTarget, watch: { minMs: number; maxMs: number }): Promise<void> {
  let waited = 0;
  let notRunning: string[] = [];
  for (const at of watchSchedule(watch)) {
    await sleep(Math.max(0, at - waited), ctx.signal);
    waited = at;
    const state = await deps.agents.agentFor(agent, ctx).getState();
    if (state.job_state === 'running') return;
    notRunning = (state.processes ?? []).filter((one) => one.state !== 'running').map((one) => one.name);
  }
  throw new DirectorError(code.agentJobNotRunning, `'${agent.name}' is not running after update. Review logs for failed jobs: ${notRunning.join(', ')}`);
}
