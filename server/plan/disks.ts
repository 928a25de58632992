import { differingPaths } from '../core/compare';
import type { Hash } from '../core/yaml';

/**
 * Which disks an instance shall have, and what that means for those that it has.
 * Rules: cloudfoundry/bosh src/bosh-director/lib/bosh/director/deployment_plan/persistent_disk_collection.rb.
 */

/** A persistent disk that an instance shall have. */
export interface PlannedDisk {
  /** Empty for the managed disk, which the agent formats and mounts; others are only attached. */
  name: string;
  /** MB */
  size: number;
  cloudProperties: Hash;
  /** Name of its disk type; for a disk that is given by its size, the size. */
  type: string;
  /** Cloud properties that differ from those of the recorded disk when both are compared with the values of variables; undefined: they are compared as they stand. */
  differing?: readonly string[] | undefined;
}

/** A persistent disk that an instance has. */
export interface RecordedDisk {
  id: number;
  cid: string;
  /** Name of the CPI that made it, as it was then. */
  cpi: string;
  name: string;
  /** MB */
  size: number;
  cloudProperties: Hash;
  /** It has the instance's data; others are left from an update that was not finished. */
  active: boolean;
  /** The present task made it: it is not recreated once more. */
  fresh: boolean;
}

/** What becomes of the disk of one name: it is added (no `from`), taken away (no `to`), or changed. */
export interface DiskChange {
  name: string;
  from?: RecordedDisk;
  to?: PlannedDisk;
}

/** Differences between what an instance has and what it shall have, in the order of the manifest. @param recreate also disks that would do are replaced */
export function diskChanges(recorded: readonly RecordedDisk[], desired: readonly PlannedDisk[], recreate: boolean): DiskChange[] {
  const active = recorded.filter((disk) => disk.active);
  const kept = desired.flatMap((to): DiskChange[] => {
    const from = active.find((disk) => disk.name === to.name);
    if (!from) return [{ name: to.name, to }];
    const fits = from.size === to.size && pathsOf(from, to).length === 0;
    return fits && (!recreate || from.fresh) ? [] : [{ name: to.name, from, to }];
  });
  const removed = active.filter((disk) => !desired.some(({ name }) => name === disk.name)).map((from): DiskChange => ({ name: from.name, from }));
  return [...kept, ...removed];
}

/** Whether a managed disk only has to become larger. */
export function onlyGrows({ name, from, to }: DiskChange): boolean {
  return name === '' && from !== undefined && to !== undefined && to.size > from.size && pathsOf(from, to).length === 0;
}

function pathsOf(from: RecordedDisk, to: PlannedDisk): readonly string[] {
  // A disk that the present task made has the present values.
  return (from.fresh && to.differing ? [] : to.differing) ?? differingPaths(from.cloudProperties, to.cloudProperties);
}

/** Why a disk changes, for operators. */
export function diskReasons(changes: readonly DiskChange[]): string[] {
  return changes.flatMap(({ name, from, to }) => {
    const what = name === '' ? 'persistent disk' : `persistent disk '${name}'`;
    if (!from) return [`${what} of ${to?.size ?? 0} MB is added`];
    if (!to) return [`${what} of ${from.size} MB is removed`];
    const size = from.size === to.size ? [] : [`${what} ${from.size} MB → ${to.size} MB`];
    const properties = pathsOf(from, to).map((path) => `${what}: cloud property ${path || '(all)'}`);
    return size.length + properties.length > 0 ? [...size, ...properties] : [`${what} is recreated`];
  });
}

/** What specs say of disks: the managed one's size and type, 0 without any disk, nothing when they are named. */
export function diskSpec(disks: readonly PlannedDisk[]): { persistent_disk?: number } {
  const [first] = disks;
  if (!first) return { persistent_disk: 0 };
  return first.name === '' ? { persistent_disk: first.size } : {};
}

/** `persistent_disk_type` of the recorded spec; absent unless there is a managed disk. */
export function diskTypeSpec(disks: readonly PlannedDisk[]): { persistent_disk_type?: { name: string; disk_size: number; cloud_properties: Hash } } {
  const [first] = disks;
  return first?.name === '' ? { persistent_disk_type: { name: first.type, disk_size: first.size, cloud_properties: first.cloudProperties } } : {};
}
