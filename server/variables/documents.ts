import { code, DirectorError } from '../core/errors';
import { isHash, type Hash } from '../core/yaml';
import type { VariableBackend } from './backend';
import { anyIndex, anyKey, isPlaceholder, parsePlaceholder, type SubtreePattern } from './placeholders';
import { createLatestResolver, type HideValue, type Resolver } from './resolve';

/**
 * What of each kind of document is resolved at the beginning of a deploy. The rest keeps its `((x))` wherever it is recorded, until
 * templates are rendered or a CPI is called.
 * Rules: cloudfoundry/bosh src/bosh-director/lib/bosh/director/config_server/variables_interpolator.rb. What goes beyond them, so that no
 * value is recorded: whole manual links, options of variables, and `env` of the compilation.
 */

const jobSubtrees = (jobs: SubtreePattern): SubtreePattern[] => [
  [...jobs, anyIndex, 'properties'],
  [...jobs, anyIndex, 'consumes', anyKey, 'properties'],
  [...jobs, anyIndex, 'consumes', anyKey, 'instances'],
];

const addonSubtrees: readonly SubtreePattern[] = [['addons', anyIndex, 'properties'], ...jobSubtrees(['addons', anyIndex, 'jobs'])];

const variableSubtrees: readonly SubtreePattern[] = [['variables', anyIndex, 'options']];

const manifestSubtrees: readonly SubtreePattern[] = [
  ['properties'], ['instance_groups', anyIndex, 'properties'], ['instance_groups', anyIndex, 'env'], ...jobSubtrees(['instance_groups', anyIndex, 'jobs']),
  ...addonSubtrees, ...variableSubtrees,
];

const cloudPropertiesAt: readonly SubtreePattern[] = [
  ['azs', anyIndex], ['vm_types', anyIndex], ['vm_extensions', anyIndex], ['disk_types', anyIndex], ['networks', anyIndex], ['networks', anyIndex, 'subnets', anyIndex], ['compilation'],
];

const cloudConfigSubtrees: readonly SubtreePattern[] = [...cloudPropertiesAt.map((at): SubtreePattern => [...at, 'cloud_properties', anyKey]), ['compilation', 'env']];

export function resolveManifest(resolver: Resolver, manifest: Hash): Promise<Hash> {
  return resolver.resolve(manifest, { ignored: manifestSubtrees });
}

export function resolveRuntimeConfig(resolver: Resolver, config: Hash): Promise<Hash> {
  return resolver.resolve(config, { ignored: [...addonSubtrees, ...variableSubtrees] });
}

/** Names must be absolute: the config belongs to no deployment. */
export async function resolveCloudConfig(resolver: Resolver, config: Hash): Promise<Hash> {
  return resolver.resolve(await spreadCloudProperties(resolver, config), { ignored: cloudConfigSubtrees, absoluteOnly: true });
}

/** One CPI of a CPI config, with the newest values; to be done for each use. Names must be absolute. */
export function resolveCpiConfig<T>(backend: VariableBackend, cpi: T, hide: HideValue): Promise<T> {
  return createLatestResolver(backend, hide).resolve(cpi, { ignored: [['name'], ['type']] });
}

/** Cloud properties that are one placeholder altogether become a placeholder for each key: the values need not be known until a CPI is called. */
async function spreadCloudProperties(resolver: Resolver, config: Hash): Promise<Hash> {
  const spread = async (value: unknown): Promise<unknown> => {
    if (Array.isArray(value)) return Promise.all(value.map(spread));
    if (!isHash(value)) return value;
    const entries = await Promise.all(Object.entries(value).map(async ([key, item]) => [key, key === 'cloud_properties' ? await keysOf(resolver, item) : await spread(item)] as const));
    return Object.fromEntries(entries);
  };
  const copy = await spread(config);
  return isHash(copy) ? copy : config;
}

async function keysOf(resolver: Resolver, item: unknown): Promise<unknown> {
  if (!isPlaceholder(item)) return item;
  const value = await resolver.resolve<unknown>(item, { absoluteOnly: true });
  if (!isHash(value)) return item;
  const { root, keys } = parsePlaceholder(item);
  const entries = Object.keys(value).map((key) => {
    if (!/^[a-zA-Z0-9_-]+$/.test(key)) throw new DirectorError(code.configServerIncorrectVariablePlacement, `The variable ${item} cannot stand for all 'cloud_properties', because some of its keys cannot be written as ((variable.key)): write the keys into the cloud config`);
    return [key, `((${[root, ...keys, key].join('.')}))`];
  });
  return Object.fromEntries(entries);
}
