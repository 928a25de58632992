import { canonicalName } from '../core/names';
import { code, DirectorError, notSupported } from '../core/errors';
import { integerFieldFrom, optionalField, requiredField, rubyInspect } from '../core/fields';
import { isHash, parseYaml, YamlError, type Hash } from '../core/yaml';
import { isPlaceholder } from '../variables/placeholders';
import type { Az, CloudConfig, Compilation, DiskType, Network, VmType } from './cloud-config';
import { parseDynamicNetwork, parseVipNetwork } from './cloud-networks';
import { parseManualNetwork, type NetworkFacts } from './networks';
import { parseVmResources } from './vm-resources';

/**
 * Checks of configs and the cloud config's meaning.
 * Rules: cloudfoundry/bosh src/bosh-director/lib/bosh/director/deployment_plan/cloud_manifest_parser.rb and its neighbours.
 */

/**
 * The hash of a config's text, as `POST /configs` accepts it. Throws 440011 for bad YAML and anything but a hash.
 */
export function parseConfigContent(text: string): Hash {
  let value: unknown;
  try {
    value = parseYaml(text);
  } catch (error) {
    if (!(error instanceof YamlError)) throw error;
    throw new DirectorError(code.badConfig, `Config must be valid YAML: ${error.message}`, { cause: error });
  }
  if (!isHash(value)) throw new DirectorError(code.badConfig, 'YAML hash expected');
  return value;
}

const listKeys = ['azs', 'vm_types', 'disk_types', 'networks', 'vm_extensions'] as const;

/**
 * Several cloud configs as one document: lists one after another, `compilation` from the only one that has it. A list, or an item of one
 * that stands for several, may be a variable: values that are lists are flattened, and a variable without its value stays as it is.
 * No configs, or only empty ones, give an empty hash. Throws 570000 for a second `compilation`, 40000 for wrong types.
 */
export function mergeCloudConfigs(documents: readonly Hash[]): Hash {
  if (documents.every((document) => Object.keys(document).length === 0)) return {};
  const merged: Hash = {};
  for (const key of listKeys) merged[key] = documents.flatMap((document) => listIn(document, key)).flat();
  for (const document of documents) {
    const compilation = optionalField(document, 'compilation', 'Hash');
    if (compilation === undefined) continue;
    if ('compilation' in merged) throw new DirectorError(570000, "Cloud config 'compilation' key cannot be defined in multiple cloud configs.");
    merged.compilation = compilation;
  }
  return merged;
}

function listIn(document: Hash, key: string): unknown[] {
  const given = document[key];
  return isPlaceholder(given) ? [given] : (optionalField(document, key, 'Array') ?? []);
}

/**
 * The cloud config that a deployment is planned with.
 * Throws BOSH's code for every violated rule, and a "not supported" error for keys that are not built yet.
 */
export function parseCloudConfig(documents: readonly Hash[], facts: NetworkFacts): CloudConfig {
  const document = mergeCloudConfigs(documents);
  const azs = parseAzs(document);
  const networks = parseNetworks(document, azs, facts);
  const vmTypes = namedList(document, 'vm_types', parseVmType, (name) => new DirectorError(190004, `Duplicate vm type name '${name}'`));
  const vmExtensions = namedList(document, 'vm_extensions', parseVmType, (name) => new DirectorError(190005, `Duplicate vm extension name '${name}'`));
  const diskTypes = namedList(document, 'disk_types', parseDiskType, (name) => new DirectorError(190013, `Duplicate disk type name '${name}'`));
  const parts = { azs, networks, vmTypes, vmExtensions, diskTypes };
  return { ...parts, compilation: parseCompilation(requiredField(document, 'compilation', 'Hash'), parts) };
}

/**
 * Refuses `((variables))` where names have to be known before any value is, naming the path of the first.
 */
export function refusePlaceholders(value: unknown, path: string): void {
  if (typeof value === 'string') {
    const found = /\(\([-/!\w.]+\)\)/.exec(value);
    if (found) throw notSupported(`The variable ${found[0]} (in ${path})`);
  } else if (Array.isArray(value)) {
    value.forEach((item, i) => refusePlaceholders(item, `${path}[${nameOf(item) ?? i}]`));
  } else if (isHash(value)) {
    for (const [key, item] of Object.entries(value)) {
      refusePlaceholders(key, `${path}.${key}`);
      refusePlaceholders(item, `${path}.${key}`);
    }
  }
}

function nameOf(item: unknown): string | undefined {
  return isHash(item) && typeof item.name === 'string' ? item.name : undefined;
}

function namedList<T extends { name: string }>(document: Hash, key: string, parse: (item: unknown) => T, duplicate: (name: string) => DirectorError): T[] {
  const items = (optionalField(document, key, 'Array') ?? []).map(parse);
  const repeated = firstRepeated(items.map((item) => item.name));
  if (repeated !== undefined) throw duplicate(repeated);
  return items;
}

function firstRepeated(names: readonly string[]): string | undefined {
  return names.find((name, i) => names.indexOf(name) !== i);
}

/** The AZs of a merged cloud config. Throws 190017 for two of one name. */
export function parseAzs(document: Hash): Az[] {
  return namedList(document, 'azs', parseAz, (name) => new DirectorError(190017, `Duplicate az name '${name}'`));
}

function parseAz(item: unknown): Az {
  const name = requiredField(item, 'name', 'String');
  const cloudProperties = optionalField(item, 'cloud_properties', 'Hash') ?? {};
  const cpi = optionalField(item, 'cpi', 'String');
  return { name, cloudProperties, ...(cpi === undefined ? {} : { cpi }) };
}

