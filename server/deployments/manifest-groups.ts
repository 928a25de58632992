import { parseVmResources } from '../configs/vm-resources';
import { code, DirectorError } from '../core/errors';
import { optionalField, requiredField, rubyInspect, stringsField } from '../core/fields';
import { formatAddress, parseRange } from '../core/ip';
import { isHash, type Hash } from '../core/yaml';
import type { Features, Lifecycle, ManifestGroup, ManifestJob, ManifestNetwork, ManifestState, MigratedGroup, UpdateConfig } from './manifest';
import { parseDisks } from './manifest-disks';
import { parseUpdateConfig, type UpdateOverrides } from './update-config';

/**
 * Instance groups of a manifest, as far as they can be judged without what they refer to.
 * Rules: cloudfoundry/bosh src/bosh-director/lib/bosh/director/deployment_plan/instance_group_spec_parser.rb.
 */

export interface GroupContext {
  /** The deployment's `update` block. */
  update: UpdateConfig;
  overrides: UpdateOverrides;
  features: Features;
}

/** One instance group; errors carry BOSH's codes, keys of features that are not built yet are refused by name. */
export function parseGroup(spec: unknown, context: GroupContext): ManifestGroup {
  const name = requiredField(spec, 'name', 'String');
  const hash = isHash(spec) ? spec : {};
  const lifecycle = parseLifecycle(hash, name);
  refuseOldKeys(hash, name);
  const jobs = parseJobs(hash, name);
  const disks = parseDisks(hash, name);
  const stemcell = requiredField(hash, 'stemcell', 'String');
  const vm = parseVm(hash, name);
  const env = parseEnv(hash, context.features);
  const update = parseUpdateConfig(optionalField(hash, 'update', 'Hash') ?? {}, context.overrides, context.update);
  const networks = parseNetworks(hash, name);
  const azs = parseAzs(hash, name);
  return {
    name, lifecycle, jobs, stemcell, ...vm, env, update, networks, disks, azs,
    vmExtensions: stringsField(hash, 'vm_extensions') ?? [],
    migratedFrom: parseMigratedFrom(hash, name, azs),
    state: parseState(hash, name),
    instanceStates: parseInstanceStates(hash, name),
    instances: parseInstances(hash, name, networks),
    properties: optionalField(hash, 'properties', 'Hash') ?? {},
    tags: parseTags(hash),
  };
}

/** Tags of a manifest or an instance group; values become strings. */
export function parseTags(object: unknown): Record<string, string> {
  const tags = optionalField(object, 'tags', 'Hash') ?? {};
  const textOf = (key: string, value: unknown) => (typeof value === 'boolean' ? String(value) : requiredField(tags, key, 'String'));
  return Object.fromEntries(Object.entries(tags).map(([key, value]) => [key, value === null ? '' : textOf(key, value)]));
}

function parseLifecycle(spec: Hash, name: string): Lifecycle {
  const lifecycle = optionalField(spec, 'lifecycle', 'String') ?? 'service';
  if (lifecycle === 'service' || lifecycle === 'errand') return lifecycle;
  throw new DirectorError(140011, `Invalid lifecycle '${lifecycle}' for '${name}', valid lifecycle profiles are: service, errand`);
}

function parseMigratedFrom(spec: Hash, group: string, azs: readonly string[] | null): MigratedGroup[] {
  return (optionalField(spec, 'migrated_from', 'Array') ?? []).map((item) => {
    const name = requiredField(item, 'name', 'String');
    const az = optionalField(item, 'az', 'String');
    if (az === undefined) return { name };
    if (azs?.includes(az)) return { name, az };
    throw new DirectorError(
      code.deploymentInvalidMigratedFromJob,
      `Instance group '${name}' specified for migration to instance group '${group}' refers to availability zone '${az}'. ` +
        `Az '${az}' is not in the list of availability zones of instance group '${group}'.`,
    );
  });
}

