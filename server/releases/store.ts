import { and, asc, eq, inArray, sql } from 'drizzle-orm';
import type { Db, Tx } from '../../db/client';
import { compiledPackages, jobs, packages, releases, releaseVersionJobs, releaseVersionPackages, releaseVersions } from '../../db/schema/releases';
import { groupBy } from '../core/collections';
import { sha1Hex } from '../core/digest';
import type { CompiledPackageKey, CompiledPackageRecord, JobRecord, PackageRecord, ReleaseVersionRecord } from './release';

/** Releases as deploys use them. What the APIs list is in catalogue-store.ts, what an upload writes in upload-store.ts. */

/** Every complete version of the named releases, with jobs and packages by name. Names that are not known are left out. */
export async function loadReleases(db: Db, names: readonly string[]): Promise<ReleaseVersionRecord[]> {
  if (names.length === 0) return [];
  const versions = await db
    .select({ id: releaseVersions.id, name: releases.name, version: releaseVersions.version })
    .from(releaseVersions)
    .innerJoin(releases, eq(releases.id, releaseVersions.releaseId))
    .where(and(inArray(releases.name, [...names]), eq(releaseVersions.updateCompleted, true)))
    .orderBy(asc(releases.name), asc(releaseVersions.id));
  const ids = versions.map((version) => version.id);
  const jobsOf = groupBy(await listJobs(db, ids), (row) => row.releaseVersionId);
  const packagesOf = groupBy(await listPackages(db, ids), (row) => row.releaseVersionId);
  return versions.map((version) => ({
    ...version,
    jobs: (jobsOf.get(version.id) ?? []).map(({ job }) => job),
    packages: (packagesOf.get(version.id) ?? []).map((row) => row.package),
  }));
}

/** Jobs of release versions by name. */
export async function listJobs(db: Db, releaseVersionIds: readonly number[]): Promise<{ releaseVersionId: number; job: JobRecord }[]> {
  if (releaseVersionIds.length === 0) return [];
  return db
    .select({
      releaseVersionId: releaseVersionJobs.releaseVersionId,
      job: { id: jobs.id, name: jobs.name, version: jobs.version, fingerprint: jobs.fingerprint, sha1: jobs.sha1, blobstoreId: jobs.blobstoreId, spec: jobs.spec, packages: jobs.packages },
    })
    .from(releaseVersionJobs)
    .innerJoin(jobs, eq(jobs.id, releaseVersionJobs.jobId))
    .where(inArray(releaseVersionJobs.releaseVersionId, [...releaseVersionIds]))
    .orderBy(asc(jobs.name));
}

export const packageColumns = {
  id: packages.id, name: packages.name, version: packages.version, fingerprint: packages.fingerprint, sha1: packages.sha1, blobstoreId: packages.blobstoreId,
  dependencies: packages.dependencies,
};

/** Packages of release versions by name. */
export async function listPackages(db: Db, releaseVersionIds: readonly number[]): Promise<{ releaseVersionId: number; package: PackageRecord }[]> {
  if (releaseVersionIds.length === 0) return [];
  return db
    .select({ releaseVersionId: releaseVersionPackages.releaseVersionId, package: packageColumns })
    .from(releaseVersionPackages)
    .innerJoin(packages, eq(packages.id, releaseVersionPackages.packageId))
    .where(inArray(releaseVersionPackages.releaseVersionId, [...releaseVersionIds]))
    .orderBy(asc(packages.name));
}

const compiledColumns = {
  packageId: compiledPackages.packageId, stemcellOs: compiledPackages.stemcellOs, stemcellVersion: compiledPackages.stemcellVersion,
  dependencyKey: compiledPackages.dependencyKey, build: compiledPackages.build, blobstoreId: compiledPackages.blobstoreId, sha1: compiledPackages.sha1,
};

const matches = (key: CompiledPackageKey) =>
  and(
    eq(compiledPackages.packageId, key.packageId),
    eq(compiledPackages.stemcellOs, key.stemcellOs),
    eq(compiledPackages.stemcellVersion, key.stemcellVersion),
    eq(compiledPackages.dependencyKeySha1, sha1Hex(key.dependencyKey)),
  );

/** Compiled forms of packages, for all stemcells. */
export async function listCompiledPackages(db: Db, packageIds: readonly number[]): Promise<CompiledPackageRecord[]> {
  if (packageIds.length === 0) return [];
  return db.select(compiledColumns).from(compiledPackages).where(inArray(compiledPackages.packageId, [...new Set(packageIds)])).orderBy(asc(compiledPackages.id));
}

/** The compiled form for exactly this stemcell and these dependencies. */
export async function findCompiledPackage(db: Db, key: CompiledPackageKey): Promise<CompiledPackageRecord | undefined> {
  const [found] = await db.select(compiledColumns).from(compiledPackages).where(matches(key));
  return found;
}

/** The number of the next compilation of a package for a stemcell. */
export async function nextBuild(db: Db, key: Pick<CompiledPackageKey, 'packageId' | 'stemcellOs' | 'stemcellVersion'>): Promise<number> {
  const [row] = await db
    .select({ build: sql<number>`COALESCE(max(${compiledPackages.build}), 0)::int + 1` })
    .from(compiledPackages)
    .where(and(eq(compiledPackages.packageId, key.packageId), eq(compiledPackages.stemcellOs, key.stemcellOs), eq(compiledPackages.stemcellVersion, key.stemcellVersion)));
  return row?.build ?? 1;
}

/**
 * Records a compiled package; returns the row that counts: an existing one of the same key wins.
 * Without `build`, or when that number is taken, it gets the next one.
 */
export async function createCompiledPackage(tx: Tx, compiled: Omit<CompiledPackageRecord, 'build'> & { build?: number }): Promise<CompiledPackageRecord> {
  await tx.execute(sql`SELECT pg_advisory_xact_lock(hashtextextended(${JSON.stringify(['compiled', compiled.packageId, compiled.stemcellOs, compiled.stemcellVersion])}, 7))`);
  const known = await findCompiledPackage(tx, compiled);
  if (known) return known;
  const next = await nextBuild(tx, compiled);
  const build = compiled.build === undefined || compiled.build < next ? next : compiled.build;
  const [row] = await tx
    .insert(compiledPackages)
    .values({ ...compiled, build, dependencyKeySha1: sha1Hex(compiled.dependencyKey) })
    .returning(compiledColumns);
  return row ?? { ...compiled, build };
}
