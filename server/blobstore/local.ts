import { randomUUID } from 'node:crypto';
import { constants } from 'node:fs';
import { access, mkdir, open, readdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable, pipeline as link } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { DirectorError, code } from '../core/errors';
import { verifyingStream } from '../core/digest';
import { assertBlobId, blobMismatch, blobNotFound, isBlobId } from './blob-id';
import type { Blobstore, StoredBlob } from './blobstore';
import { hashingStream } from './hashing-stream';

/** Files in the making; the names of blobs never clash with it. */
const incoming = '.incoming';
/** Age after which a file in the making belongs to a dead process, ms. */
const abandonedAfterMs = 24 * 3_600_000;
const checkTimeoutMs = 2_000;

/**
 * Blobs as files `<path>/<id>` in a directory that all nodes and agents share.
 * A put writes beside, syncs and renames: a process that dies leaves at most a file in `.incoming`, removed by a later opening.
 */
export async function openLocalBlobstore(path: string): Promise<Blobstore> {
  await mkdir(join(path, incoming), { recursive: true, mode: 0o755 });
  await removeAbandoned(join(path, incoming));
  const fileOf = (id: string) => join(path, id);

  async function get(id: string, options: { range?: { start: number; end: number }; digest?: string } = {}): Promise<Readable> {
    if (!isBlobId(id)) throw blobNotFound(id);
    const file = await open(fileOf(id), 'r').catch((error: unknown) => {
      throw isAbsent(error) ? blobNotFound(id, error) : error;
    });
    const content = file.createReadStream({ highWaterMark: 1 << 18, ...options.range });
    if (options.digest === undefined || options.range) return content;
    return link(content, verifyingStream(options.digest, blobMismatch(id)), () => undefined);
  }

  return {
    signsUrls: false,
    put: async (content, id = randomUUID()) => {
      assertBlobId(id);
      return store(path, id, content);
    },
    get,
    read: async (id, digest) => buffer(await get(id, digest === undefined ? {} : { digest })),
    exists: async (id) => isBlobId(id) && (await sizeOf(fileOf(id))) !== undefined,
    size: async (id) => (isBlobId(id) ? sizeOf(fileOf(id)) : undefined),
    delete: async (id) => {
      if (isBlobId(id)) await rm(fileOf(id), { force: true });
    },
    sign: async () => {
      throw new DirectorError(code.generic, 'The local blobstore has no signed URLs: agents read its directory; use an s3 blobstore for signed URLs');
    },
    check: () => Promise.race([access(path, constants.R_OK | constants.W_OK | constants.X_OK), lateAnswer(path)]),
  };
}

async function store(folder: string, id: string, content: Readable | Buffer): Promise<StoredBlob> {
  const draft = join(folder, incoming, `${id}.${randomUUID()}`);
  const hashing = hashingStream();
  try {
    const file = await open(draft, 'wx', 0o644);
    try {
      await writeFile(file, link(Buffer.isBuffer(content) ? Readable.from([content]) : content, hashing.stream, () => undefined));
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(draft, join(folder, id));
    await syncFolder(folder);
  } catch (error) {
    await rm(draft, { force: true });
    throw error;
  }
  return { id, ...hashing.result() };
}

/** A file server that is gone leaves calls hanging rather than failing. */
async function lateAnswer(path: string): Promise<never> {
  await new Promise((resolve) => setTimeout(resolve, checkTimeoutMs).unref());
  throw new DirectorError(code.resourceError, `The blobstore directory ${path} did not answer within ${checkTimeoutMs} ms`);
}

/** Makes a rename durable. */
async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function removeAbandoned(folder: string): Promise<void> {
  for (const name of await readdir(folder)) {
    const found = await stat(join(folder, name)).catch(() => undefined);
    if (found && Date.now() - found.mtimeMs > abandonedAfterMs) await rm(join(folder, name), { force: true });
  }
}

async function sizeOf(file: string): Promise<number | undefined> {
  try {
    return (await stat(file)).size;
  } catch (error) {
    if (isAbsent(error)) return undefined;
    throw error;
  }
}

function isAbsent(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT';
}
