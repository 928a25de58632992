import { Readable, Transform, pipeline } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { createGunzip } from 'node:zlib';
import { extract, type Header } from 'tar-stream';

/** Reading of tar archives, plain or gzipped, as streams: nothing is unpacked to disk and nothing large is held in memory. */

/** An archive that cannot be read or breaks a rule; the message says what is wrong, not with which archive. */
export class ArchiveError extends Error {
  constructor(message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = 'ArchiveError';
  }
}

export interface ArchiveRules {
  /** Most entries. */
  entries: number;
  /** Largest file, bytes. */
  fileBytes: number;
  /** Largest unpacked size of the whole archive, bytes: a small file can unpack to a huge one. */
  totalBytes: number;
  /**
   * `plain`: relative names inside the archive, each once; only files and directories. For what the director itself reads.
   * `any`: whatever tar can hold. For what is only passed on to be unpacked on a VM.
   */
  content: 'plain' | 'any';
}

const giB = 2 ** 30;

/** Uploads of releases and stemcells. */
export const uploadRules: ArchiveRules = { entries: 20_000, fileBytes: 32 * giB, totalBytes: 64 * giB, content: 'plain' };

/** A file of an archive; `content` that is not asked for is skipped, what is asked for must be read to its end. */
export interface ArchiveFile {
  /** Without leading `./`. */
  path: string;
  /** Bytes. */
  size: number;
  content: Readable;
}

/**
 * Reads an archive to its end, calling `onFile` for each file in the order of the archive. Throws ArchiveError for an archive that
 * is damaged, cut off or against the rules; whatever else `source` or `onFile` throw comes through as it is.
 */
export async function readArchive(source: Readable, rules: ArchiveRules, onFile: (file: ArchiveFile) => Promise<void>): Promise<void> {
  const tar = extract();
  let failure: { error: unknown } | undefined;
  const content = await gunzipped(source);
  pipeline(content, limited(rules.totalBytes), tar, (error) => {
    if (error) failure ??= { error };
  });
  const seen = new Set<string>();
  let entries = 0;
  try {
    for await (const entry of tar) {
      if (++entries > rules.entries) throw new ArchiveError(`it has more than ${rules.entries} entries`);
      const path = acceptedPath(entry.header, rules, seen);
      if (isFile(entry.header)) await onFile({ path, size: entry.header.size, get content() { return Readable.from(entry, { objectMode: false, highWaterMark: 1 << 18 }); } });
      entry.resume();
    }
    if (failure) throw failure.error;
  } catch (error) {
    throw asArchiveError(error, source);
  } finally {
    tar.destroy();
    source.destroy();
  }
  if (entries === 0) throw new ArchiveError('it is empty');
}

/** The entry's path, when the rules accept it. */
function acceptedPath(header: Header, rules: ArchiveRules, seen: Set<string>): string {
  const { name, type, size } = header;
  if (size > rules.fileBytes) throw new ArchiveError(`'${name}' has ${size} bytes, more than the ${rules.fileBytes} that are accepted`);
  if (rules.content === 'any') return name.replace(/^(?:\.\/)+/, '');
  if (!isFile(header) && type !== 'directory') throw new ArchiveError(`'${name}' is a ${type}; only files and directories are accepted`);
  return plainPath(name, seen);
}

function isFile({ type }: Header): boolean {
  return type === 'file' || type === 'contiguous-file';
}

function plainPath(name: string, seen: Set<string>): string {
  const path = name.replace(/^(?:\.\/)+/, '').replace(/\/+$/, '');
  if (name.startsWith('/')) throw new ArchiveError(`'${name}' is an absolute name`);
  if (path.includes('\0') || path.split('/').includes('..')) throw new ArchiveError(`'${name}' leads out of the archive`);
  if (seen.has(path)) throw new ArchiveError(`'${name}' is in it twice`);
  seen.add(path);
  return path;
}

/** Damage shows as errors of zlib and of the tar reader; anything else is not the archive's fault. */
function asArchiveError(error: unknown, source: Readable): unknown {
  if (error instanceof ArchiveError || !(error instanceof Error) || error === source.errored) return error;
  const isZlib = 'code' in error && typeof error.code === 'string' && error.code.startsWith('Z_');
  const isTar = /^(Invalid tar header|Invalid header|Unexpected end of data|Header exceeds max size|Invalid |Writable stream closed prematurely)/.test(error.message);
  return isZlib || isTar ? new ArchiveError(`it is damaged or cut off (${error.message})`, { cause: error }) : error;
}

/** Unpacks gzip when the content is gzip; other compressions are refused by name. */
async function gunzipped(source: Readable): Promise<Readable> {
  const chunks = source.iterator({ destroyOnReturn: true });
  const head: Buffer[] = [];
  let start = Buffer.alloc(0);
  while (start.length < 6) {
    const next = await chunks.next();
    if (next.done) break;
    head.push(next.value as Buffer);
    start = Buffer.concat(head);
  }
  for (const { magic, name } of refusedCompressions) {
    if (start.subarray(0, magic.length).equals(magic)) throw new ArchiveError(`it is compressed with ${name}; only gzip and no compression are accepted`);
  }
  const whole = Readable.from(rejoin(head, chunks), { objectMode: false, highWaterMark: 1 << 20 });
  if (start[0] !== 0x1f || start[1] !== 0x8b) return whole;
  return pipeline(whole, createGunzip({ chunkSize: 1 << 18 }), () => undefined);
}

async function* rejoin(head: readonly Buffer[], rest: AsyncIterator<unknown>): AsyncGenerator {
  yield* head;
  yield* { [Symbol.asyncIterator]: () => rest };
}

const refusedCompressions = [
  { magic: Buffer.from('BZh'), name: 'bzip2' },
  { magic: Buffer.from([0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00]), name: 'xz' },
  { magic: Buffer.from([0x28, 0xb5, 0x2f, 0xfd]), name: 'zstd' },
];

function limited(maxBytes: number): Transform {
  let bytes = 0;
  return new Transform({
    highWaterMark: 1 << 20,
    transform(chunk: Buffer, _encoding, done) {
      bytes += chunk.length;
      if (bytes > maxBytes) done(new ArchiveError(`it unpacks to more than ${maxBytes} bytes`));
      else done(null, chunk);
    },
  });
}

/** The text of a small file, e.g. a manifest. Throws ArchiveError above `maxBytes`. */
export async function readText(file: ArchiveFile, maxBytes: number): Promise<string> {
  if (file.size > maxBytes) throw new ArchiveError(`'${file.path}' has ${file.size} bytes, more than the ${maxBytes} that are accepted`);
  return (await buffer(file.content)).toString('utf8');
}
