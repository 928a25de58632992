import type { ManualNetwork, Network, Subnet, VipNetwork } from '../configs/cloud-config';
import { bitsOf, contains, overlaps, parseBlock, type Block } from '../core/ip';
import { blockOf, type PlacedAddress } from './network-settings';
import type { GroupNetwork, PlacedInstance, ResolvedGroup } from './phases';
import type { RecordedReservation } from './recorded';
import type { RecordedInstance } from './types';

/**
 * What an instance has of the addresses that it shall have. A network that was renamed, or that took over a range of another one,
 * keeps its addresses.
 * Rules: cloudfoundry/bosh src/bosh-director/lib/bosh/director/deployment_plan/instance_network_reservations.rb and
 * network_planner/reservation_reconciler.rb.
 */

/** An address of the instance, seen as one of a network of the cloud config. */
export interface HeldAddress {
  /** CIDR text. */
  address: string;
  /** Undefined: the cloud had allotted it, and the director has no record of it yet. */
  record?: RecordedReservation;
  home: Home;
}

interface Home {
  network: ManualNetwork | VipNetwork;
  /** Of a manual network. */
  subnet?: Subnet;
  /** AZs that it serves; `any` for VIPs that the manifest names. */
  azs: readonly string[] | null | 'any';
  isStatic: boolean;
}

/** What serves one wanted network: an address, or the cloud's word that it has allotted one. */
export type Held = HeldAddress | 'allotted by the cloud';

/** Wanted network to what serves it. @param isFree whether nobody has recorded an address */
export function matchHeld(group: ResolvedGroup, instance: PlacedInstance, networks: readonly Network[], isFree: (block: Block) => boolean): Map<string, Held> {
  const matches = new Map<string, Held>();
  const { existing } = instance;
  if (!existing) return matches;
  for (const held of heldAddresses(existing, networks, isFree)) {
    if (!servesAz(held.home.azs, instance.az)) continue;
    for (const wish of group.networks) {
      const home = matches.has(wish.name) ? undefined : homeForWish(held, wish, instance);
      if (!home) continue;
      matches.set(wish.name, { ...held, home });
      break;
    }
  }
  const allotted = dynamicNetworksOf(existing);
  for (const { name, network } of group.networks) {
    if (network.type === 'dynamic' && allotted.has(name) && servesAz(azsOf(network), instance.az)) matches.set(name, 'allotted by the cloud');
  }
  return matches;
}

/** The networks whose addresses the cloud has allotted to the instance's VM. */
export function dynamicNetworksOf(existing: Pick<RecordedInstance, 'spec' | 'vm'>): ReadonlyMap<string, { ip?: string | undefined }> {
  const networks = existing.vm?.networks ?? existing.spec?.networks ?? {};
  return new Map(Object.entries(networks).filter(([, settings]) => settings.type === 'dynamic'));
}

function azsOf(network: Network): string[] | null {
  const azs = network.subnets.flatMap((subnet) => subnet.azs ?? []);
  return azs.length === 0 ? null : azs;
}

function servesAz(azs: Home['azs'], az: string | null): boolean {
  if (azs === 'any') return true;
  return azs === null || azs.length === 0 ? az === null : az !== null && azs.includes(az);
}

/** Addresses of the VM come before those that only the instance holds. */
function heldAddresses(existing: RecordedInstance, networks: readonly Network[], isFree: (block: Block) => boolean): HeldAddress[] {
  const ofVm = existing.reservations.filter((record) => record.vmId !== undefined && record.vmId === existing.vm?.id);
  const unused = existing.reservations.filter((record) => record.vmId === undefined);
  const records = ofVm.length + unused.length > 0 ? [...ofVm, ...unused] : existing.reservations;
  const recorded = records.flatMap((record): HeldAddress[] => {
    const block = parseBlock(record.address);
    const home = block && homeOf(record.network, block, networks);
    return home ? [{ address: record.address, record, home }] : [];
  });
  const known = new Set(recorded.map((held) => held.address));
  // A network that the cloud ruled and the director rules now: the address stays, if it is one of the network's and nobody's.
  const adopted = [...dynamicNetworksOf(existing)].flatMap(([name, { ip }]): HeldAddress[] => {
    const block = ip === undefined ? undefined : parseBlock(ip);
    const home = block && isFree(block) ? homeOf(name, block, networks) : undefined;
    const address = `${ip}/${block?.prefix}`;
    return home && !known.has(address) ? [{ address, home }] : [];
  });
  return [...recorded, ...adopted];
}

/** The network of its name first, then any that could hold it; none for an address that no network has any more. */
function homeOf(name: string, block: Block, networks: readonly Network[]): Home | undefined {
  const named = networks.find((candidate) => candidate.name === name);
  if (named?.type === 'dynamic') return undefined;
  if (named?.type === 'vip' && named.subnets.length === 0) return { network: named, azs: 'any', isStatic: true };
  const candidates = [...(named ? [named] : []), ...networks.filter((candidate) => candidate !== named)];
  for (const candidate of candidates) {
    const home = homeIn(candidate, block, undefined);
    if (home) return home;
  }
  return undefined;
}

/** The address as one of the network's; undefined when no subnet (for the AZ, if one is given) may have it. */
function homeIn(network: Network, block: Block, az: string | null | undefined): Home | undefined {
  const fitsAz = (azs: readonly string[] | null) => az === undefined || az === null || azs === null || azs.includes(az);
  if (network.type === 'manual') {
    const subnet = network.subnets.find((one) => fitsAz(one.azs) && isReservable(one, block));
    return subnet && { network, subnet, azs: subnet.azs, isStatic: isStaticIn(subnet, block) };
  }
  if (network.type === 'dynamic') return undefined;
  const subnet = network.subnets.find((one) => fitsAz(one.azs) && one.static.some((range) => range.version === block.version && contains(range, block)));
  return subnet && { network, azs: subnet.azs, isStatic: false };
}

/** The held address as one of the wanted network's; undefined when the wish cannot have it. */
function homeForWish(held: HeldAddress, wish: GroupNetwork, instance: PlacedInstance): Home | undefined {
  const { network } = wish;
  const block = blockOf(held.address);
  if (network.type === 'dynamic' || block.prefix !== blockPrefix(network, block.version)) return undefined;
  const home = held.home.network.name === network.name ? held.home : homeIn(network, block, instance.az);
  if (!home) return undefined;
  const wantedIp = instance.staticIps[wish.name];
  if (network.type === 'vip') return wantedIp === undefined || blockOf(wantedIp).first === block.first ? home : undefined;
  if (wantedIp === undefined) return home.isStatic ? undefined : home;
  return home.isStatic && blockOf(wantedIp).first === block.first ? home : undefined;
}

/** Length of the blocks that a network gives out. */
export function blockPrefix(network: ManualNetwork | VipNetwork, version: 4 | 6): number {
  return network.type === 'manual' ? network.prefix : bitsOf(version);
}

export function isReservable(subnet: Subnet, block: Block): boolean {
  const range = parseBlock(subnet.range);
  return range !== undefined && range.version === block.version && contains(range, block) && !subnet.restricted.some((restricted) => overlaps(restricted, block));
}

export function isStaticIn(subnet: Subnet, block: Block): boolean {
  return subnet.static.some((range) => contains(range, { first: block.first, last: block.first }));
}

/** A held address of a manual network with its subnet. */
export function placeOf(held: HeldAddress): PlacedAddress | undefined {
  const { subnet } = held.home;
  return subnet && { address: held.address, subnet };
}
