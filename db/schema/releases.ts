import { bigint, boolean, index, integer, jsonb, pgTable, primaryKey, serial, text, uniqueIndex } from 'drizzle-orm/pg-core';
import { instant } from './columns';

export const releases = pgTable('releases', {
  id: serial('id').primaryKey(),
  name: text('name').notNull().unique(),
});

export const releaseVersions = pgTable(
  'release_versions',
  {
    id: serial('id').primaryKey(),
    releaseId: integer('release_id').notNull().references(() => releases.id),
    version: text('version').notNull(),
    commitHash: text('commit_hash').notNull().default('unknown'),
    uncommittedChanges: boolean('uncommitted_changes').notNull().default(false),
    /** False until everything of the upload is stored; such a version cannot be deployed and the next upload completes it. */
    updateCompleted: boolean('update_completed').notNull().default(false),
    createdAt: instant('created_at').notNull().defaultNow(),
  },
  (t) => [uniqueIndex('release_versions_unique').on(t.releaseId, t.version)],
);

export const packages = pgTable(
  'packages',
  {
    id: serial('id').primaryKey(),
    releaseId: integer('release_id').notNull().references(() => releases.id),
    name: text('name').notNull(),
    version: text('version').notNull(),
    fingerprint: text('fingerprint').notNull(),
    /** Source archive; null when only compiled forms exist. */
    blobstoreId: text('blobstore_id'),
    sha1: text('sha1'),
    /** Names of the packages needed to compile it. */
    dependencies: jsonb('dependencies').$type<string[]>().notNull().default([]),
  },
  (t) => [uniqueIndex('packages_unique').on(t.releaseId, t.name, t.version, t.fingerprint), index('packages_fingerprint').on(t.fingerprint)],
);

export const releaseVersionPackages = pgTable(
  'release_version_packages',
  {
    releaseVersionId: integer('release_version_id').notNull().references(() => releaseVersions.id, { onDelete: 'cascade' }),
    packageId: integer('package_id').notNull().references(() => packages.id),
  },
  (t) => [primaryKey({ columns: [t.releaseVersionId, t.packageId] })],
);

/** Release jobs. */
export const jobs = pgTable(
  'jobs',
  {
    id: serial('id').primaryKey(),
    releaseId: integer('release_id').notNull().references(() => releases.id),
    name: text('name').notNull(),
    version: text('version').notNull(),
    fingerprint: text('fingerprint').notNull(),
    blobstoreId: text('blobstore_id').notNull(),
    sha1: text('sha1').notNull(),
    /** The whole job.MF. */
    spec: jsonb('spec').$type<Record<string, unknown>>().notNull(),
    /** Names of run-time packages. */
    packages: jsonb('packages').$type<string[]>().notNull().default([]),
  },
  (t) => [uniqueIndex('jobs_unique').on(t.releaseId, t.name, t.version, t.fingerprint)],
);

export const releaseVersionJobs = pgTable(
  'release_version_jobs',
  {
    releaseVersionId: integer('release_version_id').notNull().references(() => releaseVersions.id, { onDelete: 'cascade' }),
    jobId: integer('job_id').notNull().references(() => jobs.id),
  },
  (t) => [primaryKey({ columns: [t.releaseVersionId, t.jobId] })],
);

export const compiledPackages = pgTable(
  'compiled_packages',
  {
    id: serial('id').primaryKey(),
    packageId: integer('package_id').notNull().references(() => packages.id),
    stemcellOs: text('stemcell_os').notNull(),
    stemcellVersion: text('stemcell_version').notNull(),
    /** Canonical JSON of the direct dependencies, see releases/packages.ts. */
    dependencyKey: text('dependency_key').notNull(),
    dependencyKeySha1: text('dependency_key_sha1').notNull(),
    build: integer('build').notNull(),
    blobstoreId: text('blobstore_id').notNull(),
    sha1: text('sha1').notNull(),
    createdAt: instant('created_at').notNull().defaultNow(),
  },
  (t) => [
    uniqueIndex('compiled_packages_unique').on(t.packageId, t.stemcellOs, t.stemcellVersion, t.dependencyKeySha1),
    uniqueIndex('compiled_packages_build').on(t.packageId, t.stemcellOs, t.stemcellVersion, t.build),
  ],
);

/** Compiled releases that operators exported, in the blobstore until a clean-up. */
export const exportedReleases = pgTable('exported_releases', {
  blobstoreId: text('blobstore_id').primaryKey(),
  /** BOSH multi-digest; null until the blob is stored. */
  digest: text('digest'),
  taskId: bigint('task_id', { mode: 'number' }).notNull(),
  createdAt: instant('created_at').notNull().defaultNow(),
});
