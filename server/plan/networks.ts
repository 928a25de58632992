import type { Network, VipNetwork } from '../configs/cloud-config';
import { sameValue } from '../core/compare';
import { code, DirectorError } from '../core/errors';
import { blockAt, contains, formatBlock, overlaps, type Block } from '../core/ip';
import { instanceLabel, instanceName, type NetworkSettings } from '../instances/instance';
import { addressPool, type AddressPool } from './address-pool';
import { blockPrefix, dynamicNetworksOf, isStaticIn, matchHeld, placeOf, type Held, type HeldAddress } from './held-addresses';
import { blockOf, dynamicSettings, manualSettings, vipSettings, withoutLearned, type LearnedAddress, type PlacedAddress } from './network-settings';
import type { GroupNetwork, Networked, NetworkedInstance, Placed, PlacedInstance, ResolvedGroup } from './phases';
import type { HotSwaps } from './hot-swap';
import type { AddressOwner, RecordedReservation } from './recorded';
import type { RecordedInstance, RecordedVm, Reservation } from './types';

/**
 * Third phase: which addresses every instance keeps, gets and gives back.
 * Rules: cloudfoundry/bosh src/bosh-director/lib/bosh/director/deployment_plan/network_planner/reservation_reconciler.rb and
 * ip_provider/ip_provider.rb.
 *
 * @param swaps instances whose VMs are swapped: they get other addresses than those of the present VM
 */
export function network(placed: Placed, swaps: HotSwaps = new Map()): Networked {
  const { state } = placed.resolved.input;
  const context: Context = {
    pool: addressPool(state.takenAddresses),
    networks: placed.resolved.cloudConfig.networks,
    holders: new Map(state.instances.flatMap((instance) => instance.reservations.map((reservation) => [reservation.address, instance]))),
    deployment: state.deployment.name,
    addressOwners: state.addressOwners,
  };
  const groups = placed.groups.map(({ group, dormant, instances, obsolete }) => ({
    group, dormant, obsolete, instances: instances.map((instance) => networkOne(group, instance, { context, dormant, swap: swaps.get(instance.uuid) })),
  }));
  return { placed, groups };
}

interface Context {
  pool: AddressPool;
  networks: readonly Network[];
  /** Address (CIDR text) to the instance of this deployment that holds it. */
  holders: Map<string, { group: string; uuid: string; index: number }>;
  deployment: string;
  addressOwners: ReadonlyMap<string, AddressOwner | null> | undefined;
}

/** What an instance gets on one of the group's networks. */
interface Outcome {
  wish: GroupNetwork;
  held: Held | undefined;
  settings: NetworkSettings;
  /** Undefined where the cloud allots the address. */
  reservation?: Reservation;
}

function networkInstance(group: ResolvedGroup, instance: PlacedInstance, context: Context): NetworkedInstance {
  const { existing } = instance;
  if (existing?.ignore) return leaveAlone(instance, existing);
  const matches = matchHeld(group, instance, context.networks, (block) => context.pool.isFree(block));
  const networked = reconcile({ group, instance, context }, matches, (record) => record.vmId === undefined || record.vmId === existing?.vm?.id);
  return { ...networked, networkChanges: [...networked.networkChanges, ...(existing ? lost(existing, { group, reservations: networked.reservations }) : [])] };
}

/**
 * The addresses of the VM that takes the present one's place: those of one that is ready if it fits, else such as an earlier attempt
 * has reserved, else new ones. The present VM keeps its own until it is deleted.
 */
function networkSwapped(group: ResolvedGroup, instance: PlacedInstance, { context, ready }: { context: Context; ready: RecordedVm | undefined }): NetworkedInstance {
  const { existing } = instance;
  const known = new Set([existing?.vm, ...(existing?.spareVms ?? [])].flatMap((vm) => (vm ? [vm.id] : [])));
  const reservations = existing?.reservations ?? [];
  const reconciled = (usable: (record: RecordedReservation) => boolean) => {
    // As an instance without the VM that goes: neither its addresses nor those that the cloud gave it count.
    const seen = existing && { ...existing, vm: undefined, spec: null, agentState: undefined, reservations: reservations.filter(usable) };
    const placed = { ...instance, existing: seen };
    const networked = reconcile({ group, instance: placed, context }, matchHeld(group, placed, context.networks, () => false), (record) => record.vmId === undefined);
    return { ...networked, existing };
  };
  const isReadys = (record: RecordedReservation) => record.vmId === ready?.id;
  const fits = ready && allAddressed(group, reservations.filter(isReadys)) ? reconciled(isReadys) : undefined;
  const swap = fits && ready && sameValue(withoutLearned(fits.networks), withoutLearned(ready.networks)) ? { ready } : {};
  const networked = fits && 'ready' in swap ? fits : reconciled((record) => record.vmId === undefined || !known.has(record.vmId));
  const given = reservations.filter((record) => record.vmId === existing?.vm?.id).map((record) => `address ${shownAddress(record)} of network '${record.network}' is given back`);
  return { ...networked, networkChanges: [...networked.networkChanges, ...given], swap };
}

