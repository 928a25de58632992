import { array, assert, boolean, constantFrom, integer, property, record } from 'fast-check';
import { describe, expect, it } from 'vitest';
import { applied, completePlan, edit, emptyState, planInput } from '../../tests/support/planning';
import { buildPlan } from './build-plan';
import { templateSpec } from './specs';
import type { RecordedInstance, RecordedState } from './types';

/** Networks of every type; the two VIP networks allot and do not allot. */
const cloud = `
azs: [{name: z1}, {name: z2}]
vm_types: [{name: small}]
networks:
- name: manual
  subnets:
  - {range: 10.0.1.0/24, gateway: 10.0.1.1, dns: [10.0.1.2], az: z1, reserved: [10.0.1.2], static: [10.0.1.200-10.0.1.220], cloud_properties: {name: one}}
  - {range: 10.0.2.0/24, gateway: 10.0.2.1, az: z2, static: [10.0.2.200-10.0.2.220], cloud_properties: {name: two}}
- name: blocks
  subnets:
  - {range: 10.1.0.0/16, gateway: 10.1.0.1, azs: [z1, z2], prefix: 28, static: [10.1.1.0/24]}
- name: six
  subnets:
  - {range: "fd00::/64", gateway: "fd00::1", azs: [z1, z2], static: ["fd00::1000-fd00::1fff"]}
- name: cloud
  type: dynamic
  subnets:
  - {az: z1, dns: [8.8.8.8], cloud_properties: {zone: one}}
  - {az: z2, cloud_properties: {zone: two}}
- {name: elastic, type: vip, cloud_properties: {pool: a}}
- {name: global, type: vip, subnets: [{azs: [z1, z2], static: [1.1.1.1-1.1.1.9, 1.1.1.20]}]}
compilation: {workers: 1, az: z1, network: manual, vm_type: small}
`;

const manifest = (networks: string, more = 'instances: 1, azs: [z1]') => `
name: dep
releases: [{name: rel, version: '1.0'}]
stemcells: [{alias: default, os: ubuntu, version: '1.200'}]
update: {canaries: 1, max_in_flight: 1, canary_watch_time: 1, update_watch_time: 1}
instance_groups:
- {name: web, ${more}, vm_type: small, stemcell: default, networks: [${networks}], jobs: [{name: server, release: rel}]}
`;

const planOf = (networks: string, more?: string, state?: RecordedState, cloudConfig = cloud) => completePlan({ manifest: manifest(networks, more), cloud: cloudConfig, ...(state ? { state } : {}) });
const instancesOf = (plan: ReturnType<typeof planOf>) => plan.groups.flatMap((group) => group.instances);
const deployed = (networks: string, more?: string, state = emptyState(), cloudConfig = cloud) => applied(planOf(networks, more, state, cloudConfig), state);
const withDefaults = '{name: manual, default: [dns, gateway]}';

