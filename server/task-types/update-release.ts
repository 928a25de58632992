import { z } from 'zod';
import { ArchiveError } from '../core/archive';
import { DirectorError, code } from '../core/errors';
import { storeParts, scanRelease, type PartOutcome, type WantedPart } from '../releases/intake';
import { parseReleaseManifest, type ManifestJob, type ReleaseManifest } from '../releases/manifest';
import { inDependencyOrder } from '../releases/packages';
import { planUpload, versionToRecord, type Origin, type PackageStep, type RecordedRelease, type UploadPlan } from '../releases/upload-plan';
import { listVersionTexts, loadRecordedRelease, recordUpload, replacedBlobs, type FinishedUpload } from '../releases/upload-store';
import type { TaskContext } from '../tasks/context';
import { updateReleasePayload, type UpdateReleasePayload } from './artifact-payloads';
import type { LedgerDeps } from './blob-ledger';
import type { TaskType } from './task-type';
import { withUploadedArchive, type UploadedArchive } from './uploaded-archive';

/** How long an upload waits for another task that works on the same release, ms. */
const lockWaitMs = 300_000;
const versionKey = 'version';

/**
 * Registers an uploaded release, source or compiled. Blobs are stored first, then everything is recorded in one transaction.
 * Stages and their texts: cloudfoundry/bosh src/bosh-director/lib/bosh/director/jobs/update_release.rb.
 */
export const updateRelease: TaskType<UpdateReleasePayload, LedgerDeps> = {
  type: 'update_release',
  lane: 'normal',
  onNodeLoss: 'converge',
  payload: updateReleasePayload,
  perform: (ctx, deps, payload) =>
    withUploadedArchive(
      ctx,
      deps,
      { what: 'release', source: payload.source, sha1: payload.sha1, mismatchCode: code.releaseSha1DoesNotMatch, step: (name, work) => single(ctx, name, work) },
      async (archive) => {
        const manifest = await readManifest(ctx, archive);
        const unlock = await ctx.lock(`lock:release:${manifest.name}`, lockWaitMs);
        try {
          const version = await chooseVersion(ctx, deps, manifest, payload.rebase);
          await register(ctx, deps, { archive, manifest, version, fix: payload.fix });
          return `Created release '${manifest.name}/${version}'`;
        } finally {
          await unlock();
        }
      },
    ),
};

/** A stage of one task, both of the same name. */
async function single<T>(ctx: TaskContext, name: string, work: () => Promise<T>): Promise<T> {
  return ctx.stages.stage(name, 1).run(name, work);
}

async function readManifest(ctx: TaskContext, archive: UploadedArchive): Promise<ReleaseManifest> {
  const text = await single(ctx, 'Extracting release', async () => {
    try {
      return await scanRelease(await archive.open());
    } catch (error) {
      if (!(error instanceof ArchiveError)) throw error;
      ctx.log.error(`The release archive cannot be used: ${error.message}`);
      throw new DirectorError(code.releaseInvalidArchive, 'Extracting release archive failed. Check task debug log for details.', { cause: error });
    }
  });
  return single(ctx, 'Verifying manifest', async () => {
    if (text === undefined) throw new DirectorError(code.releaseManifestNotFound, 'Release manifest not found');
    return parseReleaseManifest(text);
  });
}

/** A rebased version is chosen once: an attempt that follows finds its number taken by itself. */
async function chooseVersion(ctx: TaskContext, deps: LedgerDeps, manifest: ReleaseManifest, rebase: boolean): Promise<string> {
  const chosen = z.string().safeParse(ctx.remembered(versionKey));
  if (chosen.success) return chosen.data;
  const version = versionToRecord(manifest, rebase, rebase ? await listVersionTexts(deps.db, manifest.name) : []);
  if (rebase) await ctx.remember(versionKey, version);
  return version;
}

interface Registration {
  archive: UploadedArchive;
  manifest: ReleaseManifest;
  version: string;
  fix: boolean;
}

