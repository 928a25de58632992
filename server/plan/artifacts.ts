import { compareText } from '../core/collections';
import { code, DirectorError } from '../core/errors';
import { compareStemcellVersions, parseReleaseVersion, resolveVersion } from '../core/versions';
import { isHash, type Hash } from '../core/yaml';
import type { Manifest, ManifestRelease, ManifestStemcell } from '../deployments/manifest';
import type { PlannedStemcell, ReleaseVersionRecord, StemcellRecord } from './types';

/**
 * Which uploaded releases and stemcells a manifest means, `latest` included.
 * Rules: cloudfoundry/bosh src/bosh-director/lib/bosh/director/api/release_manager.rb and stemcell_manager.rb.
 */

/** The release version of a manifest entry. Throws 30005, 30006 or 30010. */
export function findRelease(wanted: ManifestRelease, available: readonly ReleaseVersionRecord[]): ReleaseVersionRecord {
  const versions = available.filter((record) => record.name === wanted.name);
  if (versions.length === 0) throw new DirectorError(code.releaseNotFound, `Release '${wanted.name}' doesn't exist`);
  const version = resolveVersion(wanted.version, versions.map((record) => record.version), 'release');
  const found = versions.find((record) => record.version === version);
  if (found) return found;
  if (!isLatest(wanted.version) && !parseReleaseVersion(wanted.version)) throw new DirectorError(code.releaseVersionInvalid, `Release version invalid: ${wanted.version}`);
  throw new DirectorError(code.releaseVersionNotFound, `Release version '${wanted.name}/${wanted.version}' doesn't exist`);
}

/** The stemcell of a manifest entry: by name, or by operating system only. Throws 50003. */
export function findStemcell(wanted: ManifestStemcell, available: readonly StemcellRecord[]): PlannedStemcell {
  const candidates = available.filter((record) => (wanted.name === undefined ? record.os === wanted.os : record.name === wanted.name));
  const version = stemcellVersion(wanted, candidates);
  const records = candidates.filter((record) => record.version === version).toSorted((a, b) => compareText(a.name, b.name) || compareText(a.cpi, b.cpi));
  const [first] = records;
  if (!first) {
    throw notFound(wanted.name === undefined ? `Stemcell version '${version}' for OS '${wanted.os ?? ''}' doesn't exist` : `Stemcell '${wanted.name}/${version}' doesn't exist`);
  }
  const own = records.find((record) => record.cpi === '');
  if (!own) throw notFound(`Required stemcell '${first.name}/${first.version}' not found for default cpi, please upload again`);
  return { alias: wanted.alias, name: own.name, os: own.os, version: own.version, apiVersion: own.apiVersion, ids: records.map((record) => record.id), cid: own.cid };
}

function stemcellVersion(wanted: ManifestStemcell, candidates: readonly StemcellRecord[]): string {
  if (!isLatest(wanted.version)) return wanted.version;
  const what = wanted.name === undefined ? `Stemcell with Operating System '${wanted.os ?? ''}'` : `Stemcell '${wanted.name}'`;
  if (candidates.length === 0) throw notFound(`${what} doesn't exist`);
  const version = resolveVersion(wanted.version, candidates.map((record) => record.version).sort(compareStemcellVersions), 'stemcell');
  if (version !== undefined) return version;
  throw notFound(`${what} exists, but version with prefix '${wanted.version.replace(/\.latest$/, '')}' not found.`);
}

function isLatest(version: string): boolean {
  return version === 'latest' || version.endsWith('.latest');
}

function notFound(message: string): DirectorError {
  return new DirectorError(code.stemcellNotFound, message);
}

/** The manifest document with the versions that were found, and every stemcell's operating system. */
export function resolveManifest(document: Hash, manifest: Manifest, found: { releases: readonly ReleaseVersionRecord[]; stemcells: readonly PlannedStemcell[] }): Hash {
  const releaseVersions = manifest.releases.map((release, i) => (isLatest(release.version) ? (found.releases[i]?.version ?? release.version) : release.version));
  const withVersion = (spec: unknown, i: number) => (isHash(spec) ? { ...spec, version: releaseVersions[i] } : spec);
  const resolved: Hash = { ...document };
  if (Array.isArray(document.releases)) resolved.releases = document.releases.map(withVersion);
  if (isHash(document.release)) resolved.release = withVersion(document.release, 0);
  if (Array.isArray(document.stemcells)) {
    resolved.stemcells = document.stemcells.map((spec, i) => {
      const stemcell = found.stemcells[i];
      return isHash(spec) && stemcell ? { ...spec, version: stemcell.version, os: stemcell.os } : spec;
    });
  }
  return resolved;
}
