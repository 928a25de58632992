import { DirectorError, code } from '../core/errors';
import { formatVersion, parseReleaseVersion, rebaseVersion, type Version } from '../core/versions';
import type { ManifestJob, ManifestPackage, ReleaseManifest } from './manifest';
import { dependencyKey, type PackageNode } from './packages';
import type { CompiledPackageRecord, JobRecord, PackageRecord } from './release';

/**
 * What an upload adds to what is recorded. Pure; the rules are those of
 * cloudfoundry/bosh src/bosh-director/lib/bosh/director/jobs/update_release.rb and update_release/.
 */

/** What is recorded that an upload can meet. */
export interface RecordedRelease {
  /** The version that is uploaded, when it exists. */
  version: RecordedVersion | undefined;
  /** Packages of any release with a fingerprint of the manifest, oldest first. */
  packages: readonly (PackageRecord & { release: string })[];
  /** Jobs of this release with a fingerprint of the manifest. */
  jobs: readonly JobRecord[];
  /** Compiled forms of `packages`. */
  compiled: readonly (CompiledPackageRecord & { id: number })[];
}

export interface RecordedVersion {
  commitHash: string;
  uncommittedChanges: boolean;
  /** False when an earlier upload or deletion of it broke off. */
  complete: boolean;
  packages: readonly PackageRecord[];
  jobs: readonly JobRecord[];
}

/** Where the bits of a new blob come from: the uploaded archive, or a blob that is stored for the same fingerprint. */
export type Origin = { from: 'archive'; sha1: string } | { from: 'copy'; blobId: string; sha1: string };

export interface PackageStep {
  /** `new`: no record yet. `existing`: recorded, not part of this version yet. `registered`: part of it. */
  status: 'new' | 'existing' | 'registered';
  manifest: ManifestPackage;
  record: PackageRecord | undefined;
  /** Of the source that is to be stored; undefined when what is stored is left alone. */
  source: Origin | undefined;
}

export interface CompiledStep {
  manifest: ManifestPackage;
  /** The package's position in `packages` of the plan. */
  packageAt: number;
  stemcell: { os: string; version: string };
  dependencyKey: string;
  /** The row whose blob is replaced; undefined for a new one. */
  replaces: (CompiledPackageRecord & { id: number }) | undefined;
  source: Origin;
}

export interface JobStep {
  status: 'new' | 'existing';
  manifest: ManifestJob;
  record: JobRecord | undefined;
  /** Whether the archive is stored (again). */
  store: boolean;
}

export interface UploadPlan {
  packages: PackageStep[];
  /** How many compiled packages the release brings, stored ones included. */
  compiledTotal: number;
  compiled: CompiledStep[];
  jobs: JobStep[];
}

/** The version under which a release is recorded: its own or, rebased, the next free development version. Throws 30010. */
export function versionToRecord(manifest: ReleaseManifest, rebase: boolean, existing: readonly string[]): string {
  if (!rebase) return manifest.version;
  const others = existing.map(parseReleaseVersion).filter((version): version is Version => version !== undefined);
  const rebased = rebaseVersion(manifest.parsedVersion, others);
  if (rebased) return formatVersion(rebased);
  throw new DirectorError(code.releaseVersionInvalid, `Release version '${manifest.version}' cannot be rebased: only versions that end in a number after '+', such as 1.0+dev.1, can`);
}

/** Throws 30012, 30013, 30014 and 30016 when the upload contradicts what is recorded. */
export function planUpload(manifest: ReleaseManifest, version: string, recorded: RecordedRelease, options: { fix: boolean }): UploadPlan {
  const label = `${manifest.name}/${version}`;
  refuseOtherCommit(label, manifest, recorded.version);
  const fix = options.fix || recorded.version?.complete === false;
  const packages = manifest.packages.map((pkg) => planPackage(label, pkg, { manifest, recorded, fix }));
  return {
    packages,
    compiledTotal: manifest.compiled ? packages.length : 0,
    compiled: manifest.compiled ? planCompiled(packages, recorded, fix) : [],
    jobs: manifest.jobs.map((job) => planJob(label, job, recorded, fix)),
  };
}

