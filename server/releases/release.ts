/** Releases as the director has recorded them. */

/** A job (template) of a release version. */
export interface JobRecord {
  id: number;
  name: string;
  version: string;
  fingerprint: string;
  /** BOSH multi-digest of the archive. */
  sha1: string;
  blobstoreId: string;
  /** The whole job.MF. */
  spec: Record<string, unknown>;
  /** Names of run-time packages. */
  packages: readonly string[];
}

export interface PackageRecord {
  id: number;
  name: string;
  version: string;
  fingerprint: string;
  /** Of the source archive; null when only compiled forms exist. */
  sha1: string | null;
  blobstoreId: string | null;
  /** Names of direct dependencies. */
  dependencies: readonly string[];
}

/** A release version that can be deployed. */
export interface ReleaseVersionRecord {
  /** Row of release_versions. */
  id: number;
  name: string;
  version: string;
  jobs: readonly JobRecord[];
  packages: readonly PackageRecord[];
}

/** What a compiled package was compiled from, on and with. */
export interface CompiledPackageKey {
  packageId: number;
  stemcellOs: string;
  stemcellVersion: string;
  /** See `dependencyKey` in packages.ts. */
  dependencyKey: string;
}

export interface CompiledPackageRecord extends CompiledPackageKey {
  /** Counts the compilations of a package for a stemcell, from 1. */
  build: number;
  blobstoreId: string;
  sha1: string;
}
