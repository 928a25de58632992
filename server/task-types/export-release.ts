import { blobIdOf } from '../blobstore/blob-id';
import { code, DirectorError } from '../core/errors';
import { isHash } from '../core/yaml';
import { compilePackages } from '../deploy/compile';
import { planExport, type ExportOrder } from '../deploy/plan-export';
import { recordedVariables } from '../deploy/variables';
import type { DeployDeps } from '../deploy/ports';
import { findDeployment } from '../deploy/store';
import { resolveUnfinishedVms } from '../deploy/vm-steps';
import { findStemcell } from '../plan/instance-groups';
import type { PackageRequirement } from '../plan/types';
import { getVersion } from '../releases/catalogue-store';
import { exportManifest, type ExportedParts, type ReleaseExport } from '../releases/export-contents';
import { completeExport, createExport, deleteExport, findExportDigest } from '../releases/export-store';
import { releaseTarball, type TarballPart } from '../releases/export-tarball';
import { listCompiledPackages } from '../releases/store';
import { loadStemcells } from '../stemcells/store';
import type { TaskContext } from '../tasks/context';
import { isInterruption } from '../tasks/interruption';
import { findStream } from '../tasks/output';
import { exportReleasePayload, type ExportReleasePayload } from './artifact-payloads';
import type { TaskType } from './task-type';

/** How long an export waits for another task on the deployment, ms. */
const lockWaitMs = 900_000;

/**
 * Compiles what is missing of a release for a stemcell, in the deployment's network and AZs, and stores the compiled release as a
 * tarball for the client to download.
 * Stages, texts and order: cloudfoundry/bosh src/bosh-director/lib/bosh/director/jobs/export_release.rb, compiled_release_downloader.rb.
 *
 * The blob's id follows from the task's, and its record comes first. When the node dies, the next attempt
 *   finds no digest recorded        → compiles what is still missing and stores the same bytes under the same id
 *   finds the digest, but no result → writes the result
 *   finds the result                → ends
 */
export const exportRelease: TaskType<ExportReleasePayload, DeployDeps> = {
  type: 'export_release',
  lane: 'normal',
  onNodeLoss: 'converge',
  payload: exportReleasePayload,
  async perform(ctx, deps, payload) {
    const { release, version, stemcell } = payload;
    const result = `Exported release: ${release}/${version} for ${stemcell.os}/${stemcell.version}`;
    if (((await findStream(deps.db, ctx.taskId, 'result'))?.size ?? 0) > 0) return result;
    const blobId = blobIdOf(`exported-release/${ctx.taskId}`);
    const digest = (await findExportDigest(deps.db, blobId)) ?? (await makeExport(ctx, deps, payload, blobId));
    await ctx.result(`${JSON.stringify({ blobstore_id: blobId, sha1: digest })}\n`);
    return result;
  },
};

async function makeExport(ctx: TaskContext, deps: DeployDeps, payload: ExportReleasePayload, blobId: string): Promise<string> {
  const order = await check(deps, payload);
  await ctx.lock(`lock:deployment:${payload.deployment}`, lockWaitMs);
  await resolveUnfinishedVms(ctx, deps, order.deployment.id);
  const variables = await recordedVariables(ctx, deps, order.deployment);
  const { plan, parts } = await planExport(ctx, deps, { ...order, variables });
  await compilePackages(ctx, deps, plan, { deploymentId: order.deployment.id, variables });
  const exported = await collect(deps, order, { parts, requirements: plan.packages });
  try {
    return await store(ctx, deps, { exported, blobId, sha2: payload.sha2 });
  } catch (error) {
    if (!isInterruption(error)) await withdraw(ctx.uncancellable(), deps, blobId).catch((failure: unknown) => ctx.log.warn(`The unfinished export is left for a clean-up: ${String(failure)}`));
    throw error;
  }
}

type CheckedOrder = ExportOrder & { commitHash: string; uncommittedChanges: boolean };

