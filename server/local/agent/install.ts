import { randomUUID } from 'node:crypto';
import { chmod, lstat, mkdir, readFile, readdir, rename, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { mapPool } from '../../core/concurrency';
import { sha1Hex } from '../../core/digest';
import { jobNames, type ApplySpec, type PackageSpec } from './apply-spec';
import { unpackArchive } from './archives';
import type { BlobSource } from './blobs/blobstore';
import { fetchSigned } from './blobs/signed-url';
import { isMissing } from './files';

/**
 * What is installed below the base directory: `data/{jobs,packages}/<name>/<key>`, where the key stands for version and digest, and
 * `{jobs,packages}/<name>`, a link to the one in use. What has its key already is not fetched again.
 */
export interface Installer {
  /** Fetches and unpacks what the spec needs, without putting it to use. */
  prepare(spec: ApplySpec): Promise<void>;
  /** Installs the spec's jobs and packages, puts them to use and removes all others. */
  apply(spec: ApplySpec): Promise<void>;
  /** Makes a package available below `packages/`. */
  enablePackage(spec: PackageSpec): Promise<void>;
  /** Where a package with this name, version and digest belongs. */
  packageDirectory(spec: Pick<PackageSpec, 'name' | 'version' | 'sha1'>): string;
  /** Makes `packages/<name>` a link to a directory. */
  link(kind: 'jobs' | 'packages', name: string, directory: string): Promise<void>;
  /** Takes every package that is not named out of use and removes it. */
  keepPackages(names: string[]): Promise<void>;
}

export interface InstallerDeps {
  base: string;
  blobs: BlobSource;
  /** PEM of the CA for signed URLs. */
  ca: () => string;
  /** Downloads at a time. */
  parallel: () => number;
}

export function createInstaller(deps: InstallerDeps): Installer {
  const directoryOf = (kind: 'jobs' | 'packages', name: string, key: string) => join(deps.base, 'data', kind, safeName(name), sha1Hex(key));
  const packageDirectory = (spec: Pick<PackageSpec, 'name' | 'version' | 'sha1'>) => directoryOf('packages', spec.name, `${spec.version} ${spec.sha1}`);
  const jobDirectory = (spec: ApplySpec, job: string) => {
    const template = spec.job.templates?.find((candidate) => candidate.name === job);
    return directoryOf('jobs', job, `${template?.version ?? ''} ${spec.rendered_templates_archive?.sha1 ?? ''}`);
  };
  const link = (kind: 'jobs' | 'packages', name: string, directory: string) => linkWithinBase(join(deps.base, kind, safeName(name)), directory);

  const installPackages = (spec: ApplySpec) => mapPool(Object.values(spec.packages), deps.parallel(), (each) => installPackage(deps, each, packageDirectory(each)));
  const installJobs = (spec: ApplySpec) => installRendered(deps, spec, (job) => jobDirectory(spec, job));

  return {
    packageDirectory,
    link,
    prepare: async (spec) => {
      await installJobs(spec);
      await installPackages(spec);
    },
    apply: async (spec) => {
      const jobs = spec.rendered_templates_archive === null ? [] : jobNames(spec);
      await installJobs(spec);
      await installPackages(spec);
      for (const each of Object.values(spec.packages)) await link('packages', each.name, packageDirectory(each));
      for (const job of jobs) {
        await makeJobDirectories(deps.base, job);
        await link('jobs', job, jobDirectory(spec, job));
        for (const each of Object.values(spec.packages)) await linkWithinBase(join(jobDirectory(spec, job), 'packages', safeName(each.name)), packageDirectory(each));
      }
      await keepOnly(deps.base, 'jobs', new Map(jobs.map((job) => [job, jobDirectory(spec, job)])));
      await keepOnly(deps.base, 'packages', new Map(Object.values(spec.packages).map((each) => [each.name, packageDirectory(each)])));
      if (spec.rendered_templates_archive !== null) await deps.blobs.forgetSent(spec.rendered_templates_archive.blobstore_id);
    },
    enablePackage: async (spec) => {
      await installPackage(deps, spec, packageDirectory(spec));
      await link('packages', spec.name, packageDirectory(spec));
    },
    keepPackages: async (names) => {
      const installed = await listNames(join(deps.base, 'packages'));
      await keepOnly(deps.base, 'packages', new Map(installed.filter((name) => names.includes(name)).map((name) => [name, undefined])));
    },
  };
}

async function installPackage(deps: InstallerDeps, spec: PackageSpec, directory: string): Promise<void> {
  if (await isThere(directory)) return;
  const tmp = join(deps.base, 'data', 'tmp');
  const archive =
    spec.signed_url === ''
      ? await deps.blobs.fetch({ id: spec.blobstore_id, digest: spec.sha1 }, tmp)
      : await fetchSigned({ url: spec.signed_url, headers: spec.blobstore_headers ?? undefined, ca: deps.ca() }, spec.sha1, tmp);
  try {
    await unpackInto(deps.base, archive, directory);
  } finally {
    await rm(archive, { force: true });
  }
}

async function unpackInto(base: string, archive: string, directory: string): Promise<void> {
  const draft = join(base, 'data', 'tmp', randomUUID());
  try {
    await unpackArchive(archive, draft);
    await moveIntoPlace(draft, directory);
  } finally {
    await rm(draft, { recursive: true, force: true });
  }
}

/** The archive of rendered templates has one directory per job. */
async function installRendered(deps: InstallerDeps, spec: ApplySpec, directoryOf: (job: string) => string): Promise<void> {
  const archive = spec.rendered_templates_archive;
  if (archive === null) return;
  const missing: string[] = [];
  for (const job of jobNames(spec)) if (!(await isThere(directoryOf(job)))) missing.push(job);
  if (missing.length === 0) return;
  if (archive.sha1 === '') throw new Error('The archive of rendered templates has no digest');
  const tmp = join(deps.base, 'data', 'tmp');
  const file = await deps.blobs.fetch({ id: archive.blobstore_id, digest: archive.sha1 }, tmp);
  const draft = join(tmp, randomUUID());
  try {
    await unpackArchive(file, draft);
    for (const job of missing) {
      const source = join(draft, safeName(job));
      if (!(await isThere(source))) throw new Error(`The archive of rendered templates has no job '${job}'`);
      await finishJob(source, deps.base);
      await moveIntoPlace(source, directoryOf(job));
    }
  } finally {
    await rm(file, { force: true });
    await rm(draft, { recursive: true, force: true });
  }
}

/** Scripts become executable; with another base directory than /var/vcap the paths in all files follow it. */
async function finishJob(directory: string, base: string): Promise<void> {
  for (const entry of await readdir(directory, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    if (!entry.isFile()) continue;
    if (relative(directory, path).startsWith('bin/')) await chmod(path, 0o755);
    if (base !== '/var/vcap') await relocateFile(path, base);
  }
}

async function relocateFile(path: string, base: string): Promise<void> {
  const content = await readFile(path);
  if (!content.includes('/var/vcap') || content.includes(0)) return;
  await writeFile(path, content.toString('utf8').replaceAll('/var/vcap', base));
}

async function makeJobDirectories(base: string, job: string): Promise<void> {
  for (const directory of [join('data', 'sys', 'log', job), join('data', 'sys', 'run', job), join('data', job)]) await mkdir(join(base, directory), { recursive: true });
}

/** Removes installed things that are not to be kept; a kept name with a directory keeps only that version. */
async function keepOnly(base: string, kind: 'jobs' | 'packages', keep: Map<string, string | undefined>): Promise<void> {
  for (const name of await listNames(join(base, kind))) if (!keep.has(name)) await rm(join(base, kind, name), { force: true });
  for (const name of await listNames(join(base, 'data', kind))) {
    const parent = join(base, 'data', kind, name);
    if (!keep.has(name)) {
      await rm(parent, { recursive: true, force: true });
      continue;
    }
    const wanted = keep.get(name);
    if (wanted === undefined) continue;
    for (const key of await listNames(parent)) if (join(parent, key) !== wanted) await rm(join(parent, key), { recursive: true, force: true });
  }
}

async function moveIntoPlace(source: string, target: string): Promise<void> {
  await mkdir(dirname(target), { recursive: true });
  await rename(source, target);
}

/** Points a link to another place below the base directory; it is relative, so that it also holds outside the VM's namespace. */
function linkWithinBase(path: string, target: string): Promise<void> {
  return replaceLink(path, relative(dirname(path), target));
}

/** Makes or changes a symbolic link in one step. */
export async function replaceLink(path: string, target: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  const draft = `${path}.${randomUUID().slice(0, 8)}.tmp`;
  await symlink(target, draft);
  const present = await lstat(path).catch(() => undefined);
  if (present?.isDirectory() === true) await rm(path, { recursive: true });
  await rename(draft, path);
}

/** Names of jobs and packages come over the bus and become file names. */
export function safeName(name: string): string {
  if (!/^[A-Za-z0-9_.-]+$/.test(name) || name.startsWith('.')) throw new Error(`'${name}' is not a name of a job or package`);
  return name;
}

async function listNames(directory: string): Promise<string[]> {
  try {
    return await readdir(directory);
  } catch (error) {
    if (isMissing(error)) return [];
    throw error;
  }
}

async function isThere(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined)) !== undefined;
}
