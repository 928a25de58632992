import { code, DirectorError } from '../core/errors';
import { stemcellVersionsMatch } from '../core/versions';
import type { ExportedFrom } from '../deployments/manifest';
import type { PlannedStemcell } from './stemcells';
import type { PlannedRelease } from './types';

/**
 * Releases whose packages come compiled for named stemcells (`exported_from`) and are never compiled here.
 * Rules: cloudfoundry/bosh src/bosh-director/lib/bosh/director/deployment_plan/release_version_exported_from.rb, instance_group.rb.
 */

/** The stemcells of `exported_from` whose compiled packages run on `stemcell`: same operating system, same major version. */
export function fittingExports({ exportedFrom }: PlannedRelease, stemcell: Pick<PlannedStemcell, 'os' | 'version'>): readonly ExportedFrom[] {
  return exportedFrom.filter(({ os, version }) => os === stemcell.os && stemcellVersionsMatch(version, stemcell.version));
}

/** Throws 80015 when a release that a group uses was exported for other stemcells only. */
export function refuseOtherExports(group: string, stemcell: PlannedStemcell, releases: readonly PlannedRelease[]): void {
  const wrong = releases.find((release) => release.exportedFrom.length > 0 && fittingExports(release, stemcell).length === 0);
  if (!wrong) return;
  const own = `'${stemcell.name}/${stemcell.version}'`;
  throw new DirectorError(
    code.jobWithExportedFromMismatch,
    `Invalid release detected in instance group '${group}' using stemcell ${own}: release '${wrong.name}' must be exported from stemcell ${own}. ` +
      `Release '${wrong.name}' is exported from: ${wrong.exportedFrom.map(({ os, version }) => `'${os}/${version}'`).join(', ')}.`,
  );
}