describe('settings', () => {
  it('of a manual network are told in full', () => {
    expect(instancesOf(planOf('{name: manual, nic_group: 2}'))[0]?.networks).toEqual({
      manual: { type: 'manual', ip: '10.0.1.3', prefix: '32', netmask: '255.255.255.0', cloud_properties: { name: 'one' }, default: ['dns', 'gateway'], nic_group: '2', dns: ['10.0.1.2'], gateway: '10.0.1.1' },
    });
  });

  it('of blocks and of IPv6 have the prefix of what the instance owns', () => {
    const [instance] = instancesOf(planOf(`${withDefaults}, {name: blocks}, {name: six}`));
    expect(instance?.networks).toMatchObject({ blocks: { ip: '10.1.0.16', prefix: '28', netmask: '255.255.0.0' }, six: { ip: 'fd00::2', prefix: '128', netmask: 'ffff:ffff:ffff:ffff:0000:0000:0000:0000', gateway: 'fd00::1' } });
    expect(instance?.reservations.make).toEqual([
      { address: '10.0.1.3/32', network: 'manual', static: false }, { address: '10.1.0.16/28', network: 'blocks', static: false }, { address: 'fd00::2/128', network: 'six', static: false },
    ]);
  });

  it('of a dynamic network are those of the AZ, without an address until the agent tells it', () => {
    const more = 'instances: 2, azs: [z1, z2]';
    expect(instancesOf(planOf('{name: cloud}', more)).map((instance) => [instance.networks, instance.reservations.make, instance.ip, instance.address])).toEqual([
      [{ cloud: { type: 'dynamic', cloud_properties: { zone: 'one' }, prefix: '32', dns: ['8.8.8.8'], default: ['dns', 'gateway'] } }, [], null, '00000000-0000-4000-8000-000000000001.web.cloud.dep.bosh'],
      [{ cloud: { type: 'dynamic', cloud_properties: { zone: 'two' }, prefix: '32', default: ['dns', 'gateway'] } }, [], null, '00000000-0000-4000-8000-000000000002.web.cloud.dep.bosh'],
    ]);
    const state = deployed('{name: cloud}', more);
    const again = instancesOf(planOf('{name: cloud}', more, state))[0];
    expect(again?.networks.cloud).toEqual({ ...state.instances[0]?.agentState?.networks?.cloud, ip: state.instances[0]?.vm?.networks.cloud?.ip });
    expect(again?.changes).toEqual([]);
  });

  it('of a dynamic network have addresses in templates before they are known', () => {
    const plan = planOf('{name: cloud}');
    const [instance] = instancesOf(plan);
    const [job] = instance?.jobs ?? [];
    if (!instance || !job) throw new Error('no instance');
    expect(templateSpec(instance, job, plan)).toMatchObject({ ip: null, networks: { cloud: { ip: '127.0.0.1', netmask: '127.0.0.1', gateway: '127.0.0.1', dns_record_name: '0.web.cloud.dep.bosh' } } });
  });

  it('of VIPs are what the manifest lists, or the first ones that are free', () => {
    const state = deployed(`${withDefaults}, {name: elastic, static_ips: [5.5.5.5, 5.5.5.4]}, {name: global, nic_group: 1}`, 'instances: 2, azs: [z1, z2]');
    expect(state.instances.map((instance) => instance.spec?.networks)).toMatchObject([
      { elastic: { type: 'vip', ip: '5.5.5.5', cloud_properties: { pool: 'a' }, prefix: '32' }, global: { type: 'vip', ip: '1.1.1.1', prefix: '32', nic_group: '1' } },
      { elastic: { ip: '5.5.5.4' }, global: { ip: '1.1.1.2' } },
    ]);
    expect(state.instances.flatMap((instance) => instance.reservations).filter(({ network }) => network !== 'manual').map((one) => [one.address, one.static])).toEqual([
      ['5.5.5.5/32', true], ['1.1.1.1/32', false], ['5.5.5.4/32', true], ['1.1.1.2/32', false],
    ]);
  });
});