/** Whether there is an address for each network of the group that the director allots; else looking closer would take new ones. */
function allAddressed(group: ResolvedGroup, reservations: readonly RecordedReservation[]): boolean {
  return group.networks.every(({ name, network: on }) => on.type === 'dynamic' || reservations.some((record) => record.network === name));
}

function networkOne(group: ResolvedGroup, instance: PlacedInstance, { context, dormant, swap }: { context: Context; dormant: boolean; swap: { ready?: RecordedVm } | undefined }): NetworkedInstance {
  if (dormant) return networkDormant(group, instance, context);
  return swap ? networkSwapped(group, instance, { context, ready: swap.ready }) : networkInstance(group, instance, context);
}

/** @param givesBack whether an address that the instance does not need may be given back */
function reconcile({ group, instance, context }: Seeker, matches: ReadonlyMap<string, Held>, givesBack: (record: RecordedReservation) => boolean): NetworkedInstance {
  const { existing } = instance;
  const outcomes = group.networks.map((wish) => fulfil(wish, matches.get(wish.name), { group, instance, context }));
  const used = new Set(outcomes.flatMap(({ reservation: taken }) => taken?.address ?? []));
  const unneeded = (existing?.reservations ?? []).filter((record) => !used.has(record.address) && givesBack(record));
  const reservations = {
    keep: outcomes.flatMap(({ held, reservation: wanted }) => (wanted && isRecorded(held, wanted) ? [wanted] : [])),
    make: outcomes.flatMap(({ held, reservation: wanted }) => (wanted && !isRecorded(held, wanted) ? [wanted] : [])),
    release: unneeded.map(({ address, network: name, static: isStatic }) => ({ address, network: name, static: isStatic })),
  };
  return {
    ...instance,
    networks: Object.fromEntries(outcomes.map(({ wish, settings }) => [wish.name, settings])),
    reservations,
    networkChanges: outcomes.flatMap(gained),
  };
}

/** An errand's instance keeps what it has and gets nothing: addresses are reserved when it gets a VM. */
function networkDormant(group: ResolvedGroup, instance: PlacedInstance, context: Context): NetworkedInstance {
  const matches = matchHeld(group, instance, context.networks, () => false);
  const networks = Object.fromEntries(group.networks.flatMap((wish) => {
    const held = matches.get(wish.name);
    const place = isHeldAddress(held) ? placeOf(held) : undefined;
    return place ? [[wish.name, manualSettings(place, wish)] as const] : [];
  }));
  return { ...instance, networks, reservations: { keep: (instance.existing?.reservations ?? []).map(asReservation), make: [], release: [] }, networkChanges: [] };
}

function asReservation({ address, network: name, static: isStatic, nicGroup }: RecordedReservation): Reservation {
  return { address, network: name, static: isStatic, ...(nicGroup === undefined ? {} : { nicGroup }) };
}

function leaveAlone(instance: PlacedInstance, existing: RecordedInstance): NetworkedInstance {
  return { ...instance, networks: existing.spec?.networks ?? existing.vm?.networks ?? {}, reservations: { keep: existing.reservations.map(asReservation), make: [], release: [] }, networkChanges: [] };
}

interface Seeker {
  group: ResolvedGroup;
  instance: PlacedInstance;
  context: Context;
}

function fulfil(wish: GroupNetwork, held: Held | undefined, seeker: Seeker): Outcome {
  const { network: on } = wish;
  if (isHeldAddress(held) && !held.record) seeker.context.pool.claim(blockOf(held.address));
  switch (on.type) {
    case 'dynamic':
      return { wish, held, settings: dynamicSettings(on, seeker.instance.az, { ...wish, learned: held && learned(wish.name, seeker.instance.existing) }) };
    case 'vip': {
      const address = isHeldAddress(held) ? held.address : vipAddress(on, wish, seeker);
      return { wish, held, settings: vipSettings(on, address, wish), reservation: reservation(wish, { address, isStatic: on.subnets.length === 0 }) };
    }
    case 'manual': {
      const place = isHeldAddress(held) && held.home.subnet ? { address: held.address, subnet: held.home.subnet } : manualPlace(wish, seeker);
      return { wish, held, settings: manualSettings(place, wish), reservation: reservation(wish, { address: place.address, isStatic: isStaticIn(place.subnet, blockOf(place.address)) }) };
    }
  }
}

function reservation({ name, nicGroup }: GroupNetwork, place: { address: string; isStatic: boolean }): Reservation {
  return { address: place.address, network: name, static: place.isStatic, ...(nicGroup === undefined ? {} : { nicGroup }) };
}

/** What the agent says of a dynamic network, else what was recorded of it. */
function learned(name: string, existing: RecordedInstance | undefined): LearnedAddress | undefined {
  const told = existing?.agentState?.networks?.[name];
  return told?.ip ? told : existing?.vm?.networks[name];
}

function isHeldAddress(held: Held | undefined): held is HeldAddress {
  return typeof held === 'object';
}

