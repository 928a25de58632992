import { code, DirectorError } from '../core/errors';
import { sameValue } from '../core/compare';
import { blockAt, parseBlock } from '../core/ip';
import type { Hash } from '../core/yaml';
import type { ManualNetwork, Subnet } from '../configs/cloud-config';
import { isStaticIn } from './held-addresses';
import { distribute, type Candidates } from './static-distribution';
import { checkIgnoredNetworks, type Slot } from './slot';
import type { GroupNetwork, ResolvedGroup } from './phases';
import type { RecordedInstance } from './types';

/**
 * Placement of a group with static addresses: an address decides the AZ of the instance that gets it. Instances that
 * already use a listed address keep it.
 * Rules: cloudfoundry/bosh src/bosh-director/lib/bosh/director/deployment_plan/placement_planner/static_ips_availability_zone_picker.rb.
 */
export function placeByStaticIps(group: ResolvedGroup, existing: readonly RecordedInstance[]): Slot[] {
  const pool = group.networks.flatMap((wish): NetworkPool[] => (wish.network.type === 'manual' && wish.staticIps !== undefined ? [{ network: wish, entries: entriesOf(group, wish, wish.network) }] : []));
  checkAzs(group, pool);
  for (const instance of existing) if (instance.ignore) checkIgnoredAddresses(group, instance);
  const slots = [...keepUsed(group, existing, pool)];
  slots.push(...keepOthers(group, existing, { pool, slots }));
  complete(slots, pool);
  slots.push(...placeNew(group, group.size - slots.length, pool));
  const kept = new Set(slots.map((slot) => slot.existing?.uuid));
  if (existing.some((instance) => instance.ignore && !kept.has(instance.uuid))) throw ignoredAddressRemoved(group.name);
  return slots;
}

/** A listed address and the AZs that it may serve; one AZ as soon as that is decided. */
interface Entry {
  ip: string;
  azs: (string | null)[];
  claimed: boolean;
  /** Of its subnet: networks of one network card must agree on them. */
  cloudProperties: Hash;
}

interface NetworkPool {
  network: GroupNetwork;
  entries: Entry[];
}

/** A slot whose addresses are still being gathered. */
interface OpenSlot extends Slot {
  staticIps: Record<string, string>;
}

function entriesOf(group: ResolvedGroup, wish: GroupNetwork, network: ManualNetwork): Entry[] {
  const wanted: readonly (string | null)[] = group.azs ?? [null];
  return (wish.staticIps ?? []).map((ip) => {
    const subnet = network.subnets.find((candidate) => isOffered(candidate, network.prefix, ip));
    if (!subnet) throw new DirectorError(150002, `Instance group '${group.name}' with network '${wish.name}' declares static ip '${ip}', which belongs to no subnet`);
    const azs: readonly (string | null)[] = subnet.azs ?? [null];
    return { ip, azs: [...new Set(azs)].filter((az) => wanted.includes(az)), claimed: false, cloudProperties: subnet.cloudProperties };
  });
}

/** An address of the static ranges; with a prefix, one at which a block begins. */
function isOffered(subnet: Subnet, prefix: number, ip: string): boolean {
  const address = parseBlock(ip);
  return address !== undefined && address.version === subnet.version && isStaticIn(subnet, address) && blockAt(address.first, prefix, address.version).first === address.first;
}

function checkAzs(group: ResolvedGroup, pool: readonly NetworkPool[]): void {
  const stray = pool.flatMap(({ entries }) => entries).find((entry) => entry.azs.length === 0);
  if (!stray) return;
  if (group.azs === null) throw new DirectorError(140016, `Instance group '${group.name}' subnets declare availability zones and the instance group does not`);
  throw new DirectorError(150007, `Instance group '${group.name}' declares static ip '${stray.ip}' which does not belong to any of the instance group's availability zones.`);
}

function ignoredAddressRemoved(group: string): DirectorError {
  return new DirectorError(
    code.deploymentIgnoredInstancesModification,
    `In instance group '${group}', an attempt was made to remove a static ip that is used by an ignored instance. This operation is not allowed.`,
  );
}

function checkIgnoredAddresses(group: ResolvedGroup, instance: RecordedInstance): void {
  checkIgnoredNetworks(group, instance);
  for (const reservation of instance.reservations) {
    const network = group.networks.find(({ name }) => name === reservation.network);
    if (network?.staticIps && !network.staticIps.includes(addressText(reservation.address))) throw ignoredAddressRemoved(group.name);
  }
}

/** `10.0.0.5` of `10.0.0.5/32`. */
function addressText(cidr: string): string {
  return cidr.replace(/\/\d+$/, '');
}