/** What the request names, found. Throws 70000, 30005, 30006, 30011 or 50003. */
async function check(deps: DeployDeps, payload: ExportReleasePayload): Promise<CheckedOrder> {
  const deployment = await findDeployment(deps.db, payload.deployment);
  if (!deployment) throw new DirectorError(code.deploymentNotFound, `Deployment '${payload.deployment}' doesn't exist`);
  const { commitHash, uncommittedChanges } = await getVersion(deps.db, payload.release, payload.version);
  const { manifest } = deployment;
  const listed: unknown[] = Array.isArray(manifest?.releases) ? manifest.releases : [];
  if (!manifest || !listed.some((entry) => isHash(entry) && entry.name === payload.release && String(entry.version) === payload.version)) {
    throw new DirectorError(code.releaseNotMatchingManifest, `Release version '${payload.release}/${payload.version}' not found in deployment '${payload.deployment}' manifest`);
  }
  const stemcell = findStemcell({ alias: '', ...payload.stemcell }, await loadStemcells(deps.db));
  return { deployment: { ...deployment, manifest }, release: { name: payload.release, version: payload.version }, stemcell, jobs: payload.jobs, commitHash, uncommittedChanges };
}

/** The compiled form of every package for exactly that stemcell. Throws 60001 for packages that exist only for others. */
async function collect(deps: DeployDeps, order: CheckedOrder, { parts, requirements }: { parts: ExportedParts; requirements: readonly PackageRequirement[] }): Promise<ReleaseExport> {
  const { release, stemcell: { os, version }, commitHash, uncommittedChanges } = order;
  const forms = await listCompiledPackages(deps.db, parts.packages.map((pkg) => pkg.id));
  const keyOf = new Map(requirements.map((requirement) => [requirement.package.id, requirement.dependencyKey]));
  const found = parts.packages.map((pkg) => ({
    package: pkg, compiled: forms.find((form) => form.packageId === pkg.id && form.stemcellOs === os && form.stemcellVersion === version && form.dependencyKey === keyOf.get(pkg.id)),
  }));
  const packages = found.flatMap(({ package: pkg, compiled }) => (compiled ? [{ package: pkg, compiled }] : []));
  if (packages.length === found.length) return { ...release, stemcell: { os, version }, commitHash, uncommittedChanges, jobs: parts.jobs, packages };
  const missing = found.filter(({ compiled }) => !compiled).map(({ package: pkg }) => ` - '${pkg.name}/${pkg.version}'\n`);
  throw new DirectorError(
    code.packageMissingSourceCode,
    `Can't export release '${release.name}/${release.version}' for '${os}/${version}': packages without source code are compiled for other versions of the stemcell only. ` +
      `Export it for one of those:\n${missing.join('')}`,
  );
}

/** Stores the tarball and records its digest, which it returns. */
async function store(ctx: TaskContext, deps: DeployDeps, { exported, blobId, sha2 }: { exported: ReleaseExport; blobId: string; sha2: boolean }): Promise<string> {
  const compiledPackages = await findBlobs(ctx, deps, 'copying packages', exported.packages.map(({ package: pkg, compiled }) => ({ ...pkg, blobstoreId: compiled.blobstoreId, sha1: compiled.sha1 })));
  const jobs = await findBlobs(ctx, deps, 'copying jobs', exported.jobs);
  const manifest = exportManifest(exported);
  ctx.log.debug(`release.MF of the exported release:\n${manifest}`);
  await ctx.write((tx) => createExport(tx, { blobId, taskId: ctx.taskId }));
  await ctx.fence();
  const stored = await deps.blobstore.put(releaseTarball({ manifest, jobs, compiledPackages }, ctx.signal), blobId);
  const digest = sha2 ? `sha256:${stored.sha256}` : stored.sha1;
  await ctx.write((tx) => completeExport(tx, blobId, digest));
  return digest;
}

interface StoredPart {
  name: string;
  version: string;
  blobstoreId: string;
  sha1: string;
}

/** The blobs of the parts, which are read when the tarball is made. */
async function findBlobs(ctx: TaskContext, { blobstore }: DeployDeps, stageName: string, parts: readonly StoredPart[]): Promise<TarballPart[]> {
  const stage = ctx.stages.stage(stageName, parts.length);
  const found: TarballPart[] = [];
  for (const { name, version, blobstoreId, sha1 } of parts) {
    await stage.run(`${name}/${version}`, async () => {
      await ctx.checkpoint();
      const size = await blobstore.size(blobstoreId);
      if (size === undefined) throw new DirectorError(code.resourceNotFound, `The archive of '${name}/${version}' is not in the blobstore any more: upload the release again with --fix`);
      found.push({ name, size, open: () => blobstore.get(blobstoreId, { digest: sha1 }) });
    });
  }
  return found;
}

async function withdraw(ctx: TaskContext, deps: DeployDeps, blobId: string): Promise<void> {
  await ctx.fence();
  await deps.blobstore.delete(blobId);
  await ctx.write((tx) => deleteExport(tx, blobId));
}
