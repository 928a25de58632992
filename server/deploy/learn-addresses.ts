import type { AgentTarget } from '../agents/agent';
import type { InitialApplySpec, NetworkSettings } from '../instances/instance';
import { withLearned } from '../plan/network-settings';
import { initialApplySpec, specOfNewVm } from '../plan/specs';
import type { CompleteInstancePlan, Plan } from '../plan/types';
import type { TaskContext } from '../tasks/context';
import type { DeployDeps } from './ports';
import { updateInstance, updateVm } from './store';

type Networks = Readonly<Record<string, NetworkSettings>>;

/**
 * Tells the agent of a new VM its networks and hears what the cloud has decided about the dynamic ones. Asking twice does no harm.
 * Source: cloudfoundry/bosh src/bosh-director/lib/bosh/director/deployment_plan/steps/apply_vm_spec_step.rb.
 */
export async function introduceNetworks(ctx: TaskContext, deps: DeployDeps, { agent, spec }: { agent: AgentTarget; spec: InitialApplySpec }): Promise<Networks> {
  const said = deps.agents.agentFor(agent, ctx);
  await said.apply(spec);
  if (!Object.values(spec.networks).some((settings) => settings.type === 'dynamic')) return spec.networks;
  const { networks } = await said.getState();
  return withLearned(spec.networks, networks ?? {});
}

/**
 * The same for the VM of a planned instance, with what is learned recorded at once: DNS, links and later plans use it.
 * Died before that: the next attempt finds the VM without addresses and comes here again.
 */
export async function learnAddresses(ctx: TaskContext, deps: DeployDeps, it: { plan: Pick<Plan, 'deployment' | 'director'>; instance: CompleteInstancePlan; instanceId: number; vmId: number; agent: AgentTarget }): Promise<Networks> {
  const { plan, instance, instanceId, vmId, agent } = it;
  const networks = await introduceNetworks(ctx, deps, { agent, spec: initialApplySpec(instance, plan) });
  if (networks === instance.networks) return networks;
  await ctx.write(async (tx) => {
    await updateVm(tx, vmId, { networks });
    await updateInstance(tx, instanceId, { spec: { ...specOfNewVm({ ...instance, networks }) } });
  });
  return networks;
}
