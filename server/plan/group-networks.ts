import type { CloudConfig, Network } from '../configs/cloud-config';
import { code, DirectorError, notSupported } from '../core/errors';
import type { ManifestGroup, ManifestNetwork } from '../deployments/manifest';
import type { GroupNetwork } from './phases';

/**
 * The networks of an instance group: what each is for it, and whether that fits the network's type.
 * Rules: cloudfoundry/bosh src/bosh-director/lib/bosh/director/deployment_plan/instance_group_networks_parser.rb and
 * network_planner/vip_planner.rb.
 */

const requiredDefaults = ['dns', 'gateway'] as const;

export function bindNetworks(group: ManifestGroup, cloudConfig: CloudConfig): GroupNetwork[] {
  const repeated = group.networks.find((network, i) => group.networks.findIndex(({ name }) => name === network.name) !== i);
  // BOSH lets it pass and then tells VM and jobs of one of the two addresses only, since settings go by the network's name.
  if (repeated) throw notSupported(`Listing network '${repeated.name}' twice in instance group '${group.name}'`, 'give the cloud config a second network with subnets of its own');
  const single = group.networks.length === 1;
  const bound = group.networks.map((wish): GroupNetwork => {
    const network = cloudConfig.networks.find(({ name }) => name === wish.name);
    if (!network) throw new DirectorError(150001, `Instance group '${group.name}' references an unknown network '${wish.name}'`);
    checkStaticIps(group, wish, network);
    // A group's only network is the default of both, whatever the manifest says of it.
    const defaultFor = single ? [...requiredDefaults] : [...wish.default].sort();
    return { name: wish.name, staticIps: wish.staticIps, defaultFor, ...(wish.nicGroup === undefined ? {} : { nicGroup: wish.nicGroup }), network };
  });
  checkDefaults(group.name, bound);
  if (bound.some(({ network, defaultFor }) => network.type === 'vip' && defaultFor.length > 0)) throw new DirectorError(130007, "Can't provide any defaults since this is a VIP network");
  return bound;
}

function checkStaticIps(group: ManifestGroup, { name, staticIps }: ManifestNetwork, network: Network): void {
  switch (network.type) {
    case 'manual':
      if (network.subnets.some((subnet) => subnet.range === '')) {
        throw new DirectorError(code.generic, `The subnets of managed network '${name}' are not made yet: they get their ranges with the first deploy of an instance group that uses them, and only then a plan can tell addresses`);
      }
      return;
    case 'dynamic':
      if (staticIps) throw new DirectorError(150008, `Instance group '${group.name}' using dynamic network '${name}' cannot specify static IP(s)`);
      return;
    case 'vip':
      if (network.subnets.length > 0) {
        if (staticIps && staticIps.length > 0) throw new DirectorError(130014, 'IPs cannot be specified in both the instance group and the cloud config');
        return;
      }
      if ((staticIps ?? []).length !== group.instances) {
        throw new DirectorError(150002, `Instance group '${group.name}' has ${group.instances} instances but was allocated ${staticIps?.length ?? 0} static IPs in network '${name}'`);
      }
  }
}

function checkDefaults(group: string, networks: readonly GroupNetwork[]): void {
  const owners = (property: string) => networks.filter((network) => network.defaultFor.includes(property));
  const repeated = [...requiredDefaults, 'addressable'].filter((property) => owners(property).length > 1);
  if (repeated.length > 0) {
    const texts = repeated.map((property) => `'${property}' has default networks: ${owners(property).map((network) => `'${network.name}'`).join(', ')}.`);
    throw new DirectorError(150004, `Instance group '${group}' specified more than one network to contain default. ${texts.join(' ')}`);
  }
  const missing = requiredDefaults.filter((property) => owners(property).length === 0);
  if (missing.length > 0) {
    throw new DirectorError(150005, `Instance group '${group}' must specify which network is default for ${missing.join(', ')}, since it has more than one network configured`);
  }
}