describe('a group is refused', () => {
  const cases: [title: string, networks: string, more: string | undefined, code: number, message: string | RegExp][] = [
    ['with static addresses on a dynamic network', '{name: cloud, static_ips: [10.0.0.5]}', undefined, 150008, "Instance group 'web' using dynamic network 'cloud' cannot specify static IP(s)"],
    ['with static addresses on VIPs that the director allots', `${withDefaults}, {name: global, static_ips: [1.1.1.1]}`, undefined, 130014, 'IPs cannot be specified in both the instance group and the cloud config'],
    ['with a VIP network alone', '{name: global}', undefined, 130007, "Can't provide any defaults since this is a VIP network"],
    ['with a VIP network as a default', '{name: manual, default: [dns]}, {name: global, default: [gateway]}', undefined, 130007, "Can't provide any defaults since this is a VIP network"],
    ['with VIPs that nobody names', `${withDefaults}, {name: elastic}`, undefined, 150002, "Instance group 'web' has 1 instances but was allocated 0 static IPs in network 'elastic'"],
    ['with too few VIPs', `${withDefaults}, {name: elastic, static_ips: [5.5.5.5]}`, 'instances: 2, azs: [z1]', 150002, "Instance group 'web' has 2 instances but was allocated 1 static IPs in network 'elastic'"],
    ['with more instances than VIPs', `${withDefaults}, {name: global}`, 'instances: 11, azs: [z1]', 130011, /^Failed to reserve IP for 'web\/.* \(10\)' for vip network 'global': no more available$/],
    ['with one network twice', `${withDefaults}, {name: manual}`, undefined, 100, /Listing network 'manual' twice in instance group 'web' is not supported/],
    ['with a static address at which no block begins', '{name: blocks, static_ips: [10.1.1.17]}', undefined, 150002, "Instance group 'web' with network 'blocks' declares static ip '10.1.1.17', which belongs to no subnet"],
    ['with AZs that a dynamic network does not have', '{name: cloud}', 'instances: 1', 150006, "Instance group 'web' must specify availability zone that matches availability zones of network 'cloud'"],
    ['without a default', '{name: manual}, {name: cloud}', undefined, 150005, "Instance group 'web' must specify which network is default for dns, gateway, since it has more than one network configured"],
    ['with two defaults', '{name: manual, default: [dns, gateway]}, {name: cloud, default: [gateway]}', undefined, 150004, "Instance group 'web' specified more than one network to contain default. 'gateway' has default networks: 'manual', 'cloud'."],
    ['with an unknown default', '{name: manual, default: [x]}', undefined, 150003, "Instance group 'web' specified an invalid default network property 'x', valid properties are: dns, gateway"],
    ['with an unknown network', '{name: nowhere}', undefined, 150001, "Instance group 'web' references an unknown network 'nowhere'"],
    ['with a static address twice', '{name: manual, static_ips: [10.0.1.200, 10.0.1.200]}', 'instances: 2, azs: [z1]', 150009, "Instance group 'web' specifies static IP '10.0.1.200' more than once"],
    ['with a static address of another AZ', '{name: manual, static_ips: [10.0.2.200]}', undefined, 150007, "Instance group 'web' declares static ip '10.0.2.200' which does not belong to any of the instance group's availability zones."],
  ];
  it.each(cases)('%s', (_title, networks, more, code, message) => {
    expect(() => planOf(networks, more)).toThrow(expect.objectContaining({ code, message: typeof message === 'string' ? message : expect.stringMatching(message) }));
  });

  it('with a network that is managed and not made yet', () => {
    const state = { ...emptyState(), managedSubnets: [] };
    const managed = edit(cloud, ['- name: manual\n  subnets:\n  - {range: 10.0.1.0/24, gateway: 10.0.1.1,', '- name: manual\n  managed: true\n  subnets:\n  - {name: a,'], ['- {range: 10.0.2.0/24, gateway: 10.0.2.1', '- {name: b, range: 10.0.2.0/24, gateway: 10.0.2.1']).replace('reserved: [10.0.1.2], static: [10.0.1.200-10.0.1.220], ', '');
    expect(() => planOf('{name: manual}', undefined, state, managed)).toThrow(/The subnets of managed network 'manual' are not made yet/);
    const made = { ...state, managedSubnets: [{ network: 'manual', name: 'a', range: '10.7.0.0/24', gateway: '10.7.0.1', reserved: ['10.7.0.2'], cloudProperties: { id: 'net-a' } }] };
    expect(instancesOf(planOf('{name: manual}', undefined, made, managed))[0]?.networks.manual).toMatchObject({ ip: '10.7.0.3', gateway: '10.7.0.1', cloud_properties: { id: 'net-a' } });
  });
});

