import { compareReleaseVersions, stemcellVersionsMatch } from '../core/versions';

/** Which releases and compiled packages a clean-up deletes. */

export interface PickedRelease {
  name: string;
  versions: string[];
}

/**
 * Of each release all but the `keep` newest of the versions that are neither deployed nor in a runtime config, oldest first.
 * Rule: cloudfoundry/bosh src/bosh-director/lib/bosh/director/jobs/helpers/releases_to_delete_picker.rb.
 */
export function pickReleases(
  releases: readonly { name: string; versions: readonly { version: string; currentlyDeployed: boolean }[] }[],
  keep: number,
  inRuntimeConfigs: readonly { name: string; version: string }[],
): PickedRelease[] {
  const isReserved = (name: string, version: string) => inRuntimeConfigs.some((entry) => entry.name === name && compareReleaseVersions(entry.version, version) === 0);
  return releases
    .map(({ name, versions }) => {
      const unused = versions.filter(({ version, currentlyDeployed }) => !currentlyDeployed && !isReserved(name, version)).map(({ version }) => version);
      return { name, versions: unused.sort(compareReleaseVersions).slice(0, Math.max(0, unused.length - keep)) };
    })
    .filter(({ versions }) => versions.length > 0);
}

/**
 * Compiled packages for which no stemcell is left: none of the same operating system whose version they may run on.
 * Rule: cloudfoundry/bosh src/bosh-director/lib/bosh/director/jobs/helpers/compiled_packages_to_delete_picker.rb.
 */
export function pickCompiledPackages<C extends { stemcellOs: string; stemcellVersion: string }>(compiled: readonly C[], remainingStemcells: readonly { os: string; version: string }[]): C[] {
  return compiled.filter((form) => !remainingStemcells.some((stemcell) => stemcell.os === form.stemcellOs && stemcellVersionsMatch(stemcell.version, form.stemcellVersion)));
}
