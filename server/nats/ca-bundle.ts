import { createPrivateKey, createPublicKey, X509Certificate } from 'node:crypto';
import { sha1Hex } from '../core/digest';

/**
 * The NATS CA as the configuration has it: a bundle of certificates that are all trusted, and the key of the one that signs. Several are
 * there while the CA is being changed.
 */

const block = /-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g;

/** The certificates of a bundle, each PEM without surroundings. Throws when there is none, or one cannot be read. */
export function splitBundle(bundle: string): string[] {
  return readBundle(bundle).map(({ pem }) => pem);
}

function readBundle(bundle: string): { pem: string; certificate: X509Certificate }[] {
  const found = bundle.match(block) ?? [];
  if (found.length === 0) throw new Error('the NATS CA contains no PEM certificate');
  return found.map((pem, index) => {
    try {
      return { pem, certificate: new X509Certificate(pem) };
    } catch (cause) {
      throw new Error(`certificate ${index + 1} of the NATS CA cannot be read`, { cause });
    }
  });
}

/**
 * The certificate of the bundle that the key belongs to; of several (a CA that was renewed with its key) the one that is valid longest.
 * Throws when the key fits none, since nothing that it signed would be trusted.
 */
export function findSigningCertificate(bundle: string, keyPem: string): string {
  const wanted = createPublicKey(createPrivateKey(keyPem)).export({ type: 'spki', format: 'der' });
  const fitting = readBundle(bundle)
    .filter(({ certificate }) => certificate.publicKey.export({ type: 'spki', format: 'der' }).equals(wanted))
    .sort((a, b) => Date.parse(b.certificate.validTo) - Date.parse(a.certificate.validTo));
  if (!fitting[0]) throw new Error('nats.ca_private_key fits no certificate of nats.ca: put the certificate of that key into nats.ca, beside those that are still trusted');
  return fitting[0].pem;
}

/**
 * Fingerprint of what agents must have: the trusted certificates and the one that signs theirs. It follows from the certificates, not from
 * how the bundle is written; agents that have another one get new certificates. Throws as `findSigningCertificate`.
 */
export function natsConfigSha1(bundle: string, keyPem: string): string {
  const signing = findSigningCertificate(bundle, keyPem);
  const others = [...new Set(splitBundle(bundle))].filter((pem) => pem !== signing).sort();
  return sha1Hex([signing, ...others].join('\n'));
}
