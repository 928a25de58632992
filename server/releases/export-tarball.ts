import { pipeline, type Readable } from 'node:stream';
import { pipeline as run } from 'node:stream/promises';
import { createGzip } from 'node:zlib';
import { pack, type Pack } from 'tar-stream';

/** A file of the tarball whose content is read when its turn comes. */
export interface TarballPart {
  name: string;
  /** Bytes. */
  size: number;
  open(): Promise<Readable>;
}

export interface TarballContents {
  /** Text of release.MF. */
  manifest: string;
  jobs: readonly TarballPart[];
  compiledPackages: readonly TarballPart[];
}

/** The parts are compressed already; a fixed time makes equal contents equal bytes. */
const compressionLevel = 1;
const modified = new Date('2000-01-01T00:00:00Z');

/**
 * A compiled release as a gzipped tar: release.MF, the folder of jobs, the folder of compiled packages. It is made while it is read;
 * memory does not depend on its size. The stream fails with whatever a part fails with, and with the signal's reason.
 * Order: cloudfoundry/bosh src/bosh-director/lib/bosh/director/release_directory.rb.
 */
export function releaseTarball(contents: TarballContents, signal: AbortSignal): Readable {
  const tar = pack();
  const zipped = pipeline(tar, createGzip({ level: compressionLevel }), () => undefined);
  const abort = () => tar.destroy(signal.reason instanceof Error ? signal.reason : new Error('aborted'));
  signal.addEventListener('abort', abort, { once: true });
  zipped.once('close', () => signal.removeEventListener('abort', abort));
  if (signal.aborted) abort();
  fill(tar, contents).catch((error: unknown) => tar.destroy(error instanceof Error ? error : new Error(String(error))));
  return zipped;
}

async function fill(tar: Pack, { manifest, jobs, compiledPackages }: TarballContents): Promise<void> {
  tar.entry({ name: './release.MF', mode: 0o644, mtime: modified }, manifest);
  for (const [folder, parts] of [['jobs', jobs], ['compiled_packages', compiledPackages]] as const) {
    tar.entry({ name: `./${folder}/`, type: 'directory', mode: 0o755, mtime: modified });
    for (const part of parts) await run(await part.open(), tar.entry({ name: `./${folder}/${part.name}.tgz`, size: part.size, mode: 0o644, mtime: modified }));
  }
  tar.finalize();
}
