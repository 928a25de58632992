import { isHash } from '../core/yaml';
import { sameValue } from '../core/compare';
import type { Networked, NetworkedGroup, NetworkedInstance, ResolvedGroup } from './phases';
import type { InstancePlan, RecordedVm } from './types';

/**
 * `create-swap-delete`: a VM is made beside the one that it replaces, at addresses of its own, and takes its place later.
 * Rules: cloudfoundry/bosh src/bosh-director/lib/bosh/director/deployment_plan/instance_plan.rb (needs_duplicate_vm?, vm_matches_plan?)
 * and instance_group.rb (should_create_swap_delete?).
 */

/** VMs of a group can only be swapped where each may have any address: not with static ones or VIPs. */
export function swapsVms({ update, networks }: ResolvedGroup): boolean {
  const isFixed = (type: string) => type === 'vip';
  return update.vmStrategy === 'create-swap-delete' && networks.every((network) => network.staticIps === undefined && !isFixed(network.network.type));
}

/** Instances whose VMs will be swapped (by uuid), each with the VM that is left from an earlier deploy and can be used. */
export type HotSwaps = ReadonlyMap<string, { ready?: RecordedVm }>;

/** @param decide plans an instance as if its VM were deleted and made anew */
export function findHotSwaps({ groups }: Networked, decide: (group: NetworkedGroup, instance: NetworkedInstance) => InstancePlan): HotSwaps {
  const swaps = new Map<string, { ready?: RecordedVm }>();
  for (const group of groups.filter((one) => !one.dormant && swapsVms(one.group))) {
    for (const instance of group.instances) {
      const plan = decide(group, instance);
      if (!plan.needsRecreate || !needsDuplicate(plan, instance)) continue;
      const ready = (plan.existing?.spareVms ?? []).findLast((vm) => isMadeFor(vm, plan));
      swaps.set(instance.uuid, ready ? { ready } : {});
    }
  }
  return swaps;
}

/** Networks whose settings changed, but not the addresses, keep these: then the VM is deleted before the new one is made. */
function needsDuplicate({ changes }: InstancePlan, { networkChanges }: NetworkedInstance): boolean {
  return networkChanges.length > 0 || changes.some(({ kind }) => kind === 'recreate' || kind === 'cloud_properties' || kind === 'stemcell' || kind === 'env');
}

/** What a VM was made with cannot be compared where it has variables: their values may have changed since. */
function isMadeFor({ madeOf, cpi }: RecordedVm, { stemcell, env, cloudProperties }: InstancePlan): boolean {
  if (!madeOf || hasPlaceholder(madeOf)) return false;
  return cpi === stemcell.cpi && madeOf.stemcell.name === stemcell.name && madeOf.stemcell.version === stemcell.version && sameValue(madeOf.env, env) && sameValue(madeOf.cloudProperties, cloudProperties);
}

function hasPlaceholder(value: unknown): boolean {
  if (typeof value === 'string') return value.includes('((');
  if (Array.isArray(value)) return value.some(hasPlaceholder);
  return isHash(value) && Object.entries(value).some(([key, item]) => hasPlaceholder(key) || hasPlaceholder(item));
}