function isRecorded(held: Held | undefined, wanted: Reservation): boolean {
  const record = isHeldAddress(held) ? held.record : undefined;
  return record !== undefined && record.network === wanted.network && record.static === wanted.static && record.nicGroup === wanted.nicGroup;
}

function gained({ wish, held, reservation: wanted }: Outcome): string[] {
  if (held) return [];
  return [wanted ? `address ${shownAddress(wanted)} on network '${wish.name}'` : `an address of the cloud on network '${wish.name}'`];
}

function lost(existing: RecordedInstance, { group, reservations }: { group: ResolvedGroup; reservations: { release: readonly Reservation[] } }): string[] {
  const ofVm = new Set(existing.reservations.flatMap((record) => (record.vmId !== undefined && record.vmId === existing.vm?.id ? [record.address] : [])));
  const given = reservations.release.filter(({ address }) => ofVm.has(address)).map((record) => `address ${shownAddress(record)} of network '${record.network}' is given back`);
  const dynamic = new Set(group.networks.flatMap(({ name, network: on }) => (on.type === 'dynamic' ? [name] : [])));
  const left = [...dynamicNetworksOf(existing).keys()].filter((name) => !dynamic.has(name)).map((name) => `the cloud's address on network '${name}' is given back`);
  return [...given, ...left];
}

function shownAddress({ address }: { address: string }): string {
  return address.replace(/\/(?:32|128)$/, '');
}

function manualPlace(wish: GroupNetwork, { group, instance, context }: Seeker): PlacedAddress {
  const label = instanceLabel({ group: group.name, uuid: instance.uuid, index: instance.index });
  const { network: on } = wish;
  const place = wish.staticIps ? staticPlace(wish, instance.staticIps[wish.name] ?? '', { label, uuid: instance.uuid, context }) : on.type === 'manual' ? context.pool.allot(on, instance.az) : undefined;
  if (!place) throw new DirectorError(code.networkReservationNotEnoughCapacity, `Failed to reserve IP for '${label}' for manual network '${wish.name}': no more available`);
  context.holders.set(place.address, { group: group.name, uuid: instance.uuid, index: instance.index });
  return place;
}

function staticPlace(wish: GroupNetwork, ip: string, { label, uuid, context }: { label: string; uuid: string; context: Context }): PlacedAddress | undefined {
  if (wish.network.type !== 'manual') return undefined;
  const { subnets, prefix } = wish.network;
  const single = blockOf(ip);
  const block = blockAt(single.first, prefix, single.version);
  const subnet = subnets.find((candidate) => candidate.version === block.version && contains(blockOf(candidate.range), single));
  if (!subnet) throw new DirectorError(130012, `Provided static IP '${ip}' does not belong to any subnet in network '${wish.name}'`);
  if (block.first !== single.first) throw new DirectorError(130015, `Static IP '${ip}' is not the base address of a block of prefix ${prefix} in network '${wish.name}'`);
  if (subnet.restricted.some((range) => overlaps(range, block))) throw new DirectorError(130013, `Failed to reserve IP '${ip}' for network '${wish.name}': IP belongs to reserved range`);
  claim(block, { label, uuid, context });
  return { address: formatBlock(block), subnet };
}

/** Takes a named address for an instance. Throws 130008 when another instance has it. */
function claim(block: Block, { label, uuid, context }: { label: string; uuid: string; context: Context }): void {
  const address = formatBlock(block);
  const holder = context.holders.get(address);
  if (context.pool.claim(block) || holder?.uuid === uuid) return;
  const owner = holder ? { ...holder, deployment: context.deployment } : context.addressOwners?.get(address);
  throw new DirectorError(code.networkReservationAlreadyInUse, `Failed to reserve IP '${address}' for instance '${label}': already reserved by ${ownerText(owner)}`);
}

/** @param owner undefined: of a part of a larger block nobody's name is known */
function ownerText(owner: AddressOwner | null | undefined): string {
  if (owner === undefined) return 'another deployment';
  return owner ? `instance '${instanceName(owner)}' from deployment '${owner.deployment}'` : 'orphaned instance';
}

function vipAddress(on: VipNetwork, wish: GroupNetwork, { group, instance, context }: Seeker): string {
  const identity = { group: group.name, uuid: instance.uuid, index: instance.index };
  const label = instanceLabel(identity);
  const address = on.subnets.length > 0 ? context.pool.allotVip(on, instance.az) : namedVip(on, instance.staticIps[wish.name] ?? '', { label, uuid: instance.uuid, context });
  if (address === undefined) throw new DirectorError(code.networkReservationNotEnoughCapacity, `Failed to reserve IP for '${label}' for vip network '${wish.name}': no more available`);
  context.holders.set(address, identity);
  return address;
}

function namedVip(on: VipNetwork, ip: string, who: { label: string; uuid: string; context: Context }): string {
  const single = blockOf(ip);
  const block = blockAt(single.first, blockPrefix(on, single.version), single.version);
  claim(block, who);
  return formatBlock(block);
}