function refuseOldKeys(spec: Hash, name: string): void {
  const isSet = (key: string) => spec[key] !== undefined && spec[key] !== null && spec[key] !== false;
  if (isSet('template') || isSet('templates')) {
    throw new DirectorError(140024, `Instance group '${name}' specifies template or templates. This is no longer supported, please use jobs instead`);
  }
  if (spec.jobs === undefined || spec.jobs === null) throw new DirectorError(code.validationMissingField, `Instance group '${name}' does not specify jobs key`);
}

function parseJobs(spec: Hash, group: string): ManifestJob[] {
  const jobs = requiredField(spec, 'jobs', 'Array').map((job): ManifestJob => {
    const name = requiredField(job, 'name', 'String');
    const release = requiredField(job, 'release', 'String');
    return {
      name, release, properties: optionalField(job, 'properties', 'Hash'), consumes: optionalField(job, 'consumes', 'Hash') ?? {}, provides: optionalField(job, 'provides', 'Hash') ?? {},
      customProviders: optionalField(job, 'custom_provider_definitions', 'Array') ?? [],
    };
  });
  const repeated = jobs.find((job, i) => jobs.findIndex(({ name }) => name === job.name) !== i);
  if (repeated) throw new DirectorError(140010, `Colocated job '${repeated.name}' is already added to the instance group '${group}'`);
  return jobs;
}

function parseVm(spec: Hash, name: string): Pick<ManifestGroup, 'vmType' | 'vmResources'> {
  if (optionalField(spec, 'resource_pool', 'String') !== undefined) {
    throw new DirectorError(140025, "Instance groups no longer support resource_pool, please use 'vm_type' or 'vm_resources' keys");
  }
  const vmType = optionalField(spec, 'vm_type', 'String');
  const resources = optionalField(spec, 'vm_resources', 'Hash');
  if (vmType !== undefined && resources !== undefined) throw new DirectorError(140022, `Instance group '${name}' can only specify 'vm_type' or 'vm_resources' keys.`);
  if (resources !== undefined) return { vmResources: parseVmResources(resources) };
  if (vmType === undefined) throw new DirectorError(140022, `Instance group '${name}' is missing either 'vm_type' or 'vm_resources' section.`);
  return { vmType };
}

function parseEnv(spec: Hash, features: Features): Hash {
  const env = optionalField(spec, 'env', 'Hash') ?? {};
  const tmpfs = features.useTmpfsConfig;
  if (tmpfs === undefined) return env;
  const bosh = hashAt(env, 'bosh');
  const agent = hashAt(bosh, 'agent');
  return {
    ...env,
    bosh: {
      ...bosh,
      job_dir: { tmpfs, ...hashAt(bosh, 'job_dir') },
      agent: { ...agent, settings: { tmpfs, ...hashAt(agent, 'settings') } },
    },
  };
}

function hashAt(hash: Hash, key: string): Hash {
  const value = hash[key];
  return isHash(value) ? value : {};
}

function parseNetworks(spec: Hash, group: string): ManifestNetwork[] {
  const networks = requiredField(spec, 'networks', 'Array');
  if (networks.length === 0) throw new DirectorError(140009, `Instance group '${group}' must specify at least one network`);
  return networks.map((item): ManifestNetwork => {
    const name = requiredField(item, 'name', 'String');
    const defaults = optionalField(item, 'default', 'Array') ?? [];
    return { name, ...parseNicGroup(item, group), default: defaults.map((property) => defaultOf(property, group)), staticIps: parseStaticIps(isHash(item) ? item.static_ips : undefined, group) };
  });
}

function parseNicGroup(item: unknown, group: string): { nicGroup?: number } {
  const text = optionalField(item, 'nic_group', 'String');
  if (text === undefined) return {};
  if (/^\d{1,9}$/.test(text)) return { nicGroup: Number(text) };
  throw new DirectorError(code.validationInvalidValue, `Instance group '${group}' has nic_group '${text}', which is no number`);
}

