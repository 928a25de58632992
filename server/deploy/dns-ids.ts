import type { Db } from '../../db/client';
import { giveDnsIds, listDnsIds } from '../dns/ids-store';
import { groupKey, namesInLink } from '../dns/names';
import { lacksDnsIds } from '../plan/addresses';
import { buildPlan } from '../plan/build-plan';
import type { BoundJob, Plan, PlanInput, RecordedState } from '../plan/types';
import type { TaskContext } from '../tasks/context';
import { noDnsIds, type DnsIds } from '../templates/render-job';
import { setAsideInstanceIds } from './store';

/**
 * The plan, with ids in its short DNS names. Names and instances that have no id yet get one first, and planning is done again with
 * them: an id that is given out stays, whatever becomes of the plan.
 */
export async function planWithDnsIds(ctx: TaskContext, input: PlanInput): Promise<Plan> {
  const uuids: string[] = [];
  let given = input;
  for (;;) {
    let drawn = 0;
    const plan = buildPlan({ ...given, newUuid: () => (uuids[drawn++] ??= input.newUuid()) });
    if (!lacksDnsIds(plan, given)) return plan;
    given = { ...input, state: await giveIds(ctx, plan, given.state) };
  }
}

async function giveIds(ctx: TaskContext, plan: Plan, state: RecordedState): Promise<RecordedState> {
  const unknown = plan.groups.flatMap(({ instances }) => instances.filter(({ isNew, uuid }) => isNew && !state.newInstanceIds.has(uuid)).map(({ uuid }) => uuid));
  return ctx.write(async (tx) => {
    await giveDnsIds(tx, plan.dns.names);
    return { ...state, dnsIds: await listDnsIds(tx, [plan.deployment]), newInstanceIds: new Map([...state.newInstanceIds, ...(await setAsideInstanceIds(tx, unknown))]) };
  });
}

/** What `link.address` of a job's templates needs. A name without an id is met in a dry run only, which records nothing. */
export async function linkIds(db: Db, plan: Plan): Promise<(job: BoundJob) => DnsIds> {
  const contents = plan.links.consumers.flatMap(({ link }) => (link && link.provider !== 'manual' ? [link.content] : []));
  const ids = await listDnsIds(db, [...new Set([plan.deployment, ...contents.map((content) => namesInLink(content).group.deployment)])]);
  const azs = { ...Object.fromEntries(plan.azs.map(({ name }) => [name, 0])), ...Object.fromEntries(ids.azs) };
  return ({ links }) => {
    const names = Object.values(links).map(namesInLink);
    if (names.length === 0) return noDnsIds;
    return {
      azs,
      networks: Object.fromEntries(names.map(({ network }) => [network, ids.networks.get(network) ?? 0])),
      groups: names.map(({ group: { kind: type, name, deployment } }) => ({ type, name, deployment, id: ids.groups.get(groupKey({ kind: type, name, deployment })) ?? 0 })),
    };
  };
}

/** Ids of the groups of links that the deployment provides, for what agents are told of them. */
export async function ownLinkGroupIds(db: Db, { deployment }: Pick<Plan, 'deployment'>): Promise<(linkGroup: string) => string> {
  const { groups } = await listDnsIds(db, [deployment]);
  return (name) => String(groups.get(groupKey({ kind: 'link', name, deployment })) ?? 0);
}
