import { describe, expect, it } from 'vitest';
import { cloudYaml, edit } from '../../tests/support/planning';
import { formatAddress } from '../core/ip';
import { parseManifestYaml } from '../core/yaml';
import type { ManagedSubnet, NetworkFacts } from './networks';
import { networkHasAzs, parseCloudConfig } from './parse';

/** A cloud config whose second network is the one under test. */
function parseNetwork(yaml: string, facts: Partial<NetworkFacts> = {}) {
  const start = cloudYaml.indexOf('- name: public');
  const text = cloudYaml.slice(0, start) + yaml + '\n' + cloudYaml.slice(cloudYaml.indexOf('compilation:'));
  const [, network] = parseCloudConfig([parseManifestYaml(text)], { ownAddresses: [], ...facts }).networks;
  if (!network) throw new Error('the network is not there');
  return network;
}

const shown = (ranges: readonly { first: bigint; last: bigint }[] | undefined) => ranges?.map((range) => `${formatAddress(range.first, 4)}-${formatAddress(range.last, 4)}`);

describe('a dynamic network', () => {
  it('is one for all AZs, or has subnets', () => {
    expect(parseNetwork('- {name: cloud, type: dynamic, dns: [8.8.8.8], cloud_properties: {a: 1}}')).toEqual({ name: 'cloud', type: 'dynamic', subnets: [{ azs: null, cloudProperties: { a: 1 }, dns: ['8.8.8.8'] }] });
    expect(parseNetwork('- {name: cloud, type: dynamic, subnets: [{az: z1, dns: [8.8.8.8]}, {azs: [z2, z3], cloud_properties: {b: 2}, prefix: 32}]}')).toEqual({
      name: 'cloud', type: 'dynamic', subnets: [{ azs: ['z1'], cloudProperties: {}, dns: ['8.8.8.8'] }, { azs: ['z2', 'z3'], cloudProperties: { b: 2 } }],
    });
  });

  const cases: [yaml: string, code: number, message: string][] = [
    ['az: z1', 160008, "Network 'cloud' must not specify 'az'."],
    ['azs: [z1]', 160008, "Network 'cloud' must not specify 'azs'."],
    ['managed: true', 160008, "Network 'cloud' must not specify 'managed'."],
    ['prefix: 28', 160008, "Network 'cloud' must not specify 'prefix'."],
    ['dns: [8.8.8.8], subnets: [{az: z1}]', 160008, "Network 'cloud' must not specify 'dns' when also specifying 'subnets'. Instead, 'dns' should be specified on subnet entries."],
    ['cloud_properties: {}, subnets: [{az: z1}]', 160008, "Network 'cloud' must not specify 'cloud_properties' when also specifying 'subnets'. Instead, 'cloud_properties' should be specified on subnet entries."],
    ['subnets: [{az: z1, prefix: 28}]', 160008, 'Prefix property is not supported for dynamic networks.'],
    ['subnets: [{az: z1, azs: [z2]}]', 160008, "Network 'cloud' contains both 'az' and 'azs'. Choose one."],
    ['subnets: [{azs: []}]', 160008, "Network 'cloud' refers to an empty 'azs' array"],
    ['subnets: [{az: z9}]', 160007, "Network 'cloud' refers to an unknown availability zone 'z9'"],
    ['subnets: [{azs: [z1, z9]}]', 160007, "Network 'cloud' refers to an unknown availability zone 'z9'"],
    ['dns: [10.0.0.0/24]', 160004, "Invalid DNS for network 'cloud': must be a single IP"],
    ['dns: [nonsense]', 160010, 'Invalid IP or CIDR format: nonsense'],
    ['subnets: [], cloud_properties: {}', 160008, "Network 'cloud' must not specify 'cloud_properties' when also specifying 'subnets'. Instead, 'cloud_properties' should be specified on subnet entries."],
    ['subnets: ~', 40000, "Property 'subnets' value (nil) did not match the required type 'Array'"],
  ];
  it.each(cases)('with %s is refused', (yaml, code, message) => {
    expect(() => parseNetwork(`- {name: cloud, type: dynamic, ${yaml}}`)).toThrow(expect.objectContaining({ code, message }));
  });

  it('serves groups without AZs with a subnet that has none, and groups with AZs where each has one', () => {
    const whole = parseNetwork('- {name: cloud, type: dynamic}');
    expect([networkHasAzs(whole, null), networkHasAzs(whole, ['z1'])]).toEqual([true, false]);
    const zoned = parseNetwork('- {name: cloud, type: dynamic, subnets: [{az: z1}, {az: z2}]}');
    expect([networkHasAzs(zoned, null), networkHasAzs(zoned, ['z1', 'z2']), networkHasAzs(zoned, ['z1', 'z3'])]).toEqual([false, true, false]);
  });
});

