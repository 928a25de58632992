import { createHash } from 'node:crypto';
import { buffer } from 'node:stream/consumers';
import { gzipSync } from 'node:zlib';
import { Readable } from 'node:stream';
import { pack, type Header } from 'tar-stream';
import { stringify } from 'yaml';

/** Archives of releases and stemcells, made in code. */

export type TarItem = Partial<Header> & { name: string; content?: string | Buffer };

/** A gzipped tar. */
export async function tgz(items: readonly TarItem[]): Promise<Buffer> {
  const archive = pack();
  for (const { content, ...header } of items) archive.entry(header, content ?? '');
  archive.finalize();
  return gzipSync(await buffer(Readable.from(archive)), { level: 1 });
}

export const sha256Of = (content: Buffer) => `sha256:${createHash('sha256').update(content).digest('hex')}`;

export interface PackageFixture {
  name: string;
  fingerprint?: string;
  dependencies?: string[];
  /** Files of the archive instead of the usual ones. */
  files?: TarItem[];
  /** Bytes instead of an archive. */
  archive?: Buffer;
  /** Digest that the manifest claims instead of the right one. */
  sha1?: string;
  /** Leave the archive out of the tarball, as the CLI does with what the director has. */
  omit?: boolean;
  /** `os/version` that it is compiled for. */
  stemcell?: string;
}

export interface JobFixture {
  name: string;
  fingerprint?: string;
  /** More of job.MF. */
  spec?: Record<string, unknown>;
  templates?: Record<string, string>;
  files?: TarItem[];
  sha1?: string;
  omit?: boolean;
}

export interface ReleaseFixture {
  name?: string;
  version?: string;
  commitHash?: string;
  packages?: PackageFixture[];
  compiledPackages?: PackageFixture[];
  jobs?: JobFixture[];
  /** Entries after those of the release. */
  extra?: TarItem[];
  /** Keys of release.MF instead of the usual ones. */
  manifest?: Record<string, unknown>;
}

export async function buildRelease(release: ReleaseFixture): Promise<Buffer> {
  const items: TarItem[] = [];
  const packages: unknown[] = [];
  for (const pkg of release.compiledPackages ?? release.packages ?? []) {
    const archive = pkg.archive ?? (await tgz(pkg.files ?? [{ name: './packaging', content: `make ${pkg.name}` }, { name: './link', type: 'symlink', linkname: '/etc/x' }]));
    const fingerprint = pkg.fingerprint ?? `${pkg.name}-fp`;
    packages.push({ name: pkg.name, version: fingerprint, fingerprint, sha1: pkg.sha1 ?? sha256Of(archive), dependencies: pkg.dependencies ?? [], ...(pkg.stemcell ? { stemcell: pkg.stemcell } : {}) });
    if (!pkg.omit) items.push({ name: `./${release.compiledPackages ? 'compiled_packages' : 'packages'}/${pkg.name}.tgz`, content: archive });
  }
  const jobs: unknown[] = [];
  for (const job of release.jobs ?? []) {
    const archive = await tgz(job.files ?? jobFiles(job));
    const fingerprint = job.fingerprint ?? `${job.name}-fp`;
    jobs.push({ name: job.name, version: fingerprint, fingerprint, sha1: job.sha1 ?? sha256Of(archive) });
    if (!job.omit) items.push({ name: `./jobs/${job.name}.tgz`, content: archive });
  }
  const manifest = {
    name: release.name ?? 'web', version: release.version ?? '1.0.0', commit_hash: release.commitHash ?? 'abc1234', uncommitted_changes: false, jobs,
    [release.compiledPackages ? 'compiled_packages' : 'packages']: packages, ...release.manifest,
  };
  // The manifest comes last: nothing may depend on the order of the entries.
  return tgz([{ name: './', type: 'directory' }, ...items, { name: './release.MF', content: stringify(manifest) }, ...(release.extra ?? [])]);
}

function jobFiles(job: JobFixture): TarItem[] {
  const templates = job.templates ?? { 'run.erb': 'bin/run' };
  return [
    { name: './job.MF', content: stringify({ name: job.name, templates, packages: [], properties: {}, ...job.spec }) },
    { name: './monit', content: '' },
    ...Object.keys(templates).map((source) => ({ name: `./templates/${source}`, content: `# ${source}` })),
  ];
}

export interface StemcellFixture {
  manifest?: Record<string, unknown>;
  /** Undefined: the usual one; null: none. */
  image?: string | Buffer | null;
}

export async function buildStemcell({ manifest, image = 'an image' }: StemcellFixture = {}): Promise<Buffer> {
  const text = stringify({
    name: 'lab-stemcell', operating_system: 'lab-os', version: '1.1', api_version: 3, sha1: 'da39a3ee5e6b4b0d3255bfef95601890afd80709', bosh_protocol: 1, stemcell_formats: ['dummy'],
    cloud_properties: { root_device: '/dev/lab' }, ...manifest,
  });
  return tgz([{ name: 'stemcell.MF', content: text }, ...(image === null ? [] : [{ name: 'image', content: image }])]);
}