function defaultOf(property: unknown, group: string): string {
  if (property === 'dns' || property === 'gateway' || property === 'addressable') return property;
  const shown = typeof property === 'string' ? property : rubyInspect(property);
  throw new DirectorError(150003, `Instance group '${group}' specified an invalid default network property '${shown}', valid properties are: dns, gateway`);
}

/** Most addresses that a group may list: a range of a whole network is a slip. */
const maxStaticIps = 65_536n;

function parseStaticIps(value: unknown, group: string): string[] | undefined {
  if (value === undefined || value === null || value === false) return undefined;
  const addresses: string[] = [];
  for (const item of [value].flat(3)) {
    if (item === null) continue;
    const range = typeof item === 'string' ? parseRange(item) : undefined;
    if (!range) throw new DirectorError(160010, `Invalid IP range format: ${typeof item === 'string' ? item : rubyInspect(item)}`);
    if (range.last - range.first >= maxStaticIps) throw new DirectorError(150009, `Instance group '${group}' lists a range of more than ${maxStaticIps} static IPs`);
    for (let address = range.first; address <= range.last; address++) addresses.push(formatAddress(address, range.version));
  }
  const seen = new Set<string>();
  for (const address of addresses) {
    if (seen.has(address)) throw new DirectorError(150009, `Instance group '${group}' specifies static IP '${address}' more than once`);
    seen.add(address);
  }
  return addresses;
}

function parseAzs(spec: Hash, group: string): string[] | null {
  const azs = optionalField(spec, 'azs', 'Array');
  if (azs === undefined) return null;
  if (azs.length === 0) throw new DirectorError(140017, `Instance group '${group}' has empty availability zones`);
  return azs.map((az) => {
    if (typeof az === 'string') return az;
    throw new DirectorError(140016, `Instance group '${group}' has invalid availability zone '${rubyInspect(az)}', string expected`);
  });
}

const states: readonly ManifestState[] = ['started', 'stopped', 'detached', 'restart', 'recreate'];

function asState(text: unknown): ManifestState | undefined {
  return states.find((state) => state === text);
}

function parseState(spec: Hash, group: string): ManifestState | undefined {
  const text = optionalField(spec, 'state', 'String');
  const state = asState(text);
  if (text === undefined || state) return state;
  throw new DirectorError(140008, `Invalid state '${text}' for '${group}', valid states are: ${states.join(', ')}`);
}

function parseInstanceStates(spec: Hash, group: string): Record<string, ManifestState> {
  const given = optionalField(spec, 'instance_states', 'Hash') ?? {};
  return Object.fromEntries(
    Object.entries(given).map(([key, value]) => {
      const state = asState(value);
      if (state) return [key, state];
      const shown = typeof value === 'string' ? value : rubyInspect(value);
      throw new DirectorError(140007, `Invalid state '${shown}' for '${group}/${key}', valid states are: ${states.join(', ')}`);
    }),
  );
}

/** A sane upper bound, so that a slip cannot make a plan of millions. */
const maxInstances = 100_000;

function parseInstances(spec: Hash, group: string, networks: readonly ManifestNetwork[]): number {
  const instances = requiredField(spec, 'instances', 'Integer');
  if (instances < 0 || instances > maxInstances) {
    throw new DirectorError(instances < 0 ? code.validationViolatedMin : code.validationViolatedMax, `'instances' value (${instances}) of instance group '${group}' should be between 0 and ${maxInstances}`);
  }
  const mismatch = networks.find((network) => network.staticIps && network.staticIps.length !== instances);
  if (mismatch) {
    throw new DirectorError(150002, `Instance group '${group}' has ${instances} instances but was allocated ${mismatch.staticIps?.length ?? 0} static IPs in network '${mismatch.name}'`);
  }
  return instances;
}
