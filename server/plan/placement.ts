import { compareText } from '../core/collections';
import { DirectorError, code } from '../core/errors';
import { claimedGroups, recordedInstancesOf } from './migration';
import { placeByStaticIps } from './placement-static';
import { checkIgnoredNetworks, type Slot } from './slot';
import { withVips } from './vip-addresses';
import type { Placed, PlacedGroup, PlacedInstance, Resolved, ResolvedGroup } from './phases';
import type { RecordedInstance } from './types';

/**
 * Second phase: which instances a group shall have, in which AZ, with which index.
 * Rules: cloudfoundry/bosh src/bosh-director/lib/bosh/director/deployment_plan/instance_planner.rb and placement_planner/.
 */
export function place(resolved: Resolved): Placed {
  const { state, newUuid } = resolved.input;
  const chance = resolved.manifest.features.randomizeAzPlacement ? (group: string) => chanceOf(`${state.deployment.name}/${group}`) : undefined;
  const groups = resolved.groups.map((group) =>
    placeGroup(group, recordedInstancesOf(group, resolved.groups, state.instances), { newUuid, askedStates: statesAskedFor(resolved, group), chance: chance?.(group.name) }),
  );
  const wanted = claimedGroups(resolved.groups);
  const removed = state.instances.filter((instance) => !wanted.has(instance.group));
  const ignored = removed.find((instance) => instance.ignore);
  if (ignored) {
    throw new DirectorError(code.deploymentIgnoredInstancesDeletion, `You are trying to delete instance group '${ignored.group}', which contains ignored instance(s). Operation not allowed.`);
  }
  return { resolved, groups, removed };
}

interface PlacementContext {
  newUuid: () => string;
  /** Keys of states that were asked for single instances: uuids and indexes. */
  askedStates: ReadonlySet<string>;
  /** Decides between AZs that are equally good; without it the alphabet does. */
  chance: Chance | undefined;
}

/** A whole number below `limit`. */
type Chance = (limit: number) => number;

function placeGroup(group: ResolvedGroup, recorded: readonly RecordedInstance[], context: PlacementContext): PlacedGroup {
  const existing = recorded.toSorted((a, b) => a.index - b.index);
  refuseIgnoredStates(existing, context.askedStates);
  const isStatic = group.networks.some(({ network, staticIps }) => network.type === 'manual' && staticIps !== undefined);
  const slots = isStatic ? placeByStaticIps(group, existing) : placeByAz(group, existing, context.chance);
  const instances = withVips(group, identify(group, slots, { recorded: existing, newUuid: context.newUuid }));
  const kept = new Set(slots.map((slot) => slot.existing?.uuid));
  return { group, dormant: isDormant(group, instances), instances: electBootstrap(instances), obsolete: existing.filter((instance) => !kept.has(instance.uuid)) };
}

function statesAskedFor(resolved: Resolved, group: ResolvedGroup): Set<string> {
  const { instanceStates } = resolved.input.request;
  return new Set([...Object.keys(group.instanceStates), ...Object.keys(instanceStates?.[group.name] ?? {})]);
}

function refuseIgnoredStates(existing: readonly RecordedInstance[], asked: ReadonlySet<string>): void {
  const touched = existing.find((instance) => instance.ignore && (asked.has(String(instance.index)) || asked.has(instance.uuid)));
  if (touched) {
    throw new DirectorError(140021, `You are trying to change the state of the ignored instance '${touched.group}/${touched.uuid}'. This operation is not allowed. You need to unignore it first.`);
  }
}

/** Errands get VMs when they are run; a deploy brings those up to date that have some. */
function isDormant({ lifecycle }: ResolvedGroup, instances: readonly PlacedInstance[]): boolean {
  return lifecycle === 'errand' && !instances.some(({ existing }) => existing?.vm !== undefined || existing?.state === 'detached');
}

/** Instances keep their uuid, and the index within their group; those of other groups, then new ones, take the lowest that no record of the group has. */
function identify(group: ResolvedGroup, slots: readonly Slot[], { recorded, newUuid }: { recorded: readonly RecordedInstance[]; newUuid: () => string }): PlacedInstance[] {
  const used = new Set(recorded.filter((instance) => instance.group === group.name).map((instance) => instance.index));
  let next = 0;
  const takeIndex = () => {
    while (used.has(next)) next++;
    return next++;
  };
  return [...slots.filter(({ existing }) => existing), ...slots.filter(({ existing }) => !existing)]
    .map(({ az, existing, staticIps }): PlacedInstance => {
      if (existing) return { uuid: existing.uuid, index: existing.group === group.name ? existing.index : takeIndex(), az, bootstrap: existing.bootstrap, existing, staticIps };
      return { uuid: newUuid(), index: takeIndex(), az, bootstrap: false, staticIps };
    })
    .sort((a, b) => a.index - b.index);
}

