import { describe, expect, it } from 'vitest';
import { edit, manifestYaml } from '../../tests/support/planning';
import { parseManifestYaml } from '../core/yaml';
import { parseManifest } from './parse-manifest';
import { canariesOf, maxInFlightOf, parseUpdateConfig } from './update-config';

const parse = (text: string, overrides = {}) => parseManifest(parseManifestYaml(text), overrides);

describe('a manifest', () => {
  it('has tags of any simple value as text', () => {
    expect(parse(edit(manifestYaml, ['tags: {team: a}', 'tags: {team: a, prod: true, tier: 1, none: null}'])).tags).toEqual({ team: 'a', prod: 'true', tier: '1', none: '' });
    expect(() => parse(edit(manifestYaml, ['tags: {team: a}', 'tags: {team: [a]}']))).toThrow(expect.objectContaining({ code: 40000 }));
  });

  it('is read whole', () => {
    const manifest = parse(manifestYaml);
    expect(manifest).toMatchObject({ name: 'dep', releases: [{ name: 'rel', version: 'latest' }], stemcells: [{ alias: 'default', os: 'ubuntu', version: 'latest' }], tags: { team: 'a' }, properties: {} });
    expect(manifest.groups[0]).toMatchObject({ name: 'web', lifecycle: 'service', instances: 3, azs: ['z1', 'z2', 'z3'], vmType: 'small', stemcell: 'default', env: {}, vmExtensions: [] });
    expect(manifest.update).toEqual({
      canaries: { count: 1 }, maxInFlight: { count: 2 }, canaryWatchTime: { minMs: 1000, maxMs: 30000 }, updateWatchTime: { minMs: 5000, maxMs: 5000 },
      serial: true, vmStrategy: 'delete-create', initialDeployAzUpdateStrategy: 'serial',
    });
  });

  it('takes numbers where texts are wanted, and ignores keys it does not know', () => {
    expect(parse(edit(manifestYaml, ['name: dep', 'name: 7\nunknown: {x: y}'], ['version: latest}]\nstem', 'version: 1.5}]\nstem']))).toMatchObject({ name: '7', releases: [{ version: '1.5' }] });
  });

  it('may use one legacy release', () => {
    expect(parse(edit(manifestYaml, ['releases: [{name: rel, version: latest}]', 'release: {name: rel, version: latest}'])).releases).toHaveLength(1);
  });

  it('fills env for tmpfs without overruling the group', () => {
    const env = edit(manifestYaml, ['stemcell: default', 'stemcell: default\n  env: {bosh: {job_dir: {tmpfs: false, tmpfs_size: 1}}}'], ['tags:', 'features: {use_tmpfs_config: true}\ntags:']);
    expect(parse(env).groups[0]?.env).toEqual({ bosh: { job_dir: { tmpfs: false, tmpfs_size: 1 }, agent: { settings: { tmpfs: true } } } });
  });

  it('has features, and names of links bring DNS addresses and short names with them', () => {
    const features = (text: string) => parse(edit(manifestYaml, ['tags:', `features: {${text}}\ntags:`])).features;
    const none = { useShortDnsAddresses: false, useLinkDnsNames: false, randomizeAzPlacement: false, convergeVariables: false };
    expect(features('')).toEqual(none);
    expect(features('use_link_dns_names: true')).toEqual({ ...none, useLinkDnsNames: true, useShortDnsAddresses: true, useDnsAddresses: true });
    expect(features('use_link_dns_names: false')).toMatchObject({ useDnsAddresses: false, useShortDnsAddresses: false });
    expect(features('use_short_dns_addresses: true, randomize_az_placement: true, converge_variables: true')).toEqual({ ...none, useShortDnsAddresses: true, randomizeAzPlacement: true, convergeVariables: true });
  });

  it('has groups of errands, groups that take others over, and groups that replace their VMs by swapping', () => {
    const text = edit(manifestYaml, ['stemcell: default', 'stemcell: default\n  lifecycle: errand\n  migrated_from: [{name: old}, {name: older, az: z2}]'], ['canaries: 1', 'canaries: 1, vm_strategy: create-swap-delete']);
    expect(parse(text).groups[0]).toMatchObject({ lifecycle: 'errand', migratedFrom: [{ name: 'old' }, { name: 'older', az: 'z2' }], update: { vmStrategy: 'create-swap-delete' } });
  });

  const cases: [title: string, change: [string, string], code: number, message: string | RegExp][] = [
    ['with variables that are no list', ['tags:', 'variables: {a: password}\ntags:'], 560000, "Key 'variables' expects an array, but received 'Hash'"],
    ['without a name', ['name: dep\n', ''], 40001, /^Required property 'name' was not specified in object/],
    ['without releases', ['releases: [{name: rel, version: latest}]', ''], 40001, /'releases'/],
    ['with release and releases', ['releases:', 'release: {name: a, version: 1}\nreleases:'], 190001, /both 'release' and 'releases'/],
    ['with a release twice', ['releases: [', 'releases: [{name: rel, version: 1}, '], 190002, "Duplicate release name 'rel'"],
    ['with a release exported from no stemcell', ['{name: rel,', '{name: rel, exported_from: [{os: a}],'], 40001, /^Required property 'version' was not specified in object/],
    ['with a release exported from no list', ['{name: rel,', '{name: rel, exported_from: ubuntu,'], 40000, /exported_from/],
    ['with an alias twice', ['stemcells: [', 'stemcells: [{alias: default, os: x, version: 1}, '], 50005, "Duplicate stemcell alias 'default'"],
    ['with a stemcell of no kind', ['os: ubuntu, ', ''], 40001, "Required property 'os' or 'name' was not specified in object ({\"alias\" => \"default\", \"version\" => \"latest\"})"],
    ['without stemcells', ['stemcells: [{alias: default, os: ubuntu, version: latest}]', 'stemcells: []'], 190019, "'stemcells' needs to be specified"],
    ['with azs', ['tags:', 'azs: []\ntags:'], 190014, "Deployment manifest contains 'azs' section, but this can only be set in a cloud-config."],
    ['with networks', ['tags:', 'networks: []\ntags:'], 140026, /Network definitions must now be provided in a cloud-config/],
    ['with jobs', ['tags:', 'jobs: []\ntags:'], 140023, /please use instance groups instead/],
    ['with resource pools', ['tags:', 'resource_pools: []\ntags:'], 140028, /resource_pools/],
    ['with disk pools', ['tags:', 'disk_pools: []\ntags:'], 140027, /disk_pools/],
    ['with an addon without a name', ['tags:', 'addons: [{jobs: []}]\ntags:'], 40001, /'name'/],
    ['with an addon of another release', ['tags:', 'addons: [{name: a, jobs: [{name: x, release: other}]}]\ntags:'], 530002, "Manifest specifies job 'x' which is defined in 'other', but 'other' is not listed in the deployment releases section."],
    ['with an addon for deployments', ['tags:', 'addons: [{name: a, include: {deployments: [d]}}]\ntags:'], 530006, 'Deployment filter is not allowed for deployment level addons.'],
    ['with an addon for half a job', ['tags:', 'addons: [{name: a, exclude: {jobs: [{name: x}]}}]\ntags:'], 530004, 'Job {"name":"x"} in deployment config\'s exclude section must have both name and release.'],
    ['with an addon for a stemcell without OS', ['tags:', 'addons: [{name: a, include: {stemcell: [{version: 1}]}}]\ntags:'], 530005, /in deployment config's include section must have an os name/],
    ['with a feature of the wrong type', ['tags:', 'features: {converge_variables: maybe}\ntags:'], 560001, "Key 'converge_variables' in 'features' expected to be a boolean, but received 'String'"],
    ['with features that exclude each other', ['tags:', 'features: {use_link_dns_names: true, use_dns_addresses: false}\ntags:'], 210001, 'cannot enable `use_link_dns_names` when `use_dns_addresses` is explicitly disabled'],
    ['with a bad watch time', ['update_watch_time: 5000', 'update_watch_time: soon'], 180001, 'Watch time should be an integer or a range of two integers'],
    ['with a watch time that ends before it begins', ['update_watch_time: 5000', 'update_watch_time: 5-1'], 180001, 'Min watch time cannot be greater than max watch time'],
    ['with an unknown VM strategy', ['canaries: 1', 'canaries: 1, vm_strategy: x'], 40005, "Invalid vm_strategy 'x', valid strategies are: create-swap-delete, delete-create"],
    ['without canaries', ['canaries: 1, ', ''], 40001, /'canaries'/],
    ['with canaries of no number', ['canaries: 1', 'canaries: few'], 40005, "canaries value 'few' should be integer or percent"],
    ['with serial as a text', ['canaries: 1', 'canaries: 1, serial: "yes"'], 40000, "Property 'serial' value (\"yes\") did not match the required type 'boolean'"],
    ['with an unknown lifecycle', ['stemcell: default', 'stemcell: default\n  lifecycle: x'], 140011, "Invalid lifecycle 'x' for 'web', valid lifecycle profiles are: service, errand"],
    ['with templates', ['stemcell: default', 'stemcell: default\n  templates: []'], 140024, /please use jobs instead/],
    ['without jobs', ['  jobs: [{name: server, release: rel, properties: {port: 80}}]\n', ''], 40001, "Instance group 'web' does not specify jobs key"],
    ['with a job twice', ['jobs: [', 'jobs: [{name: server, release: rel}, '], 140010, "Colocated job 'server' is already added to the instance group 'web'"],
    ['with a disk without a name', ['stemcell: default', 'stemcell: default\n  persistent_disks: [{name: " ", type: d1}]'], 140013, "Instance group 'web' persistent_disks's section contains a disk with no name"],
    ['with a disk twice', ['stemcell: default', 'stemcell: default\n  persistent_disks: [{name: a, type: d1}, {name: a, type: d2}]'], 140013, "Instance group 'web' persistent_disks's section contains duplicate names"],
    ['with two kinds of disks', ['stemcell: default', 'stemcell: default\n  persistent_disk_type: d1\n  persistent_disk: 1'], 140013, /more than one of/],
    ['with a negative disk', ['stemcell: default', 'stemcell: default\n  persistent_disk: -1'], 140013, /invalid persistent disk size '-1'/],
    ['with a resource pool', ['stemcell: default', 'stemcell: default\n  resource_pool: x'], 140025, /resource_pool/],
    ['without a VM type', ['  vm_type: small\n', ''], 140022, "Instance group 'web' is missing either 'vm_type' or 'vm_resources' section."],
    ['with VM type and VM resources', ['vm_type: small', 'vm_type: small\n  vm_resources: {cpu: 1}'], 140022, "Instance group 'web' can only specify 'vm_type' or 'vm_resources' keys."],
    ['with VM resources that lack something', ['vm_type: small', 'vm_resources: {cpu: 1}'], 40001, /Required property 'ram' was not specified/],
    ['without networks', ['networks: [{name: private}]', 'networks: []'], 140009, "Instance group 'web' must specify at least one network"],
    ['with an unknown default', ['{name: private}', '{name: private, default: [x]}'], 150003, "Instance group 'web' specified an invalid default network property 'x', valid properties are: dns, gateway"],
    ['with a NIC group that is no number', ['{name: private}', '{name: private, nic_group: left}'], 40005, "Instance group 'web' has nic_group 'left', which is no number"],
    ['with a static range that is none', ['{name: private}', '{name: private, static_ips: [x]}'], 160010, 'Invalid IP range format: x'],
    ['with an enormous static range', ['{name: private}', '{name: private, static_ips: [10.0.0.0/8]}'], 150009, /more than 65536 static IPs/],
    ['with features that are no hash', ['tags:', 'features: [a]\ntags:'], 40000, /'features'/],
    ['with migrated_from of no name', ['stemcell: default', 'stemcell: default\n  migrated_from: [{az: z1}]'], 40001, /'name'/],
    ['with migrated_from of another AZ', ['stemcell: default', 'stemcell: default\n  migrated_from: [{name: old, az: z9}]'], 190018,
      "Instance group 'old' specified for migration to instance group 'web' refers to availability zone 'z9'. Az 'z9' is not in the list of availability zones of instance group 'web'."],
    ['with empty azs', ['[z1, z2, z3]', '[]'], 140017, "Instance group 'web' has empty availability zones"],
    ['with an AZ that is no text', ['[z1, z2, z3]', '[1]'], 140016, "Instance group 'web' has invalid availability zone '1', string expected"],
    ['with an unknown state', ['stemcell: default', 'stemcell: default\n  state: x'], 140008, "Invalid state 'x' for 'web', valid states are: started, stopped, detached, restart, recreate"],
    ['with an unknown instance state', ['stemcell: default', 'stemcell: default\n  instance_states: {0: x}'], 140007, /Invalid state 'x' for 'web\/0'/],
    ['without a number of instances', ['  instances: 3\n', ''], 40001, /'instances'/],
    ['with a negative number of instances', ['instances: 3', 'instances: -1'], 40002, /between 0 and/],
    ['with an absurd number of instances', ['instances: 3', 'instances: 10000000'], 40003, /between 0 and/],
    ['with a null where a list belongs', ['[z1, z2, z3]', '~'], 40000, "Property 'azs' value (nil) did not match the required type 'Array'"],
    ['with names that are the same in DNS', ['instance_groups:', 'instance_groups:\n- {name: WEB, instances: 0, azs: [z1], vm_type: small, stemcell: default, networks: [{name: private}], jobs: []}'], 190006, "Invalid instance group name 'web', canonical name already taken"],
  ];
  it.each(cases)('is refused %s', (_title, change, code, message) => {
    expect(() => parse(edit(manifestYaml, change))).toThrow(expect.objectContaining({ code, message: typeof message === 'string' ? message : expect.stringMatching(message) }));
  });
});

describe('update blocks', () => {
  const base = { canaries: '1', max_in_flight: '1', canary_watch_time: '1', update_watch_time: '2' };

  it.each([
    ['2', 5, 2], ['9', 5, 5], ['50%', 5, 2], ['100%', 5, 5], ['1%', 5, 0], ['0', 5, 0], ['-1', 5, 0],
  ])('%s canaries of %i are %i', (canaries, size, expected) => {
    expect(canariesOf(parseUpdateConfig({ ...base, canaries }, {}), size)).toBe(expected);
  });

  it.each([
    ['2', 5, 2], ['9', 5, 9], ['50%', 5, 2], ['1%', 5, 1], ['0', 5, 1],
  ])('%s in flight of %i are %i', (maxInFlight, size, expected) => {
    expect(maxInFlightOf(parseUpdateConfig({ ...base, max_in_flight: maxInFlight }, {}), size)).toBe(expected);
  });

  it('of groups inherit key by key, and requests overrule both', () => {
    const manifest = parse(edit(manifestYaml, ['stemcell: default', 'stemcell: default\n  update: {canaries: 3, serial: false}']), { maxInFlight: '7' });
    expect(manifest.groups[0]?.update).toMatchObject({ canaries: { count: 3 }, maxInFlight: { count: 7 }, serial: false, canaryWatchTime: { minMs: 1000, maxMs: 30000 } });
    expect(manifest.update).toMatchObject({ canaries: { count: 1 }, maxInFlight: { count: 7 }, serial: true });
  });
});