/** Existing instances that use listed addresses keep them, and the AZ with them. */
function keepUsed(group: ResolvedGroup, existing: readonly RecordedInstance[], pool: readonly NetworkPool[]): OpenSlot[] {
  const slots: OpenSlot[] = [];
  for (const instance of existing) {
    const addresses = new Set(instance.reservations.map((reservation) => addressText(reservation.address)));
    const used = pool.flatMap(({ network, entries }) => entries.filter((entry) => !entry.claimed && addresses.has(entry.ip)).map((entry) => ({ network: network.name, entry })));
    const [first] = used;
    if (!first) continue;
    if (slots.length >= group.size) {
      // No place for this instance: its addresses are nobody's to count with.
      for (const { entries } of pool) removeAll(entries, used.map(({ entry }) => entry));
      continue;
    }
    if (!first.entry.azs.includes(instance.az)) {
      throw new DirectorError(
        130010,
        `Existing instance '${instance.group}/${instance.index}' is using IP '${first.entry.ip}' in availability zone '${instance.az ?? ''}', ` +
          'which does not belong to the availability zones of the subnet of that IP',
      );
    }
    const slot: OpenSlot = { az: instance.az, existing: instance, staticIps: {} };
    for (const { network, entry } of used) if (!(network in slot.staticIps) && entry.azs.includes(instance.az)) claim(slot, network, entry);
    slots.push(slot);
  }
  return slots;
}

function removeAll(entries: Entry[], gone: readonly Entry[]): void {
  for (const entry of gone) {
    const at = entries.indexOf(entry);
    if (at >= 0) entries.splice(at, 1);
  }
}

function claim(slot: OpenSlot, network: string, entry: Entry): void {
  entry.claimed = true;
  entry.azs = [slot.az];
  slot.staticIps[network] = entry.ip;
}

/** Other existing instances stay where every static network still has an address for their AZ. */
function keepOthers(group: ResolvedGroup, existing: readonly RecordedInstance[], so: { pool: readonly NetworkPool[]; slots: readonly Slot[] }): OpenSlot[] {
  const placed = new Set(so.slots.map((slot) => slot.existing?.uuid));
  const kept: OpenSlot[] = [];
  for (const instance of existing) {
    if (placed.has(instance.uuid) || so.slots.length + kept.length >= group.size) continue;
    if (so.pool.some(({ entries }) => freeEntry(entries, instance.az) === undefined)) continue;
    const slot: OpenSlot = { az: instance.az, existing: instance, staticIps: {} };
    complete([slot], so.pool);
    kept.push(slot);
  }
  return kept;
}

function freeEntry(entries: readonly Entry[], az: string | null, cloudProperties?: Hash): Entry | undefined {
  return entries.find((entry) => !entry.claimed && entry.azs.includes(az) && (cloudProperties === undefined || sameValue(entry.cloudProperties, cloudProperties)));
}

/** Gives instances an address on the static networks where they have none. */
function complete(slots: readonly OpenSlot[], pool: readonly NetworkPool[]): void {
  for (const slot of slots) {
    for (const { network, entries } of pool) {
      if (network.name in slot.staticIps) continue;
      const siblings = siblingProperties(slot, network, pool);
      const entry = freeEntry(entries, slot.az, siblings);
      if (!entry) throw siblings ? noSibling(network, slot.az) : noDistribution();
      claim(slot, network.name, entry);
    }
  }
}

/** Cloud properties of the subnet that the slot has on another network of the same network card; undefined when there is none. */
function siblingProperties(slot: OpenSlot, { name, nicGroup }: GroupNetwork, pool: readonly NetworkPool[]): Hash | undefined {
  if (nicGroup === undefined) return undefined;
  for (const { network, entries } of pool) {
    if (network.name === name || network.nicGroup !== nicGroup) continue;
    const entry = entries.find(({ ip }) => ip === slot.staticIps[network.name]);
    if (entry) return entry.cloudProperties;
  }
  return undefined;
}

function noSibling({ name, nicGroup }: GroupNetwork, az: string | null): DirectorError {
  const where = az === null ? '' : ` in availability zone '${az}'`;
  return new DirectorError(130010, `Failed to find a static IP for network '${name}' on a matching subnet in nic_group '${nicGroup}'${where}`);
}

function noDistribution(): DirectorError {
  return new DirectorError(130010, 'Failed to distribute static IPs to satisfy existing instance reservations');
}

function placeNew(group: ResolvedGroup, count: number, pool: readonly NetworkPool[]): OpenSlot[] {
  if (count <= 0) return [];
  const candidates: Candidates[] = pool.map(({ entries }) => entries.map((entry) => entry.azs));
  const decided = distribute(candidates);
  if (!decided) throw new DirectorError(150002, `Failed to evenly distribute static IPs between zones for instance group '${group.name}'`);
  pool.forEach(({ entries }, i) => entries.forEach((entry, j) => (entry.azs = [decided[i]?.[j] ?? null])));
  return Array.from({ length: count }, (): OpenSlot => {
    const [first] = pool[0]?.entries.filter((entry) => !entry.claimed) ?? [];
    if (!first) throw noDistribution();
    const slot: OpenSlot = { az: first.azs[0] ?? null, staticIps: {} };
    complete([slot], pool);
    return slot;
  });
}
