import 'reflect-metadata';
import { createPrivateKey, randomBytes } from 'node:crypto';
import { isIP } from 'node:net';
import * as x509 from '@peculiar/x509';
import { z } from 'zod';
import { code, DirectorError } from '../core/errors';
import type { FindCertificate } from './generate';

/** Certificates as variables: https://bosh.io/docs/variable-types/#certificate and CredHub's API. RSA keys, SHA-256 signatures. */

const keyUsages = { digital_signature: 'digitalSignature', non_repudiation: 'nonRepudiation', key_encipherment: 'keyEncipherment', data_encipherment: 'dataEncipherment', key_agreement: 'keyAgreement', key_cert_sign: 'keyCertSign', crl_sign: 'cRLSign', encipher_only: 'encipherOnly', decipher_only: 'decipherOnly' } as const;
const extendedUsages = { client_auth: x509.ExtendedKeyUsage.clientAuth, server_auth: x509.ExtendedKeyUsage.serverAuth, code_signing: x509.ExtendedKeyUsage.codeSigning, email_protection: x509.ExtendedKeyUsage.emailProtection, timestamping: x509.ExtendedKeyUsage.timeStamping } as const;
type KeyUsage = keyof typeof keyUsages;
type ExtendedUsage = keyof typeof extendedUsages;
const names = <T extends string>(table: Record<T, unknown>) => z.array(z.enum(Object.keys(table) as [T, ...T[]]));

export const certificateParameters = z.object({
  common_name: z.string().optional(), organization: z.string().optional(), organization_unit: z.string().optional(), locality: z.string().optional(), state: z.string().optional(), country: z.string().optional(),
  alternative_names: z.array(z.string()).default([]),
  key_usage: names<KeyUsage>(keyUsages).default([]),
  extended_key_usage: names<ExtendedUsage>(extendedUsages).default([]),
  key_length: z.union([z.literal(2048), z.literal(3072), z.literal(4096)]).default(2048),
  /** Days. */
  duration: z.int().min(1).max(36_500).default(365),
  /** Name of the variable that is the CA. */
  ca: z.string().optional(),
  is_ca: z.boolean().default(false),
  self_sign: z.boolean().default(false),
});

/** All PEM; `ca` is the signer's certificate, or its own when it signed itself. */
export interface CertificateValue {
  ca: string;
  certificate: string;
  private_key: string;
}

type Parameters = z.infer<typeof certificateParameters>;

const rsa = { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' } as const;
const dayMs = 86_400_000;

/** A certificate with a new key, signed by the CA that the parameters name, or by itself. Throws 540005. */
export async function generateCertificate(name: string, parameters: Parameters, findCertificate: FindCertificate): Promise<CertificateValue> {
  const refuse = (problem: string): never => {
    throw new DirectorError(code.configServerGenerationError, `Certificate '${name}' cannot be generated: ${problem}`);
  };
  const subject = subjectOf(parameters);
  if (subject.length === 0 && parameters.alternative_names.length === 0) refuse("give it a 'common_name' or 'alternative_names'");
  if (parameters.ca === undefined && !parameters.is_ca && !parameters.self_sign) refuse("name the 'ca' that signs it, or say 'self_sign: true'");
  const signer = parameters.ca === undefined ? undefined : ((await findCertificate(parameters.ca)) ?? refuse(`there is no certificate '${parameters.ca}' to sign it; its CA must come before it`));
  const ca = signer && new x509.X509Certificate(signer.certificate);
  if (ca && !ca.getExtension(x509.BasicConstraintsExtension)?.ca) refuse(`'${parameters.ca ?? ''}' is no CA: give that one 'is_ca: true'`);
  const keys = await crypto.subtle.generateKey({ ...rsa, modulusLength: parameters.key_length, publicExponent: new Uint8Array([1, 0, 1]) }, true, ['sign', 'verify']);
  const now = Date.now();
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: newSerial(),
    subject,
    issuer: ca ? ca.subjectName : new x509.Name(subject),
    notBefore: new Date(now),
    notAfter: new Date(now + parameters.duration * dayMs),
    signingAlgorithm: rsa,
    publicKey: keys.publicKey,
    signingKey: signer ? await importKey(signer.private_key) : keys.privateKey,
    extensions: await extensionsOf(parameters, keys.publicKey, ca),
  });
  const text = `${certificate.toString('pem')}\n`;
  return { ca: signer ? signer.certificate : text, certificate: text, private_key: await exportKey(keys.privateKey) };
}

function subjectOf(parameters: Parameters): x509.JsonName {
  const parts = { CN: parameters.common_name, O: parameters.organization, OU: parameters.organization_unit, L: parameters.locality, ST: parameters.state, C: parameters.country };
  return Object.entries(parts).flatMap(([key, value]) => (value === undefined || value === '' ? [] : [{ [key]: [value] }]));
}

async function extensionsOf(parameters: Parameters, publicKey: CryptoKey, ca: x509.X509Certificate | undefined): Promise<x509.Extension[]> {
  const usages: readonly KeyUsage[] = parameters.key_usage.length > 0 ? parameters.key_usage : parameters.is_ca ? ['key_cert_sign', 'crl_sign'] : [];
  const flags = usages.reduce((sum, usage) => sum | x509.KeyUsageFlags[keyUsages[usage]], 0);
  const alternatives = parameters.alternative_names.map((value) => ({ type: isIP(value) === 0 ? ('dns' as const) : ('ip' as const), value }));
  return [
    new x509.BasicConstraintsExtension(parameters.is_ca, undefined, true),
    ...(flags === 0 ? [] : [new x509.KeyUsagesExtension(flags, parameters.is_ca)]),
    ...(parameters.extended_key_usage.length === 0 ? [] : [new x509.ExtendedKeyUsageExtension(parameters.extended_key_usage.map((usage) => extendedUsages[usage]))]),
    ...(alternatives.length === 0 ? [] : [new x509.SubjectAlternativeNameExtension(alternatives)]),
    await x509.SubjectKeyIdentifierExtension.create(publicKey),
    await x509.AuthorityKeyIdentifierExtension.create(ca ? ca.publicKey : publicKey),
  ];
}

function newSerial(): string {
  const serial = randomBytes(16);
  serial[0] = ((serial[0] ?? 0) & 0x3f) | 0x40;
  return serial.toString('hex');
}

async function importKey(pem: string): Promise<CryptoKey> {
  return crypto.subtle.importKey('pkcs8', createPrivateKey(pem).export({ type: 'pkcs8', format: 'der' }), rsa, false, ['sign']);
}

async function exportKey(key: CryptoKey): Promise<string> {
  const der = Buffer.from(await crypto.subtle.exportKey('pkcs8', key));
  return String(createPrivateKey({ key: der, format: 'der', type: 'pkcs8' }).export({ type: 'pkcs1', format: 'pem' }));
}
