import { z } from 'zod';
import type { Database } from '../../db/client';
import { parseConfigContent } from '../configs/parse';
import { listConfigs } from '../configs/store';
import { mapPool } from '../core/concurrency';
import { isHash } from '../core/yaml';
import { listOrphanDisks, type OrphanDisk } from '../disks/orphan-store';
import { listOrphanedVms, type OrphanedVm } from '../instances/store';
import { listReleases } from '../releases/catalogue-store';
import { deleteExport, listFinishedExports } from '../releases/export-store';
import { deleteCompiledPackage, listAllCompiledPackages, type ListedCompiledPackage } from '../releases/deletion-store';
import { pickCompiledPackages, pickReleases, type PickedRelease } from '../releases/retention';
import { listDisposableDnsBlobs, type DisposableDnsBlob } from '../scheduler/dns-retention-store';
import { listDoomedVms } from '../scheduler/orphaned-vm-store';
import type { DnsBlobsCleanupParams } from '../scheduler/payloads';
import { pickStemcells } from '../stemcells/retention';
import { listStemcells, type ListedStemcell } from '../stemcells/store';
import type { TaskContext } from '../tasks/context';
import { deleteArtifactsPayload, type DeleteArtifactsPayload } from './artifact-payloads';
import { deleteBlobs, deleteReleaseParts, withReleaseLock } from './delete-release';
import { deleteFromClouds } from './delete-stemcell';
import { deleteOrphanDisk, type OrphanDiskDeps } from './orphan-disks';
import { deleteDnsBlobs, dnsBlobsResult } from './scheduled-dns-cleanup';
import { deleteOrphanedVm, type OrphanedVmDeps } from './scheduled-orphaned-vm-cleanup';
import type { StemcellDeps } from './stemcell-cloud';
import type { TaskType } from './task-type';

export type CleanUpDeps = Pick<StemcellDeps, 'db' | 'blobstore' | 'deleteImage'> & OrphanedVmDeps & Pick<OrphanDiskDeps, 'disks'>;

/** How long another task that deletes the same VM is waited for, ms. */
const vmLockWaitMs = 10_000;

/** Stemcells deleted at a time. */
const stemcellsAtOnce = 8;

/** What a clean-up would delete now. */
export interface CleanUpSelection {
  orphanedVms: OrphanedVm[];
  releases: PickedRelease[];
  stemcells: ListedStemcell[];
  compiledPackages: ListedCompiledPackage[];
  /** Blob ids. */
  exportedReleases: string[];
  dnsBlobs: DisposableDnsBlob[];
  orphanDisks: OrphanDisk[];
}

/** The answer of `GET /cleanup/dryrun`: retention as in cloudfoundry/bosh src/bosh-director/lib/bosh/director/cleanup_artifact_manager.rb. */
export async function selectForCleanUp(db: Database, { removeAll, keepOrphanedDisks }: Pick<DeleteArtifactsPayload, 'removeAll'> & Partial<DeleteArtifactsPayload>): Promise<CleanUpSelection> {
  const keep = removeAll ? 0 : 2;
  const stemcells = await listStemcells(db);
  const doomed = pickStemcells(stemcells, keep);
  return {
    orphanedVms: await listOrphanedVms(db),
    releases: pickReleases(await listReleases(db), keep, await releasesOfRuntimeConfigs(db)),
    stemcells: doomed,
    compiledPackages: removeAll ? pickCompiledPackages(await listAllCompiledPackages(db), stemcells.filter((stemcell) => !doomed.includes(stemcell))) : [],
    exportedReleases: await listFinishedExports(db),
    dnsBlobs: await listDisposableDnsBlobs(db, dnsBlobLimits({ removeAll })),
    orphanDisks: removeAll && !keepOrphanedDisks ? await listOrphanDisks(db) : [],
  };
}

async function releasesOfRuntimeConfigs(db: Database): Promise<{ name: string; version: string }[]> {
  const configs = await listConfigs(db, { type: 'runtime', versions: 1 });
  return configs.flatMap((config) => {
    const { releases } = parseConfigContent(config.content);
    return Array.isArray(releases) ? releases.filter(isHash).map((release) => ({ name: String(release.name), version: String(release.version) })) : [];
  });
}

/** DNS blobs from this age (s) may go, while so many stay. */
function dnsBlobLimits({ removeAll }: Pick<DeleteArtifactsPayload, 'removeAll'>): DnsBlobsCleanupParams {
  return removeAll ? { max_blob_age: 0, num_dns_blobs_to_keep: 1 } : { max_blob_age: 3_600, num_dns_blobs_to_keep: 10 };
}

