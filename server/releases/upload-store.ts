import { and, asc, eq, getTableColumns, inArray, sql } from 'drizzle-orm';
import type { Db, Tx } from '../../db/client';
import { compiledPackages, jobs, packages, releases, releaseVersionJobs, releaseVersionPackages, releaseVersions } from '../../db/schema/releases';
import { createCompiledPackage, listJobs, listPackages, packageColumns } from './store';
import { findReleaseId } from './catalogue-store';
import type { ReleaseManifest } from './manifest';
import type { CompiledStep, JobStep, PackageStep, RecordedRelease, RecordedVersion } from './upload-plan';

/** What an upload reads and writes. Everything of an upload is written in one transaction: a release is there or it is not. */

/** Versions of a release; empty when there is no such release. */
export async function listVersionTexts(db: Db, release: string): Promise<string[]> {
  const rows = await db.select({ version: releaseVersions.version }).from(releaseVersions).innerJoin(releases, eq(releases.id, releaseVersions.releaseId)).where(eq(releases.name, release));
  return rows.map((row) => row.version);
}

/** All that is recorded and that an upload of the manifest as `version` can meet. */
export async function loadRecordedRelease(db: Db, manifest: ReleaseManifest, version: string): Promise<RecordedRelease> {
  const releaseId = await findReleaseId(db, manifest.name);
  const packageFingerprints = manifest.packages.map((pkg) => pkg.fingerprint);
  const jobFingerprints = manifest.jobs.map((job) => job.fingerprint);
  const known = packageFingerprints.length === 0 ? [] : await db
    .select({ ...packageColumns, release: releases.name })
    .from(packages)
    .innerJoin(releases, eq(releases.id, packages.releaseId))
    .where(inArray(packages.fingerprint, packageFingerprints))
    .orderBy(asc(packages.id));
  const { releaseId: _releaseId, ...jobColumns } = getTableColumns(jobs);
  return {
    version: releaseId === undefined ? undefined : await findRecordedVersion(db, releaseId, version),
    packages: known,
    jobs: releaseId === undefined || jobFingerprints.length === 0 ? [] : await db.select(jobColumns).from(jobs).where(and(eq(jobs.releaseId, releaseId), inArray(jobs.fingerprint, jobFingerprints))),
    compiled: known.length === 0 ? [] : await db.select().from(compiledPackages).where(inArray(compiledPackages.packageId, known.map((pkg) => pkg.id))).orderBy(asc(compiledPackages.id)),
  };
}

async function findRecordedVersion(db: Db, releaseId: number, version: string): Promise<RecordedVersion | undefined> {
  const [row] = await db.select().from(releaseVersions).where(and(eq(releaseVersions.releaseId, releaseId), eq(releaseVersions.version, version)));
  if (!row) return undefined;
  return {
    commitHash: row.commitHash, uncommittedChanges: row.uncommittedChanges, complete: row.updateCompleted,
    packages: (await listPackages(db, [row.id])).map((item) => item.package),
    jobs: (await listJobs(db, [row.id])).map((item) => item.job),
  };
}

/** A step with the blob that was stored for it; undefined where nothing was to be stored. */
export interface FinishedUpload {
  manifest: ReleaseManifest;
  version: string;
  packages: { step: PackageStep; blobId: string | undefined }[];
  compiled: { step: CompiledStep; blobId: string }[];
  jobs: { step: JobStep; stored: { blobId: string; spec: Record<string, unknown>; packages: string[] } | undefined }[];
}

/** Records an upload of which all blobs are stored. */
export async function recordUpload(tx: Tx, upload: FinishedUpload): Promise<void> {
  const { releaseId, versionId } = await recordVersion(tx, upload);
  const packageIds: number[] = [];
  for (const { step, blobId } of upload.packages) packageIds.push(await recordPackage(tx, releaseId, step, blobId));
  if (packageIds.length > 0) {
    await tx.insert(releaseVersionPackages).values([...new Set(packageIds)].map((packageId) => ({ releaseVersionId: versionId, packageId }))).onConflictDoNothing();
  }
  for (const { step, blobId } of upload.compiled) await recordCompiled(tx, packageIds[step.packageAt], step, blobId);
  const jobIds: number[] = [];
  for (const { step, stored } of upload.jobs) jobIds.push(await recordJob(tx, releaseId, step, stored));
  if (jobIds.length > 0) await tx.insert(releaseVersionJobs).values([...new Set(jobIds)].map((jobId) => ({ releaseVersionId: versionId, jobId }))).onConflictDoNothing();
}

