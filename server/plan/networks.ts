import type { Network, Subnet } from '../configs/cloud-config';
import { code, DirectorError } from '../core/errors';
import { bitsOf, blockAt, contains, formatAddress, formatBlock, overlaps, parseBlock, type Block } from '../core/ip';
import { instanceLabel, type NetworkSettings } from '../instances/instance';
import { addressPool, type AddressPool } from './address-pool';
import type { GroupNetwork, Networked, NetworkedInstance, Placed, PlacedInstance, ResolvedGroup } from './phases';
import type { RecordedInstance, RecordedReservation, Reservation } from './types';

/**
 * Third phase: which addresses every instance keeps, gets and gives back.
 * Rules: cloudfoundry/bosh src/bosh-director/lib/bosh/director/deployment_plan/network_planner/reservation_reconciler.rb,
 * ip_provider/ip_provider.rb and manual_network.rb.
 */
export function network(placed: Placed): Networked {
  const { state } = placed.resolved.input;
  const context: Context = {
    pool: addressPool(state.takenAddresses),
    networks: placed.resolved.cloudConfig.networks,
    holders: new Map(state.instances.flatMap((instance) => instance.reservations.map((reservation) => [reservation.address, instance]))),
    deployment: state.deployment.name,
  };
  const groups = placed.groups.map(({ group, instances, obsolete }) => ({ group, obsolete, instances: instances.map((instance) => networkInstance(group, instance, context)) }));
  return { placed, groups };
}

interface Context {
  pool: AddressPool;
  networks: readonly Network[];
  /** Address (CIDR text) to the instance of this deployment that holds it. */
  holders: Map<string, { group: string; uuid: string; index: number }>;
  deployment: string;
}

/** An address with the subnet that it lies in. */
export interface PlacedAddress {
  /** CIDR text. */
  address: string;
  subnet: Subnet;
}

/**
 * The lowest free address of a network for an AZ, or undefined when there is none.
 * @param taken addresses in use by anybody, as CIDR text
 */
export function freeAddress(target: Network, az: string | null, taken: ReadonlySet<string>): PlacedAddress | undefined {
  return addressPool([...taken]).allot(target, az);
}

/** What CPI and agent get to know about a network of an instance. */
export function networkSettings(target: Network, place: PlacedAddress, defaultFor: readonly string[]): NetworkSettings {
  const { subnet } = place;
  const block = blockOf(place.address);
  return {
    type: 'manual', ip: formatAddress(block.first, block.version), prefix: String(target.prefix), netmask: subnet.netmask, cloud_properties: subnet.cloudProperties,
    ...(defaultFor.length > 0 ? { default: [...defaultFor].sort() } : {}),
    ...(subnet.dns ? { dns: [...subnet.dns] } : {}),
    ...(subnet.gateway === undefined ? {} : { gateway: subnet.gateway }),
  };
}

function blockOf(address: string): Block {
  const block = parseBlock(address);
  if (!block) throw new Error(`'${address}' is no address`);
  return block;
}

function networkInstance(group: ResolvedGroup, instance: PlacedInstance, context: Context): NetworkedInstance {
  const { existing } = instance;
  if (existing?.ignore) return leaveAlone(instance, existing);
  const present = existing ? presentReservations(existing, context.networks) : [];
  const matches = matchReservations(group, instance, present);
  const wanted = group.networks.map((wish) => ({ wish, held: matches.get(wish.name), place: matches.get(wish.name)?.place ?? makeReservation(group, wish, instance, context) }));
  const networks = Object.fromEntries(wanted.map(({ wish, place }) => [wish.name, networkSettings(wish.network, place, wish.defaultFor)]));
  const used = new Set(wanted.map(({ place }) => place.address));
  const unneeded = (existing?.reservations ?? []).filter((record) => !used.has(record.address) && (record.vmId === undefined || record.vmId === existing?.vm?.id));
  const reservations = {
    keep: wanted.flatMap(({ wish, held }) => (held && isRecordedAs(held, wish) ? [reservationOf(wish, held.place)] : [])),
    make: wanted.flatMap(({ wish, held, place }) => (held && isRecordedAs(held, wish) ? [] : [reservationOf(wish, place)])),
    release: unneeded.map(({ address, network: name, static: isStatic }) => ({ address, network: name, static: isStatic })),
  };
  const made = wanted.filter(({ held }) => !held).map(({ wish, place }) => `address ${addressOf(place)} on network '${wish.name}'`);
  const released = unneeded.filter((record) => record.vmId !== undefined && record.vmId === existing?.vm?.id).map((record) => `address ${addressOf(record)} of network '${record.network}' is given back`);
  return { ...instance, networks, reservations, networkChanges: existing ? [...made, ...released] : made };
}

function addressOf({ address }: { address: string }): string {
  return address.replace(/\/(?:32|128)$/, '');
}

function leaveAlone(instance: PlacedInstance, existing: RecordedInstance): NetworkedInstance {
  const keep = existing.reservations.map(({ address, network: name, static: isStatic }) => ({ address, network: name, static: isStatic }));
  return { ...instance, networks: existing.spec?.networks ?? existing.vm?.networks ?? {}, reservations: { keep, make: [], release: [] }, networkChanges: [] };
}

/** A recorded address that still lies in some network of the cloud config. */
interface Present {
  record: RecordedReservation;
  network: Network;
  place: PlacedAddress;
  isStatic: boolean;
}

