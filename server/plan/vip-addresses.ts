import type { PlacedInstance, ResolvedGroup } from './phases';

/**
 * Hands the VIPs that the manifest lists to instances: one that has a listed address keeps it, the others get the rest in order.
 * VIPs say nothing about AZs.
 * Rule: cloudfoundry/bosh src/bosh-director/lib/bosh/director/deployment_plan/network_planner/vip_planner.rb.
 */
export function withVips(group: ResolvedGroup, instances: readonly PlacedInstance[]): PlacedInstance[] {
  const named = group.networks.filter(({ network, staticIps }) => network.type === 'vip' && staticIps !== undefined);
  return named.reduce<PlacedInstance[]>((placed, { name, staticIps }) => {
    const kept = new Map(placed.map((instance) => [instance.uuid, heldVip(instance, name, staticIps ?? [])]));
    const taken = new Set(kept.values());
    const rest = (staticIps ?? []).filter((ip) => !taken.has(ip));
    return placed.map((instance) => {
      const ip = kept.get(instance.uuid) ?? rest.shift();
      return ip === undefined ? instance : { ...instance, staticIps: { ...instance.staticIps, [name]: ip } };
    });
  }, [...instances]);
}

function heldVip({ existing }: PlacedInstance, network: string, listed: readonly string[]): string | undefined {
  return existing?.reservations.filter((record) => record.network === network).map(({ address }) => address.replace(/\/\d+$/, '')).find((ip) => listed.includes(ip));
}
