import { generateKeyPair, randomInt, createHash, createPublicKey, type KeyObject } from 'node:crypto';
import { promisify } from 'node:util';
import { encrypt as unixcrypt } from 'unixcrypt';
import { z } from 'zod';
import { code, DirectorError } from '../core/errors';
import { generateCertificate, certificateParameters, type CertificateValue } from './certificate';

/**
 * New values of variables, as CredHub makes them (https://docs.cloudfoundry.org/api/credhub/ and https://bosh.io/docs/variable-types/).
 * Every function is pure but for randomness and time.
 */

export const variableTypes = ['password', 'certificate', 'rsa', 'ssh', 'user'] as const;
export type VariableType = (typeof variableTypes)[number];

const passwordParameters = z.object({
  length: z.int().min(4).max(200).default(30),
  exclude_upper: z.boolean().default(false),
  exclude_lower: z.boolean().default(false),
  exclude_number: z.boolean().default(false),
  include_special: z.boolean().default(false),
});
const userParameters = passwordParameters.extend({ username: z.string().min(1).optional() });
const keyParameters = z.object({ key_length: z.union([z.literal(2048), z.literal(3072), z.literal(4096)]).default(2048) });
const sshParameters = keyParameters.extend({ ssh_comment: z.string().default('') });

/** How another variable's value is found: the CA that signs a certificate. */
export type FindCertificate = (name: string) => Promise<CertificateValue | undefined>;

/**
 * A value of the type. Parameters that a type does not know are ignored, as CredHub does; wrong ones give 540005 naming the variable.
 * `findCertificate` gives the CA that a certificate names.
 */
export async function generateValue(name: string, type: string, parameters: Record<string, unknown>, findCertificate: FindCertificate): Promise<unknown> {
  switch (type) {
    case 'password':
      return newPassword(checked(passwordParameters, name, parameters));
    case 'user':
      return newUser(checked(userParameters, name, parameters));
    case 'rsa':
      return newRsa(checked(keyParameters, name, parameters).key_length);
    case 'ssh':
      return newSsh(checked(sshParameters, name, parameters));
    case 'certificate':
      return generateCertificate(name, checked(certificateParameters, name, parameters), findCertificate);
    default:
      throw new DirectorError(code.configServerGenerationError, `Variable '${name}' cannot be generated: there is no type '${type}'. Use one of ${variableTypes.join(', ')}`);
  }
}

function checked<T>(schema: z.ZodType<T>, name: string, parameters: Record<string, unknown>): T {
  const parsed = schema.safeParse(parameters);
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues.map((issue) => `${issue.path.join('.') || 'options'}: ${issue.message}`).join('; ');
  throw new DirectorError(code.configServerGenerationError, `Variable '${name}' cannot be generated from these options: ${problems}`);
}

const upper = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ';
const lower = upper.toLowerCase();
const digits = '0123456789';
const special = '$!"#%&\'()*,-./:;<=>?@[\\]^_`{|}~+';

function newPassword(options: z.infer<typeof passwordParameters>): string {
  const alphabets = [options.exclude_upper ? '' : upper, options.exclude_lower ? '' : lower, options.exclude_number ? '' : digits, options.include_special ? special : ''].filter((one) => one !== '');
  if (alphabets.length === 0) throw new DirectorError(code.configServerGenerationError, 'A password needs at least one kind of character: exclude fewer');
  // One of each kind, the rest from all, in random order.
  const all = alphabets.join('');
  const characters = Array.from({ length: options.length }, (_, i) => pick(alphabets[i] ?? all));
  for (let i = characters.length - 1; i > 0; i--) {
    const j = randomInt(i + 1);
    [characters[i], characters[j]] = [characters[j] ?? '', characters[i] ?? ''];
  }
  return characters.join('');
}

function pick(alphabet: string): string {
  return alphabet[randomInt(alphabet.length)] ?? '';
}

function newUser({ username, ...password }: z.infer<typeof userParameters>): { username: string; password: string; password_hash: string } {
  const secret = newPassword(password);
  return { username: username ?? Array.from({ length: 20 }, () => pick(upper + lower)).join(''), password: secret, password_hash: unixcrypt(secret) };
}

const newKeyPair = promisify(generateKeyPair);

/** PEM: public key as SPKI, private key as PKCS#1. */
async function newRsa(bits: number): Promise<{ public_key: string; private_key: string }> {
  const { publicKey, privateKey } = await newKeyPair('rsa', { modulusLength: bits });
  return { public_key: String(publicKey.export({ type: 'spki', format: 'pem' })), private_key: String(privateKey.export({ type: 'pkcs1', format: 'pem' })) };
}

async function newSsh({ key_length: bits, ssh_comment: comment }: z.infer<typeof sshParameters>): Promise<{ public_key: string; private_key: string; public_key_fingerprint: string }> {
  const { private_key, public_key } = await newRsa(bits);
  const blob = sshBlob(createPublicKey(public_key));
  return {
    public_key: `ssh-rsa ${blob.toString('base64')}${comment === '' ? '' : ` ${comment}`}`,
    private_key,
    public_key_fingerprint: createHash('sha256').update(blob).digest('base64').replace(/=+$/, ''),
  };
}

/** An RSA key in SSH's wire format (RFC 4253, 6.6). */
function sshBlob(key: KeyObject): Buffer {
  const { n = '', e = '' } = key.export({ format: 'jwk' });
  const field = (bytes: Buffer) => {
    const length = Buffer.alloc(4);
    length.writeUInt32BE(bytes.length);
    return Buffer.concat([length, bytes]);
  };
  // A leading zero keeps a number with its top bit set positive.
  const integer = (bytes: Buffer) => field((bytes[0] ?? 0) >= 0x80 ? Buffer.concat([Buffer.from([0]), bytes]) : bytes);
  return Buffer.concat([field(Buffer.from('ssh-rsa')), integer(Buffer.from(e, 'base64url')), integer(Buffer.from(n, 'base64url'))]);
}
