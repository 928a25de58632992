import { and, asc, eq, inArray, sql } from 'drizzle-orm';
import type { Db, Tx } from '../../db/client';
import { compiledPackages, jobs, packages, releases, releaseVersionJobs, releaseVersionPackages, releaseVersions } from '../../db/schema/releases';

/** What deletions of releases read and write. */

/** A part that goes away with everything stored of it. */
export interface DoomedPart {
  id: number;
  name: string;
  version: string;
  /** All its blobs: of a package the source and every compiled form. */
  blobIds: string[];
}

export interface Doomed {
  packages: DoomedPart[];
  jobs: DoomedPart[];
}

const soleVersionOf = (versionId: number, table: 'package' | 'job') =>
  table === 'package'
    ? sql`EXISTS (SELECT 1 FROM release_version_packages x WHERE x.package_id = ${packages.id} AND x.release_version_id = ${versionId})
        AND NOT EXISTS (SELECT 1 FROM release_version_packages x WHERE x.package_id = ${packages.id} AND x.release_version_id <> ${versionId})`
    : sql`EXISTS (SELECT 1 FROM release_version_jobs x WHERE x.job_id = ${jobs.id} AND x.release_version_id = ${versionId})
        AND NOT EXISTS (SELECT 1 FROM release_version_jobs x WHERE x.job_id = ${jobs.id} AND x.release_version_id <> ${versionId})`;

/** Packages and jobs that only this version uses. */
export async function listPartsOfVersion(db: Db, versionId: number): Promise<Doomed> {
  return listParts(db, soleVersionOf(versionId, 'package'), soleVersionOf(versionId, 'job'));
}

/** All packages and jobs of a release, also those that no version uses. */
export async function listPartsOfRelease(db: Db, releaseId: number): Promise<Doomed> {
  return listParts(db, eq(packages.releaseId, releaseId), eq(jobs.releaseId, releaseId));
}

type Condition = ReturnType<typeof eq>;

async function listParts(db: Db, ofPackages: Condition, ofJobs: Condition): Promise<Doomed> {
  // Drizzle writes the columns of a selection from one table without the table, which inside a subquery names the wrong one.
  const compiledBlobs = sql<string[]>`ARRAY(SELECT c.blobstore_id FROM compiled_packages c WHERE c.package_id = packages.id)`;
  const packageRows = await db
    .select({ id: packages.id, name: packages.name, version: packages.version, blobId: packages.blobstoreId, compiled: compiledBlobs })
    .from(packages)
    .where(ofPackages)
    .orderBy(asc(packages.name), asc(packages.id));
  const jobRows = await db.select({ id: jobs.id, name: jobs.name, version: jobs.version, blobId: jobs.blobstoreId }).from(jobs).where(ofJobs).orderBy(asc(jobs.name), asc(jobs.id));
  return {
    packages: packageRows.map(({ blobId, compiled, ...part }) => ({ ...part, blobIds: [...compiled, ...(blobId === null ? [] : [blobId])] })),
    jobs: jobRows.map(({ blobId, ...part }) => ({ ...part, blobIds: [blobId] })),
  };
}

export async function listVersionsOf(db: Db, releaseId: number): Promise<{ id: number; version: string }[]> {
  return db.select({ id: releaseVersions.id, version: releaseVersions.version }).from(releaseVersions).where(eq(releaseVersions.releaseId, releaseId)).orderBy(asc(releaseVersions.id));
}

/** From now on these versions cannot be deployed and an upload of them stores everything anew. */
export async function markIncomplete(tx: Tx, versionIds: readonly number[]): Promise<void> {
  if (versionIds.length === 0) return;
  // In the order in which deploys lock them, so that the two never wait for each other.
  await tx.select({ id: releaseVersions.id }).from(releaseVersions).where(inArray(releaseVersions.id, [...versionIds])).orderBy(asc(releaseVersions.id)).for('update');
  await tx.update(releaseVersions).set({ updateCompleted: false }).where(inArray(releaseVersions.id, [...versionIds]));
}

export async function deletePackage(tx: Tx, packageId: number): Promise<void> {
  await tx.delete(compiledPackages).where(eq(compiledPackages.packageId, packageId));
  await tx.delete(releaseVersionPackages).where(eq(releaseVersionPackages.packageId, packageId));
  await tx.delete(packages).where(eq(packages.id, packageId));
}

export async function deleteJob(tx: Tx, jobId: number): Promise<void> {
  await tx.delete(releaseVersionJobs).where(eq(releaseVersionJobs.jobId, jobId));
  await tx.delete(jobs).where(eq(jobs.id, jobId));
}

/** Deletes a version; packages and jobs that others share stay. Fails while a deployment refers to it. */
export async function deleteVersion(tx: Tx, versionId: number): Promise<void> {
  await tx.delete(releaseVersions).where(eq(releaseVersions.id, versionId));
}

/** Deletes a release of which nothing is left. True when it is gone. */
export async function deleteReleaseIfEmpty(tx: Tx, releaseId: number): Promise<boolean> {
  const rows = await tx
    .delete(releases)
    .where(and(eq(releases.id, releaseId), sql`NOT EXISTS (SELECT 1 FROM release_versions v WHERE v.release_id = ${releaseId})`))
    .returning({ id: releases.id });
  return rows.length > 0;
}

/** A compiled package with what its description needs. */
export interface ListedCompiledPackage {
  id: number;
  packageName: string;
  stemcellOs: string;
  stemcellVersion: string;
  blobId: string;
}

/** Every compiled package of every release, oldest first. */
export async function listAllCompiledPackages(db: Db): Promise<ListedCompiledPackage[]> {
  return db
    .select({ id: compiledPackages.id, packageName: packages.name, stemcellOs: compiledPackages.stemcellOs, stemcellVersion: compiledPackages.stemcellVersion, blobId: compiledPackages.blobstoreId })
    .from(compiledPackages)
    .innerJoin(packages, eq(packages.id, compiledPackages.packageId))
    .orderBy(asc(compiledPackages.id));
}

export async function deleteCompiledPackage(tx: Tx, id: number): Promise<void> {
  await tx.delete(compiledPackages).where(eq(compiledPackages.id, id));
}
