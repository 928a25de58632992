import { code, DirectorError } from '../core/errors';
import { dumpYaml } from '../core/yaml-dump';
import type { CompiledPackageRecord, JobRecord, PackageRecord, ReleaseVersionRecord } from './release';

/**
 * What an exported release consists of. Rules and keys: cloudfoundry/bosh
 * src/bosh-director/lib/bosh/director/compiled_package_group.rb, compiled_release_manifest.rb.
 */
export interface ExportedParts {
  jobs: readonly JobRecord[];
  /** Run-time packages of the jobs by name, then what they depend on. */
  packages: readonly PackageRecord[];
}

/** All jobs of a release, or those named, with their packages and everything that these depend on. Throws 140029, 30012. */
export function partsToExport(release: ReleaseVersionRecord, jobNames: readonly string[]): ExportedParts {
  const missing = jobNames.find((name) => !release.jobs.some((job) => job.name === name));
  if (missing !== undefined) throw new DirectorError(code.releaseMissingJob, `Job '${missing}' not found in release '${release.name}'`);
  const jobs = jobNames.length === 0 ? release.jobs : release.jobs.filter((job) => jobNames.includes(job.name));
  const packages = new Map(release.packages.filter((pkg) => jobs.some((job) => job.packages.includes(pkg.name))).map((pkg) => [pkg.name, pkg]));
  // A Map is iterated in the order of insertion: what is added is visited as well.
  for (const pkg of packages.values()) {
    for (const name of pkg.dependencies) packages.set(name, packages.get(name) ?? packageNamed(release, name));
  }
  return { jobs, packages: [...packages.values()] };
}

function packageNamed(release: ReleaseVersionRecord, name: string): PackageRecord {
  const found = release.packages.find((pkg) => pkg.name === name);
  if (found) return found;
  throw new DirectorError(code.releaseInvalidPackage, `Release '${release.name}/${release.version}' has no package '${name}', which another of its packages needs: upload the release again`);
}

/** A compiled release that is being exported. */
export interface ReleaseExport {
  name: string;
  version: string;
  commitHash: string;
  uncommittedChanges: boolean;
  stemcell: { os: string; version: string };
  jobs: readonly JobRecord[];
  packages: readonly { package: PackageRecord; compiled: CompiledPackageRecord }[];
}

/** Text of its release.MF. */
export function exportManifest({ name, version, commitHash, uncommittedChanges, stemcell, jobs, packages }: ReleaseExport): string {
  const manifest = {
    compiled_packages: packages.map(({ package: pkg, compiled }) => ({
      name: pkg.name, version: pkg.version, fingerprint: pkg.fingerprint, sha1: compiled.sha1, stemcell: `${stemcell.os}/${stemcell.version}`, dependencies: [...pkg.dependencies],
    })),
    jobs: jobs.map((job) => ({ name: job.name, version: job.version, fingerprint: job.fingerprint, sha1: job.sha1 })),
    commit_hash: commitHash, uncommitted_changes: uncommittedChanges, name, version,
  };
  return `---\n${dumpYaml(manifest)}`;
}
