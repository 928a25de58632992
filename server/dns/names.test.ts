import { array, assert, boolean, constantFrom, integer, option, property, record, string, uniqueArray, uuid } from 'fast-check';
import { describe, expect, it } from 'vitest';
import { encodeQuery, findCanonicalName, groupKey, linkGroupName, linkQueryName, wildcardOf, type DnsIds, type DnsQuery } from './names';

const web = { kind: 'instance-group', name: 'web', deployment: 'dep' } as const;
const link = { kind: 'link', name: 'front-http', deployment: 'dep' } as const;
const ids: DnsIds = {
  azs: new Map([['z1', 1], ['z2', 2], ['z10', 10]]), networks: new Map([['default', 1], ['public', 2]]), groups: new Map([[groupKey(web), 7], [groupKey(link), 9]]),
};
const one = { uuid: '9a2f3c00-0000-4000-8000-000000000001', id: 42 };

describe('a name', () => {
  it.each<[string, Partial<DnsQuery>, string]>([
    ['one instance, long', { instance: one }, `${one.uuid}.web.default.dep.bosh`],
    ['one instance, short', { instance: one, short: true }, 'q-m42n1s0.q-g7.bosh'],
    ['all of a group, long', {}, 'q-s0.web.default.dep.bosh'],
    ['all of a group, short', { short: true }, 'q-n1s0.q-g7.bosh'],
    ['of AZs, sorted as text', { short: true, azs: ['z2', 'z10', 'z1'] }, 'q-a1a10a2n1s0.q-g7.bosh'],
    ['of AZs, long: no network, no instance in the slug', { azs: ['z2', 'z1'] }, 'q-a1a2s0.web.default.dep.bosh'],
    ['the healthy', { short: true, status: 'healthy' }, 'q-n1s3.q-g7.bosh'],
    ['the unhealthy', { status: 'unhealthy' }, 'q-s1.web.default.dep.bosh'],
    ['everybody, with a first check that is waited for', { short: true, status: 'all', initialHealthCheck: 'synchronous' }, 'q-n1s4y1.q-g7.bosh'],
    ['a first check that nobody waits for', { initialHealthCheck: 'asynchronous' }, 'q-s0y0.web.default.dep.bosh'],
    ['providers of a link', { short: true, group: link, network: 'public' }, 'q-n2s0.q-g9.bosh'],
    ['labels made fit for DNS', { group: { ...web, name: 'My_Web' }, network: 'Net.A', domain: 'my.domain', instance: one }, `${one.uuid}.my-web.neta.dep.my.domain`],
    ['an AZ that has no id', { azs: ['z9'] }, 'q-a0s0.web.default.dep.bosh'],
  ])('%s', (_what, query, name) => {
    expect(encodeQuery({ group: web, network: 'default', domain: 'bosh', short: false, ...query }, ids)).toBe(name);
  });

  it('of a long form that DNS cannot express is refused', () => {
    expect(() => encodeQuery({ group: { ...web, name: '_web' }, network: 'default', domain: 'bosh', short: false }, ids)).toThrow("Invalid DNS canonical name '-web', cannot start with a hyphen");
    expect(encodeQuery({ group: { ...web, name: '_web' }, network: 'default', domain: 'bosh', short: true }, ids)).toBe('q-n1s0.q-g0.bosh');
  });
});

/** What a name asks for, read from its text alone. */
function parse(name: string): { labels: string[]; parts: Record<string, number[]> } {
  const [first = '', ...labels] = name.split('.');
  const parts: Record<string, number[]> = {};
  for (const [, kind = '', number = ''] of first.slice(2).matchAll(/([a-z])(\d+)/g)) (parts[kind] ??= []).push(Number(number));
  return { labels, parts };
}

describe('whatever is asked for', () => {
  const numbers = { default: 0, unhealthy: 1, healthy: 3, all: 4 };
  const queries = record({
    azs: uniqueArray(constantFrom('z1', 'z2', 'z10')), short: boolean(), instance: option(record({ uuid: uuid(), id: integer({ min: 1, max: 1e6 }) }), { nil: undefined }),
    status: constantFrom('default', 'unhealthy', 'healthy', 'all'), initialHealthCheck: constantFrom('synchronous', 'asynchronous', undefined), network: constantFrom('default', 'public'), group: constantFrom(web, link),
  });

  it('can be read back from the name', () => {
    assert(property(queries, (query) => {
      const name = encodeQuery({ ...query, domain: 'bosh' }, ids);
      const { short, instance, azs, status, initialHealthCheck, network, group } = query;
      if (!short) expect(name.endsWith(`.${group.name}.${network}.dep.bosh`)).toBe(true);
      if (!short && instance) {
        expect(name.startsWith(`${instance.uuid}.`)).toBe(true);
        return;
      }
      const { labels, parts } = parse(name);
      if (short) expect(labels).toEqual([`q-g${ids.groups.get(groupKey(group))}`, 'bosh']);
      expect(parts).toEqual({
        ...(azs.length > 0 ? { a: azs.map((az) => ids.azs.get(az) ?? 0).toSorted((a, b) => (String(a) < String(b) ? -1 : 1)) } : {}),
        ...(short && instance ? { m: [instance.id] } : {}), ...(short ? { n: [ids.networks.get(network)] } : {}), s: [numbers[status]],
        ...(initialHealthCheck === undefined ? {} : { y: [initialHealthCheck === 'synchronous' ? 1 : 0] }),
      });
    }));
  });

  it('does not depend on the order in which AZs are named', () => {
    assert(property(array(constantFrom('z1', 'z2', 'z10')), boolean(), (azs, short) => {
      const nameOf = (order: string[]) => encodeQuery({ group: web, network: 'default', domain: 'bosh', short, azs: order }, ids);
      expect(nameOf(azs.toReversed())).toBe(nameOf(azs));
    }));
  });
});

describe('a canonical name', () => {
  it('is fit for DNS and its own canonical form, or there is none', () => {
    assert(property(string({ unit: 'grapheme' }), (text) => {
      const name = findCanonicalName(text);
      if (name === undefined) return;
      expect(name).toMatch(/^([a-z0-9]([a-z0-9-]*[a-z0-9])?)?$/);
      expect(findCanonicalName(name)).toBe(name);
    }));
  });

  it.each([['Web_App.1', 'web-app1'], ['-web', undefined], ['web_', undefined], ['ÄB', 'b'], ['...', '']])('of %s is %s', (text, name) => {
    expect(findCanonicalName(text)).toBe(name);
  });
});

describe('the name behind a link', () => {
  const content = { deployment_name: 'dep', instance_group: 'web', group_name: linkGroupName({ name: 'front', type: 'http' }), default_network: 'default', domain: 'bosh' };
  it.each([
    ['long', {}, {}, 'q-s0.web.default.dep.bosh'],
    ['short', { use_short_dns_addresses: true }, { azs: ['z1'] }, 'q-a1n1s0.q-g7.bosh'],
    ['by link', { use_link_dns_names: true }, { status: 'healthy' as const }, 'q-n1s3.q-g9.bosh'],
    ['of an old record without a domain', { domain: undefined }, {}, 'q-s0.web.default.dep.bosh'],
  ])('%s', (_what, more, criteria, name) => {
    expect(linkQueryName({ ...content, ...more }, ids, criteria)).toBe(name);
  });

  it('as a wildcard has no first label', () => {
    expect(wildcardOf(linkQueryName(content, ids))).toBe('*.web.default.dep.bosh');
  });
});