function refuseOtherCommit(label: string, manifest: ReleaseManifest, version: RecordedVersion | undefined): void {
  if (!version || (version.commitHash === manifest.commitHash && version.uncommittedChanges === manifest.uncommittedChanges)) return;
  throw new DirectorError(
    code.releaseVersionCommitHashMismatch,
    `release '${label}' has already been uploaded with commit_hash as '${version.commitHash}' and uncommitted_changes as '${version.uncommittedChanges}'; this one has ` +
      `'${manifest.commitHash}' and '${manifest.uncommittedChanges}': give it another version`,
  );
}

interface Scope {
  manifest: ReleaseManifest;
  recorded: RecordedRelease;
  fix: boolean;
}

function planPackage(label: string, pkg: ManifestPackage, { manifest, recorded, fix }: Scope): PackageStep {
  if (recorded.version?.packages.some((other) => other.name === pkg.name && other.fingerprint !== pkg.fingerprint)) {
    throw new DirectorError(code.releaseInvalidPackage, `package '${pkg.name}' had different fingerprint in previously uploaded release '${label}'`);
  }
  const sameBits = recorded.packages.filter((other) => other.fingerprint === pkg.fingerprint);
  const record = sameBits.find((other) => other.release === manifest.name && other.name === pkg.name && other.version === pkg.version);
  const registered = record !== undefined && (recorded.version?.packages.some((other) => other.id === record.id) ?? false);
  const status = record === undefined ? 'new' : registered ? 'registered' : 'existing';
  const stored = record !== undefined && record.blobstoreId !== null;
  if (manifest.compiled || (stored && !fix)) return { status, manifest: pkg, record, source: undefined };
  const twin = fix ? undefined : sameBits.find((other) => other.blobstoreId !== null && other.sha1 !== null);
  const source: Origin = twin?.blobstoreId && twin.sha1 ? { from: 'copy', blobId: twin.blobstoreId, sha1: twin.sha1 } : { from: 'archive', sha1: pkg.sha1 };
  return { status, manifest: pkg, record, source };
}

function planCompiled(steps: readonly PackageStep[], recorded: RecordedRelease, fix: boolean): CompiledStep[] {
  const all: PackageNode[] = steps.map((step) => step.manifest);
  return steps.flatMap((step, packageAt): CompiledStep[] => {
    const { manifest: pkg, record } = step;
    if (!pkg.stemcell) return [];
    if (record && !sameNames(record.dependencies, pkg.dependencies)) {
      throw new DirectorError(code.releasePackageDependencyKeyMismatch, `Package '${pkg.name}' has other dependencies in the uploaded release than the director has recorded for the same fingerprint: build the release again`);
    }
    const key = dependencyKey(pkg, all);
    const { os, version } = pkg.stemcell;
    const same = recorded.compiled.filter((form) => form.stemcellOs === os && form.stemcellVersion === version && form.dependencyKey === key);
    const own = same.find((form) => form.packageId === record?.id);
    if (own && !fix) return [];
    const twins = recorded.packages.filter((other) => other.name === pkg.name && other.fingerprint === pkg.fingerprint);
    const twin = fix ? undefined : same.find((form) => twins.some((other) => other.id === form.packageId));
    const source: Origin = twin ? { from: 'copy', blobId: twin.blobstoreId, sha1: twin.sha1 } : { from: 'archive', sha1: pkg.sha1 };
    return [{ manifest: pkg, packageAt, stemcell: pkg.stemcell, dependencyKey: key, replaces: own, source }];
  });
}

function sameNames(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((name) => b.includes(name));
}

function planJob(label: string, job: ManifestJob, recorded: RecordedRelease, fix: boolean): JobStep {
  if (recorded.version?.jobs.some((other) => other.name === job.name && other.fingerprint !== job.fingerprint)) {
    throw new DirectorError(code.releaseExistingJobFingerprintMismatch, `job '${job.name}' had different fingerprint in previously uploaded release '${label}'`);
  }
  const record = recorded.jobs.find((other) => other.fingerprint === job.fingerprint && other.name === job.name && other.version === job.version);
  return record ? { status: 'existing', manifest: job, record, store: fix } : { status: 'new', manifest: job, record: undefined, store: true };
}
