import { and, asc, eq, inArray, isNotNull, or, sql } from 'drizzle-orm';
import type { Db } from '../../db/client';
import { deploymentReleaseVersions, deployments } from '../../db/schema/deployments';
import { compiledPackages, jobs, packages, releases, releaseVersions } from '../../db/schema/releases';
import { compareText, groupBy } from '../core/collections';
import { DirectorError, code } from '../core/errors';
import { compareReleaseVersions, otherNotation, parseReleaseVersion } from '../core/versions';
import { isBlobId } from '../blobstore/blob-id';
import { matchCompiledPackages, type CompiledPackageOffer } from './packages';
import type { JobRecord, PackageRecord } from './release';
import { listJobs, listPackages, packageColumns } from './store';

/** What the APIs tell of releases; rules of cloudfoundry/bosh src/bosh-director/lib/bosh/director/api/release_manager.rb. */

export interface ListedVersion {
  version: string;
  commitHash: string;
  uncommittedChanges: boolean;
  currentlyDeployed: boolean;
  jobNames: string[];
}

/** All releases by name, their versions oldest first. */
export async function listReleases(db: Db): Promise<{ name: string; versions: ListedVersion[] }[]> {
  const rows = await db
    .select({
      release: releases.name,
      version: releaseVersions.version,
      commitHash: releaseVersions.commitHash,
      uncommittedChanges: releaseVersions.uncommittedChanges,
      currentlyDeployed: sql<boolean>`EXISTS (SELECT 1 FROM deployment_release_versions d WHERE d.release_version_id = ${releaseVersions.id})`,
      jobNames: sql<string[]>`ARRAY(SELECT j.name FROM release_version_jobs x JOIN jobs j ON j.id = x.job_id WHERE x.release_version_id = ${releaseVersions.id} ORDER BY j.name)`,
    })
    .from(releases)
    .innerJoin(releaseVersions, eq(releaseVersions.releaseId, releases.id))
    .orderBy(asc(releases.name), asc(releaseVersions.id));
  return [...groupBy(rows, (row) => row.release)].map(([name, versions]) => ({
    name,
    versions: versions.map(({ release: _name, ...version }) => version).sort((a, b) => compareReleaseVersions(a.version, b.version)),
  }));
}

export async function findReleaseId(db: Db, name: string): Promise<number | undefined> {
  const [row] = await db.select({ id: releases.id }).from(releases).where(eq(releases.name, name));
  return row?.id;
}

/** Throws 30005. */
export async function getReleaseId(db: Db, name: string): Promise<number> {
  const id = await findReleaseId(db, name);
  if (id === undefined) throw new DirectorError(code.releaseNotFound, `Release '${name}' doesn't exist`);
  return id;
}

export interface ReleaseSummary {
  packages: PackageRecord[];
  jobs: JobRecord[];
  /** In order of upload. */
  versions: string[];
}

/** Everything stored of a release, over all versions. Throws 30005. */
export async function getRelease(db: Db, name: string): Promise<ReleaseSummary> {
  const id = await getReleaseId(db, name);
  const [packageRows, jobRows, versions] = await Promise.all([
    db.select(packageColumns).from(packages).where(eq(packages.releaseId, id)).orderBy(asc(packages.id)),
    db
      .select({ id: jobs.id, name: jobs.name, version: jobs.version, fingerprint: jobs.fingerprint, sha1: jobs.sha1, blobstoreId: jobs.blobstoreId, spec: jobs.spec, packages: jobs.packages })
      .from(jobs)
      .where(eq(jobs.releaseId, id))
      .orderBy(asc(jobs.id)),
    db.select({ version: releaseVersions.version }).from(releaseVersions).where(eq(releaseVersions.releaseId, id)).orderBy(asc(releaseVersions.id)),
  ]);
  return { packages: packageRows, jobs: jobRows, versions: versions.map((row) => row.version) };
}

export interface FoundVersion {
  /** Row of release_versions. */
  id: number;
  releaseId: number;
  version: string;
  commitHash: string;
  uncommittedChanges: boolean;
}

/** A version, found as written or in the other notation for development versions. Throws 30005, 30006, 30010. */
export async function getVersion(db: Db, name: string, version: string): Promise<FoundVersion> {
  const releaseId = await getReleaseId(db, name);
  const candidates = [version, otherNotation(version)].filter((text) => text !== undefined);
  const rows = await db
    .select({ id: releaseVersions.id, releaseId: releaseVersions.releaseId, version: releaseVersions.version, commitHash: releaseVersions.commitHash, uncommittedChanges: releaseVersions.uncommittedChanges })
    .from(releaseVersions)
    .where(and(eq(releaseVersions.releaseId, releaseId), inArray(releaseVersions.version, candidates)));
  const found = rows.find((row) => row.version === version) ?? rows[0];
  if (found) return found;
  if (!parseReleaseVersion(version)) throw new DirectorError(code.releaseVersionInvalid, `Release version invalid: ${version}`);
  throw new DirectorError(code.releaseVersionNotFound, `Release version '${name}/${version}' doesn't exist`);
}

