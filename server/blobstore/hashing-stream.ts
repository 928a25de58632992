import { createHash } from 'node:crypto';
import { Transform } from 'node:stream';
import type { StoredBlob } from './blobstore';

/** A pass-through stream that counts and hashes; `result` is complete once the stream has ended. */
export function hashingStream(): { stream: Transform; result: () => Omit<StoredBlob, 'id'> } {
  const sha1 = createHash('sha1');
  const sha256 = createHash('sha256');
  let size = 0;
  const stream = new Transform({
    highWaterMark: 1 << 20,
    transform(chunk: Buffer, _encoding, done) {
      size += chunk.length;
      sha1.update(chunk);
      sha256.update(chunk);
      done(null, chunk);
    },
  });
  return { stream, result: () => ({ size, sha1: sha1.digest('hex'), sha256: sha256.digest('hex') }) };
}
