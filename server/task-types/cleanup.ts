import { z } from 'zod';
import { mapPool } from '../core/concurrency';
import { listReleases } from '../releases/catalogue-store';
import { deleteCompiledPackage, listAllCompiledPackages, type ListedCompiledPackage } from '../releases/deletion-store';
import { pickCompiledPackages, pickReleases, type PickedRelease } from '../releases/retention';
import { pickStemcells } from '../stemcells/retention';
import { listStemcells, type ListedStemcell } from '../stemcells/store';
import type { TaskContext } from '../tasks/context';
import { deleteArtifactsPayload, type DeleteArtifactsPayload } from './artifact-payloads';
import { deleteBlobs, deleteReleaseParts, withReleaseLock } from './delete-release';
import { deleteFromClouds } from './delete-stemcell';
import type { StemcellDeps } from './stemcell-cloud';
import type { TaskType } from './task-type';

/** VMs that no instance has any more, as the clean-up deletes them. */
export interface OrphanedVms {
  /** Cloud ids. */
  list(): Promise<string[]>;
  /** Deletes one with its record and addresses; one that is gone already is fine. */
  delete(ctx: TaskContext, cid: string): Promise<void>;
}

export interface CleanUpDeps extends Pick<StemcellDeps, 'db' | 'blobstore' | 'clouds'> {
  orphanedVms: OrphanedVms;
  /** Release versions that the current runtime configs name. */
  runtimeReleases(): Promise<readonly { name: string; version: string }[]>;
  /** VMs and stemcells deleted at a time. */
  maxThreads: number;
}

/** What a clean-up would delete now. */
export interface CleanUpSelection {
  releases: PickedRelease[];
  stemcells: ListedStemcell[];
  compiledPackages: ListedCompiledPackage[];
  /** Cloud ids. */
  orphanedVms: string[];
}

/** The answer of `GET /cleanup/dryrun`: retention as in cloudfoundry/bosh src/bosh-director/lib/bosh/director/cleanup_artifact_manager.rb. */
export async function selectForCleanUp(deps: Pick<CleanUpDeps, 'db' | 'orphanedVms' | 'runtimeReleases'>, { removeAll }: Pick<DeleteArtifactsPayload, 'removeAll'>): Promise<CleanUpSelection> {
  const keep = removeAll ? 0 : 2;
  const stemcells = await listStemcells(deps.db);
  const doomed = pickStemcells(stemcells, keep);
  return {
    releases: pickReleases(await listReleases(deps.db), keep, await deps.runtimeReleases()),
    stemcells: doomed,
    compiledPackages: removeAll ? pickCompiledPackages(await listAllCompiledPackages(deps.db), stemcells.filter((stemcell) => !doomed.includes(stemcell))) : [],
    orphanedVms: await deps.orphanedVms.list(),
  };
}

/** Age from which DNS blobs may go, ms. */
const dnsBlobAgeMs = 3_600_000;

/** The selection as it is remembered: an attempt that follows goes on with the same list, so that the result counts everything. */
const planSchema = z.strictObject({
  releases: z.array(z.strictObject({ name: z.string(), versions: z.array(z.string()) })),
  stemcells: z.array(z.strictObject({ name: z.string(), version: z.string(), rows: z.number() })),
  compiledPackages: z.array(z.strictObject({ id: z.number(), label: z.string(), blobId: z.string() })),
  orphanedVms: z.array(z.string()),
  /** Epoch ms. */
  startedAt: z.number(),
});
type Plan = z.infer<typeof planSchema>;
const planKey = 'plan';

/** Deletes what nobody uses any more. */
export const deleteArtifacts: TaskType<DeleteArtifactsPayload, CleanUpDeps> = {
  type: 'delete_artifacts',
  lane: 'normal',
  onNodeLoss: 'converge',
  payload: deleteArtifactsPayload,
  async perform(ctx, deps, payload) {
    const plan = planSchema.safeParse(ctx.remembered(planKey)).data ?? (await makePlan(ctx, deps, payload));
    await deleteOrphanedVms(ctx, deps, plan);
    await deleteReleases(ctx, deps, plan);
    await deleteStemcells(ctx, deps, plan);
    await deleteCompiledPackages(ctx, deps, plan);
    // Clients expect this stage always; as DNS records are not published yet there is no blob to delete.
    await ctx.stages.stage('Deleting dns blobs', 1).run('DNS blobs', () => ctx.checkpoint());
    return summary(plan, payload);
  },
};