export interface CompiledForm {
  /** `os/version`. */
  stemcell: string;
  sha1: string;
  blobstoreId: string;
}

export interface VersionContents {
  jobs: JobRecord[];
  packages: (PackageRecord & { compiled: CompiledForm[] })[];
}

/** Jobs and packages of one version by name, with all compiled forms by stemcell. Throws 30005, 30006, 30010. */
export async function getVersionContents(db: Db, name: string, version: string): Promise<VersionContents> {
  const { id } = await getVersion(db, name, version);
  const found = (await listPackages(db, [id])).map((row) => row.package);
  const forms = found.length === 0 ? [] : await db.select().from(compiledPackages).where(inArray(compiledPackages.packageId, found.map((pkg) => pkg.id)));
  const formsOf = groupBy(forms, (form) => form.packageId);
  return {
    jobs: (await listJobs(db, [id])).map(({ job }) => job),
    packages: found.map((pkg) => ({
      ...pkg,
      compiled: (formsOf.get(pkg.id) ?? [])
        .sort((a, b) => compareText(a.stemcellOs, b.stemcellOs) || compareText(a.stemcellVersion, b.stemcellVersion))
        .map((form) => ({ stemcell: `${form.stemcellOs}/${form.stemcellVersion}`, sha1: form.sha1, blobstoreId: form.blobstoreId })),
    })),
  };
}

/** Jobs of any version of a release with that name and fingerprint. Throws 30005. */
export async function findJobs(db: Db, wanted: { release: string; name: string; fingerprint: string }): Promise<{ name: string; fingerprint: string; spec: Record<string, unknown> }[]> {
  const releaseId = await getReleaseId(db, wanted.release);
  return db
    .select({ name: jobs.name, fingerprint: jobs.fingerprint, spec: jobs.spec })
    .from(jobs)
    .where(and(eq(jobs.releaseId, releaseId), eq(jobs.name, wanted.name), eq(jobs.fingerprint, wanted.fingerprint)))
    .orderBy(asc(jobs.id));
}

/** True for the id of a package's source archive or compiled form. */
export async function isPackageBlob(db: Db, blobId: string): Promise<boolean> {
  if (!isBlobId(blobId)) return false;
  const [row] = await db
    .select({ id: packages.id })
    .from(packages)
    .leftJoin(compiledPackages, eq(compiledPackages.packageId, packages.id))
    .where(or(eq(packages.blobstoreId, blobId), eq(compiledPackages.blobstoreId, blobId)))
    .limit(1);
  return row !== undefined;
}

/** True when that version exists and its upload never finished: then everything has to be uploaded again. */
export async function isIncomplete(db: Db, name: string, version: string): Promise<boolean> {
  const [row] = await db
    .select({ complete: releaseVersions.updateCompleted })
    .from(releaseVersions)
    .innerJoin(releases, eq(releases.id, releaseVersions.releaseId))
    .where(and(eq(releases.name, name), eq(releaseVersions.version, version)));
  return row !== undefined && !row.complete;
}

/** Those of the fingerprints of which the source is stored, in whatever release; each once. */
export async function matchPackages(db: Db, fingerprints: readonly string[]): Promise<string[]> {
  if (fingerprints.length === 0) return [];
  const rows = await db
    .selectDistinct({ fingerprint: packages.fingerprint })
    .from(packages)
    .where(and(inArray(packages.fingerprint, [...fingerprints]), isNotNull(packages.blobstoreId), isNotNull(packages.sha1)))
    .orderBy(asc(packages.fingerprint));
  return rows.map((row) => row.fingerprint);
}

/** As `matchPackages` for compiled packages, see `matchCompiledPackages`. */
export async function matchOffers(db: Db, offers: readonly CompiledPackageOffer[]): Promise<string[]> {
  if (offers.length === 0) return [];
  const stored = await db
    .select({
      name: packages.name, fingerprint: packages.fingerprint, dependencyKey: compiledPackages.dependencyKey,
      stemcell: sql<string>`${compiledPackages.stemcellOs} || '/' || ${compiledPackages.stemcellVersion}`,
    })
    .from(compiledPackages)
    .innerJoin(packages, eq(packages.id, compiledPackages.packageId))
    .where(inArray(packages.fingerprint, offers.map((offer) => offer.fingerprint)));
  return matchCompiledPackages(offers, stored);
}

/** Names of the deployments that use any of the release versions, by name. */
export async function listVersionUsers(db: Db, releaseVersionIds: readonly number[]): Promise<string[]> {
  if (releaseVersionIds.length === 0) return [];
  const rows = await db
    .selectDistinct({ name: deployments.name })
    .from(deploymentReleaseVersions)
    .innerJoin(deployments, eq(deployments.id, deploymentReleaseVersions.deploymentId))
    .where(inArray(deploymentReleaseVersions.releaseVersionId, [...releaseVersionIds]))
    .orderBy(asc(deployments.name));
  return rows.map((row) => row.name);
}
