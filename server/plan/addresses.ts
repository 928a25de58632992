import { encodeQuery, groupKey, linkGroupName, type DnsGroup, type DnsIds } from '../dns/names';
import type { NetworkSettings } from '../instances/instance';
import type { Resolved } from './phases';
import type { Plan, PlanInput } from './types';

/**
 * Under which address an instance is told to others: its IP, or a DNS name of the form that the deployment wants.
 * Rules: cloudfoundry/bosh src/bosh-director/lib/bosh/director/deployment_plan/network_settings.rb.
 */

/** How a deployment names its instances. */
export interface Naming {
  deployment: string;
  domain: string;
  /** Agents are told DNS records; without them only instances in dynamic networks have names. */
  localDns: boolean;
  /** Names are preferred to IPs. */
  useDnsAddresses: boolean;
  useShortDnsAddresses: boolean;
  useLinkDnsNames: boolean;
  ids: DnsIds;
  /** Instance UUID → row; one that has none yet is 0 in names. */
  instanceIds: ReadonlyMap<string, number>;
}

export function namingOf({ manifest: { features }, input: { state } }: Pick<Resolved, 'manifest' | 'input'>): Naming {
  const { director, deployment, instances, dnsIds, newInstanceIds } = state;
  return {
    deployment: deployment.name, domain: director.dnsDomain, localDns: director.localDns, ids: dnsIds,
    useDnsAddresses: features.useDnsAddresses ?? director.useDnsAddresses, useShortDnsAddresses: features.useShortDnsAddresses, useLinkDnsNames: features.useLinkDnsNames,
    instanceIds: new Map([...newInstanceIds, ...instances.map(({ uuid, id }) => [uuid, id] as const)]),
  };
}

/** An instance in one of its networks. */
export interface Place {
  uuid: string;
  group: string;
  network: string;
  settings: Pick<NetworkSettings, 'type' | 'ip'>;
}

/** Null when the IP is wanted and not known yet. */
export function instanceAddress(naming: Naming, place: Place, preferName: boolean): string | null {
  return addressIn({ kind: 'instance-group', name: place.group, deployment: naming.deployment }, naming, { ...place, preferName, short: naming.useShortDnsAddresses });
}

/** The same for whoever gets a link that the instance provides. */
export function linkAddress(naming: Naming, place: Place, link: { name: string; type: string; preferName: boolean }): string | null {
  if (!naming.useLinkDnsNames) return instanceAddress(naming, place, link.preferName);
  return addressIn({ kind: 'link', name: linkGroupName(link), deployment: naming.deployment }, naming, { ...place, preferName: link.preferName, short: true });
}

function addressIn(group: DnsGroup, naming: Naming, { uuid, network, settings, preferName, short }: Place & { preferName: boolean; short: boolean }): string | null {
  if (settings.type !== 'dynamic' && !(preferName && naming.localDns)) return settings.ip ?? null;
  return encodeQuery({ group, network, domain: naming.domain, short, instance: { uuid, id: naming.instanceIds.get(uuid) ?? 0 } }, naming.ids);
}

/** Names of a deployment that have ids in DNS names: all that a plan may come to use. */
export interface DnsNames {
  azs: readonly string[];
  networks: readonly string[];
  groups: readonly DnsGroup[];
}

export function dnsNamesOf({ cloudConfig, groups, links, input }: Pick<Resolved, 'cloudConfig' | 'groups' | 'links' | 'input'>): DnsNames {
  const deployment = input.state.deployment.name;
  const linkGroups = [...new Set(links.providers.map(linkGroupName))];
  return {
    azs: cloudConfig.azs.map(({ name }) => name),
    networks: cloudConfig.networks.map(({ name }) => name),
    groups: [...groups.map(({ name }): DnsGroup => ({ kind: 'instance-group', name, deployment })), ...linkGroups.map((name): DnsGroup => ({ kind: 'link', name, deployment }))],
  };
}

/** Whether the plan's addresses were made without an id that they need: then it has to be made again once there are ids. */
export function lacksDnsIds(plan: Plan, { state }: PlanInput): boolean {
  if (!plan.dns.short) return false;
  const { azs, networks, groups } = plan.dns.names;
  const { dnsIds, newInstanceIds } = state;
  return !azs.every((name) => dnsIds.azs.has(name)) || !networks.every((name) => dnsIds.networks.has(name)) || !groups.every((group) => dnsIds.groups.has(groupKey(group)))
    || plan.groups.some(({ instances }) => instances.some(({ isNew, uuid }) => isNew && !newInstanceIds.has(uuid)));
}
