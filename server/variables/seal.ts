import { createCipheriv, createDecipheriv, createHash, randomBytes } from 'node:crypto';

/**
 * Envelope encryption of values: each has a data key of its own (AES-256-GCM), which is encrypted with the installation's key. Changing
 * that key means encrypting data keys anew, not values. Layout of the bytes:
 * version (1) · id of the key (8) · iv, tag and data key encrypted (12 + 16 + 32) · iv, tag and value encrypted (12 + 16 + n).
 */

/** An installation's key. */
export interface SealingKey {
  /** First bytes of its SHA-256: tells which key sealed a value. */
  id: Buffer;
  bytes: Buffer;
}

const version = 1;
const keyBytes = 32;
const box = { iv: 12, tag: 16 };

/** Reads a key: 64 hex digits or 32 bytes in base64. Throws when it is neither. */
export function readSealingKey(text: string): SealingKey {
  const trimmed = text.trim();
  const bytes = /^[0-9a-fA-F]{64}$/.test(trimmed) ? Buffer.from(trimmed, 'hex') : Buffer.from(trimmed, 'base64');
  if (bytes.length !== keyBytes) throw new Error('an encryption key has 32 bytes: give 64 hex digits (`openssl rand -hex 32`) or the same bytes in base64');
  return { id: createHash('sha256').update(bytes).digest().subarray(0, 8), bytes };
}

/** Encrypts a JSON value; `context` (the variable's id) must be the same when it is opened. */
export function seal(value: unknown, context: string, key: SealingKey): Buffer {
  const dataKey = randomBytes(keyBytes);
  return Buffer.concat([Buffer.from([version]), key.id, encrypt(dataKey, key.bytes, context), encrypt(Buffer.from(JSON.stringify(value)), dataKey, context)]);
}

/** Decrypts what `seal` made with one of the keys. Throws when none fits, or the bytes or the context are not the ones that were sealed. */
export function open(sealed: Buffer, context: string, keys: readonly SealingKey[]): unknown {
  const { dataKey, body } = unwrap(sealed, context, keys);
  return JSON.parse(decrypt(body, dataKey, context).toString('utf8'));
}

/** The same value under another key; undefined when it is under that key already. */
export function reseal(sealed: Buffer, context: string, keys: readonly SealingKey[], to: SealingKey): Buffer | undefined {
  if (to.id.equals(sealed.subarray(1, 9))) return undefined;
  const { dataKey, body } = unwrap(sealed, context, keys);
  return Buffer.concat([Buffer.from([version]), to.id, encrypt(dataKey, to.bytes, context), body]);
}

function unwrap(sealed: Buffer, context: string, keys: readonly SealingKey[]): { dataKey: Buffer; body: Buffer } {
  if (sealed[0] !== version) throw new Error('the value was stored by a newer version of Directorate');
  const key = keys.find((candidate) => candidate.id.equals(sealed.subarray(1, 9)));
  if (!key) throw new Error('the key that the value was encrypted with is not configured');
  const end = 9 + box.iv + box.tag + keyBytes;
  return { dataKey: decrypt(sealed.subarray(9, end), key.bytes, context), body: sealed.subarray(end) };
}

function encrypt(plain: Buffer, key: Buffer, context: string): Buffer {
  const iv = randomBytes(box.iv);
  const cipher = createCipheriv('aes-256-gcm', key, iv).setAAD(Buffer.from(context));
  const encrypted = Buffer.concat([cipher.update(plain), cipher.final()]);
  return Buffer.concat([iv, cipher.getAuthTag(), encrypted]);
}

function decrypt(bytes: Buffer, key: Buffer, context: string): Buffer {
  const [iv, tag] = [bytes.subarray(0, box.iv), bytes.subarray(box.iv, box.iv + box.tag)];
  const decipher = createDecipheriv('aes-256-gcm', key, iv).setAAD(Buffer.from(context)).setAuthTag(tag);
  return Buffer.concat([decipher.update(bytes.subarray(box.iv + box.tag)), decipher.final()]);
}
