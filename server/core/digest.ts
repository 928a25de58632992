import { createHash } from 'node:crypto';
import { Transform } from 'node:stream';

/**
 * BOSH digests: bare hex is SHA-1; `sha256:<hex>`, `sha512:<hex>`; several joined by `;`. The strongest one counts.
 * Rule: docs of bosh-utils multi-digest (cloudfoundry/bosh-utils crypto/multiple_digest.go).
 */
export interface Digest {
  algorithm: 'sha1' | 'sha256' | 'sha512';
  hex: string;
}

const order = ['sha1', 'sha256', 'sha512'] as const;

/** The strongest known digest of a multi-digest text. Throws on unknown-only, malformed or repeated algorithms. */
export function parseDigest(text: string): Digest {
  const found = new Map<string, string>();
  for (const part of text.split(';')) {
    const [first, second] = part.split(':');
    const [algorithm, hex] = second === undefined ? ['sha1', first ?? ''] : [first ?? '', second];
    if (!/^[0-9a-fA-F]+$/.test(hex)) throw new Error(`'${text}' is not a digest: expected hex, sha256:<hex> or sha512:<hex>, joined by ';'`);
    if (found.has(algorithm)) throw new Error(`'${text}' names ${algorithm} twice`);
    found.set(algorithm, hex.toLowerCase());
  }
  const strongest = order.toReversed().find((algorithm) => found.has(algorithm));
  if (!strongest) throw new Error(`'${text}' has no known digest algorithm`);
  return { algorithm: strongest, hex: found.get(strongest) ?? '' };
}

/** True when the bytes have the digest. */
export function matchesDigest(content: Buffer, text: string): boolean {
  const digest = parseDigest(text);
  return createHash(digest.algorithm).update(content).digest('hex') === digest.hex;
}

/** A pass-through stream that fails at its end when the bytes do not have the digest. `describe` names the thing in the error. */
export function verifyingStream(text: string, mismatch: (expected: string, actual: string) => Error): Transform {
  const digest = parseDigest(text);
  const hash = createHash(digest.algorithm);
  return new Transform({
    highWaterMark: 1 << 20,
    transform(chunk: Buffer, _encoding, done) {
      hash.update(chunk);
      done(null, chunk);
    },
    flush(done) {
      const actual = hash.digest('hex');
      done(actual === digest.hex ? null : mismatch(`${digest.algorithm}:${digest.hex}`, `${digest.algorithm}:${actual}`));
    },
  });
}

export function sha1Hex(content: string | Buffer): string {
  return createHash('sha1').update(content).digest('hex');
}

export function sha256Hex(content: string | Buffer): string {
  return createHash('sha256').update(content).digest('hex');
}

/** A UUID (version 8, RFC 9562) that follows from the text: the same on every node. */
export function uuidFrom(text: string): string {
  const bytes = createHash('sha256').update(text).digest().subarray(0, 16);
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x80;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  const hex = bytes.toString('hex');
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
}
