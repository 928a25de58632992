import type { CloudConfig } from '../configs/cloud-config';
import { DirectorError } from '../core/errors';
import type { ManifestGroup } from '../deployments/manifest';
import type { PlannedDisk } from './disks';

/** The disks of a group with what their types say. A type of size 0 is no disk. Throws 140012 for an unknown type. */
export function bindDisks(group: Pick<ManifestGroup, 'name' | 'disks'>, { diskTypes }: Pick<CloudConfig, 'diskTypes'>): PlannedDisk[] {
  return group.disks.flatMap((disk): PlannedDisk[] => {
    if ('size' in disk) return [{ name: disk.name, size: disk.size, cloudProperties: {}, type: String(disk.size) }];
    const found = diskTypes.find(({ name }) => name === disk.type);
    const section = disk.name === '' ? '' : " persistent_disks's section";
    if (!found) throw new DirectorError(140012, `Instance group '${group.name}'${section} references an unknown disk type '${disk.type}'`);
    return found.size === 0 ? [] : [{ name: disk.name, size: found.size, cloudProperties: found.cloudProperties, type: found.name }];
  });
}
