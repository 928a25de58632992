import { compareText } from '../core/collections';
import { code, DirectorError } from '../core/errors';
import { compareStemcellVersions, parseReleaseVersion, resolveVersion } from '../core/versions';
import { isHash, type Hash } from '../core/yaml';
import type { ManifestStemcell } from './manifest';

/**
 * Which uploaded releases and stemcells a manifest means, `latest` included.
 * Rules: cloudfoundry/bosh src/bosh-director/lib/bosh/director/api/release_manager.rb, stemcell_manager.rb and manifest/manifest.rb.
 */

export interface ReleaseEntry {
  name: string;
  version: string;
}

export interface StemcellEntry {
  name: string;
  os: string;
  version: string;
}

/** What has been uploaded. */
export interface Catalogue {
  releases: readonly ReleaseEntry[];
  stemcells: readonly StemcellEntry[];
}

/** The release version of a manifest entry. Throws 30005, 30006 or 30010. */
export function findRelease<R extends ReleaseEntry>(wanted: ReleaseEntry, available: readonly R[]): R {
  const versions = available.filter((entry) => entry.name === wanted.name);
  if (versions.length === 0) throw new DirectorError(code.releaseNotFound, `Release '${wanted.name}' doesn't exist`);
  const version = resolveVersion(wanted.version, versions.map((entry) => entry.version), 'release');
  const found = versions.find((entry) => entry.version === version);
  if (found) return found;
  if (!isLatest(wanted.version) && !parseReleaseVersion(wanted.version)) throw new DirectorError(code.releaseVersionInvalid, `Release version invalid: ${wanted.version}`);
  throw new DirectorError(code.releaseVersionNotFound, `Release version '${wanted.name}/${wanted.version}' doesn't exist`);
}

/** The entries of a manifest's stemcell, by name or by operating system only; at least one, ordered by name. Throws 50003. */
export function findStemcells<S extends StemcellEntry>(wanted: Omit<ManifestStemcell, 'alias'>, available: readonly S[]): [S, ...S[]] {
  const candidates = available.filter((entry) => (wanted.name === undefined ? entry.os === wanted.os : entry.name === wanted.name));
  const version = stemcellVersion(wanted, candidates);
  const [first, ...others] = candidates.filter((entry) => entry.version === version).toSorted((a, b) => compareText(a.name, b.name));
  if (first) return [first, ...others];
  throw notFound(wanted.name === undefined ? `Stemcell version '${version}' for OS '${wanted.os ?? ''}' doesn't exist` : `Stemcell '${wanted.name}/${version}' doesn't exist`);
}

function stemcellVersion(wanted: Omit<ManifestStemcell, 'alias'>, candidates: readonly StemcellEntry[]): string {
  if (!isLatest(wanted.version)) return wanted.version;
  const what = wanted.name === undefined ? `Stemcell with Operating System '${wanted.os ?? ''}'` : `Stemcell '${wanted.name}'`;
  if (candidates.length === 0) throw notFound(`${what} doesn't exist`);
  const version = resolveVersion(wanted.version, candidates.map((entry) => entry.version).sort(compareStemcellVersions), 'stemcell');
  if (version !== undefined) return version;
  throw notFound(`${what} exists, but version with prefix '${wanted.version.replace(/\.latest$/, '')}' not found.`);
}

function isLatest(version: string): boolean {
  return version === 'latest' || version.endsWith('.latest');
}

function notFound(message: string): DirectorError {
  return new DirectorError(code.stemcellNotFound, message);
}

/**
 * A manifest document with concrete versions and the operating system of every stemcell. Versions that are concrete
 * already are not looked up. Throws as `findRelease` and `findStemcells` for a `latest` that nothing fits.
 */
export function resolveVersions(document: Hash, catalogue: Catalogue): Hash {
  const resolved: Hash = { ...document };
  const release = (spec: unknown) => resolveRelease(spec, catalogue.releases);
  if (Array.isArray(document.releases)) resolved.releases = document.releases.map(release);
  if (isHash(document.release)) resolved.release = release(document.release);
  if (Array.isArray(document.stemcells)) resolved.stemcells = document.stemcells.map((spec) => resolveStemcell(spec, catalogue.stemcells));
  return resolved;
}

function resolveRelease(spec: unknown, available: readonly ReleaseEntry[]): unknown {
  if (!isHash(spec) || spec.version === undefined) return spec;
  const version = textOf(spec.version);
  return { ...spec, version: isLatest(version) ? findRelease({ name: textOf(spec.name), version }, available).version : version };
}

function resolveStemcell(spec: unknown, available: readonly StemcellEntry[]): unknown {
  if (!isHash(spec) || spec.version === undefined) return spec;
  const version = textOf(spec.version);
  const wanted = { version, name: spec.name === undefined ? undefined : textOf(spec.name), os: spec.os === undefined ? undefined : textOf(spec.os) };
  const concrete = isLatest(version) ? findStemcells(wanted, available)[0].version : version;
  const os = wanted.os ?? available.find((entry) => entry.name === wanted.name && entry.version === concrete)?.os;
  return { ...spec, version: concrete, ...(os === undefined ? {} : { os }) };
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : typeof value === 'number' ? String(value) : '';
}
