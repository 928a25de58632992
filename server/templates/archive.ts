import { createHash } from 'node:crypto';
import { dirname } from 'node:path/posix';
import { buffer } from 'node:stream/consumers';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import { pack } from 'tar-stream';
import type { ArchiveEntry } from './instance';

/** A rendered templates archive: the bytes and their digests (hex). */
export interface Archive {
  bytes: Buffer;
  sha1: string;
  sha256: string;
}

/** Modes and times in the archive do not matter: the agent sets owners and modes. A fixed time makes equal files equal bytes. */
const modified = new Date('2000-01-01T00:00:00Z');

/**
 * A gzip tar with `./<path>` entries and their directories, which is what agents unpack
 * (bosh-agent agent/applier/jobs/rendered_job_applier.go). Equal entries give equal bytes.
 */
export async function createArchive(entries: readonly ArchiveEntry[]): Promise<Archive> {
  const tar = pack();
  const folders = new Set<string>();
  for (const { path, content } of entries) {
    for (const folder of missingFolders(path, folders)) tar.entry({ name: `./${folder}/`, type: 'directory', mode: 0o755, mtime: modified });
    tar.entry({ name: `./${path}`, mode: 0o644, mtime: modified }, content);
  }
  tar.finalize();
  const bytes = await promisify(gzip)(await buffer(tar));
  return { bytes, sha1: createHash('sha1').update(bytes).digest('hex'), sha256: createHash('sha256').update(bytes).digest('hex') };
}

/** Folders above `path` that are not in `known` yet, outermost first; adds them to it. */
function missingFolders(path: string, known: Set<string>): string[] {
  const folder = dirname(path);
  if (folder === '.' || known.has(folder)) return [];
  const missing = [...missingFolders(folder, known), folder];
  known.add(folder);
  return missing;
}
