import { groupBy } from '../core/collections';
import { compareStemcellVersions } from '../core/versions';

/**
 * Which stemcells a clean-up deletes: of each name all but the `keep` newest of the versions that no deployment uses.
 * Rule: cloudfoundry/bosh src/bosh-director/lib/bosh/director/jobs/helpers/stemcells_to_delete_picker.rb; there each CPI's row
 * counts as a version, here a version counts once.
 */
export function pickStemcells<S extends { name: string; version: string; deployments: readonly string[] }>(stemcells: readonly S[], keep: number): S[] {
  return [...groupBy(stemcells, (stemcell) => stemcell.name).values()].flatMap((sameName) => {
    const versions = [...groupBy(sameName, (stemcell) => stemcell.version)]
      .filter(([, rows]) => rows.every((row) => row.deployments.length === 0))
      .sort(([a], [b]) => compareStemcellVersions(a, b));
    return versions.slice(0, Math.max(0, versions.length - keep)).flatMap(([, rows]) => rows);
  });
}
