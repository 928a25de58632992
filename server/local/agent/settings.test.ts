import { describe, expect, it } from 'vitest';
import { bootSettingsSchema, effectiveBlobstore, effectiveConnection, mergeUpdate, updateSettingsSchema } from './settings';

const cert = (name: string) => ({ ca: `${name} ca`, certificate: `${name} certificate`, private_key: `${name} key` });
const dav = { provider: 'dav', options: { endpoint: 'https://blobs' } };
const local = { provider: 'local', options: { blobstore_path: '/blobs' } };
const boot = (env: object = {}) => bootSettingsSchema.parse({ agent_id: 'a', mbus: 'nats://boot:4222', blobstore: local, env });
const update = (value: object) => updateSettingsSchema.parse({ trusted_certs: '', disk_associations: [], ...value });
const bootCert = { bosh: { mbus: { cert: cert('env') } } };

describe('where an agent connects', () => {
  it.each([
    ['mbus when nothing else is named', bootCert, undefined, ['nats://boot:4222'], 'env'],
    ['the URLs of the env before mbus', { bosh: { mbus: { urls: ['nats://one', 'nats://two'], cert: cert('env') } } }, undefined, ['nats://one', 'nats://two'], 'env'],
    ['the URLs of an update before those of the env', { bosh: { mbus: { urls: ['nats://one'], cert: cert('env') } } }, { mbus: { urls: ['nats://new'], cert: cert('new') } }, ['nats://new'], 'new'],
    ['the certificate of an update with the URLs of before', { bosh: { mbus: { urls: ['nats://one'], cert: cert('env') } } }, { mbus: { cert: cert('new') } }, ['nats://one'], 'new'],
    ['the certificate of before when the update has none', bootCert, { mbus: { urls: ['nats://new'], cert: { ca: '', certificate: '', private_key: '' } } }, ['nats://new'], 'env'],
    ['mbus when the lists are empty', { bosh: { mbus: { urls: [], cert: cert('env') } } }, { mbus: { urls: [] } }, ['nats://boot:4222'], 'env'],
  ])('takes %s', (_name, env, change, urls, certificate) => {
    expect(effectiveConnection(boot(env), change === undefined ? undefined : update(change))).toEqual({ urls, cert: cert(certificate) });
  });

  it('refuses settings without a certificate or without a server', () => {
    expect(() => effectiveConnection(boot(), undefined)).toThrow('no client certificate');
    expect(() => effectiveConnection(bootSettingsSchema.parse({ agent_id: 'a', env: bootCert }), undefined)).toThrow('name no NATS server');
  });
});

describe('which blobstore an agent uses', () => {
  it.each([
    ['the one of the CPI', {}, {}, local],
    ['the first of the env', { bosh: { blobstores: [dav, local] } }, {}, dav],
    ['the first of an update', { bosh: { blobstores: [local] } }, { blobstores: [dav] }, dav],
    ['that of before when an update has none', { bosh: { blobstores: [dav] } }, { blobstores: null }, dav],
  ])('takes %s', (_name, env, change, expected) => {
    expect(effectiveBlobstore(boot(env), update(change))).toEqual(expected);
  });
});

describe('what is kept of updates', () => {
  it('replaces certificates and disks, and the bus and the blobstore only when they are given', () => {
    const first = mergeUpdate(undefined, update({ trusted_certs: 'PEM', disk_associations: [{ name: 'd', cid: 'c' }], mbus: { urls: ['nats://new'] }, blobstores: [dav] }));
    const second = mergeUpdate(first, update({ mbus: { cert: { ca: '', certificate: '', private_key: '' }, urls: null } }));
    expect(second).toEqual({ trusted_certs: '', disk_associations: [], mbus: { urls: ['nats://new'] }, blobstores: [dav] });
    expect(mergeUpdate(second, update({ mbus: { cert: cert('new') } })).mbus).toEqual({ cert: cert('new') });
  });
});
