import { randomBytes, scrypt, timingSafeEqual } from 'node:crypto';

/** Passwords at rest: `scrypt:<salt hex>:<hash hex>` with scrypt's N = 16384, r = 8, p = 1 (about 50 ms and 16 MB per check). */

/** Hashes a password with a new random salt. */
export async function hashPassword(password: string): Promise<string> {
  const salt = randomBytes(16);
  return `scrypt:${salt.toString('hex')}:${(await derive(password, salt, 32)).toString('hex')}`;
}

/** True when `hash` was made of `password`. Throws when `hash` is not of the form above. */
export async function matchesPassword(password: string, hash: string): Promise<boolean> {
  const parts = /^scrypt:([0-9a-f]+):([0-9a-f]{32,128})$/i.exec(hash);
  if (!parts?.[1] || !parts[2]) throw new Error('a password hash must have the form scrypt:<salt hex>:<hash hex>');
  const expected = Buffer.from(parts[2], 'hex');
  return timingSafeEqual(await derive(password, Buffer.from(parts[1], 'hex'), expected.length), expected);
}

function derive(password: string, salt: Buffer, length: number): Promise<Buffer> {
  return new Promise((resolve, reject) => scrypt(password.normalize('NFC'), salt, length, (error, key) => (error ? reject(error) : resolve(key))));
}
