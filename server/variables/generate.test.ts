import { createPrivateKey, createPublicKey, createSign, createVerify, X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { connect, createServer } from 'node:tls';
import { encrypt } from 'unixcrypt';
import { describe, expect, it } from 'vitest';
import type { CertificateValue } from './certificate';
import { generateValue } from './generate';

const none = async () => undefined;
const generate = async <T>(type: string, parameters: Record<string, unknown> = {}, find: (name: string) => Promise<CertificateValue | undefined> = none) => (await generateValue('/d/x/v', type, parameters, find)) as T;

describe('passwords', () => {
  it('are random, of the wanted length and characters', async () => {
    const made = await Promise.all(Array.from({ length: 20 }, () => generate<string>('password')));
    expect(new Set(made).size).toBe(20);
    for (const password of made) expect(password).toMatch(/^(?=.*[a-z])(?=.*[A-Z])(?=.*[0-9])[a-zA-Z0-9]{30}$/);
    expect(await generate('password', { length: 8, exclude_upper: true, exclude_number: true })).toMatch(/^[a-z]{8}$/);
    expect(await generate('password', { length: 200, include_special: true, exclude_lower: true })).toMatch(/^(?=.*[^a-zA-Z0-9])[^a-z]{200}$/);
  });

  it('of no characters or of a wrong length are refused with the name', async () => {
    await expect(generate('password', { exclude_upper: true, exclude_lower: true, exclude_number: true })).rejects.toMatchObject({ code: 540005 });
    await expect(generate('password', { length: 'long' })).rejects.toMatchObject({ code: 540005, message: expect.stringContaining("'/d/x/v'") as string });
  });
});

describe('users', () => {
  it('have a name, a password and its crypt hash', async () => {
    const user = await generate<{ username: string; password: string; password_hash: string }>('user', { length: 12 });
    expect(user.username).toMatch(/^[a-zA-Z]{20}$/);
    expect(user.password).toHaveLength(12);
    expect(user.password_hash).toMatch(/^\$6\$/);
    expect(encrypt(user.password, user.password_hash.split('$').slice(0, 3).join('$'))).toBe(user.password_hash);
    expect(await generate('user', { username: 'admin' })).toMatchObject({ username: 'admin' });
  });
});

describe('keys', () => {
  it('of type rsa are a pair', async () => {
    const pair = await generate<{ public_key: string; private_key: string }>('rsa', { key_length: 3072 });
    expect(pair.private_key).toContain('BEGIN RSA PRIVATE KEY');
    expect(pair.public_key).toContain('BEGIN PUBLIC KEY');
    const signature = createSign('sha256').update('x').sign(pair.private_key);
    expect(createVerify('sha256').update('x').verify(pair.public_key, signature)).toBe(true);
    expect(createPublicKey(pair.public_key).asymmetricKeyDetails?.modulusLength).toBe(3072);
  });

  it('of type ssh are in the format of SSH, with the fingerprint that ssh-keygen shows', async () => {
    const pair = await generate<{ public_key: string; private_key: string; public_key_fingerprint: string }>('ssh', { ssh_comment: 'me@here' });
    expect(pair.public_key).toMatch(/^ssh-rsa AAAAB3NzaC1yc2E\S+ me@here$/);
    expect(createPrivateKey(pair.private_key).asymmetricKeyType).toBe('rsa');
    expect(pair.public_key_fingerprint).toMatch(/^[A-Za-z0-9+/]{43}$/);
    const decoded = Buffer.from(pair.public_key.split(' ')[1] ?? '', 'base64');
    const modulus = Buffer.from(createPublicKey(createPrivateKey(pair.private_key)).export({ format: 'jwk' }).n ?? '', 'base64url');
    expect(decoded.subarray(-modulus.length).equals(modulus)).toBe(true);
  });

  it('of other lengths are refused', async () => {
    await expect(generate('rsa', { key_length: 512 })).rejects.toMatchObject({ code: 540005 });
  });
});

describe('certificates', () => {
  it('are signed by the CA that they name, for their names and uses', async () => {
    const ca = await generate<CertificateValue>('certificate', { is_ca: true, common_name: 'root', duration: 10 });
    const leaf = await generate<CertificateValue>(
      'certificate',
      { ca: '/d/x/root', common_name: 'web', organization: 'Org', alternative_names: ['a.internal', '10.0.0.5'], extended_key_usage: ['server_auth', 'client_auth'], key_usage: ['digital_signature'], duration: 3 },
      async (name) => (name === '/d/x/root' ? ca : undefined),
    );
    const [root, cert] = [new X509Certificate(ca.certificate), new X509Certificate(leaf.certificate)];
    expect(leaf.ca).toBe(ca.certificate);
    expect(ca.ca).toBe(ca.certificate);
    expect(root.ca).toBe(true);
    expect(cert.ca).toBe(false);
    expect(cert.verify(root.publicKey)).toBe(true);
    expect(cert.checkIssued(root)).toBe(true);
    expect(cert.checkPrivateKey(createPrivateKey(leaf.private_key))).toBe(true);
    expect(cert.subject).toBe('CN=web\nO=Org');
    expect(cert.subjectAltName).toBe('DNS:a.internal, IP Address:10.0.0.5');
    expect(cert.keyUsage).toEqual(['1.3.6.1.5.5.7.3.1', '1.3.6.1.5.5.7.3.2']);
    expect(Math.round((Date.parse(cert.validTo) - Date.parse(cert.validFrom)) / 86_400_000)).toBe(3);
    expect(leaf.private_key).toContain('BEGIN RSA PRIVATE KEY');
  });

  it('serve TLS for their names, and for no others', async () => {
    const ca = await generate<CertificateValue>('certificate', { is_ca: true, common_name: 'root' });
    const leaf = await generate<CertificateValue>('certificate', { ca: 'root', common_name: 'web', alternative_names: ['web.internal'], extended_key_usage: ['server_auth'] }, async () => ca);
    const server = createServer({ cert: leaf.certificate, key: leaf.private_key }, (socket) => socket.end()).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const handshake = async (servername: string) => {
      const socket = connect({ host: '127.0.0.1', port, servername, ca: leaf.ca });
      await once(socket, 'secureConnect').finally(() => socket.destroy());
    };
    await expect(handshake('web.internal')).resolves.toBeUndefined();
    await expect(handshake('other.internal')).rejects.toMatchObject({ code: 'ERR_TLS_CERT_ALTNAME_INVALID' });
    server.close();
  });

  it('may sign themselves', async () => {
    const own = await generate<CertificateValue>('certificate', { self_sign: true, common_name: 'own' });
    const cert = new X509Certificate(own.certificate);
    expect(cert.verify(cert.publicKey)).toBe(true);
    expect(own.ca).toBe(own.certificate);
  });

  it('without a signer, without names, with an unknown CA or with one that is none are refused', async () => {
    const leaf = await generate<CertificateValue>('certificate', { self_sign: true, common_name: 'leaf' });
    await expect(generate('certificate', { common_name: 'a' })).rejects.toThrow("name the 'ca'");
    await expect(generate('certificate', { self_sign: true })).rejects.toThrow("'common_name' or 'alternative_names'");
    await expect(generate('certificate', { ca: '/d/x/gone', common_name: 'a' })).rejects.toThrow("no certificate '/d/x/gone'");
    await expect(generate('certificate', { ca: 'leaf', common_name: 'a' }, async () => leaf)).rejects.toThrow('is no CA');
  });
});

it('a type that nobody knows is refused with those that exist', async () => {
  await expect(generate('value')).rejects.toThrow('password, certificate, rsa, ssh, user');
});