async function makePlan(ctx: TaskContext, deps: CleanUpDeps, payload: DeleteArtifactsPayload): Promise<Plan> {
  const selection = await selectForCleanUp(deps, payload);
  const stemcells = new Map<string, Plan['stemcells'][number]>();
  for (const { name, version } of selection.stemcells) {
    const key = `${name}/${version}`;
    stemcells.set(key, { name, version, rows: (stemcells.get(key)?.rows ?? 0) + 1 });
  }
  const plan: Plan = {
    releases: selection.releases,
    stemcells: [...stemcells.values()],
    compiledPackages: selection.compiledPackages.map(({ id, blobId, packageName, stemcellOs, stemcellVersion }) => ({ id, blobId, label: `${packageName} for ${stemcellOs}/${stemcellVersion}` })),
    orphanedVms: selection.orphanedVms,
    startedAt: ctx.clock.now(),
  };
  await ctx.remember(planKey, plan);
  return plan;
}

async function deleteOrphanedVms(ctx: TaskContext, deps: CleanUpDeps, { orphanedVms }: Plan): Promise<void> {
  const stage = ctx.stages.stage('Deleting orphaned vms', orphanedVms.length);
  await mapPool(orphanedVms, deps.maxThreads, (cid) => stage.run(cid, () => deps.orphanedVms.delete(ctx, cid)));
}

async function deleteReleases(ctx: TaskContext, deps: CleanUpDeps, { releases }: Plan): Promise<void> {
  const stage = ctx.stages.stage('Deleting releases', releases.reduce((count, release) => count + release.versions.length, 0));
  for (const { name, versions } of releases) {
    await withReleaseLock(ctx, name, async () => {
      for (const version of versions) {
        await stage.run(`${name}/${version}`, () => deleteReleaseParts(ctx, deps, { name, version, force: false, memory: `begun:${name}/${version}` }));
      }
    });
  }
}

async function deleteStemcells(ctx: TaskContext, deps: CleanUpDeps, { stemcells }: Plan): Promise<void> {
  const stage = ctx.stages.stage('Deleting stemcells', stemcells.length);
  await mapPool(stemcells, deps.maxThreads, ({ name, version }) =>
    stage.run(`${name}/${version}`, () => deleteFromClouds(ctx, deps, { name, version, force: false, memory: `begun:${name}/${version} stemcell` })),
  );
}

async function deleteCompiledPackages(ctx: TaskContext, deps: CleanUpDeps, { compiledPackages }: Plan): Promise<void> {
  const stage = ctx.stages.stage('Deleting compiled packages', compiledPackages.length);
  for (const { id, blobId, label } of compiledPackages) {
    await stage.run(label, async () => {
      await deleteBlobs(ctx, deps, [blobId], false);
      await ctx.write((tx) => deleteCompiledPackage(tx, id));
    });
  }
}

/** Disks and exported releases do not exist yet: none are deleted. */
function summary(plan: Plan, { removeAll }: DeleteArtifactsPayload): string {
  const releases = plan.releases.reduce((count, release) => count + release.versions.length, 0);
  const stemcells = plan.stemcells.reduce((count, stemcell) => count + stemcell.rows, 0);
  const before = new Date(plan.startedAt - (removeAll ? 0 : dnsBlobAgeMs)).toISOString().replace('T', ' ').replace(/\.\d+Z$/, ' +0000');
  return (
    `Deleted ${releases} release(s), ${stemcells} stemcell(s), ${plan.compiledPackages.length} extra compiled package(s), 0 orphaned disk(s), ` +
    `${plan.orphanedVms.length} orphaned vm(s), 0 exported release(s), Deleted 0 dns blob(s) created before ${before}`
  );
}