describe('networks of one network card', () => {
  const cards = edit(cloud, ['- name: blocks', `- name: other
  subnets:
  - {range: 10.3.0.0/24, gateway: 10.3.0.1, azs: [z1, z2], static: [10.3.0.10], cloud_properties: {name: two}}
  - {range: 10.4.0.0/24, gateway: 10.4.0.1, azs: [z1, z2], static: [10.4.0.10, 10.4.0.11], cloud_properties: {name: one}}
- name: blocks`]);
  const networks = (other: string) => `{name: manual, nic_group: 1, static_ips: [10.0.1.200], default: [dns, gateway]}, {name: other, ${other}}`;

  it('have static addresses of subnets with the same cloud properties', () => {
    const state = emptyState();
    expect(instancesOf(planOf(networks('nic_group: 1, static_ips: [10.4.0.11]'), undefined, state, cards))[0]?.networks).toMatchObject({ manual: { nic_group: '1' }, other: { ip: '10.4.0.11', nic_group: '1' } });
    expect(() => planOf(networks('nic_group: 1, static_ips: [10.3.0.10]'), undefined, state, cards)).toThrow(
      expect.objectContaining({ code: 130010, message: "Failed to find a static IP for network 'other' on a matching subnet in nic_group '1' in availability zone 'z1'" }),
    );
    expect(instancesOf(planOf(networks('nic_group: 2, static_ips: [10.3.0.10]'), undefined, state, cards))[0]?.networks).toMatchObject({ other: { ip: '10.3.0.10' } });
  });

  it('move to another card with another number, at the same address', () => {
    const state = deployed(`${withDefaults}, {name: six, nic_group: 1}`);
    const [instance] = instancesOf(planOf(`${withDefaults}, {name: six, nic_group: 2}`, undefined, state));
    expect(instance).toMatchObject({ needsRecreate: true, networks: { six: { ip: 'fd00::2', nic_group: '2' } }, reservations: { make: [{ address: 'fd00::2/128', network: 'six', static: false, nicGroup: 2 }], release: [] } });
  });
});