/** The one bootstrap instance stays; without one, or with several, the lowest index becomes it. */
function electBootstrap(instances: readonly PlacedInstance[]): PlacedInstance[] {
  const present = instances.filter((instance) => instance.bootstrap);
  const elected = present.length === 1 ? present[0] : instances[0];
  return instances.map((instance) => ({ ...instance, bootstrap: instance === elected }));
}

/**
 * Without static addresses: ignored instances stay, then instances with disks stay while there is room, then the rest is
 * spread evenly, preferring AZs that already have instances.
 */
function placeByAz(group: ResolvedGroup, existing: readonly RecordedInstance[], chance: Chance | undefined): Slot[] {
  const ignored = existing.filter((instance) => instance.ignore);
  checkIgnored(group, ignored);
  const azs = group.azs;
  const withDisk = azs === null ? [] : existing.filter((instance) => !instance.ignore && instance.persistentDisks.length > 0 && instance.az !== null && azs.includes(instance.az));
  const settled = [...ignored, ...withDisk.slice(0, Math.max(0, group.size - ignored.length))].map((instance): Slot => ({ az: azs === null ? null : instance.az, existing: instance, staticIps: {} }));
  const taken = new Set(settled.map((slot) => slot.existing?.uuid));
  const free = existing.filter((instance) => !taken.has(instance.uuid));
  const remaining = group.size - settled.length;
  return [...settled, ...(azs === null ? claimWithoutAz(free, remaining) : balance(azs, { existing, free, settled, remaining, chance }))];
}

function claimWithoutAz(free: readonly RecordedInstance[], remaining: number): Slot[] {
  const candidates = free.filter((instance) => instance.az === null);
  return Array.from({ length: remaining }, (_, i): Slot => ({ az: null, existing: candidates[i], staticIps: {} }));
}

interface Balance {
  existing: readonly RecordedInstance[];
  free: readonly RecordedInstance[];
  settled: readonly Slot[];
  remaining: number;
  chance: Chance | undefined;
}

function balance(azs: readonly string[], { existing, free, settled, remaining, chance }: Balance): Slot[] {
  const total = (az: string) => existing.filter((instance) => instance.az === az).length;
  // Ties go to the AZ with most existing instances that has one to offer, else to the first by name.
  const preference = [...new Set(azs)].map((az) => ({ az, total: total(az), placed: settled.filter((slot) => slot.az === az).length, offers: free.filter((instance) => instance.az === az) }));
  preference.sort((a, b) => b.total - a.total);
  return Array.from({ length: remaining }, (): Slot => {
    const lowest = Math.min(...preference.map((candidate) => candidate.placed));
    const tied = preference.filter((candidate) => candidate.placed === lowest);
    const byName = tied.toSorted((a, b) => compareText(a.az, b.az));
    const chosen = tied.find((candidate) => candidate.offers.length > 0) ?? byName[chance?.(byName.length) ?? 0];
    if (!chosen) return { az: null, staticIps: {} };
    chosen.placed++;
    return { az: chosen.az, existing: chosen.offers.shift(), staticIps: {} };
  });
}

/**
 * Chance that follows from a name: deployments and groups differ, while the same one is planned alike each time, so that what was shown
 * beforehand is what is done. A 32-bit FNV-1a hash of the name and the number of the draw.
 */
function chanceOf(name: string): Chance {
  let draw = 0;
  return (limit) => {
    let hash = 0x811c9dc5;
    draw += 1;
    const text = `${name}/${draw}`;
    for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
    return ((hash ^ (hash >>> 16)) >>> 0) % limit;
  };
}

function checkIgnored(group: ResolvedGroup, ignored: readonly RecordedInstance[]): void {
  for (const instance of ignored) checkIgnoredNetworks(group, instance);
  if (ignored.length > group.size) {
    throw new DirectorError(
      code.deploymentIgnoredInstancesModification,
      `Instance Group '${group.name}' has ${ignored.length} ignored instance(s). ${group.size} instance(s) of that instance group were requested. Deleting ignored instances is not allowed.`,
    );
  }
  const lost = [...new Set(ignored.flatMap(({ az }) => (az === null || (group.azs ?? []).includes(az) ? [] : [az])))];
  if (lost.length > 0) {
    throw new DirectorError(
      code.deploymentIgnoredInstancesModification,
      `Instance Group '${group.name}' no longer contains AZs ${JSON.stringify(lost)} where ignored instance(s) exist.`,
    );
  }
}
