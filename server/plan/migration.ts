import { code, DirectorError } from '../core/errors';
import type { MigratedGroup } from '../deployments/manifest';
import type { ResolvedGroup } from './phases';
import type { RecordedInstance } from './types';

/**
 * Which recorded instances a group finds: its own, then those of the groups that it takes over (`migrated_from`).
 * Rules: cloudfoundry/bosh src/bosh-director/lib/bosh/director/deployment_plan/job_migrator.rb.
 */
export function recordedInstancesOf(group: ResolvedGroup, groups: readonly ResolvedGroup[], recorded: readonly RecordedInstance[]): RecordedInstance[] {
  const own = recorded.filter((instance) => instance.group === group.name);
  const migrated = group.migratedFrom.filter((source) => source.name !== group.name).flatMap((source) => takeOver(source, { group, groups, recorded }));
  const seen = new Set(own.map((instance) => instance.uuid));
  return [...own, ...migrated.filter(({ uuid }) => !seen.has(uuid) && seen.add(uuid))];
}

/** Names of all groups whose instances the groups of the manifest find. */
export function claimedGroups(groups: readonly ResolvedGroup[]): Set<string> {
  return new Set(groups.flatMap((group) => [group.name, ...group.migratedFrom.map((source) => source.name)]));
}

interface Migration {
  group: ResolvedGroup;
  groups: readonly ResolvedGroup[];
  recorded: readonly RecordedInstance[];
}

function takeOver(source: MigratedGroup, { group, groups, recorded }: Migration): RecordedInstance[] {
  const failed = (why: string) => new DirectorError(code.deploymentInvalidMigratedFromJob, `Failed to migrate instance group '${source.name}' to '${group.name}'${why}`);
  if (groups.some(({ name }) => name === source.name)) {
    throw failed(`. A deployment can not migrate an instance group and also specify it. Please remove instance group '${source.name}'.`);
  }
  const others = groups.filter((other) => other !== group);
  if (others.some((other) => other.migratedFrom.some(({ name }) => name === source.name))) throw failed('. An instance group may be migrated to only one instance group.');
  return recorded
    .filter((instance) => instance.group === source.name)
    .map((instance) => {
      if (instance.az === null && source.az === undefined && (group.azs ?? []).length > 0) throw failed(`, availability zone of '${source.name}' is not specified`);
      if (instance.az !== null && source.az !== undefined && instance.az !== source.az) {
        throw failed(`, '${source.name}' belongs to availability zone '${instance.az}' and manifest specifies '${source.az}'`);
      }
      return { ...instance, az: instance.az ?? source.az ?? null };
    });
}
