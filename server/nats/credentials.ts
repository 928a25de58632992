import 'reflect-metadata';
import { createPrivateKey, randomBytes, type KeyObject } from 'node:crypto';
import * as x509 from '@peculiar/x509';
import { findSigningCertificate } from './ca-bundle';

/**
 * Certificates of the installation: the CA, servers, the director's and the health monitor's clients, and agents.
 * Names and extensions: cloudfoundry/bosh jobs/nats and
 * src/bosh-director/lib/bosh/director/nats_client_cert_generator.rb. Keys are EC P-256, signatures SHA-256.
 */

const keyAlgorithm = { name: 'ECDSA', namedCurve: 'P-256' } as const;
const dayMs = 86_400_000;
/** Certificates are valid from a little before now: clocks of VMs may be behind. */
const backdateMs = 3_600_000;
const bootstrapDays = 1;
const permanentDays = 730;
const caDays = 3650;

/** A certificate with its key, both PEM (the key PKCS#8). */
export interface Certificate {
  certificate: string;
  privateKey: string;
}

/** What an agent gets in `env.bosh.mbus.cert` or with `update_settings`; all PEM. */
export interface AgentCertificate {
  ca: string;
  certificate: string;
  private_key: string;
}

export interface AgentIssuer {
  /** Short-lived (a day), CN `<agent id>.bootstrap.agent.bosh-internal`: for the first boot only. */
  bootstrap(agentId: string): Promise<AgentCertificate>;
  /** Two years, CN `<agent id>.agent.bosh-internal`. */
  permanent(agentId: string): Promise<AgentCertificate>;
}

/** Subject of every certificate, exactly as NATS maps it to a user. C=USA is BOSH's, although X.520 wants two letters. */
export function subjectOf(commonName: string): string {
  return `C=USA, O=Cloud Foundry, CN=${commonName}`;
}

/** A new self-signed CA, valid for ten years unless `days` says otherwise. */
export async function createCa(commonName = 'default.nats-ca.bosh-internal', days = caDays): Promise<Certificate> {
  const keys = await newKeys();
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: newSerial(),
    name: subjectOf(commonName),
    ...validity(days),
    signingAlgorithm: { ...keyAlgorithm, hash: 'SHA-256' },
    keys,
    extensions: [
      new x509.BasicConstraintsExtension(true, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return { certificate: pem(certificate), privateKey: await exportKey(keys.privateKey) };
}

/** A server certificate (also usable as a client: NATS servers are each other's clients on routes). */
export async function issueServerCertificate(ca: Certificate, server: { cn: string; dnsNames: string[]; ips: string[]; days?: number }): Promise<Certificate> {
  const names: x509.JsonGeneralName[] = [
    ...server.dnsNames.map((value) => ({ type: 'dns', value }) as const),
    ...server.ips.map((value) => ({ type: 'ip', value }) as const),
  ];
  return issue(await loadSigner(ca), {
    commonName: server.cn,
    days: server.days ?? permanentDays,
    extensions: [
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth, x509.ExtendedKeyUsage.clientAuth], true),
      new x509.SubjectAlternativeNameExtension(names),
    ],
  });
}

/** A client certificate without alternative names, so that NATS maps it by its subject. */
export async function issueClientCertificate(ca: Certificate, client: { cn: string; days: number }): Promise<Certificate> {
  return issueClient(await loadSigner(ca), client.cn, client.days);
}

/**
 * Signs agents' certificates with the NATS CA. `caBundle` is one or several PEM certificates, all of them trusted; the one that fits the
 * key signs (see `findSigningCertificate`), and agents get them all. A bad key rejects every call.
 */
