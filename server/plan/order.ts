import { compareText } from '../core/collections';
import { canariesOf, maxInFlightOf } from '../deployments/update-config';
import { instanceName } from '../instances/instance';
import { isLeftAlone } from './changes';
import type { CompleteInstancePlan, GroupPlan, InstancePlan, Plan } from './types';

/**
 * In which order instances are updated, and how many at a time.
 * Rules: cloudfoundry/bosh src/bosh-director/lib/bosh/director/instance_group_updater.rb,
 * deployment_plan/multi_instance_group_updater.rb and instance_plan_sorter.rb.
 */

/** Instances that are worked on together: all canaries first, `maxInFlight` at a time, then the rest likewise. */
export interface UpdateBatch {
  canaries: readonly CompleteInstancePlan[];
  rest: readonly CompleteInstancePlan[];
  maxInFlight: number;
}

export interface GroupUpdate {
  group: GroupPlan<CompleteInstancePlan>;
  /** How many obsolete instances are deleted at a time, before anything else. */
  deleteInFlight: number;
  /** One after another; only instances that change and are not ignored. */
  batches: readonly UpdateBatch[];
}

/** Groups of one run are updated at the same time; the runs one after another. */
export function updateRuns(plan: Plan<CompleteInstancePlan>): GroupUpdate[][] {
  const runs: GroupUpdate[][] = [];
  let parallel: GroupUpdate[] | undefined;
  for (const group of plan.groups) {
    const update = groupUpdate(group, plan);
    if (group.serial) {
      runs.push([update]);
      parallel = undefined;
    } else if (parallel) {
      parallel.push(update);
    } else {
      parallel = [update];
      runs.push(parallel);
    }
  }
  return runs;
}

/** Whether an instance goes through an update: when something changes, and all of an errand that is up. */
export function isUpdated(instance: CompleteInstancePlan): boolean {
  return !isLeftAlone(instance) && (instance.changes.length > 0 || instance.lifecycle === 'errand');
}

function groupUpdate(group: GroupPlan<CompleteInstancePlan>, plan: Plan<CompleteInstancePlan>): GroupUpdate {
  const changed = inUpdateOrder(group.instances).filter((instance) => isUpdated(instance));
  const allAtOnce = plan.firstDeploy && group.update.initialDeployAzUpdateStrategy === 'parallel';
  const parts = allAtOnce ? [changed] : byAz(changed);
  const batches = parts.filter((part) => part.length > 0).map((part, i) => batch(group, part, i === 0));
  return { group, deleteInFlight: maxInFlightOf(group.update, group.obsolete.length), batches };
}

/** Percentages count the batch, not the group; canaries go first, in the first AZ only. */
function batch(group: GroupPlan<CompleteInstancePlan>, instances: readonly CompleteInstancePlan[], isFirst: boolean): UpdateBatch {
  const canaries = isFirst ? canariesOf(group.update, instances.length) : 0;
  return { canaries: instances.slice(0, canaries), rest: instances.slice(canaries), maxInFlight: maxInFlightOf(group.update, instances.length) };
}

/** The bootstrap instance, the rest of its AZ, instances without AZ, then the AZs by name; inside by name. */
export function inUpdateOrder<I extends Pick<InstancePlan, 'uuid' | 'group' | 'az' | 'bootstrap'>>(instances: readonly I[]): I[] {
  const bootstrap = instances.find((instance) => instance.bootstrap);
  const rank = (instance: I) => {
    if (instance === bootstrap) return 0;
    if (bootstrap && instance.az === bootstrap.az) return 1;
    return instance.az === null ? 2 : 3;
  };
  return instances.toSorted((a, b) => rank(a) - rank(b) || compareText(a.az ?? '', b.az ?? '') || compareText(instanceName(a), instanceName(b)));
}

/** Instances of one AZ together, AZs in order of first appearance. */
function byAz<I extends InstancePlan>(instances: readonly I[]): I[][] {
  const azs = [...new Set(instances.map((instance) => instance.az))];
  return azs.map((az) => instances.filter((instance) => instance.az === az));
}
