import type { Database, Db } from '../../db/client';
import type { Blobstore } from '../blobstore/blobstore';
import { DirectorError, code, isDirectorError } from '../core/errors';
import { getReleaseId, getVersion, listVersionUsers } from '../releases/catalogue-store';
import {
  deleteJob, deletePackage, deleteReleaseIfEmpty, deleteVersion, listPartsOfRelease, listPartsOfVersion, listVersionsOf, markIncomplete, type Doomed, type DoomedPart,
} from '../releases/deletion-store';
import type { TaskContext } from '../tasks/context';
import { deleteReleasePayload, type DeleteReleasePayload } from './artifact-payloads';
import type { TaskType } from './task-type';

export interface DeleteReleaseDeps {
  db: Database;
  blobstore: Blobstore;
}

/** How long a deletion waits for another task that works on the release, ms. */
const lockWaitMs = 10_000;
const begunKey = 'begun';

/**
 * Deletes a release or one of its versions with what only they use. Blobs go before their records, so that nothing is left behind
 * whenever it is interrupted; a version that is half deleted cannot be deployed.
 * Rules: cloudfoundry/bosh src/bosh-director/lib/bosh/director/jobs/helpers/release_deleter.rb and release_version_deleter.rb.
 */
export const deleteRelease: TaskType<DeleteReleasePayload, DeleteReleaseDeps> = {
  type: 'delete_release',
  lane: 'normal',
  onNodeLoss: 'converge',
  payload: deleteReleasePayload,
  async perform(ctx, deps, { name, version, force }) {
    await withReleaseLock(ctx, name, () => deleteReleaseParts(ctx, deps, { name, version, force, memory: begunKey }));
    return `/release/${name}`;
  },
};

/** Runs `work` while no other task uploads, deletes or binds the release. */
export async function withReleaseLock<T>(ctx: TaskContext, name: string, work: () => Promise<T>): Promise<T> {
  const unlock = await ctx.lock(`lock:release:${name}`, lockWaitMs);
  try {
    return await work();
  } finally {
    await unlock();
  }
}

export interface ReleaseDeletion {
  name: string;
  /** Undefined: all of them. */
  version: string | undefined;
  /** Go on when the blobstore cannot delete. */
  force: boolean;
  /** Key under which the task remembers that it has begun: from then on "not found" means that an earlier attempt was done. */
  memory: string;
}

/** Deletes under the release's lock. Throws 30005, 30006, 30007, 30008, 30010. */
export async function deleteReleaseParts(ctx: TaskContext, deps: DeleteReleaseDeps, deletion: ReleaseDeletion): Promise<void> {
  try {
    await (deletion.version === undefined ? deleteWhole(ctx, deps, deletion) : deleteOneVersion(ctx, deps, deletion, deletion.version));
  } catch (error) {
    const isGone = isDirectorError(error) && (error.code === code.releaseNotFound || error.code === code.releaseVersionNotFound);
    if (!isGone || ctx.remembered(deletion.memory) !== true) throw error;
  }
}

async function deleteWhole(ctx: TaskContext, deps: DeleteReleaseDeps, deletion: ReleaseDeletion): Promise<void> {
  const releaseId = await getReleaseId(deps.db, deletion.name);
  const versions = await listVersionsOf(deps.db, releaseId);
  await begin(ctx, deps, deletion, {
    versionIds: versions.map((version) => version.id),
    inUse: (users) => new DirectorError(code.releaseInUse, `Release '${deletion.name}' is still in use by: ${users}`),
  });
  await deleteParts(ctx, deps, await listPartsOfRelease(deps.db, releaseId), deletion.force);
  const stage = ctx.stages.stage('Deleting release versions', versions.length);
  for (const version of versions) await stage.run(`${deletion.name}/${version.version}`, () => ctx.write((tx) => deleteVersion(tx, version.id)));
  await ctx.write((tx) => deleteReleaseIfEmpty(tx, releaseId));
}

async function deleteOneVersion(ctx: TaskContext, deps: DeleteReleaseDeps, deletion: ReleaseDeletion, wanted: string): Promise<void> {
  const { id, releaseId, version } = await getVersion(deps.db, deletion.name, wanted);
  await begin(ctx, deps, deletion, {
    versionIds: [id],
    inUse: (users) => new DirectorError(code.releaseVersionInUse, `ReleaseVersion '${deletion.name}/${version}' is still in use by: ${users}`),
  });
  await deleteParts(ctx, deps, await listPartsOfVersion(deps.db, id), deletion.force);
  if ((await listVersionsOf(deps.db, releaseId)).some((other) => other.id !== id)) {
    await ctx.write((tx) => deleteVersion(tx, id));
    return;
  }
  // The last version takes the release with it, and what no version used.
  await deleteParts(ctx, deps, await listPartsOfRelease(deps.db, releaseId), deletion.force);
  await ctx.write(async (tx) => {
    await deleteVersion(tx, id);
    await deleteReleaseIfEmpty(tx, releaseId);
  });
}

interface DoomedVersions {
  versionIds: readonly number[];
  /** What is thrown when deployments with these names use them. */
  inUse: (users: string) => DirectorError;
}

/** From here on nobody can deploy the versions. A deploy that had planned with them before either has bound them, or fails when it does. */
async function begin(ctx: TaskContext, { db }: DeleteReleaseDeps, deletion: ReleaseDeletion, { versionIds, inUse }: DoomedVersions): Promise<void> {
  await refuseUse(db);
  await ctx.checkpoint();
  await ctx.remember(deletion.memory, true);
  await ctx.write(async (tx) => {
    await markIncomplete(tx, versionIds);
    await refuseUse(tx);
  });

  async function refuseUse(seen: Db): Promise<void> {
    const users = await listVersionUsers(seen, versionIds);
    if (users.length > 0) throw inUse(users.join(', '));
  }
}

async function deleteParts(ctx: TaskContext, deps: DeleteReleaseDeps, doomed: Doomed, force: boolean): Promise<void> {
  const packageStage = ctx.stages.stage('Deleting packages', doomed.packages.length);
  for (const part of doomed.packages) {
    await packageStage.run(labelOf(part), async () => {
      await deleteBlobs(ctx, deps, part.blobIds, force);
      await ctx.write((tx) => deletePackage(tx, part.id));
    });
  }
  const jobStage = ctx.stages.stage('Deleting jobs', doomed.jobs.length);
  for (const part of doomed.jobs) {
    await jobStage.run(labelOf(part), async () => {
      await deleteBlobs(ctx, deps, part.blobIds, force);
      await ctx.write((tx) => deleteJob(tx, part.id));
    });
  }
}

function labelOf(part: DoomedPart): string {
  return `${part.name}/${part.version}`;
}

/** Deletes blobs. With `force`, what the blobstore cannot delete is left to it. */
export async function deleteBlobs(ctx: TaskContext, { blobstore }: Pick<DeleteReleaseDeps, 'blobstore'>, blobIds: readonly string[], force: boolean): Promise<void> {
  for (const id of blobIds) {
    await ctx.fence();
    try {
      await blobstore.delete(id);
    } catch (error) {
      if (!force) throw error;
      ctx.log.warn(`Blob ${id} could not be deleted and is left behind: ${String(error)}`);
    }
  }
}
