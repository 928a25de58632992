import { describe, expect, it } from 'vitest';
import { cloudYaml, edit } from '../../tests/support/planning';
import { formatAddress } from '../core/ip';
import { parseManifestYaml } from '../core/yaml';
import { mergeCloudConfigs, parseCloudConfig, parseConfigContent } from './parse';

const parse = (text: string, ownAddresses: string[] = []) => parseCloudConfig([parseManifestYaml(text)], { ownAddresses });

describe('a cloud config', () => {
  it('is read whole', () => {
    const config = parse(cloudYaml);
    expect(config.azs.map((az) => az.name)).toEqual(['z1', 'z2', 'z3']);
    expect(config.diskTypes).toEqual([{ name: 'd1', size: 1024, cloudProperties: {} }]);
    expect(config.compilation).toMatchObject({ workers: 2, az: 'z1', reuseVms: true, orphanWorkers: false, vmType: { name: 'large' }, env: {} });
    expect(config.networks[0]?.subnets[0]).toMatchObject({ range: '10.0.1.0/24', gateway: '10.0.1.1', netmask: '255.255.255.0', dns: ['10.0.1.2'], azs: ['z1'] });
  });

  it('withholds gateway, ends, reserved ranges and the director\'s own addresses', () => {
    const [network] = parse(cloudYaml, ['10.0.1.77', '172.16.0.1', 'fd00::1']).networks;
    const restricted = network?.type === 'manual' ? network.subnets[0]?.restricted : undefined;
    expect(restricted?.map((range) => [range.first, range.last].map((address) => formatAddress(address, 4)).join('-'))).toEqual([
      '10.0.1.1-10.0.1.1', '10.0.1.0-10.0.1.0', '10.0.1.255-10.0.1.255', '10.0.1.2-10.0.1.9', '10.0.1.77-10.0.1.77',
    ]);
  });

  it('may have IPv6 subnets and blocks', () => {
    const config = parse(edit(cloudYaml, ['{range: 192.168.0.0/24, gateway: 192.168.0.1, azs: [z1, z2, z3], static: [192.168.0.100-192.168.0.120]}', '{range: "fd00:1::/56", gateway: "fd00:1::1", azs: [z1, z2, z3], prefix: 64}']));
    expect(config.networks[1]).toMatchObject({ prefix: 64, subnets: [{ version: 6, netmask: 'ffff:ffff:ffff:ff00:0000:0000:0000:0000' }] });
  });

  const cases: [title: string, change: [string, string], code: number, message: string | RegExp][] = [
    ['two AZs of one name', ['- name: z2', '- name: z1'], 190017, "Duplicate az name 'z1'"],
    ['two VM types of one name', ['- name: large', '- name: small'], 190004, "Duplicate vm type name 'small'"],
    ['two VM extensions of one name', ['vm_extensions:', 'vm_extensions:\n- name: fast'], 190005, "Duplicate vm extension name 'fast'"],
    ['two disk types of one name', ['disk_types:', 'disk_types:\n- {name: d1, disk_size: 1}'], 190013, "Duplicate disk type name 'd1'"],
    ['a negative disk size', ['disk_size: 1024', 'disk_size: -1'], 200001, /'d1'/],
    ['a disk size that is a text', ['disk_size: 1024', 'disk_size: "1024"'], 40000, "Property 'disk_size' value (\"1024\") did not match the required type 'Integer'"],
    ['names that are the same in DNS', ['- name: public', '- name: PRIVATE'], 190007, "Invalid network name 'PRIVATE', canonical name already taken"],
    ['a network type that there is not', ['- name: public', '- name: public\n  type: magic'], 190010, "Invalid network type 'magic'"],
    ['an AZ whose CPI is no text', ['- name: z3', '- name: z3\n  cpi: [other]'], 40000, /'cpi'/],
    ['a range that is none', ['10.0.3.0/24', '10.0.3'], 160010, 'Invalid IP or CIDR format: 10.0.3'],
    ['a range of one address', ['10.0.3.0/24', '10.0.3.0/32'], 160002, "Invalid network range '10.0.3.0/32', should include at least 2 IPs"],
    ['a gateway outside the range', ['gateway: 10.0.3.1', 'gateway: 10.0.4.1'], 160003, "Invalid gateway for network 'private': must be inside the range"],
    ['a gateway that is the network', ['gateway: 10.0.3.1', 'gateway: 10.0.3.0'], 160003, "Invalid gateway for network 'private': can't be the network id"],
    ['a gateway that is the broadcast address', ['gateway: 10.0.3.1', 'gateway: 10.0.3.255'], 160003, "Invalid gateway for network 'private': can't be the broadcast IP"],
    ['no gateway', ['gateway: 10.0.3.1, ', ''], 40001, /^Required property 'gateway' was not specified in object \(\{"range" => "10\.0\.3\.0\/24"/],
    ['a name server that is a block', ['dns: [10.0.1.2]', 'dns: [10.0.1.0/30]'], 160004, "Invalid DNS for network 'private': must be a single IP"],
    ['a reserved address outside the range', ['[10.0.1.2-10.0.1.9]', '[10.0.9.1]'], 160005, "Reserved IP '10.0.9.1' is out of network 'private' range"],
    ['a reserved range that is none', ['[10.0.1.2-10.0.1.9]', '[a-b]'], 160010, 'Invalid IP range format: a-b'],
    ['a static address outside the range', ['static: [10.0.2.200-10.0.2.220]', 'static: [10.0.9.1]'], 160006, "Static IP '10.0.9.1' is out of network 'private' range"],
    ['a static address that is reserved', ['static: [10.0.1.200-10.0.1.220]', 'static: [10.0.1.5]'], 160006, "Static IP '10.0.1.5' is in network 'private' reserved range"],
    ['both az and azs', ['az: z2', 'az: z2, azs: [z2]'], 160008, "Network 'private' contains both 'az' and 'azs'. Choose one."],
    ['an empty azs', ['azs: [z1, z2, z3]', 'azs: []'], 160008, "Network 'public' refers to an empty 'azs' array"],
    ['an unknown AZ', ['az: z3', 'az: z9'], 160007, "Network 'private' refers to an unknown availability zone 'z9'"],
    ['subnets with and without AZs', ['gateway: 10.0.3.1, az: z3', 'gateway: 10.0.3.1'], 140016, "Subnets on network 'private' must all either specify availability zone or not"],
    ['subnets that overlap', ['10.0.3.0/24, gateway: 10.0.3.1, az: z3, static: [10.0.3.200-10.0.3.220]', '10.0.2.0/25, gateway: 10.0.2.1, az: z3'], 160001, "Network 'private' has overlapping subnets"],
    ['a prefix that is too big', ['az: z2', 'az: z2, prefix: 16'], 16013, "Prefix size '16' is larger than range prefix '24'"],
    ['different prefixes', ['az: z2, static: [10.0.2.200-10.0.2.220]', 'az: z2, prefix: 28'], 16014, "Network 'private' has subnets that define different prefixes"],
    ['no compilation workers', ['workers: 2', 'workers: 0'], 40002, "'workers' value (0) should be greater than 1"],
    ['an unknown compilation network', ['network: private', 'network: x'], 120001, "Compilation config references an unknown network 'x'"],
    ['an unknown compilation AZ', ['workers: 2, az: z1', 'workers: 2, az: z9'], 120002, "Compilation config references unknown az 'z9'. Known azs are: [z1, z2, z3]"],
    ['an unknown compilation VM type', ['vm_type: large', 'vm_type: x'], 120003, "Compilation config references unknown vm type 'x'. Known vm types are: small, large"],
    ['an unknown compilation VM extension', ['vm_type: large', 'vm_type: large, vm_extensions: [x]'], 120005, "Compilation config references unknown vm extension 'x'. Known vm extensions are: fast"],
    ['a compilation VM extension without VM type', ['vm_type: large', 'vm_extensions: [fast]'], 120007, "Compilation config is using vm extension 'fast' and must configure a vm type or vm_resources block."],
    ['two ways to describe compilation VMs', ['vm_type: large', 'vm_type: large, cloud_properties: {a: b}'], 120007, /more than one of/],
  ];
  it.each(cases)('is refused for %s', (_title, change, code, message) => {
    expect(() => parse(edit(cloudYaml, change))).toThrow(expect.objectContaining({ code, message: typeof message === 'string' ? message : expect.stringMatching(message) }));
  });

  it.each([
    ['networks: []\ncompilation: {}', 190008, 'No networks specified'],
    ['{}', 40001, "Required property 'networks' was not specified in object ({})"],
    ['azs: 1', 40000, "Property 'azs' value (1) did not match the required type 'Array'"],
    ['azs: ~', 40000, "Property 'azs' value (nil) did not match the required type 'Array'"],
    ['azs: [1]\nnetworks: []', 40000, "Object (1) did not match the required type 'Hash'"],
  ])('%j is refused', (text, code, message) => {
    expect(() => parse(text)).toThrow(expect.objectContaining({ code, message }));
  });
});

describe('several cloud configs', () => {
  it('are one after another', () => {
    const merged = mergeCloudConfigs([{ azs: [{ name: 'a' }] }, { azs: [{ name: 'b' }], compilation: { workers: 1 } }]);
    expect(merged).toEqual({ azs: [{ name: 'a' }, { name: 'b' }], vm_types: [], disk_types: [], networks: [], vm_extensions: [], compilation: { workers: 1 } });
    expect(mergeCloudConfigs([])).toEqual({});
    expect(mergeCloudConfigs([{}])).toEqual({});
  });

  it('may have variables for a list, and values of variables that are lists', () => {
    expect(mergeCloudConfigs([{ azs: '((/zones))' }, { azs: [{ name: 'b' }, [{ name: 'c' }, { name: 'd' }]] }])).toMatchObject({ azs: ['((/zones))', { name: 'b' }, { name: 'c' }, { name: 'd' }] });
    expect(() => mergeCloudConfigs([{ azs: 'zones' }])).toThrow(expect.objectContaining({ code: 40000 }));
  });

  it('have only one compilation', () => {
    expect(() => mergeCloudConfigs([{ compilation: {} }, { compilation: {} }])).toThrow(expect.objectContaining({ code: 570000, message: "Cloud config 'compilation' key cannot be defined in multiple cloud configs." }));
  });
});

it.each([
  ['- a', 'YAML hash expected'],
  ['', 'YAML hash expected'],
  ['a: [', /^Config must be valid YAML: /],
])('the content %j of a config is refused', (text, message) => {
  expect(() => parseConfigContent(text)).toThrow(expect.objectContaining({ code: 440011, message: typeof message === 'string' ? message : expect.stringMatching(message) }));
});
