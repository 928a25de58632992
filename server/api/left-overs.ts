import { compareStemcellVersions, resolveVersion, stemcellVersionsMatch } from '../core/versions';
import { isHash, type Hash } from '../core/yaml';

/**
 * What a clean-up would delete.
 * Rules: cloudfoundry/bosh src/bosh-director/lib/bosh/director/jobs/helpers/{releases,stemcells,compiled_packages}_to_delete_picker.rb.
 */

/** Newest unused versions of a release or stemcell that an ordinary clean-up keeps. */
const keptVersions = 2;

export interface ReleaseVersions {
  name: string;
  /** Oldest first. */
  versions: readonly { version: string; currentlyDeployed: boolean }[];
}

/** Versions per release that no deployment and no runtime config uses, oldest first, but for those that are kept. */
export function unusedReleases(releases: readonly ReleaseVersions[], runtimeConfigs: readonly Hash[], removeAll: boolean): { name: string; versions: string[] }[] {
  return releases
    .map((release) => {
      const wanted = runtimeConfigs.flatMap((config) => versionsWanted(config, release));
      const unused = release.versions.filter((version) => !version.currentlyDeployed && !wanted.includes(version.version)).map(({ version }) => version);
      return { name: release.name, versions: unused.slice(0, Math.max(0, unused.length - (removeAll ? 0 : keptVersions))) };
    })
    .filter((release) => release.versions.length > 0);
}

function versionsWanted(config: Hash, release: ReleaseVersions): string[] {
  const entries = Array.isArray(config.releases) ? config.releases.filter(isHash) : [];
  return entries
    .filter((entry) => entry.name === release.name)
    .flatMap((entry) => resolveVersion(String(entry.version), release.versions.map(({ version }) => version), 'release') ?? []);
}

/** Stemcells that no deployment uses, but for the newest of each name that are kept. */
export function unusedStemcells<S extends { name: string; version: string; deployments: readonly string[] }>(stemcells: readonly S[], removeAll: boolean): S[] {
  const unused = stemcells.filter((stemcell) => stemcell.deployments.length === 0).toSorted((a, b) => compareStemcellVersions(a.version, b.version));
  return [...new Set(unused.map(({ name }) => name))].flatMap((name) => {
    const versions = unused.filter((stemcell) => stemcell.name === name);
    return versions.slice(0, Math.max(0, versions.length - (removeAll ? 0 : keptVersions)));
  });
}

export interface CompiledForm {
  packageName: string;
  stemcellOs: string;
  stemcellVersion: string;
}

/** Compiled packages for which no stemcell would be left that can run them. */
export function uselessForms(forms: readonly CompiledForm[], keptStemcells: readonly { os: string; version: string }[]): CompiledForm[] {
  return forms.filter((form) => !keptStemcells.some((stemcell) => stemcell.os === form.stemcellOs && stemcellVersionsMatch(form.stemcellVersion, stemcell.version)));
}
