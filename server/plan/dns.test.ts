import { describe, expect, it } from 'vitest';
import { applied, completePlan, edit, emptyState, manifestYaml, planInput, release } from '../../tests/support/planning';
import type { Hash } from '../core/yaml';
import { buildPlan } from './build-plan';
import { dnsReasons, parseAliases } from './dns';
import type { ChangeKind, RecordedInstance, RecordedState } from './types';

const job = (id: number, name: string, spec: Hash) => ({ id, name, version: name, fingerprint: name, sha1: name, blobstoreId: name, spec: { name, ...spec }, packages: [] });
const state: RecordedState = {
  ...emptyState(), releases: [{ ...release('1.0'), jobs: [job(1, 'db', { provides: [{ name: 'db', type: 'sql' }] }), job(2, 'copy', { provides: [{ name: 'db', type: 'sql' }, { name: 'admin', type: 'http' }] }), job(3, 'plain', {})] }],
};
const manifest = (jobs: string) => edit(manifestYaml, [manifestYaml.slice(manifestYaml.indexOf('- name: web')), `- {name: data, instances: 1, azs: [z1], vm_type: small, stemcell: default, networks: [{name: private}], jobs: [${jobs}]}\n`]);
const planOf = (jobs: string, recorded = state) => completePlan({ manifest: manifest(jobs), state: recorded });
const instanceOf = (plan: ReturnType<typeof planOf>) => plan.groups[0]?.instances[0];

describe('the groups of an instance in DNS', () => {
  it.each([
    ['none', '{name: plain, release: rel}', []],
    ['one per link', '{name: copy, release: rel}', ['admin-http', 'db-sql']],
    ['named by aliases, each once', '{name: db, release: rel}, {name: copy, release: rel, provides: {admin: {as: ops}}}', ['db-sql', 'ops-http']],
    ['also of links that nobody may consume', '{name: db, release: rel, provides: {db: nil}}', ['db-sql']],
  ])('are %s', (_what, jobs, links) => {
    expect(instanceOf(planOf(jobs))?.dns).toEqual({ group: 'data', az: 'z1', links });
  });
});

describe('the change dns', () => {
  const before = applied(planOf('{name: db, release: rel}'), state);
  const kinds = (recorded: RecordedState, jobs = '{name: db, release: rel}') => instanceOf(planOf(jobs, recorded))?.changes.map(({ kind }) => kind);
  const withInstance = (change: (instance: RecordedInstance) => Partial<RecordedInstance>, more: Partial<RecordedState> = {}): RecordedState =>
    ({ ...before, ...more, instances: before.instances.map((instance) => ({ ...instance, ...change(instance) })) });
  const oldGroups = () => ({ dns: { group: 'data', az: 'z1', links: ['old-sql'] } });

  it('is not there when the records are right', () => {
    expect(kinds(before)).toEqual([]);
  });

  it('is there when a link got another name, and says so', () => {
    const changes = instanceOf(planOf('{name: db, release: rel, provides: {db: {as: main}}}', before))?.changes;
    expect(changes?.find(({ kind }) => kind === 'dns')?.reasons).toEqual(['DNS group of link main-sql is added', 'DNS group of link db-sql is removed']);
  });

  it.each<[string, RecordedState, ChangeKind[], boolean]>([
    ['alone is a minimal update', withInstance(oldGroups), ['dns'], true],
    ['with tags is a minimal update', withInstance(oldGroups, { deployment: { ...before.deployment, tags: {} } }), ['dns', 'tags'], true],
    ['with one other after it is a minimal update that leaves the other to the next deploy', withInstance((one) => ({ ...oldGroups(), vm: one.vm && { ...one.vm, trustedCertsSha1: 'old' } })), ['dns', 'trusted_certs'], true],
    ['with two others is a full update', withInstance((one) => ({ ...oldGroups(), vm: one.vm && { ...one.vm, trustedCertsSha1: 'old', natsConfigSha1: 'old' } })), ['dns', 'trusted_certs', 'nats_config'], false],
    ['after another one is a full update', withInstance(() => ({ ...oldGroups(), updateCompleted: false })), ['dirty', 'dns'], false],
    ['comes once to instances that were recorded without it', withInstance(() => ({ dns: undefined })), ['dns'], true],
    ['comes to no ignored instance', withInstance(() => ({ ...oldGroups(), ignore: true })), [], false],
    ['is not there when agents are told no records', withInstance(oldGroups, { director: { ...before.director, localDns: false } }), [], false],
  ])('%s', (_what, recorded, expected, minimal) => {
    expect(kinds(recorded)).toEqual(expected);
    expect(instanceOf(planOf('{name: db, release: rel}', recorded))?.minimal).toBe(minimal);
  });

  it('tells of a group, an AZ and links, and of nothing else', () => {
    expect(dnsReasons({ group: 'a', az: null, links: ['x'] }, { group: 'b', az: 'z1', links: ['x'] })).toEqual(['DNS name of instance group a → b', 'AZ in DNS none → z1']);
  });
});

describe('aliases', () => {
  const plan = (wish: string) => buildPlan(planInput({ manifest: manifest(`{name: db, release: rel, provides: {db: ${wish}}}`), state }));

  it('name the group of their link', () => {
    expect(plan('{as: main, aliases: [{domain: db.internal, health_filter: all}, {domain: _.db.internal, placeholder_type: uuid}]}').dns.aliases).toEqual([
      { domain: 'db.internal', healthFilter: 'all', initialHealthCheck: null, placeholderType: null, linkGroup: 'main-sql' },
      { domain: '_.db.internal', healthFilter: null, initialHealthCheck: null, placeholderType: 'uuid', linkGroup: 'main-sql' },
    ]);
    expect(plan('{as: main}').dns.aliases).toEqual([]);
  });

  it('that make no sense are refused with the place where they stand', () => {
    expect(() => plan('{aliases: db.internal}')).toThrow("The aliases of provider 'db' in job 'db' in instance group 'data' must be a list of hashes with a 'domain' and texts");
    for (const wrong of [[{}], ['db'], [{ domain: 1 }], [{ domain: 'd', health_filter: 1 }]]) expect(parseAliases(wrong)).toBeUndefined();
    expect(parseAliases(null)).toEqual([]);
  });
});
