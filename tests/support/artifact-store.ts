import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readFileSync } from 'node:fs';
import { sql } from 'drizzle-orm';
import type { Database } from '../../db/client';
import type { Blobstore } from '../../server/blobstore/blobstore';
import { openBlobstore } from '../../server/blobstore/open-blobstore';
import { sha256Hex } from '../../server/core/digest';
import { testStore } from './director-parts';

/** A database and a blobstore whose whole contents can be looked at. */
export interface ArtifactStore {
  db: Database;
  blobs: Blobstore;
  /** Scratch directory. */
  folder: string;
  /** Empties both. */
  reset(): Promise<void>;
  /** Everything that is recorded of releases, by names and contents instead of ids. */
  releases(): Promise<unknown>;
  /** Ids of blobs that no record refers to. */
  strayBlobs(): Promise<string[]>;
  close(): Promise<void>;
}

export async function artifactStore(): Promise<ArtifactStore> {
  const store = await testStore();
  const { db } = store.connections;
  const folder = await mkdtemp(join(tmpdir(), 'directorate-artifacts-'));
  const path = join(folder, 'blobs');
  const blobs = await openBlobstore({ provider: 'local', path });
  const listBlobs = async () => (await readdir(path)).filter((name) => name !== '.incoming');
  const rows = async (query: string) => (await db.execute(sql.raw(query))).rows;
  const contentOf = async (id: unknown) => (typeof id === 'string' ? sha256Hex(await blobs.read(id)) : null);
  return {
    db, blobs, folder,
    reset: async () => {
      // Much quicker than TRUNCATE for a few rows.
      await rows(['deployments', 'compiled_packages', 'release_versions', 'jobs', 'packages', 'releases', 'stemcells', 'stemcell_uploads', 'configs'].map((table) => `DELETE FROM ${table}`).join('; '));
      for (const id of await listBlobs()) await blobs.delete(id);
    },
    releases: async () => {
      const found = await rows(`
        SELECT r.name, v.version, v.commit_hash, v.update_completed,
          ARRAY(SELECT p.name || '/' || p.fingerprint FROM release_version_packages x JOIN packages p ON p.id = x.package_id WHERE x.release_version_id = v.id ORDER BY 1) AS packages,
          ARRAY(SELECT j.name || '/' || j.fingerprint FROM release_version_jobs x JOIN jobs j ON j.id = x.job_id WHERE x.release_version_id = v.id ORDER BY 1) AS jobs
        FROM releases r LEFT JOIN release_versions v ON v.release_id = r.id ORDER BY 1, 2`);
      const packages = await rows(`SELECT r.name AS release, p.name, p.version, p.fingerprint, p.dependencies, p.sha1, p.blobstore_id FROM packages p JOIN releases r ON r.id = p.release_id ORDER BY 1, 2, 3`);
      const jobs = await rows(`SELECT r.name AS release, j.name, j.version, j.fingerprint, j.spec, j.packages, j.sha1, j.blobstore_id FROM jobs j JOIN releases r ON r.id = j.release_id ORDER BY 1, 2, 3`);
      const compiled = await rows(`
        SELECT r.name AS release, p.name, c.stemcell_os, c.stemcell_version, c.dependency_key, c.build, c.sha1, c.blobstore_id
        FROM compiled_packages c JOIN packages p ON p.id = c.package_id JOIN releases r ON r.id = p.release_id ORDER BY 1, 2, 3, 4, 5`);
      const withContents = (list: Record<string, unknown>[]) => Promise.all(list.map(async ({ blobstore_id: id, ...row }) => ({ ...row, content: await contentOf(id) })));
      return { versions: found, packages: await withContents(packages), jobs: await withContents(jobs), compiled: await withContents(compiled) };
    },
    strayBlobs: async () => {
      const referenced = await rows('SELECT blobstore_id AS id FROM packages UNION SELECT blobstore_id FROM jobs UNION SELECT blobstore_id FROM compiled_packages');
      const known = new Set(referenced.map((row) => row.id));
      return (await listBlobs()).filter((id) => !known.has(id));
    },
    close: async () => {
      await store.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** A recorded event stream without its times, with fixed texts in place of what differs between runs. */
export function recordedEvents(label: string, replace: (text: string) => string = (text) => text): Record<string, unknown>[] {
  const text = readFileSync(join(__dirname, '..', 'fixtures', 'events', `${label}.jsonl`), 'utf8');
  return timeless(replace(text).split('\n').filter((line) => line !== '').map((line) => JSON.parse(line) as Record<string, unknown>));
}

export function timeless(lines: readonly Record<string, unknown>[]): Record<string, unknown>[] {
  return lines.map(({ time: _time, ...line }) => line);
}