/** Addresses of the VM come before those that only the instance holds. */
function presentReservations(existing: RecordedInstance, networks: readonly Network[]): Present[] {
  const ofVm = existing.reservations.filter((record) => record.vmId !== undefined && record.vmId === existing.vm?.id);
  const unused = existing.reservations.filter((record) => record.vmId === undefined);
  const records = ofVm.length + unused.length > 0 ? [...ofVm, ...unused] : existing.reservations;
  return records.flatMap((record) => {
    const named = networks.filter((candidate) => candidate.name === record.network);
    const others = networks.filter((candidate) => candidate.name !== record.network);
    const block = parseBlock(record.address);
    if (!block) return [];
    for (const candidate of [...named, ...others]) {
      const subnet = candidate.subnets.find((one) => isReservable(one, block));
      if (subnet) return [{ record, network: candidate, place: { address: record.address, subnet }, isStatic: isStaticIn(subnet, block) }];
    }
    return [];
  });
}

function isReservable(subnet: Subnet, block: Block): boolean {
  const range = parseBlock(subnet.range);
  return range !== undefined && range.version === block.version && contains(range, block) && !subnet.restricted.some((restricted) => overlaps(restricted, block));
}

function isStaticIn(subnet: Subnet, block: Block): boolean {
  return subnet.static.some((range) => contains(range, { first: block.first, last: block.first }));
}

/** Which recorded address serves which wanted network; a network that was renamed keeps its address. */
function matchReservations(group: ResolvedGroup, instance: PlacedInstance, present: readonly Present[]): Map<string, Present> {
  const matches = new Map<string, Present>();
  for (const held of present) {
    const azs = held.place.subnet.azs;
    if (azs === null ? instance.az !== null : instance.az === null || !azs.includes(instance.az)) continue;
    const wish = group.networks.find((candidate) => !matches.has(candidate.name) && fits(held, candidate, instance));
    if (wish) matches.set(wish.name, placeIn(wish.network, held));
  }
  return matches;
}

function fits(held: Present, wish: GroupNetwork, instance: PlacedInstance): boolean {
  const block = blockOf(held.record.address);
  if (block.prefix !== wish.network.prefix) return false;
  if (held.network.name !== wish.network.name && !wish.network.subnets.some((subnet) => servesAz(subnet, instance.az) && isReservable(subnet, block))) return false;
  const wantedIp = wish.staticIps && instance.staticIps[wish.name];
  const isStatic = isStaticIn(placeIn(wish.network, held).place.subnet, block);
  return wantedIp === undefined ? !isStatic : isStatic && blockOf(wantedIp).first === block.first;
}

function servesAz(subnet: Subnet, az: string | null): boolean {
  return az === null || subnet.azs === null || subnet.azs.includes(az);
}

/** The same address, seen as one of `target`. */
function placeIn(target: Network, held: Present): Present {
  if (held.network.name === target.name) return held;
  const block = blockOf(held.record.address);
  const subnet = target.subnets.find((one) => isReservable(one, block)) ?? held.place.subnet;
  return { ...held, network: target, place: { address: held.record.address, subnet }, isStatic: isStaticIn(subnet, block) };
}

function reservationOf(wish: GroupNetwork, place: PlacedAddress): Reservation {
  return { address: place.address, network: wish.name, static: isStaticIn(place.subnet, blockOf(place.address)) };
}

function isRecordedAs(held: Present, wish: GroupNetwork): boolean {
  return held.record.network === wish.name && held.record.static === held.isStatic;
}

function makeReservation(group: ResolvedGroup, wish: GroupNetwork, instance: PlacedInstance, context: Context): PlacedAddress {
  const label = instanceLabel({ group: group.name, uuid: instance.uuid, index: instance.index });
  const place = wish.staticIps ? staticPlace(wish, instance.staticIps[wish.name] ?? '', { label, uuid: instance.uuid, context }) : context.pool.allot(wish.network, instance.az);
  if (!place) throw new DirectorError(code.networkReservationNotEnoughCapacity, `Failed to reserve IP for '${label}' for manual network '${wish.name}': no more available`);
  context.holders.set(place.address, { group: group.name, uuid: instance.uuid, index: instance.index });
  return place;
}

function staticPlace(wish: GroupNetwork, ip: string, { label, uuid, context }: { label: string; uuid: string; context: Context }): PlacedAddress {
  const single = blockOf(ip);
  const block = blockAt(single.first, wish.network.prefix, single.version);
  const subnet = wish.network.subnets.find((candidate) => candidate.version === block.version && contains(blockOf(candidate.range), single));
  if (!subnet) throw new DirectorError(130012, `Provided static IP '${ip}' does not belong to any subnet in network '${wish.name}'`);
  if (block.first !== single.first || wish.network.prefix > bitsOf(block.version)) throw new DirectorError(130015, `Static IP '${ip}' is not the base address of a block of prefix ${wish.network.prefix} in network '${wish.name}'`);
  if (subnet.restricted.some((range) => overlaps(range, block))) throw new DirectorError(130013, `Failed to reserve IP '${ip}' for network '${wish.name}': IP belongs to reserved range`);
  const address = formatBlock(block);
  const holder = context.holders.get(address);
  if (!context.pool.claim(block) && holder?.uuid !== uuid) {
    const owner = holder ? `instance '${instanceLabel(holder)}' from deployment '${context.deployment}'` : 'another deployment';
    throw new DirectorError(code.networkReservationAlreadyInUse, `Failed to reserve IP '${address}' for instance '${label}': already reserved by ${owner}`);
  }
  return { address, subnet };
}