/** The selection as it is remembered: an attempt that follows goes on with the same list, so that the result counts everything. */
const planSchema = z.strictObject({
  orphanedVms: z.array(z.strictObject({ id: z.number(), cid: z.string() })),
  releases: z.array(z.strictObject({ name: z.string(), versions: z.array(z.string()) })),
  stemcells: z.array(z.strictObject({ name: z.string(), version: z.string(), rows: z.number() })),
  compiledPackages: z.array(z.strictObject({ id: z.number(), label: z.string(), blobId: z.string() })),
  exportedReleases: z.array(z.string()).default([]),
  dnsBlobs: z.array(z.strictObject({ version: z.number(), blobId: z.string() })),
  /** Cids. */
  orphanDisks: z.array(z.string()).default([]),
  /** Epoch ms. */
  startedAt: z.number(),
});
type Plan = z.infer<typeof planSchema>;
const planKey = 'plan';

/** Deletes what nobody uses any more. */
export const cleanUp: TaskType<DeleteArtifactsPayload, CleanUpDeps> = {
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
    await deleteOrphanDisks(ctx, deps, plan);
    await deleteExportedReleases(ctx, deps, plan);
    await ctx.stages.stage('Deleting dns blobs', 1).run('DNS blobs', () => deleteDnsBlobs(ctx, deps, plan.dnsBlobs));
    const left = new Set((await listDoomedVms(deps.db)).map((vm) => vm.id));
    return summary(plan, payload, plan.orphanedVms.filter((vm) => !left.has(vm.id)).length);
  },
};

async function makePlan(ctx: TaskContext, deps: CleanUpDeps, payload: DeleteArtifactsPayload): Promise<Plan> {
  const selection = await selectForCleanUp(deps.db, payload);
  const stemcells = new Map<string, Plan['stemcells'][number]>();
  for (const { name, version } of selection.stemcells) {
    const key = `${name}/${version}`;
    stemcells.set(key, { name, version, rows: (stemcells.get(key)?.rows ?? 0) + 1 });
  }
  const plan: Plan = {
    orphanedVms: (await listDoomedVms(deps.db)).map(({ id, cid }) => ({ id, cid })),
    releases: selection.releases,
    stemcells: [...stemcells.values()],
    compiledPackages: selection.compiledPackages.map(({ id, blobId, packageName, stemcellOs, stemcellVersion }) => ({ id, blobId, label: `${packageName} for ${stemcellOs}/${stemcellVersion}` })),
    exportedReleases: selection.exportedReleases,
    dnsBlobs: selection.dnsBlobs,
    orphanDisks: selection.orphanDisks.map((disk) => disk.cid),
    startedAt: ctx.clock.now(),
  };
  await ctx.remember(planKey, plan);
  return plan;
}

async function deleteOrphanedVms(ctx: TaskContext, deps: CleanUpDeps, { orphanedVms }: Plan): Promise<void> {
  const stage = ctx.stages.stage('Deleting orphaned vms', orphanedVms.length);
  await mapPool(orphanedVms, deps.maxThreads, (vm) => stage.run(vm.cid, () => deleteOrphanedVm(ctx, deps, vm, vmLockWaitMs)));
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
  await mapPool(stemcells, stemcellsAtOnce, ({ name, version }) =>
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

async function deleteOrphanDisks(ctx: TaskContext, deps: CleanUpDeps, { orphanDisks }: Plan): Promise<void> {
  const stage = ctx.stages.stage('Deleting orphaned disks', orphanDisks.length);
  await mapPool(orphanDisks, deps.maxThreads, (cid) => stage.run(cid, () => deleteOrphanDisk(ctx, deps, cid)));
}

/** Each blob before its record: what dies in between is done again. */
async function deleteExportedReleases(ctx: TaskContext, { blobstore }: CleanUpDeps, { exportedReleases }: Plan): Promise<void> {
  const stage = ctx.stages.stage('Deleting exported releases', exportedReleases.length);
  for (const blobId of exportedReleases) {
    await stage.run(blobId, async () => {
      await ctx.checkpoint();
      await ctx.fence();
      await blobstore.delete(blobId);
      await ctx.write((tx) => deleteExport(tx, blobId));
    });
  }
}

function summary(plan: Plan, payload: DeleteArtifactsPayload, orphanedVms: number): string {
  const releases = plan.releases.reduce((count, release) => count + release.versions.length, 0);
  const stemcells = plan.stemcells.reduce((count, stemcell) => count + stemcell.rows, 0);
  return (
    `Deleted ${releases} release(s), ${stemcells} stemcell(s), ${plan.compiledPackages.length} extra compiled package(s), ${plan.orphanDisks.length} orphaned disk(s), ` +
    `${orphanedVms} orphaned vm(s), ${plan.exportedReleases.length} exported release(s), ${dnsBlobsResult(plan.dnsBlobs.length, plan.startedAt - dnsBlobLimits(payload).max_blob_age * 1_000)}`
  );
}