export function createAgentIssuer(caBundle: string, caKeyPem: string): AgentIssuer {
  let signer: Promise<Signer> | undefined;
  const issueAgent = async (commonName: string, days: number): Promise<AgentCertificate> => {
    signer ??= loadSigner({ certificate: findSigningCertificate(caBundle, caKeyPem), privateKey: caKeyPem });
    const issued = await issueClient(await signer, commonName, days);
    return { ca: caBundle, certificate: issued.certificate, private_key: issued.privateKey };
  };
  return {
    bootstrap: (agentId) => issueAgent(`${agentId}.bootstrap.agent.bosh-internal`, bootstrapDays),
    permanent: (agentId) => issueAgent(`${agentId}.agent.bosh-internal`, permanentDays),
  };
}

/** Subject of a PEM certificate as its NATS user name. Throws when the PEM is not a certificate. */
export function readSubject(certificatePem: string): string {
  return new x509.X509Certificate(certificatePem).subject;
}

type SigningAlgorithm = { name: 'RSASSA-PKCS1-v1_5'; hash: 'SHA-256' } | { name: 'ECDSA'; namedCurve: 'P-256'; hash: 'SHA-256' };

interface Signer {
  certificate: x509.X509Certificate;
  algorithm: SigningAlgorithm;
  key: CryptoKey;
}

function issueClient(signer: Signer, commonName: string, days: number): Promise<Certificate> {
  return issue(signer, {
    commonName,
    days,
    extensions: [
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.clientAuth], true),
    ],
  });
}

async function issue(signer: Signer, leaf: { commonName: string; days: number; extensions: x509.Extension[] }): Promise<Certificate> {
  const keys = await newKeys();
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: newSerial(),
    subject: subjectOf(leaf.commonName),
    issuer: signer.certificate.subjectName,
    ...validity(leaf.days),
    signingAlgorithm: signer.algorithm,
    publicKey: keys.publicKey,
    signingKey: signer.key,
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      ...leaf.extensions,
      await x509.AuthorityKeyIdentifierExtension.create(signer.certificate.publicKey),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return { certificate: pem(certificate), privateKey: await exportKey(keys.privateKey) };
}

/** Reads the CA: an EC P-256 or an RSA key (what BOSH's own installations have), PKCS#8, SEC 1 or PKCS#1. */
async function loadSigner(ca: Certificate): Promise<Signer> {
  const certificate = new x509.X509Certificate(ca.certificate);
  const key = createPrivateKey(ca.privateKey);
  const algorithm = signingAlgorithmOf(key);
  const der = key.export({ type: 'pkcs8', format: 'der' });
  return { certificate, algorithm, key: await crypto.subtle.importKey('pkcs8', der, algorithm, false, ['sign']) };
}

function signingAlgorithmOf(key: KeyObject): SigningAlgorithm {
  if (key.asymmetricKeyType === 'rsa') return { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' };
  if (key.asymmetricKeyDetails?.namedCurve === 'prime256v1') return { ...keyAlgorithm, hash: 'SHA-256' };
  throw new Error(`the private key of the CA is of type ${key.asymmetricKeyType ?? 'unknown'}: use an RSA or an EC P-256 key`);
}

function newKeys(): Promise<CryptoKeyPair> {
  return crypto.subtle.generateKey(keyAlgorithm, true, ['sign', 'verify']);
}

async function exportKey(key: CryptoKey): Promise<string> {
  const der = Buffer.from(await crypto.subtle.exportKey('pkcs8', key));
  return createPrivateKey({ key: der, format: 'der', type: 'pkcs8' }).export({ type: 'pkcs8', format: 'pem' }).toString();
}

/** 128 random bits with the top bit clear: DER integers are signed. */
function newSerial(): string {
  const serial = randomBytes(16);
  serial[0] = ((serial[0] ?? 0) & 0x3f) | 0x40;
  return serial.toString('hex');
}

function validity(days: number): { notBefore: Date; notAfter: Date } {
  const now = Date.now();
  return { notBefore: new Date(now - backdateMs), notAfter: new Date(now + days * dayMs) };
}

function pem(certificate: x509.X509Certificate): string {
  return certificate.toString('pem') + '\n';
}
