import { DirectorError } from '../core/errors';
import { optionalField, requiredField } from '../core/fields';
import type { Hash } from '../core/yaml';
import type { ManifestDisk } from './manifest';

/**
 * Persistent disks of an instance group: one managed disk, or several named ones. A size of 0 is no disk. Throws 140013 and 140027.
 * Rules: cloudfoundry/bosh src/bosh-director/lib/bosh/director/deployment_plan/instance_group_spec_parser.rb.
 */
export function parseDisks(spec: Hash, group: string): ManifestDisk[] {
  const size = optionalField(spec, 'persistent_disk', 'Integer');
  const type = optionalField(spec, 'persistent_disk_type', 'String');
  const named = optionalField(spec, 'persistent_disks', 'Array');
  if (optionalField(spec, 'persistent_disk_pool', 'String') !== undefined) {
    throw new DirectorError(140027, '`persistent_disk_pool` is not supported as an `instance_groups` key. Please use `persistent_disk_type` instead.');
  }
  if ([size, type, named].filter((given) => given !== undefined).length > 1) {
    throw new DirectorError(140013, `Instance group '${group}' specifies more than one of the following keys: 'persistent_disk', 'persistent_disk_type', and 'persistent_disks'. Choose one.`);
  }
  if (size !== undefined && size < 0) throw new DirectorError(140013, `Instance group '${group}' references an invalid persistent disk size '${size}'`);
  if (size) return [{ name: '', size }];
  if (type !== undefined) return [{ name: '', type }];
  return parseNamed(named ?? [], group);
}

function parseNamed(list: readonly unknown[], group: string): ManifestDisk[] {
  const disks = list.map((item) => ({ name: optionalField(item, 'name', 'String')?.trim() ?? '', type: requiredField(item, 'type', 'String') }));
  if (new Set(disks.map(({ name }) => name)).size !== disks.length) throw new DirectorError(140013, `Instance group '${group}' persistent_disks's section contains duplicate names`);
  if (disks.some(({ name }) => name === '')) throw new DirectorError(140013, `Instance group '${group}' persistent_disks's section contains a disk with no name`);
  return disks;
}