describe('an instance whose networks change', () => {
  const facts = (networks: string, state: RecordedState, cloudConfig = cloud) => {
    const [instance] = instancesOf(planOf(networks, undefined, state, cloudConfig));
    if (!instance) throw new Error('no instance');
    const addresses = (list: readonly { address: string; network: string }[]) => list.map(({ address, network }) => `${network} ${address}`);
    return { recreated: instance.needsRecreate, kept: addresses(instance.reservations.keep), made: addresses(instance.reservations.make), released: addresses(instance.reservations.release), ips: Object.values(instance.networks).map(({ ip }) => ip) };
  };
  const renamed = cloud.replace('- name: manual', '- name: fresh').replace('network: manual', 'network: fresh');

  const cases: [title: string, before: string, after: string, cloudAfter: string, expected: ReturnType<typeof facts>][] = [
    ['renamed: the address stays, the VM does not', '{name: manual}', '{name: fresh}', renamed, { recreated: true, kept: [], made: ['fresh 10.0.1.3/32'], released: [], ips: ['10.0.1.3'] }],
    ['manual to dynamic', '{name: manual}', '{name: cloud}', cloud, { recreated: true, kept: [], made: [], released: ['manual 10.0.1.3/32'], ips: [undefined] }],
    ['dynamic to manual', '{name: cloud}', '{name: manual}', cloud, { recreated: true, kept: [], made: ['manual 10.0.1.3/32'], released: [], ips: ['10.0.1.3'] }],
    ['static address of the pool to one that is allotted', '{name: manual, static_ips: [10.0.1.200]}', '{name: manual}', cloud, { recreated: true, kept: [], made: ['manual 10.0.1.3/32'], released: ['manual 10.0.1.200/32'], ips: ['10.0.1.3'] }],
    ['another static address', '{name: manual, static_ips: [10.0.1.200]}', '{name: manual, static_ips: [10.0.1.201]}', cloud, { recreated: true, kept: [], made: ['manual 10.0.1.201/32'], released: ['manual 10.0.1.200/32'], ips: ['10.0.1.201'] }],
    ['an allotted address that becomes static, wanted by name', '{name: manual}', '{name: manual, static_ips: [10.0.1.3]}', edit(cloud, ['static: [10.0.1.200-10.0.1.220]', 'static: [10.0.1.3, 10.0.1.200-10.0.1.220]']), { recreated: false, kept: [], made: ['manual 10.0.1.3/32'], released: [], ips: ['10.0.1.3'] }],
    ['an allotted address that becomes static, wanted by nobody', '{name: manual}', '{name: manual}', edit(cloud, ['static: [10.0.1.200-10.0.1.220]', 'static: [10.0.1.3, 10.0.1.200-10.0.1.220]']), { recreated: true, kept: [], made: ['manual 10.0.1.4/32'], released: ['manual 10.0.1.3/32'], ips: ['10.0.1.4'] }],
    ['an address that is reserved now', '{name: manual}', '{name: manual}', edit(cloud, ['reserved: [10.0.1.2]', 'reserved: [10.0.1.2, 10.0.1.3]']), { recreated: true, kept: [], made: ['manual 10.0.1.4/32'], released: ['manual 10.0.1.3/32'], ips: ['10.0.1.4'] }],
    ['a network with another prefix', '{name: blocks}', '{name: blocks}', edit(cloud, ['prefix: 28', 'prefix: 30']), { recreated: true, kept: [], made: ['blocks 10.1.0.4/30'], released: ['blocks 10.1.0.16/28'], ips: ['10.1.0.4'] }],
    ['a VIP more', withDefaults, `${withDefaults}, {name: global}`, cloud, { recreated: true, kept: ['manual 10.0.1.3/32'], made: ['global 1.1.1.1/32'], released: [], ips: ['10.0.1.3', '1.1.1.1'] }],
    ['a VIP that the manifest names instead of the director', `${withDefaults}, {name: global}`, `${withDefaults}, {name: elastic, static_ips: [1.1.1.1]}`, cloud, { recreated: true, kept: ['manual 10.0.1.3/32'], made: ['elastic 1.1.1.1/32'], released: [], ips: ['10.0.1.3', '1.1.1.1'] }],
    ['only DNS servers and cloud properties', '{name: manual}', '{name: manual}', edit(cloud, ['dns: [10.0.1.2]', 'dns: [10.0.1.9]']), { recreated: true, kept: ['manual 10.0.1.3/32'], made: [], released: [], ips: ['10.0.1.3'] }],
  ];
  it.each(cases)('%s', (_title, before, after, cloudAfter, expected) => {
    expect(facts(after, deployed(before), cloudAfter)).toEqual(expected);
  });

  it('keeps an address that the cloud had given it where the director rules the network now', () => {
    const state = deployed('{name: cloud}');
    const loopback = edit(cloud, ["- name: cloud\n  type: dynamic\n  subnets:\n  - {az: z1, dns: [8.8.8.8], cloud_properties: {zone: one}}\n  - {az: z2, cloud_properties: {zone: two}}", '- {name: cloud, subnets: [{range: 127.0.0.0/16, gateway: 127.0.0.1, azs: [z1, z2]}]}']);
    expect(facts('{name: cloud}', state, loopback)).toMatchObject({ recreated: true, made: [`cloud ${state.instances[0]?.vm?.networks.cloud?.ip}/32`] });
  });

  it('is recreated when the cloud has moved it, and not for DNS names in older records', () => {
    const state = deployed('{name: cloud}');
    const changed = (change: (instance: RecordedInstance) => Partial<RecordedInstance>): RecordedState => ({ ...state, instances: state.instances.map((instance) => ({ ...instance, ...change(instance) })) });
    const moved = changed(({ agentState }) => ({ agentState: { jobState: 'running', networks: { cloud: { ...agentState?.networks?.cloud, type: 'dynamic', prefix: '32', cloud_properties: {}, ip: '127.9.9.9' } } } }));
    expect(facts('{name: cloud}', moved)).toMatchObject({ recreated: true, ips: ['127.9.9.9'] });
    const named = changed(({ spec }) => ({ spec: { ...spec, networks: Object.fromEntries(Object.entries(spec?.networks ?? {}).map(([name, settings]) => [name, { ...settings, dns_record_name: '0.web.cloud.dep.bosh' }])) } }));
    expect(instancesOf(planOf('{name: cloud}', undefined, named))[0]?.changes).toEqual([]);
  });

  it('with VIPs keeps those that it has when the list changes its order', () => {
    const two = 'instances: 2, azs: [z1, z2]';
    const state = deployed(`${withDefaults}, {name: elastic, static_ips: [5.5.5.5, 5.5.5.4]}`, two);
    const plan = planOf(`${withDefaults}, {name: elastic, static_ips: [5.5.5.4, 5.5.5.5]}`, two, state);
    expect(instancesOf(plan).map((instance) => [instance.networks.elastic?.ip, instance.changes])).toEqual([['5.5.5.5', []], ['5.5.5.4', []]]);
  });
});

