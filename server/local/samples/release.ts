import { createHash } from 'node:crypto';
import { stringify } from 'yaml';
import { commonSources, jobSources, serverSources } from './hello-files';
import { packTgz, type TarEntry } from './tarball';

/** A release tarball and what its manifest says. */
export interface SampleRelease {
  name: string;
  version: string;
  tarball: Buffer;
}

export interface SampleReleaseOptions {
  version?: string;
  /** Added to every job's and package's content, so that a second version really differs. */
  variant?: string;
}

/** Builds the sample release `hello`: the same bytes every time for the same options (https://bosh.io/docs/create-release/). */
export async function buildHelloRelease(options: SampleReleaseOptions = {}): Promise<SampleRelease> {
  const version = options.version ?? '1.0.0';
  const extra: TarEntry[] = options.variant === undefined ? [] : [{ name: 'VARIANT', content: `${options.variant}\n` }];
  const packages = [
    await part('packages', 'hello-common', [...commonSources, ...extra]),
    await part('packages', 'hello-server', [...serverSources, ...extra]),
  ];
  const job = await part('jobs', 'hello', [...jobSources, ...extra]);
  const [common, server] = packages.map((each) => each.entry);
  const manifest = {
    name: 'hello',
    version,
    commit_hash: '0000000',
    uncommitted_changes: false,
    jobs: [{ ...job.entry, packages: ['hello-common', 'hello-server'] }],
    packages: [
      { ...common, dependencies: [] },
      { ...server, dependencies: ['hello-common'] },
    ],
  };
  const files = [{ name: 'release.MF', content: stringify(manifest) }, ...[...packages, job].map((each) => each.file)];
  return { name: 'hello', version, tarball: await packTgz(files) };
}

async function part(kind: 'packages' | 'jobs', name: string, sources: TarEntry[]): Promise<{ file: TarEntry; entry: Record<string, string> }> {
  const content = await packTgz(sources);
  const fingerprint = createHash('sha256');
  for (const source of sources) fingerprint.update(`${source.name}\0${source.mode ?? 0o644}\0`).update(source.content).update('\0');
  const version = fingerprint.digest('hex');
  return {
    file: { name: `${kind}/${name}.tgz`, content },
    entry: { name, version, fingerprint: version, sha1: `sha256:${createHash('sha256').update(content).digest('hex')}` },
  };
}
