import { createReadStream, createWriteStream } from 'node:fs';
import { copyFile, mkdir, rename, rm, stat } from 'node:fs/promises';
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { z } from 'zod';
import { sha1OfFile, verifyFile } from './digest';
import type { BlobstoreSettings } from '../settings';
import { davBlobstore } from './dav';

/** A blobstore as an agent uses it: whole files, ids made by the agent. */
export interface AgentBlobstore {
  /** Writes the blob to `path`; rejects when there is none. */
  download(id: string, path: string): Promise<void>;
  upload(id: string, path: string): Promise<void>;
}

const localOptions = z.object({ blobstore_path: z.string() });
const davOptions = z.object({
  endpoint: z.url(),
  user: z.string().default(''),
  password: z.string().default(''),
  tls: z.object({ cert: z.object({ ca: z.string().default('') }).prefault({}) }).prefault({}),
});

/** Opens the blobstore of the settings; throws for a provider that this agent does not have. */
export function openBlobstore(settings: BlobstoreSettings): AgentBlobstore {
  switch (settings.provider) {
    case 'local':
      return localBlobstore(localOptions.parse(settings.options).blobstore_path.replace(/^file:\/\//, ''));
    case 'dav':
    case 'davcli':
      return davBlobstore(davOptions.parse(settings.options));
    case 'dummy':
      return refusingBlobstore();
    default:
      throw new Error(`This agent has no blobstore provider '${settings.provider}' (it has local and dav); use signed URLs`);
  }
}

/** A directory that director and agents share; a blob is the file of its name. */
function localBlobstore(directory: string): AgentBlobstore {
  return {
    download: (id, path) => copyFile(join(directory, safeId(id)), path),
    upload: async (id, path) => {
      await mkdir(directory, { recursive: true });
      const draft = join(directory, `.${safeId(id)}.${randomUUID().slice(0, 8)}.tmp`);
      await copyFile(path, draft);
      await rename(draft, join(directory, safeId(id)));
    },
  };
}

/** For agents that get everything by signed URL and over NATS. */
function refusingBlobstore(): AgentBlobstore {
  const refuse = async () => {
    throw new Error('The settings give this agent no blobstore (provider dummy)');
  };
  return { download: refuse, upload: refuse };
}

/** Ids come over the bus and become file names. */
export function safeId(id: string): string {
  if (!/^[A-Za-z0-9][A-Za-z0-9_.-]*$/.test(id)) throw new Error(`'${id}' is not a blob id`);
  return id;
}

/** Where an agent looks for blobs: what the director sent it first, then the blobstore. */
export class BlobSource {
  readonly #base: string;
  readonly #settings: () => BlobstoreSettings;

  constructor(base: string, settings: () => BlobstoreSettings) {
    this.#base = base;
    this.#settings = settings;
  }

  /** Path of the blob as a file of its own below `directory`, its digest checked. */
  async fetch(blob: { id: string; digest: string }, directory: string): Promise<string> {
    await mkdir(directory, { recursive: true });
    const path = join(directory, randomUUID());
    try {
      const sent = await this.#findSent(blob.id);
      if (sent === undefined) await openBlobstore(this.#settings()).download(blob.id, path);
      else await pipeline(createReadStream(sent), createWriteStream(path));
      await verifyFile(path, blob.digest, `blob '${blob.id}'`);
    } catch (error) {
      await rm(path, { force: true });
      throw new Error(`Getting blob '${blob.id}': ${error instanceof Error ? error.message : String(error)}`, { cause: error });
    }
    return path;
  }

  /** Stores a file under a new id. */
  async store(path: string): Promise<{ blobstore_id: string; sha1: string }> {
    const id = randomUUID();
    await openBlobstore(this.#settings()).upload(id, path);
    return { blobstore_id: id, sha1: await sha1OfFile(path) };
  }

  /** File that an `upload_blob` wrote. */
  sentPath(id: string): string {
    return join(this.#base, 'data', 'sensitive_blobs', safeId(id));
  }

  /** Removes what an `upload_blob` wrote; fine when there is nothing. */
  async forgetSent(id: string): Promise<void> {
    await rm(this.sentPath(id), { force: true });
  }

  async #findSent(id: string): Promise<string | undefined> {
    for (const path of [this.sentPath(id), join(this.#base, 'data', 'blobs', safeId(id))]) {
      const found = await stat(path).catch(() => undefined);
      if (found?.isFile() === true) return path;
    }
    return undefined;
  }
}
