import { X509Certificate } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { sha1Hex } from '../core/digest';
import { findSigningCertificate, natsConfigSha1, splitBundle } from './ca-bundle';
import { createAgentIssuer, createCa } from './credentials';

const [first, second, stranger] = await Promise.all([createCa(), createCa(), createCa()]);

describe('a bundle of CAs', () => {
  test('gives its certificates, whatever is between them', () => {
    expect(splitBundle(`# old\n${first.certificate}\n\n# new\n${second.certificate}`)).toEqual([first.certificate.trim(), second.certificate.trim()]);
  });

  test.each([['', /no PEM certificate/], ['nonsense', /no PEM certificate/], ['-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----', /certificate 1 .* cannot be read/]])('is refused without a certificate: %j', (text, message) => {
    expect(() => splitBundle(text)).toThrow(message);
  });

  test('signs with the certificate that fits the key, in whatever order they come', () => {
    for (const bundle of [first.certificate + second.certificate, second.certificate + first.certificate]) {
      expect(findSigningCertificate(bundle, first.privateKey)).toBe(first.certificate.trim());
      expect(findSigningCertificate(bundle, second.privateKey)).toBe(second.certificate.trim());
    }
    expect(() => findSigningCertificate(first.certificate + second.certificate, stranger.privateKey)).toThrow(/fits no certificate of nats.ca/);
  });

  test('goes to agents as a whole, with a certificate by the one that signs', async () => {
    const bundle = first.certificate + second.certificate;
    for (const signer of [first, second]) {
      const { ca, certificate } = await createAgentIssuer(bundle, signer.privateKey).permanent('a1');
      expect(ca).toBe(bundle);
      const leaf = new X509Certificate(certificate);
      expect(leaf.verify(new X509Certificate(signer.certificate).publicKey)).toBe(true);
      expect(leaf.subject.split('\n')).toContain('CN=a1.agent.bosh-internal');
    }
    await expect(createAgentIssuer(bundle, stranger.privateKey).permanent('a1')).rejects.toThrow(/fits no certificate/);
  });
});

describe('the fingerprint of what agents have', () => {
  const both = first.certificate + second.certificate;

  test('is that of the certificate when there is one', () => {
    expect(natsConfigSha1(first.certificate, first.privateKey)).toBe(sha1Hex(first.certificate.trim()));
  });

  test('does not change with the writing of the bundle', () => {
    expect(natsConfigSha1(`${second.certificate}\n\n${first.certificate}${first.certificate}`, first.privateKey)).toBe(natsConfigSha1(both, first.privateKey));
  });

  test('changes with each step from one CA to the next', () => {
    const steps = [natsConfigSha1(first.certificate, first.privateKey), natsConfigSha1(both, first.privateKey), natsConfigSha1(both, second.privateKey), natsConfigSha1(second.certificate, second.privateKey)];
    expect(new Set(steps).size).toBe(4);
  });
});
