import * as t from '../../db/schema';
import { sha1Hex } from '../../server/core/digest';
import type { Hash } from '../../server/core/yaml';
import { packTgz } from '../../server/local/samples/tarball';
import type { TestStore } from './director-parts';

/** Records release `rel` 1.0 with these jobs (name → what `job.MF` says beside the name) and their archives, stemcell `local-ubuntu`, and a cloud config. Returns the config's id. */
export async function recordArtifacts(store: TestStore, jobs: Record<string, Hash>, cloudConfig: string): Promise<number> {
  const { db } = store.connections;
  const [release] = await db.insert(t.releases).values({ name: 'rel' }).returning();
  const releaseId = release?.id ?? 0;
  const [version] = await db.insert(t.releaseVersions).values({ releaseId, version: '1.0', updateCompleted: true }).returning();
  for (const [name, more] of Object.entries(jobs)) {
    const spec = { name, packages: [], templates: {}, ...more };
    const blob = await store.blobstore.put(await packTgz([{ name: 'job.MF', content: JSON.stringify(spec) }, { name: 'monit', content: '' }]));
    const fingerprint = sha1Hex(name);
    const [job] = await db.insert(t.jobs).values({ releaseId, name, version: fingerprint, fingerprint, blobstoreId: blob.id, sha1: blob.sha1, spec }).returning();
    await db.insert(t.releaseVersionJobs).values({ releaseVersionId: version?.id ?? 0, jobId: job?.id ?? 0 });
  }
  await db.insert(t.stemcells).values({ name: 'local-ubuntu', operatingSystem: 'ubuntu', version: '1.200', cid: 'sc-1.200', apiVersion: 2 });
  const [config] = await db.insert(t.configs).values({ type: 'cloud', name: 'default', content: cloudConfig }).returning();
  return config?.id ?? 0;
}
