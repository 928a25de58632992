import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { dnsBlobText, type DnsContents, type DnsRecord, type NameIds } from './records';

/** What a Ruby director published for three groups in two AZs, byte for byte. */
const published = readFileSync(join(__dirname, '../../tests/fixtures/dns/three-groups.json'), 'utf8');

const record = (over: Partial<DnsRecord>): DnsRecord => ({
  instanceId: 1, instanceUuid: 'd967d385-5efc-4bc2-bfcb-4f3f86c94a5a', instanceIndex: 0, group: 'store', az: 'z1', network: 'private', deployment: 'lab', ip: '10.20.1.10',
  agentId: '206f47ce-dba2-4746-b765-71c44eea0d90', domain: 'bosh', links: [], ...over,
});
const ids: NameIds = { az: (name) => Number(name.slice(1)), network: () => 1, groups: ({ group }) => (group === 'store' ? [1, 4] : [2, 5]) };
const textOf = (records: readonly DnsRecord[], version = 1, more: Partial<DnsContents> = {}) => [...dnsBlobText({ version, records, ids, aliases: {}, includeIndex: false, ...more })].join('');

test('the blob is the one that a Ruby director publishes', () => {
  const web = { group: 'web' };
  const records = [
    record({}),
    record({ ...web, instanceId: 2, instanceUuid: '8bee516b-1fc7-4fe6-a946-a25731d5b19a', ip: '10.20.1.21', agentId: 'f25d7146-43dc-41d1-8ebd-6bfe09f1f875' }),
    record({ ...web, instanceId: 3, instanceUuid: 'cc0132c3-8571-476c-b0e5-9b379cfbeae3', instanceIndex: 1, az: 'z2', ip: '10.20.2.2', agentId: '612c6c91-2b67-4a83-be89-60f4e2258e27' }),
    record({ ...web, instanceId: 6, instanceUuid: '42781263-1b78-46e0-a3b0-4f0cca88288f', instanceIndex: 2, ip: '10.20.1.22', agentId: '22b4187e-fd95-4bb8-9312-2bb94fbe2243' }),
  ];
  expect(textOf(records, 8)).toBe(published.trim());
});

test('the middle labels of a name are made fit for DNS', () => {
  const { records } = JSON.parse(textOf([record({ instanceUuid: 'u', group: 'My_Web.1', network: 'Net_A', deployment: 'Dep_1' })]));
  expect(records).toEqual([['10.20.1.10', 'u.my-web1.net-a.dep-1.bosh']]);
});

test('an instance without an AZ has none in its record', () => {
  const { record_infos: infos } = JSON.parse(textOf([record({ az: null })]));
  expect(infos[0].slice(4, 6)).toEqual([null, null]);
});

test('a name that DNS cannot express takes no other record with it', () => {
  const { records, record_infos: infos } = JSON.parse(textOf([record({ group: '-x' }), record({ instanceUuid: 'u', instanceId: 2 }), record({ network: '...' })]));
  expect(records).toEqual([['10.20.1.10', 'u.store.private.lab.bosh']]);
  expect(infos).toHaveLength(1);
});

test('no records and many records make one document each', () => {
  expect(JSON.parse(textOf([]))).toMatchObject({ records: [], record_infos: [], aliases: {}, version: 1 });
  const many = Array.from({ length: 1_001 }, (_, i) => record({ instanceId: i, instanceUuid: `u${i}` }));
  expect(JSON.parse(textOf(many)).records).toHaveLength(1_001);
});

test('with indexes every address has a second name, and nothing more', () => {
  const { records, record_infos: infos } = JSON.parse(textOf([record({ instanceUuid: 'u' }), record({ instanceUuid: 'v', instanceIndex: 1 })], 1, { includeIndex: true }));
  expect(records.map(([, name]: [string, string]) => name)).toEqual(['u.store.private.lab.bosh', '0.store.private.lab.bosh', 'v.store.private.lab.bosh', '1.store.private.lab.bosh']);
  expect(infos).toHaveLength(2);
});

test('what stands for an instance is written as in its name', () => {
  const { record_infos: infos } = JSON.parse(textOf([record({ instanceUuid: 'u', group: 'My_Web', network: 'Net_A', deployment: 'Dep_1' })]));
  expect([infos[0][2], infos[0][6], infos[0][8]]).toEqual(['my-web', 'net-a', 'dep-1']);
});

test('aliases are written as they are', () => {
  const aliases = { 'db.internal': [{ root_domain: 'bosh', group_id: '9', health_filter: 'all', initial_health_check: null, placeholder_type: null }] };
  expect(textOf([], 3, { aliases }).endsWith('"aliases":{"db.internal":[{"root_domain":"bosh","group_id":"9","health_filter":"all","initial_health_check":null,"placeholder_type":null}]}}')).toBe(true);
});