async function register(ctx: TaskContext, deps: LedgerDeps, { archive, manifest, version, fix }: Registration): Promise<void> {
  const recorded = await loadRecordedRelease(deps.db, manifest, version);
  await single(ctx, 'Resolving package dependencies', async () => {
    inDependencyOrder(manifest.packages);
  });
  const plan = planUpload(manifest, version, recorded, { fix });
  const blobs = await planBlobs(archive, plan);
  const store = lazily(() => storeWanted(ctx, deps, archive, blobs));
  const obtain = (step: object) => obtainBlob(ctx, deps, blobs.get(step), store);
  await runPackages(ctx, plan, manifest.compiled, obtain);
  await runCompiled(ctx, plan, obtain);
  const jobs = await runJobs(ctx, plan, obtain);
  const finished: FinishedUpload = {
    manifest, version, jobs,
    packages: plan.packages.map((step) => ({ step, blobId: blobs.get(step)?.blobId })),
    compiled: plan.compiled.flatMap((step) => {
      const planned = blobs.get(step);
      return planned ? [{ step, blobId: planned.blobId }] : [];
    }),
  };
  await record(ctx, archive, finished, recorded);
}

async function record(ctx: TaskContext, { ledger }: UploadedArchive, upload: FinishedUpload, recorded: RecordedRelease): Promise<void> {
  const label = `${upload.manifest.name}/${upload.version}`;
  await ledger.add(replacedBlobs(upload, recorded));
  await ctx.stages.stage(upload.manifest.compiled ? 'Compiled Release has been created' : 'Release has been created', 1).run(label, async () => {
    await ctx.checkpoint();
    await ctx.write((tx) => recordUpload(tx, upload));
  });
}

/** A blob that the upload is going to store. */
type PlannedBlob = { blobId: string } & ({ copyOf: { blobId: string; sha1: string }; part?: undefined } | { copyOf?: undefined; part: WantedPart });

/** Steps of the plan that store something, with the ids of what they store. */
async function planBlobs(archive: UploadedArchive, plan: UploadPlan): Promise<Map<object, PlannedBlob>> {
  const wanted: { step: object; origin: Origin; kind: WantedPart['kind']; manifest: ManifestJob }[] = [
    ...plan.packages.flatMap((step) => (step.source ? [{ step, origin: step.source, kind: 'package' as const, manifest: step.manifest }] : [])),
    ...plan.compiled.map((step) => ({ step, origin: step.source, kind: 'compiled package' as const, manifest: step.manifest })),
    ...plan.jobs.filter((step) => step.store).map((step) => ({ step, origin: { from: 'archive' as const, sha1: step.manifest.sha1 }, kind: 'job' as const, manifest: step.manifest })),
  ];
  const ids = await archive.ledger.plan(wanted.length);
  return new Map(
    wanted.map(({ step, origin, kind, manifest: { name, version } }, at): [object, PlannedBlob] => {
      const blobId = ids[at] ?? '';
      if (origin.from === 'copy') return [step, { blobId, copyOf: { blobId: origin.blobId, sha1: origin.sha1 } }];
      const folder = kind === 'job' ? 'jobs' : kind === 'package' ? 'packages' : 'compiled_packages';
      return [step, { blobId, part: { kind, name, version, path: `${folder}/${name}.tgz`, sha1: origin.sha1, blobId } }];
    }),
  );
}

/** Everything that comes from the archive is stored in one pass over it, whatever the order of its files. */
async function storeWanted(ctx: TaskContext, deps: LedgerDeps, archive: UploadedArchive, blobs: Map<object, PlannedBlob>): Promise<Map<WantedPart, PartOutcome>> {
  const wanted = [...blobs.values()].flatMap(({ part }) => (part ? [part] : []));
  return storeParts({ archive: await archive.open(), blobstore: deps.blobstore, wanted, onFault: (text) => ctx.log.error(text), beforeStore: () => ctx.checkpoint() });
}

