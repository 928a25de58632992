import { z } from 'zod';
import { parseDigest } from '../core/digest';
import { DirectorError, code } from '../core/errors';
import { rubyInspect } from '../core/fields';
import { namePattern } from '../core/names';
import { formatVersion, parseReleaseVersion, type Version } from '../core/versions';
import { isHash, parseYaml, YamlError } from '../core/yaml';

/** release.MF: what an uploaded release consists of. https://bosh.io/docs/create-release/ tells its parts. */
export interface ReleaseManifest {
  name: string;
  /** As the director writes it; see `formatVersion`. */
  version: string;
  parsedVersion: Version;
  commitHash: string;
  uncommittedChanges: boolean;
  /** A compiled release brings packages compiled for stemcells and no source. */
  compiled: boolean;
  jobs: ManifestJob[];
  packages: ManifestPackage[];
}

export interface ManifestJob {
  name: string;
  version: string;
  fingerprint: string;
  /** BOSH multi-digest of the archive. */
  sha1: string;
}

export interface ManifestPackage extends ManifestJob {
  dependencies: string[];
  /** What it was compiled for; in compiled releases only. */
  stemcell: { os: string; version: string } | undefined;
}

/** Longest release.MF, bytes. */
export const maxManifestBytes = 8 * 2 ** 20;

/** Names, versions and digests may be written as YAML numbers. */
const text = z.unknown().optional().transform((value) => (typeof value === 'number' || typeof value === 'bigint' || typeof value === 'boolean' ? String(value) : value));
const entry = z.looseObject({ name: text, version: text, fingerprint: text, sha1: text, dependencies: z.array(text).nullish(), stemcell: text });
const document = z.looseObject({
  name: text,
  version: text,
  commit_hash: text,
  uncommitted_changes: z.boolean().nullish(),
  jobs: z.array(entry).nullish(),
  packages: z.array(entry).nullish(),
  compiled_packages: z.array(entry).nullish(),
});

/**
 * Reads a release.MF. Throws 710000 for bad YAML, 30002 for a wrong structure, 40005 for names and versions with other characters
 * than `[-0-9A-Za-z_+.]`, 30010 for a version that is none, 30012 and 30013 for packages and jobs that are listed twice.
 */
export function parseReleaseManifest(yaml: string): ReleaseManifest {
  const found = documentOf(yaml);
  const compiled = found.compiled_packages !== undefined && found.compiled_packages !== null;
  const name = identifier(found.name, 'release name');
  const written = identifier(found.version, 'release version');
  const packages = ((compiled ? found.compiled_packages : found.packages) ?? []).map((item, at) => packageOf(item, at, compiled));
  const jobs = (found.jobs ?? []).map((item, at) => partOf(item, `job ${at + 1}`));
  const parsedVersion = parseReleaseVersion(written);
  if (!parsedVersion) throw new DirectorError(code.releaseVersionInvalid, `Release version invalid: ${written}`);
  refuseDoubles(packages, 'package', code.releaseInvalidPackage);
  refuseDoubles(jobs, 'job', code.releaseExistingJobFingerprintMismatch);
  return {
    name, version: formatVersion(parsedVersion), parsedVersion, compiled, jobs, packages,
    commitHash: typeof found.commit_hash === 'string' ? found.commit_hash : 'unknown', uncommittedChanges: found.uncommitted_changes ?? false,
  };
}

function documentOf(yaml: string): z.infer<typeof document> {
  let value: unknown;
  try {
    value = parseYaml(yaml);
  } catch (error) {
    if (error instanceof YamlError) throw new DirectorError(code.invalidYaml, `The release manifest release.MF is not valid YAML: ${error.message}`, { cause: error });
    throw error;
  }
  const parsed = document.safeParse(value);
  if (parsed.success) return parsed.data;
  const faults = parsed.error.issues.map((issue) => `${issue.path.join('.') || 'the document'}: ${issue.message}`).join('; ');
  throw new DirectorError(code.releaseInvalidArchive, `The release manifest release.MF cannot be used (${faults}); build the release again`);
}

function identifier(value: unknown, label: string): string {
  if (typeof value === 'string' && namePattern.test(value)) return value;
  throw new DirectorError(code.validationInvalidValue, `Invalid ${label} in release manifest: ${rubyInspect(value)}`);
}

function partOf(item: z.infer<typeof entry>, label: string): ManifestJob {
  const name = identifier(item.name, `${label} name`);
  const version = identifier(item.version, `${label} version`);
  return { name, version, fingerprint: typeof item.fingerprint === 'string' ? item.fingerprint : version, sha1: digest(item.sha1, label) };
}

function digest(value: unknown, label: string): string {
  try {
    if (typeof value !== 'string') throw new Error('it is missing');
    parseDigest(value);
    return value;
  } catch (cause) {
    throw new DirectorError(code.validationInvalidValue, `Invalid ${label} sha1 in release manifest: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
  }
}

function packageOf(item: z.infer<typeof entry>, at: number, compiled: boolean): ManifestPackage {
  const label = `package ${at + 1}`;
  const dependencies = (item.dependencies ?? []).map((name) => identifier(name, `${label} dependency`));
  return { ...partOf(item, label), dependencies: [...new Set(dependencies)], stemcell: compiled ? stemcellOf(item.stemcell, label) : undefined };
}

function stemcellOf(value: unknown, label: string): { os: string; version: string } {
  const [os, version] = typeof value === 'string' ? splitOnce(value) : [];
  if (os && version) return { os, version };
  throw new DirectorError(code.validationInvalidValue, `Invalid ${label} stemcell in release manifest: ${rubyInspect(value)}; expected <os>/<version>`);
}

function splitOnce(value: string): [string, string] | [] {
  const slash = value.indexOf('/');
  return slash < 0 ? [] : [value.slice(0, slash), value.slice(slash + 1)];
}

function refuseDoubles(parts: readonly ManifestJob[], kind: string, errorCode: number): void {
  const names = new Set<string>();
  for (const { name } of parts) {
    if (names.has(name)) throw new DirectorError(errorCode, `The release manifest lists ${kind} '${name}' twice`);
    names.add(name);
  }
}

/** What a client asks to match before an upload: a release manifest of which only a part matters. */
export interface MatchRequest {
  name: string | undefined;
  version: string | undefined;
  packages: { name: string; version: string; fingerprint: string; stemcell: string; dependencies: string[] }[];
}

const matchEntry = z.looseObject({ name: text, version: text, fingerprint: text, stemcell: text, dependencies: z.array(text).nullish() });

/**
 * Reads the manifest of `POST /packages/matches` (key `packages`) and `/matches_compiled` (key `compiled_packages`).
 * Packages without fingerprint are left out. Throws 440001.
 */
export function parseMatchRequest(value: unknown, key: 'packages' | 'compiled_packages'): MatchRequest {
  const list = isHash(value) ? z.array(matchEntry).safeParse(value[key]) : undefined;
  if (!isHash(value) || !list?.success) throw new DirectorError(code.badManifest, "Manifest doesn't have a usable packages section");
  const textOf = (item: unknown) => (typeof item === 'string' ? item : '');
  const packages = list.data
    .filter((item) => typeof item.fingerprint === 'string')
    .map((item) => ({ name: textOf(item.name), version: textOf(item.version), fingerprint: textOf(item.fingerprint), stemcell: textOf(item.stemcell), dependencies: (item.dependencies ?? []).map(textOf) }));
  const optional = (item: unknown) => (typeof item === 'string' || typeof item === 'number' ? String(item) : undefined);
  return { name: optional(value.name), version: optional(value.version), packages };
}