function parseVmType(item: unknown): VmType {
  return { name: requiredField(item, 'name', 'String'), cloudProperties: optionalField(item, 'cloud_properties', 'Hash') ?? {} };
}

function parseDiskType(item: unknown): DiskType {
  const name = requiredField(item, 'name', 'String');
  const size = requiredField(item, 'disk_size', 'Integer');
  if (size < 0) throw new DirectorError(200001, `Disk types '${name}' references an invalid peristent disk size '${size}'`);
  return { name, size, cloudProperties: optionalField(item, 'cloud_properties', 'Hash') ?? {} };
}

function parseNetworks(document: Hash, azs: readonly Az[], facts: NetworkFacts): Network[] {
  const specs = requiredField(document, 'networks', 'Array');
  if (specs.length === 0) throw new DirectorError(190008, 'No networks specified');
  const networks = specs.map((spec) => parseNetwork(spec, azs, facts));
  const canonical = networks.map((network) => canonicalName(network.name));
  const repeated = networks.find((_, i) => canonical.indexOf(canonical[i] ?? '') !== i);
  if (repeated) throw new DirectorError(190007, `Invalid network name '${repeated.name}', canonical name already taken`);
  return networks;
}

function parseNetwork(spec: unknown, azs: readonly Az[], facts: NetworkFacts): Network {
  const type = optionalField(spec, 'type', 'String') ?? 'manual';
  switch (type) {
    case 'manual':
      return parseManualNetwork(spec, azs, facts);
    case 'dynamic':
      return parseDynamicNetwork(spec, azs);
    case 'vip':
      return parseVipNetwork(spec, azs);
    default:
      throw new DirectorError(190010, `Invalid network type '${type}'`);
  }
}

type Parts = Omit<CloudConfig, 'compilation'>;

function parseCompilation(spec: Hash, parts: Parts): Compilation {
  const workers = integerFieldFrom(spec, 'workers', 1);
  const networkName = requiredField(spec, 'network', 'String');
  const orphanWorkers = optionalField(spec, 'orphan_workers', 'boolean') ?? false;
  const reuseVms = optionalField(spec, 'reuse_compilation_vms', 'boolean') ?? false;
  const cloudProperties = optionalField(spec, 'cloud_properties', 'Hash') ?? {};
  const env = optionalField(spec, 'env', 'Hash') ?? {};
  const az = compilationAz(spec, parts.azs);
  const vm = compilationVm(spec, parts.vmTypes, cloudProperties);
  const vmExtensions = compilationVmExtensions(spec, parts.vmExtensions, vm);
  const network = parts.networks.find(({ name }) => name === networkName);
  if (!network) throw new DirectorError(120001, `Compilation config references an unknown network '${networkName}'`);
  if (!networkHasAzs(network, az === null ? null : [az])) {
    throw new DirectorError(150006, `Compilation config refers to az '${az ?? ''}' but network '${network.name}' has no matching subnet(s).`);
  }
  return { workers, reuseVms, orphanWorkers, az, network, ...vm, vmExtensions, cloudProperties, env };
}

function compilationAz(spec: Hash, azs: readonly Az[]): string | null {
  const name = optionalField(spec, 'az', 'String');
  if (name === undefined || name === '') return null;
  if (azs.some((az) => az.name === name)) return name;
  throw new DirectorError(120002, `Compilation config references unknown az '${name}'. Known azs are: [${azs.map((az) => az.name).join(', ')}]`);
}

function compilationVm(spec: Hash, vmTypes: readonly VmType[], cloudProperties: Hash): Pick<Compilation, 'vmType' | 'vmResources'> {
  const name = optionalField(spec, 'vm_type', 'String');
  const resources = optionalField(spec, 'vm_resources', 'Hash');
  const given = [name !== undefined && name !== '', Object.keys(resources ?? {}).length > 0, Object.keys(cloudProperties).length > 0].filter(Boolean);
  if (given.length > 1) {
    throw new DirectorError(120007, "Compilation config specifies more than one of 'vm_type', 'vm_resources', or 'cloud_properties', only one is allowed.");
  }
  if (name === undefined) return { vmType: null, vmResources: resources ? parseVmResources(resources) : null };
  const found = vmTypes.find((vmType) => vmType.name === name);
  if (found) return { vmType: found, vmResources: null };
  throw new DirectorError(120003, `Compilation config references unknown vm type '${name}'. Known vm types are: ${vmTypes.map((vmType) => vmType.name).join(', ')}`);
}

function compilationVmExtensions(spec: Hash, known: readonly VmType[], vm: Pick<Compilation, 'vmType' | 'vmResources'>): VmType[] {
  return (optionalField(spec, 'vm_extensions', 'Array') ?? []).map((name) => {
    const found = known.find((extension) => extension.name === name);
    if (!found) {
      throw new DirectorError(120005, `Compilation config references unknown vm extension '${typeof name === 'string' ? name : rubyInspect(name)}'. Known vm extensions are: ${known.map((extension) => extension.name).join(', ')}`);
    }
    if (!vm.vmType && !vm.vmResources) throw new DirectorError(120007, `Compilation config is using vm extension '${found.name}' and must configure a vm type or vm_resources block.`);
    return found;
  });
}

/** True when the network has subnets for all of the AZs; without AZs only a network with a subnet that has none fits. VIPs fit anywhere. */
export function networkHasAzs(network: Network, azs: readonly string[] | null): boolean {
  if (network.type === 'vip') return true;
  const covered = new Set(network.subnets.flatMap((subnet) => subnet.azs ?? []));
  if (azs === null || azs.length === 0) return covered.size === 0 || network.subnets.some((subnet) => subnet.azs === null);
  return azs.every((az) => covered.has(az));
}