type Obtained = { job: { spec: Record<string, unknown>; packages: string[] } | undefined; blobId: string } | undefined;
type Obtain = (step: object) => Promise<Obtained>;

async function obtainBlob(ctx: TaskContext, deps: LedgerDeps, planned: PlannedBlob | undefined, store: () => Promise<Map<WantedPart, PartOutcome>>): Promise<Obtained> {
  if (!planned) return undefined;
  const { blobId, copyOf, part } = planned;
  if (copyOf) {
    await ctx.checkpoint();
    await deps.blobstore.put(await deps.blobstore.get(copyOf.blobId, { digest: copyOf.sha1 }), blobId);
    return { blobId, job: undefined };
  }
  const outcome = (await store()).get(part);
  if (!outcome) throw new Error(`'${part.path}' was not stored`);
  if (outcome.fault) throw outcome.fault;
  return { blobId, job: outcome.job };
}

async function runPackages(ctx: TaskContext, plan: UploadPlan, compiled: boolean, obtain: Obtain): Promise<void> {
  const of = (status: PackageStep['status']) => plan.packages.filter((step) => step.status === status);
  const stage = ctx.stages.stage('Creating new packages', of('new').length);
  for (const step of of('new')) {
    await stage.run(`${step.manifest.name}/${step.manifest.version}`, async () => {
      ctx.log.info(`Creating new package '${step.manifest.name}/${step.manifest.version}' ${!step.source ? 'without source' : step.source.from === 'copy' ? `from existing blob ${step.source.blobId}` : 'from provided bits'}`);
      await obtain(step);
    });
  }
  await processExisting(ctx, 'package', of('existing'), obtain);
  if (!compiled) await processExisting(ctx, 'package', of('registered'), obtain);
}

async function processExisting(ctx: TaskContext, noun: 'package' | 'job', steps: readonly { manifest: ManifestJob }[], run: (step: object) => Promise<unknown>): Promise<void> {
  if (steps.length === 0) return;
  await single(ctx, `Processing ${steps.length} existing ${noun}${steps.length > 1 ? 's' : ''}`, async () => {
    for (const step of steps) {
      ctx.log.info(`Using existing ${noun} '${step.manifest.name}/${step.manifest.version}'`);
      await run(step);
    }
  });
}

async function runCompiled(ctx: TaskContext, plan: UploadPlan, obtain: Obtain): Promise<void> {
  const stage = ctx.stages.stage('Creating new compiled packages', plan.compiledTotal);
  for (const step of plan.compiled) {
    const { manifest, stemcell, replaces } = step;
    if (replaces) await obtain(step);
    else await stage.run(`${manifest.name}/${manifest.version} for ${stemcell.os}/${stemcell.version}`, () => obtain(step));
  }
}

async function runJobs(ctx: TaskContext, plan: UploadPlan, obtain: Obtain): Promise<FinishedUpload['jobs']> {
  const stored = new Map<object, FinishedUpload['jobs'][number]['stored']>();
  const run = async (step: object) => {
    const obtained = await obtain(step);
    if (obtained?.job) stored.set(step, { blobId: obtained.blobId, ...obtained.job });
  };
  const fresh = plan.jobs.filter((step) => step.status === 'new');
  const stage = ctx.stages.stage('Creating new jobs', fresh.length);
  for (const step of fresh) {
    await stage.run(`${step.manifest.name}/${step.manifest.version}`, async () => {
      ctx.log.info(`Creating new job '${step.manifest.name}/${step.manifest.version}'`);
      await run(step);
    });
  }
  await processExisting(ctx, 'job', plan.jobs.filter((step) => step.status === 'existing'), run);
  return plan.jobs.map((step) => ({ step, stored: stored.get(step) }));
}

/** Runs `work` when it is first asked for, and once. */
function lazily<T>(work: () => Promise<T>): () => Promise<T> {
  let result: Promise<T> | undefined;
  return () => (result ??= work());
}