describe('a VIP network', () => {
  it('takes its addresses from manifests, or allots those of its subnets', () => {
    expect(parseNetwork('- {name: floating, type: vip, cloud_properties: {a: 1}}')).toEqual({ name: 'floating', type: 'vip', cloudProperties: { a: 1 }, subnets: [], prefix: null });
    const global = parseNetwork('- {name: floating, type: vip, subnets: [{static: [1.1.1.1, 1.1.1.4-1.1.1.6], azs: [z1, z2]}, {static: [2.2.2.2]}]}');
    expect(global).toMatchObject({ type: 'vip', prefix: null, subnets: [{ azs: ['z1', 'z2'] }, { azs: null }] });
    expect(global.type === 'vip' && shown(global.subnets[0]?.static)).toEqual(['1.1.1.1-1.1.1.1', '1.1.1.4-1.1.1.6']);
    expect(networkHasAzs(global, ['z3'])).toBe(true);
  });

  const cases: [yaml: string, code: number, message: string][] = [
    ['subnets: [{static: 1.1.1.1}]', 40000, "Property 'static' value (\"1.1.1.1\") did not match the required type 'Array'"],
    ['subnets: [{static: [x-y]}]', 160010, 'Invalid IP range format: x-y'],
    ['subnets: [{static: [1.1.1.1], az: z1, azs: [z1]}]', 160008, "Network 'floating' contains both 'az' and 'azs'. Choose one."],
    ['subnets: [{static: [1.1.1.1], azs: []}]', 160008, "Network 'floating' refers to an empty 'azs' array"],
    ['subnets: [{static: [1.1.1.1], az: z9}]', 160007, "Network 'floating' refers to an unknown availability zone 'z9'"],
    ['subnets: {}', 40000, "Property 'subnets' value ({}) did not match the required type 'Array'"],
    ['cloud_properties: 1', 40000, "Property 'cloud_properties' value (1) did not match the required type 'Hash'"],
  ];
  it.each(cases)('with %s is refused', (yaml, code, message) => {
    expect(() => parseNetwork(`- {name: floating, type: vip, ${yaml}}`)).toThrow(expect.objectContaining({ code, message }));
  });
});

describe('a manual network', () => {
  it('may lack a gateway where the director says so', () => {
    const yaml = '- {name: m, subnets: [{range: 10.9.0.0/24}]}';
    expect(() => parseNetwork(yaml)).toThrow(expect.objectContaining({ code: 40001 }));
    const network = parseNetwork(yaml, { ignoreMissingGateway: true });
    expect(network.type === 'manual' && shown(network.subnets[0]?.restricted)).toEqual(['10.9.0.0-10.9.0.0', '10.9.0.255-10.9.0.255']);
  });

  it("withholds the director's blocks as far as they reach into a range", () => {
    const network = parseNetwork('- {name: m, subnets: [{range: 10.9.0.0/24, gateway: 10.9.0.1}]}', { ownAddresses: ['10.9.0.8/30', '10.8.0.0/15', 'fd00::1'] });
    expect(network.type === 'manual' && shown(network.subnets[0]?.restricted)?.slice(3)).toEqual(['10.9.0.8-10.9.0.11', '10.9.0.0-10.9.0.255']);
  });

  it('of IPv6 has addresses and blocks as one of IPv4', () => {
    const network = parseNetwork('- {name: six, subnets: [{range: "fd00:1::/64", gateway: "fd00:1::1", dns: ["fd00:1::2"], reserved: ["fd00:1::3-fd00:1::f"], static: ["fd00:1::100/120"]}]}');
    expect(network).toMatchObject({ prefix: 128, subnets: [{ range: 'fd00:1::/64', version: 6, gateway: 'fd00:1::1', netmask: 'ffff:ffff:ffff:ffff:0000:0000:0000:0000', dns: ['fd00:1::2'] }] });
    expect(() => parseNetwork('- {name: six, subnets: [{range: "fd00:1::/64", gateway: 10.0.0.1}]}')).toThrow(expect.objectContaining({ code: 160003, message: "Invalid gateway for network 'six': must be inside the range" }));
  });

  it.each([
    ['prefix: 28, static: [10.9.0.16-10.9.0.40]', 28, ['10.9.0.16-10.9.0.47']],
    ['prefix: 28, static: [10.9.0.20-10.9.0.31]', 28, []],
    ['prefix: 28, static: [10.9.0.20, 10.9.0.32/28]', 28, ['10.9.0.32-10.9.0.47']],
    ['prefix: "30", static: [10.9.0.9-10.9.0.12]', 30, ['10.9.0.12-10.9.0.15']],
    ['static: [10.9.0.20-10.9.0.31]', 32, ['10.9.0.20-10.9.0.31']],
  ])('with %s has static blocks where static addresses begin one', (yaml, prefix, expected) => {
    const network = parseNetwork(`- {name: m, subnets: [{range: 10.9.0.0/24, gateway: 10.9.0.1, ${yaml}}]}`);
    expect(network).toMatchObject({ prefix });
    expect(network.type === 'manual' && shown(network.subnets[0]?.static)).toEqual(expected);
  });

  it.each([
    ['prefix: 23', 16013, "Prefix size '23' is larger than range prefix '24'"],
    ['prefix: 33', 160002, "Prefix size '33' is longer than an address of '10.9.0.0/24'"],
    ['prefix: [28]', 40000, "Property 'prefix' value ([28]) did not match the required type 'Integer'"],
  ])('with %s is refused', (yaml, code, message) => {
    expect(() => parseNetwork(`- {name: m, subnets: [{range: 10.9.0.0/24, gateway: 10.9.0.1, ${yaml}}]}`)).toThrow(expect.objectContaining({ code, message }));
  });
});

