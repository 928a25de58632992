import type { DynamicNetwork, Subnet, VipNetwork } from '../configs/cloud-config';
import { formatAddress, parseBlock, type Block } from '../core/ip';
import type { NetworkSettings } from '../instances/instance';

/**
 * What CPI, agent and templates get to know about one network of an instance. Key order is BOSH's.
 * Rules: `network_settings` of cloudfoundry/bosh src/bosh-director/lib/bosh/director/deployment_plan/{manual,dynamic,vip}_network.rb.
 */

/** An address with the subnet that it lies in. */
export interface PlacedAddress {
  /** CIDR text. */
  address: string;
  subnet: Subnet;
}

/** What a network is for its instance. */
export interface NetworkRole {
  defaultFor: readonly string[];
  nicGroup?: number | undefined;
}

/** What is learned of an address that the cloud has allotted. */
export type LearnedAddress = Pick<NetworkSettings, 'ip' | 'netmask' | 'gateway'>;

export function manualSettings(place: PlacedAddress, { defaultFor, nicGroup }: NetworkRole): NetworkSettings {
  const { subnet } = place;
  const block = blockOf(place.address);
  return {
    type: 'manual', ip: formatAddress(block.first, block.version), prefix: String(block.prefix), netmask: subnet.netmask, cloud_properties: subnet.cloudProperties,
    ...(defaultFor.length > 0 ? { default: [...defaultFor].sort() } : {}),
    ...(nicGroup === undefined ? {} : { nic_group: String(nicGroup) }),
    ...(subnet.dns ? { dns: [...subnet.dns] } : {}),
    ...(subnet.gateway === undefined ? {} : { gateway: subnet.gateway }),
  };
}

/** @param learned what the instance's agent has told of the address, if anything */
export function dynamicSettings(network: DynamicNetwork, az: string | null, { defaultFor, learned }: NetworkRole & { learned?: LearnedAddress | undefined }): NetworkSettings {
  const subnet = az === null ? network.subnets[0] : network.subnets.find((candidate) => candidate.azs?.includes(az));
  return {
    type: 'dynamic', cloud_properties: subnet?.cloudProperties ?? {}, prefix: '32',
    ...(subnet?.dns ? { dns: [...subnet.dns] } : {}),
    ...(defaultFor.length > 0 ? { default: [...defaultFor].sort() } : {}),
    ...learnedAddress(learned),
  };
}

export function vipSettings(network: VipNetwork, address: string, { nicGroup }: Pick<NetworkRole, 'nicGroup'>): NetworkSettings {
  const block = blockOf(address);
  return {
    type: 'vip', ip: formatAddress(block.first, block.version), cloud_properties: network.cloudProperties, prefix: String(network.prefix ?? block.prefix),
    ...(nicGroup === undefined ? {} : { nic_group: String(nicGroup) }),
  };
}

/** Of what an agent says of a network, the part that the cloud decides. */
export function learnedAddress(settings: Partial<LearnedAddress> | undefined): LearnedAddress {
  const filled = (value: unknown) => (typeof value === 'string' && value !== '' ? value : undefined);
  const [ip, netmask, gateway] = [filled(settings?.ip), filled(settings?.netmask), filled(settings?.gateway)];
  return { ...(ip === undefined ? {} : { ip }), ...(netmask === undefined ? {} : { netmask }), ...(gateway === undefined ? {} : { gateway }) };
}

/** Dynamic networks without what the cloud decided: how a new VM is asked for. */
export function withoutLearned(networks: Readonly<Record<string, NetworkSettings>>): Record<string, NetworkSettings> {
  return Object.fromEntries(
    Object.entries(networks).map(([name, settings]) => {
      if (settings.type !== 'dynamic') return [name, settings];
      const { ip: _ip, netmask: _netmask, gateway: _gateway, ...asked } = settings;
      return [name, asked];
    }),
  );
}

/** Dynamic networks with what the agent says that the cloud decided. */
export function withLearned(networks: Readonly<Record<string, NetworkSettings>>, told: Readonly<Record<string, Partial<LearnedAddress>>>): Record<string, NetworkSettings> {
  return Object.fromEntries(Object.entries(networks).map(([name, settings]) => [name, settings.type === 'dynamic' ? { ...settings, ...learnedAddress(told[name]) } : settings]));
}

/** Dynamic networks whose address nobody has told yet. */
export function lacksAddresses(networks: Readonly<Record<string, NetworkSettings>>): boolean {
  return Object.values(networks).some((settings) => settings.type === 'dynamic' && settings.ip === undefined);
}

export function blockOf(address: string): Block {
  const block = parseBlock(address);
  if (!block) throw new Error(`'${address}' is no address`);
  return block;
}
