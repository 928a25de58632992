import { describe, expect, it } from 'vitest';
import { emptyState, manifestYaml, edit, planInput, release } from '../../tests/support/planning';
import { groupKey, type DnsGroup, type DnsIds } from '../dns/names';
import type { Hash } from '../core/yaml';
import { linkAddress, instanceAddress, lacksDnsIds, type Naming } from './addresses';
import { buildPlan } from './build-plan';
import type { Plan, PlanInput, RecordedState } from './types';

const group = (kind: DnsGroup['kind'], name: string): DnsGroup => ({ kind, name, deployment: 'dep' });
const ids: DnsIds = {
  azs: new Map([['z1', 1], ['z2', 2], ['z3', 3]]), networks: new Map([['private', 4], ['public', 5]]),
  groups: new Map([[groupKey(group('instance-group', 'data')), 6], [groupKey(group('instance-group', 'web')), 7], [groupKey(group('link', 'main-sql')), 8]]),
};
const naming: Naming = { deployment: 'dep', domain: 'bosh', localDns: true, useDnsAddresses: true, useShortDnsAddresses: false, useLinkDnsNames: false, ids, instanceIds: new Map([['u', 42]]) };
const place = { uuid: 'u', group: 'data', network: 'private', settings: { type: 'manual' as const, ip: '10.0.0.1' } };
const dynamic = { ...place, settings: { type: 'dynamic' as const } };
const link = { name: 'main', type: 'sql', preferName: true };

describe('the address of an instance', () => {
  it.each<[string, Partial<Naming>, typeof place | typeof dynamic, boolean, string | null]>([
    ['is its IP', {}, place, false, '10.0.0.1'],
    ['is a long name', {}, place, true, 'u.data.private.dep.bosh'],
    ['is a short name', { useShortDnsAddresses: true }, place, true, 'q-m42n4s0.q-g6.bosh'],
    ['is never a name of a link', { useShortDnsAddresses: true, useLinkDnsNames: true }, place, true, 'q-m42n4s0.q-g6.bosh'],
    ['is its IP when agents are told no records', { localDns: false }, place, true, '10.0.0.1'],
    ['in a dynamic network is always a name', { localDns: false }, dynamic, false, 'u.data.private.dep.bosh'],
    ['is not known before there is an IP', {}, { ...place, settings: { type: 'manual', ip: '' } }, false, ''],
  ])('%s', (_what, more, at, preferName, address) => {
    expect(instanceAddress({ ...naming, ...more }, at, preferName)).toBe(address);
  });

  it('for those who get a link names the link where the deployment wants that', () => {
    expect(linkAddress(naming, place, link)).toBe('u.data.private.dep.bosh');
    expect(linkAddress({ ...naming, useLinkDnsNames: true }, place, link)).toBe('q-m42n4s0.q-g8.bosh');
    expect(linkAddress({ ...naming, useLinkDnsNames: true }, place, { ...link, preferName: false })).toBe('10.0.0.1');
  });
});

const job = (id: number, name: string, spec: Hash) => ({ id, name, version: name, fingerprint: name, sha1: name, blobstoreId: name, spec: { name, ...spec }, packages: [] });
const world = (): RecordedState => ({
  ...emptyState(), releases: [{ ...release('1.0'), jobs: [job(1, 'db', { provides: [{ name: 'db', type: 'sql' }] }), job(2, 'app', { consumes: [{ name: 'store', type: 'sql' }] })] }],
});
const groups = `- {name: data, instances: 1, azs: [z1], vm_type: small, stemcell: default, networks: [{name: private}], jobs: [{name: db, release: rel, provides: {db: {as: main}}}]}
- {name: web, instances: 2, azs: [z1], vm_type: small, stemcell: default, networks: [{name: private}], jobs: [{name: app, release: rel}]}
`;
const inputOf = (features: string, more: Partial<RecordedState> = {}): PlanInput =>
  planInput({ manifest: edit(manifestYaml, [manifestYaml.slice(manifestYaml.indexOf('- name: web')), groups], ['tags:', `features: {${features}}\ntags:`]), state: { ...world(), ...more } });
const addressesOf = (plan: Plan) => ({ spec: plan.groups[0]?.instances[0]?.address, link: (plan.links.consumers[0]?.link?.content.instances as { address: string }[] | undefined)?.[0]?.address });

describe('features of a deployment', () => {
  const uuid = '00000000-0000-4000-8000-000000000001';
  const known = { dnsIds: ids, newInstanceIds: new Map([[uuid, 42], ['00000000-0000-4000-8000-000000000002', 43], ['00000000-0000-4000-8000-000000000003', 44]]) };
  it.each([
    ['use_dns_addresses: true', `${uuid}.data.private.dep.bosh`, `${uuid}.data.private.dep.bosh`],
    ['use_dns_addresses: true, use_short_dns_addresses: true', 'q-m42n4s0.q-g6.bosh', 'q-m42n4s0.q-g6.bosh'],
    ['use_link_dns_names: true', 'q-m42n4s0.q-g6.bosh', 'q-m42n4s0.q-g8.bosh'],
    ['use_short_dns_addresses: true', '10.0.1.11', '10.0.1.11'],
    ['use_link_dns_names: false', '10.0.1.11', '10.0.1.11'],
  ])('%s', (features, spec, linked) => {
    const input = inputOf(features, known);
    const plan = buildPlan(input);
    expect(addressesOf(plan)).toEqual({ spec, link: linked });
    expect(lacksDnsIds(plan, input)).toBe(false);
  });

  it('that are said to be off win over the director\'s wish for names', () => {
    const state = world();
    const off = (features: string) => addressesOf(buildPlan(inputOf(features, { director: { ...state.director, useDnsAddresses: true } }))).spec;
    expect([off('use_link_dns_names: false'), off('use_dns_addresses: false'), off('')]).toEqual(['10.0.1.11', '10.0.1.11', `${uuid}.data.private.dep.bosh`]);
  });

  it('that want short names want ids first', () => {
    const input = inputOf('use_link_dns_names: true');
    const plan = buildPlan(input);
    expect(lacksDnsIds(plan, input)).toBe(true);
    expect(addressesOf(plan)).toEqual({ spec: 'q-m0n0s0.q-g0.bosh', link: 'q-m0n0s0.q-g0.bosh' });
    expect(plan.dns.names).toEqual({ azs: ['z1', 'z2', 'z3'], networks: ['private', 'public'], groups: [group('instance-group', 'data'), group('instance-group', 'web'), group('link', 'main-sql')] });
    const long = inputOf('use_dns_addresses: true');
    expect(lacksDnsIds(buildPlan(long), long)).toBe(false);
  });

  it('reach the content of a link, from which later addresses are made', () => {
    const content = buildPlan(inputOf('use_link_dns_names: true', known)).links.providers[0]?.content;
    expect(content).toMatchObject({ use_dns_addresses: true, use_short_dns_addresses: true, use_link_dns_names: true, group_name: 'main-sql', instances: [{ addresses: { private: '10.0.1.11' }, dns_addresses: { private: 'q-m42n4s0.q-g8.bosh' } }] });
  });
});
