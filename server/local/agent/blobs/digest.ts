import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import { parseDigest } from '../../../core/digest';

/** Checks a file against a BOSH digest (the strongest of a multi-digest counts); `what` names it in the error. */
export async function verifyFile(path: string, digest: string, what: string): Promise<void> {
  const expected = parseDigest(digest);
  const actual = await hashFile(path, expected.algorithm);
  if (actual !== expected.hex) throw new Error(`Checking ${what}: expected ${expected.algorithm} digest ${expected.hex}, got ${actual}`);
}

export function sha1OfFile(path: string): Promise<string> {
  return hashFile(path, 'sha1');
}

/** The digest that the stock agent returns after an upload to a signed URL. */
export async function multiDigestOfFile(path: string): Promise<string> {
  return `${await hashFile(path, 'sha1')};sha512:${await hashFile(path, 'sha512')}`;
}

export async function hashFile(path: string, algorithm: 'sha1' | 'sha256' | 'sha512'): Promise<string> {
  const hash = createHash(algorithm);
  await pipeline(createReadStream(path, { highWaterMark: 1 << 20 }), hash);
  return hash.digest('hex');
}
