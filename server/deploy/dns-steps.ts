import type { Db } from '../../db/client';
import { sleep } from '../core/clock';
import { updateAliases } from '../dns/aliases-store';
import { listDnsIds } from '../dns/ids-store';
import { groupKey } from '../dns/names';
import { countAgentsBehind, findDnsAnswer, hasPublisher, requestDns } from '../dns/request-store';
import type { InstancePlan, Plan } from '../plan/types';
import type { TaskContext } from '../tasks/context';
import type { DeployDeps } from './ports';
import { updateInstance } from './store';

/**
 * What a deploy has to do with DNS. It records what is to be said of its instances and its aliases; versions are made, stored and told to
 * agents by the DNS publisher alone, wherever that runs, so many deploys and nodes never double its work. A deploy asks it for a version
 * with all that is recorded by now, and waits a while for its agents to have it: names are there before those who use them are started.
 * Who dies before the publisher has answered loses nothing: the publisher answers what is asked for, and the next attempt asks again.
 * Moments: cloudfoundry/bosh src/bosh-director/lib/bosh/director/deployment_plan/stages/setup_stage.rb and instance_updater/update_procedure.rb.
 */

/** How long agents are waited for; they are told all the same later (agent_broadcaster.rb). */
const patienceMs = 10_000;
const pollMs = 100;

/** Once missing VMs are there: the deployment's aliases become those of the plan, and all agents everywhere hear the newest records. `made`: agents of new VMs */
export async function publishDns(ctx: TaskContext, deps: DeployDeps, { plan, deploymentId, made }: { plan: Plan; deploymentId: number; made: readonly string[] }): Promise<void> {
  if (!plan.director.localDns) return;
  const { changed, request } = await ctx.write(async (tx) => {
    const { groups } = await listDnsIds(tx, [plan.deployment]);
    const aliases = plan.dns.aliases.map(({ linkGroup, ...alias }) => ({ ...alias, groupId: groups.get(groupKey({ kind: 'link', name: linkGroup, deployment: plan.deployment })) ?? 0 }));
    return { changed: await updateAliases(tx, deploymentId, aliases), request: await requestDns(tx, { broadcast: true }) };
  });
  if (!changed && made.length === 0) return;
  const present = plan.groups.flatMap(({ instances }) => instances).flatMap(({ existing }) => (existing?.vm && !existing.ignore && existing.agentState?.jobState !== 'unresponsive' ? [existing.vm.agentId] : []));
  await agentsTold(ctx, deps.db, { request, agentIds: [...made, ...present] });
}

/** The records of one instance become those of the plan, and its own agent hears them. */
export async function updateInstanceDns(ctx: TaskContext, deps: DeployDeps, { instance, instanceId, agentId }: { instance: InstancePlan; instanceId: number; agentId: string }): Promise<void> {
  if (!deps.settings.director.localDns) return;
  const request = await ctx.write(async (tx) => {
    await updateInstance(tx, instanceId, { dns: instance.dns });
    return requestDns(tx, { broadcast: false });
  });
  await agentsTold(ctx, deps.db, { request, agentIds: [agentId] });
}

/** Resolves when these agents have confirmed the version that answers the request, or after a while. */
async function agentsTold(ctx: TaskContext, db: Db, { request, agentIds }: { request: number; agentIds: readonly string[] }): Promise<void> {
  if (!(await hasPublisher(db))) return;
  const deadline = ctx.clock.monotonic() + patienceMs;
  let version: number | null | undefined;
  for (;;) {
    version ??= await findDnsAnswer(db, request);
    // No instance has an address that could be told.
    if (version === null) return;
    if (version !== undefined && (await countAgentsBehind(db, version, agentIds)) === 0) return;
    if (ctx.clock.monotonic() >= deadline) {
      ctx.log.warn(`Not all agents have confirmed the DNS records${version === undefined ? '' : ` of version ${version}`} within ${patienceMs / 1_000} s; they are told further`);
      return;
    }
    await sleep(pollMs, ctx.signal);
  }
}