describe('a managed network', () => {
  const yaml = '- {name: m, managed: true, subnets: [{name: one, netmask_bits: 24, az: z1, cloud_properties: {vlan: 7}}, {name: two, range: 10.9.1.0/24, gateway: 10.9.1.1, az: z2}]}';
  const made: ManagedSubnet = { network: 'm', name: 'one', range: '10.9.0.0/24', gateway: '10.9.0.1', reserved: ['10.9.0.2', '10.9.0.4-10.9.0.5'], cloudProperties: { id: 'net-1' } };

  it('is a manual network like others where the director does not manage networks', () => {
    expect(parseNetwork(edit(yaml, ['netmask_bits: 24', 'range: 10.9.0.0/24, gateway: 10.9.0.1']))).toMatchObject({ managed: false, subnets: [{ range: '10.9.0.0/24' }, {}] });
    expect(() => parseNetwork(yaml)).toThrow(expect.objectContaining({ code: 40001, message: expect.stringContaining("'range'") }));
  });

  it('may leave ranges to the cloud, and has those that it was given', () => {
    expect(parseNetwork(yaml, { managedSubnets: [] })).toMatchObject({ managed: true, subnets: [{ name: 'one', range: '', netmaskBits: 24, azs: ['z1'], cloudProperties: { vlan: 7 } }, { name: 'two', range: '10.9.1.0/24' }] });
    const network = parseNetwork(yaml, { managedSubnets: [made, { ...made, network: 'other' }] });
    expect(network).toMatchObject({ subnets: [{ range: '10.9.0.0/24', gateway: '10.9.0.1', netmask: '255.255.255.0', cloudProperties: { id: 'net-1' } }, { name: 'two' }] });
    expect(network.type === 'manual' && shown(network.subnets[0]?.restricted)?.slice(3)).toEqual(['10.9.0.2-10.9.0.2', '10.9.0.4-10.9.0.5']);
  });

  it.each([
    ['no name of a subnet', ['name: one, ', ''], 40001, /^Required property 'name' was not specified/],
    ['two subnets of one name', ['name: two', 'name: one'], 100, /subnet names within a managed network must be unique/],
    ['a range of the cloud that overlaps', ['10.9.1.0/24, gateway: 10.9.1.1', '10.9.0.0/16, gateway: 10.9.1.1'], 160001, /overlapping subnets/],
  ] as const)('is refused for %s', (_title, [from, to], code, message) => {
    expect(() => parseNetwork(edit(yaml, [from, to]), { managedSubnets: [made] })).toThrow(expect.objectContaining({ code, message: expect.stringMatching(message) }));
  });
});
