import { randomUUID } from 'node:crypto';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { sleep } from '../../../core/clock';
import { multiDigestOfFile, verifyFile } from './digest';
import { getFile, putFile } from './http';

export interface SignedUrl {
  url: string;
  headers?: Record<string, string> | undefined;
  /** PEM of the CA of an HTTPS blobstore; the system's when empty. */
  ca: string;
}

const attempts = 3;
const pauseMs = 5_000;

/** Downloads by signed URL, three times at most, into a new file below `directory`; the digest is checked. */
export async function fetchSigned(source: SignedUrl, digest: string, directory: string): Promise<string> {
  await mkdir(directory, { recursive: true });
  const path = join(directory, randomUUID());
  for (let attempt = 1; ; attempt++) {
    try {
      await getFile(source.url, path, { headers: source.headers ?? {}, ca: source.ca });
      await verifyFile(path, digest, 'the download');
      return path;
    } catch (error) {
      await rm(path, { force: true });
      if (attempt === attempts) throw error;
      await sleep(pauseMs);
    }
  }
}

/** Uploads to a signed URL; returns the digest of the file in the form of the stock agent. */
export async function storeSigned(target: SignedUrl, path: string): Promise<string> {
  await putFile(target.url, path, { headers: target.headers ?? {}, ca: target.ca });
  return multiDigestOfFile(path);
}
