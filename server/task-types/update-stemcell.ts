import { randomUUID } from 'node:crypto';
import { mkdir, readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { ArchiveError } from '../core/archive';
import { DirectorError, code } from '../core/errors';
import { abandonStemcells, beginStemcell, completeStemcell, forgetStemcellUploads, listStemcellRows, recordStemcellUpload, type NewStemcell, type StemcellRow } from '../stemcells/store';
import { parseStemcellManifest, unpackStemcell, type StemcellManifest, type UnpackedStemcell } from '../stemcells/tarball';
import { isTaskLost, type Stage, type TaskContext } from '../tasks/context';
import { updateStemcellPayload, type UpdateStemcellPayload } from './artifact-payloads';
import type { StemcellCloud, StemcellDeps } from './stemcell-cloud';
import type { TaskType } from './task-type';
import { withUploadedArchive, type UploadedArchive } from './uploaded-archive';

const lockWaitPerCpiMs = 900_000;
const createdKey = 'created';
const notEnoughDiskSpace = 500001;
const folderPrefix = 'directorate-stemcell-';
/** Age after which a folder of an image belongs to a dead node, ms. */
const abandonedAfterMs = 24 * 3_600_000;

/**
 * Hands an uploaded stemcell to every CPI that supports its format.
 * Stages and rules: cloudfoundry/bosh src/bosh-director/lib/bosh/director/jobs/update_stemcell.rb.
 */
export const updateStemcell: TaskType<UpdateStemcellPayload, StemcellDeps> = {
  type: 'update_stemcell',
  lane: 'normal',
  onNodeLoss: 'converge',
  payload: updateStemcellPayload,
  async perform(ctx, deps, payload) {
    const clouds = await deps.clouds(ctx);
    const steps = 2 + (payload.source.kind === 'url' ? 1 : 0) + (payload.sha1 === undefined ? 0 : 1) + 3 * clouds.length;
    const stage = ctx.stages.stage('Update stemcell', steps);
    const upload = { what: 'stemcell' as const, source: payload.source, sha1: payload.sha1, mismatchCode: code.stemcellSha1DoesNotMatch };
    return withUploadedArchive(ctx, deps, { ...upload, step: (name, work) => stage.run(name, work) }, (archive) =>
      withFolder(deps.tmpDir, (folder) => install(ctx, deps, { archive, folder, stage, clouds, fix: payload.fix })),
    );
  },
};

/** A folder of its own that is gone afterwards; also removes those that killed nodes left long ago. */
async function withFolder<T>(tmpDir: string, work: (folder: string) => Promise<T>): Promise<T> {
  await mkdir(tmpDir, { recursive: true });
  for (const name of await readdir(tmpDir)) {
    if (!name.startsWith(folderPrefix)) continue;
    const found = await stat(join(tmpDir, name)).catch(() => undefined);
    if (found && Date.now() - found.mtimeMs > abandonedAfterMs) await rm(join(tmpDir, name), { recursive: true, force: true });
  }
  const folder = join(tmpDir, `${folderPrefix}${randomUUID()}`);
  await mkdir(folder, { mode: 0o755 });
  try {
    return await work(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

interface Installation {
  archive: UploadedArchive;
  folder: string;
  stage: Stage;
  clouds: readonly StemcellCloud[];
  fix: boolean;
}

async function install(ctx: TaskContext, deps: StemcellDeps, { archive, folder, stage, clouds, fix }: Installation): Promise<string> {
  const unpacked = await stage.run('Extracting stemcell archive', () => unpack(ctx, archive, folder));
  const { manifest, image } = await stage.run('Verifying stemcell manifest', async () => verify(unpacked));
  const label = `${manifest.name}/${manifest.version}`;
  const unlock = await ctx.lock(`lock:stemcells:${manifest.name}:${manifest.version}`, lockWaitPerCpiMs * clouds.length);
  try {
    let supported = false;
    const formats = new Set<string>();
    for (const cloud of clouds) {
      const { stemcellFormats } = await cloud.info();
      for (const format of stemcellFormats) formats.add(format);
      if (isSupported(manifest, stemcellFormats)) {
        supported = true;
        await installIn(ctx, deps, { cloud, manifest, image, stage, fix });
      } else {
        ctx.log.info(`${suffix(cloud)} cpi does not support stemcell format`);
      }
      await ctx.write((tx) => recordStemcellUpload(tx, { name: manifest.name, version: manifest.version, cpi: cloud.name }));
    }
    if (!supported) {
      // Nobody has it: a better upload of the same name and version must not pass for a repeat.
      await ctx.write((tx) => forgetStemcellUploads(tx, { name: manifest.name, version: manifest.version }));
      throw new DirectorError(code.stemcellNotSupported, `Stemcell '${label}' has the formats ${(manifest.formats ?? []).join(', ')}, of which the CPIs support none: they take ${[...formats].join(', ')}. Upload a stemcell made for this cloud`);
    }
  } catch (error) {
    if (!isTaskLost(error)) await takeBack(ctx, manifest);
    throw error;
  } finally {
    await unlock();
  }
  return `/stemcells/${label}`;
}

async function unpack(ctx: TaskContext, archive: UploadedArchive, folder: string): Promise<UnpackedStemcell> {
  try {
    return await unpackStemcell(await archive.open(), folder);
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOSPC') throw new DirectorError(notEnoughDiskSpace, `There is not enough room for the stemcell's image in ${folder}: free some, or name another tmp_dir in the configuration`, { cause: error });
    if (!(error instanceof ArchiveError)) throw error;
    ctx.log.error(`The stemcell archive cannot be used: ${error.message}`);
    throw new DirectorError(code.stemcellInvalidArchive, 'Extracting stemcell archive failed. Check task debug log for details.', { cause: error });
  }
}

function verify({ manifest, image }: UnpackedStemcell): { manifest: StemcellManifest; image: string } {
  const parsed = parseStemcellManifest(manifest);
  if (image === undefined) throw new DirectorError(code.stemcellImageNotFound, 'Stemcell image not found');
  return { manifest: parsed, image };
}

/** Without formats on either side there is nothing to compare. */
function isSupported(manifest: StemcellManifest, formats: readonly string[]): boolean {
  return manifest.formats === undefined || formats.length === 0 || manifest.formats.some((format) => formats.includes(format));
}

function suffix(cloud: StemcellCloud): string {
  return cloud.name === '' ? '' : ` (cpi: ${cloud.name})`;
}

interface CloudInstallation {
  cloud: StemcellCloud;
  manifest: StemcellManifest;
  image: string;
  stage: Stage;
  fix: boolean;
}

async function installIn(ctx: TaskContext, deps: StemcellDeps, { cloud, manifest, image, stage, fix }: CloudInstallation): Promise<void> {
  const label = `${manifest.name}/${manifest.version}`;
  const existing = await stage.run(`Checking if this stemcell already exists${suffix(cloud)}`, async () => findRow(await listStemcellRows(deps.db, manifest), cloud));
  const stemcell = newStemcell(manifest, existing?.cpi ?? cloud.name);
  const created = createdBefore(ctx)[stemcell.cpi];
  const needed = created !== undefined || fix || existing?.cid == null;
  const tail = `${suffix(cloud)}${needed ? '' : ' (already exists, skipped)'}`;
  const cid = await stage.run(`Uploading stemcell ${label} to the cloud${tail}`, async () => {
    if (!needed && existing?.cid) return existing.cid;
    return created ?? create(ctx, deps, { cloud, manifest, image, stemcell, existing });
  });
  await stage.run(`Save stemcell ${label} (${cid})${tail}`, async () => {
    if (needed) await ctx.write((tx) => completeStemcell(tx, stemcell, cid));
  });
}

function findRow(rows: readonly StemcellRow[], cloud: StemcellCloud): StemcellRow | undefined {
  const alias = cloud.aliases.find((candidate) => rows.some((row) => row.cpi === candidate));
  return rows.find((row) => row.cpi === alias);
}

/** Cloud ids that this task has got already, by the CPI's name in the records: images that an attempt created and perhaps did not record. */
function createdBefore(ctx: TaskContext): Record<string, string> {
  return z.record(z.string(), z.string()).catch({}).parse(ctx.remembered(createdKey));
}

interface Creation {
  cloud: StemcellCloud;
  manifest: StemcellManifest;
  image: string;
  stemcell: NewStemcell;
  existing: StemcellRow | undefined;
}

/** The intent is recorded before the call and the cloud id right after it: a death in between is the one case in which an image can be left behind, and is reported. */
async function create(ctx: TaskContext, deps: StemcellDeps, { cloud, manifest, image, stemcell, existing }: Creation): Promise<string> {
  if (existing?.taskId != null) await ctx.stages.warning(leakWarning(`${manifest.name}/${manifest.version}`, suffix(cloud)));
  const tags = await deps.stemcellTags();
  await ctx.checkpoint();
  await ctx.write((tx) => beginStemcell(tx, stemcell, ctx.taskId));
  await ctx.fence();
  const cid = await cloud.createStemcell(image, manifest.cloudProperties ?? {}, tags);
  ctx.log.info(`Cloud created stemcell${suffix(cloud)}: ${cid}`);
  if (existing?.cid) ctx.log.info(`The former image ${existing.cid} stays in the cloud: VMs may have been made from it`);
  await ctx.uncancellable().remember(createdKey, { ...createdBefore(ctx), [stemcell.cpi]: cid });
  return cid;
}

function leakWarning(label: string, where: string): string {
  return `An earlier upload of stemcell ${label}${where} was interrupted while the cloud created its image: that image may still be there, unused and unknown to the director`;
}

/** After a failure: records the images that were created, forgets intents that came to nothing. */
async function takeBack(ctx: TaskContext, manifest: StemcellManifest): Promise<void> {
  try {
    await ctx.uncancellable().write(async (tx) => {
      for (const [cpi, cid] of Object.entries(createdBefore(ctx))) await completeStemcell(tx, newStemcell(manifest, cpi), cid);
      await abandonStemcells(tx, ctx.taskId);
    });
  } catch (error) {
    if (isTaskLost(error)) throw error;
    ctx.log.error(`Tidying the records of stemcell ${manifest.name}/${manifest.version} failed: ${String(error)}`);
  }
}

function newStemcell(manifest: StemcellManifest, cpi: string): NewStemcell {
  const { name, version, os, sha1, apiVersion } = manifest;
  return { name, version, os, sha1, apiVersion: apiVersion ?? null, cpi };
}