async function recordVersion(tx: Tx, { manifest, version }: FinishedUpload): Promise<{ releaseId: number; versionId: number }> {
  const [release] = await tx.insert(releases).values({ name: manifest.name }).onConflictDoUpdate({ target: releases.name, set: { name: manifest.name } }).returning({ id: releases.id });
  const releaseId = one(release).id;
  const [row] = await tx
    .insert(releaseVersions)
    .values({ releaseId, version, commitHash: manifest.commitHash, uncommittedChanges: manifest.uncommittedChanges, updateCompleted: true })
    .onConflictDoUpdate({ target: [releaseVersions.releaseId, releaseVersions.version], set: { updateCompleted: true } })
    .returning({ id: releaseVersions.id });
  return { releaseId, versionId: one(row).id };
}

async function recordPackage(tx: Tx, releaseId: number, { manifest, record, source }: PackageStep, blobId: string | undefined): Promise<number> {
  const stored = source && blobId ? { blobstoreId: blobId, sha1: source.sha1 } : {};
  if (!record) {
    const { name, version, fingerprint, dependencies } = manifest;
    const [row] = await tx.insert(packages).values({ releaseId, name, version, fingerprint, dependencies, ...stored }).returning({ id: packages.id });
    return one(row).id;
  }
  if (source) {
    await tx.update(packages).set(stored).where(eq(packages.id, record.id));
    // What was compiled from a source that had to be replaced is not to be trusted.
    if (record.blobstoreId !== null) await tx.delete(compiledPackages).where(eq(compiledPackages.packageId, record.id));
  }
  return record.id;
}

async function recordCompiled(tx: Tx, packageId: number | undefined, step: CompiledStep, blobId: string): Promise<void> {
  if (packageId === undefined) return;
  const { sha1 } = step.source;
  if (step.replaces) await tx.update(compiledPackages).set({ blobstoreId: blobId, sha1 }).where(eq(compiledPackages.id, step.replaces.id));
  else await createCompiledPackage(tx, { packageId, stemcellOs: step.stemcell.os, stemcellVersion: step.stemcell.version, dependencyKey: step.dependencyKey, blobstoreId: blobId, sha1 });
}

async function recordJob(tx: Tx, releaseId: number, { manifest, record }: JobStep, stored: FinishedUpload['jobs'][number]['stored']): Promise<number> {
  const content = stored && { blobstoreId: stored.blobId, spec: stored.spec, packages: stored.packages, sha1: manifest.sha1 };
  if (record) {
    if (content) await tx.update(jobs).set(content).where(eq(jobs.id, record.id));
    return record.id;
  }
  if (!content) throw new Error(`job '${manifest.name}' was not stored`);
  const { name, version, fingerprint } = manifest;
  const [row] = await tx.insert(jobs).values({ releaseId, name, version, fingerprint, ...content }).returning({ id: jobs.id });
  return one(row).id;
}

function one<T>(row: T | undefined): T {
  if (row === undefined) throw new Error('the database returned no row for an insert');
  return row;
}

/** Blobs that become unreferenced when the upload is recorded: replaced sources and jobs, and what was compiled from such sources. */
export function replacedBlobs(upload: Pick<FinishedUpload, 'packages' | 'compiled' | 'jobs'>, recorded: RecordedRelease): string[] {
  const sources = upload.packages.flatMap(({ step }) => {
    if (!step.source || !step.record?.blobstoreId) return [];
    const packageId = step.record.id;
    return [step.record.blobstoreId, ...recorded.compiled.filter((form) => form.packageId === packageId).map((form) => form.blobstoreId)];
  });
  const compiled = upload.compiled.flatMap(({ step }) => (step.replaces ? [step.replaces.blobstoreId] : []));
  const replacedJobs = upload.jobs.flatMap(({ step, stored }) => (step.record && stored ? [step.record.blobstoreId] : []));
  return [...sources, ...compiled, ...replacedJobs];
}

/** Those of the blobs that a package, a compiled package or a job refers to. */
export async function listReferencedBlobs(db: Db, blobIds: readonly string[]): Promise<Set<string>> {
  if (blobIds.length === 0) return new Set();
  const ids = sql`${sql.param([...blobIds])}::text[]`;
  const { rows } = await db.execute<{ id: string }>(sql`
    SELECT blobstore_id AS id FROM packages WHERE blobstore_id = ANY(${ids})
    UNION SELECT blobstore_id FROM jobs WHERE blobstore_id = ANY(${ids})
    UNION SELECT blobstore_id FROM compiled_packages WHERE blobstore_id = ANY(${ids})`);
  return new Set(rows.map((row) => row.id));
}
