import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import { buffer } from 'node:stream/consumers';
import { pack } from 'tar-stream';

export interface TarEntry {
  name: string;
  content: string | Buffer;
  /** File mode; 0644 unless given. */
  mode?: number;
}

const deflate = promisify(gzip);

/** A gzipped tar of the entries, the same bytes for the same entries. */
export async function packTgz(entries: TarEntry[]): Promise<Buffer> {
  const tar = pack();
  const whole = buffer(tar);
  for (const entry of entries) tar.entry({ name: `./${entry.name}`, mode: entry.mode ?? 0o644, mtime: new Date(0), uid: 0, gid: 0 }, entry.content);
  tar.finalize();
  return deflate(await whole, { level: 6 });
}