const kinds = ['manual', 'blocks', 'six', 'cloud', 'global', 'elastic'] as const;
const groupWish = record({ size: integer({ min: 0, max: 4 }), both: boolean(), first: constantFrom('manual', 'blocks', 'six', 'cloud'), others: array(constantFrom(...kinds), { maxLength: 3 }), nic: boolean() });
type GroupWish = typeof groupWish extends { generate: (...args: never[]) => { value: infer W } } ? W : never;

/** Groups on networks of all kinds. */
function manifestOf(wishes: readonly GroupWish[]): string {
  const groups = wishes.map(({ size, both, first, others, nic }, i) => {
    const more = [...new Set(others)].filter((name) => name !== first);
    const networks = [{ name: first, ...(more.length > 0 ? { default: ['dns', 'gateway'] } : {}) }, ...more.map((name) => ({ name, ...(nic && name !== 'cloud' ? { nic_group: 1 } : {}), ...(name === 'elastic' ? { static_ips: Array.from({ length: size }, (_, n) => `5.5.${i}.${n}`) } : {}) }))];
    // A VIP of an instance that goes with its AZ is free only after it has gone: such a deploy is refused.
    return { name: `g${i}`, instances: size, azs: both || more.includes('elastic') ? ['z1', 'z2'] : ['z1'], vm_type: 'small', stemcell: 'default', networks, jobs: [{ name: 'server', release: 'rel' }] };
  });
  return JSON.stringify({
    name: 'dep', releases: [{ name: 'rel', version: '1.0' }], stemcells: [{ alias: 'default', os: 'ubuntu', version: '1.200' }],
    update: { canaries: 1, max_in_flight: 1, canary_watch_time: '1', update_watch_time: '1' }, instance_groups: groups,
  });
}

const histories = array(array(groupWish, { minLength: 1, maxLength: 2 }), { minLength: 1, maxLength: 3 });
const history = (wishes: readonly (readonly GroupWish[])[]) => wishes.reduce((state, want) => applied(completePlan({ cloud, manifest: manifestOf(want), state }), state), emptyState());
const runs = { numRuns: 25 };

describe('on networks of every kind, whatever was deployed before', () => {
  it('no address is given out twice, none overlaps another, and none of a network of the cloud is recorded', () => {
    assert(
      property(histories, (wishes) => {
        const reservations = history(wishes).instances.flatMap((instance) => instance.reservations);
        const addresses = reservations.map(({ address }) => address);
        expect(new Set(addresses).size).toBe(addresses.length);
        const blocks = reservations.filter(({ network }) => network === 'blocks').map(({ address }) => address);
        expect(blocks.every((address) => /^10\.1\.\d+\.(?:\d+)\/28$/.test(address) && Number(address.split(/[./]/)[3]) % 16 === 0)).toBe(true);
        expect(reservations.filter(({ network }) => network === 'cloud')).toEqual([]);
      }),
      runs,
    );
  });

  it('planning again what was just deployed changes nothing, and the same input gives the same plan', () => {
    assert(
      property(histories, (wishes) => {
        const state = history(wishes);
        const world = { cloud, manifest: manifestOf(wishes.at(-1) ?? []), state };
        for (const instance of instancesOf(completePlan(world))) expect([instance.changes, instance.reservations.make, instance.reservations.release]).toEqual([[], [], []]);
        expect(buildPlan(planInput(world))).toEqual(buildPlan(planInput(world)));
      }),
      runs,
    );
  });
});
