import { DirectorError } from '../core/errors';
import { optionalField, requiredField } from '../core/fields';
import { isHash, type Hash } from '../core/yaml';

/**
 * Runtime configs: how several become one, and which of their addons concern a deployment.
 * Rules: cloudfoundry/bosh src/bosh-director/lib/bosh/director/runtime_config/runtime_configs_consolidator.rb and addon/filter.rb.
 */

/** Several runtime configs as one document; no configs give an empty hash. Throws 530006 when two define tags. */
export function mergeRuntimeConfigs(documents: readonly Hash[]): Hash {
  if (documents.length === 0) return {};
  const all = (key: string) => documents.flatMap((document) => optionalField(document, key, 'Array') ?? []);
  const tagged = documents.filter((document) => optionalField(document, 'tags', 'Hash') !== undefined);
  if (tagged.length > 1) throw new DirectorError(530006, "Runtime config 'tags' key cannot be defined in multiple runtime configs.");
  const merged: Hash = { releases: all('releases') };
  for (const key of ['addons', 'variables']) if (all(key).length > 0) merged[key] = all(key);
  if (tagged[0]) merged.tags = tagged[0].tags;
  return merged;
}

/** What of an instance group addons are chosen by. */
export interface AddonGroup {
  name: string;
  lifecycle: string;
  jobs: readonly { name: string; release: string }[];
  networks: readonly { name: string }[];
  azs: readonly string[] | null;
  /** Operating system of the group's stemcell, when known. */
  os?: string;
}

export interface AddonTarget {
  deployment: string;
  teams: readonly string[];
  groups: readonly AddonGroup[];
}

/** The addons of a merged runtime config that concern at least one group. Throws BOSH's codes for malformed addons. */
export function applyingAddons(runtimeConfig: Hash, target: AddonTarget): { name: string; jobs: readonly unknown[]; document: unknown }[] {
  return (optionalField(runtimeConfig, 'addons', 'Array') ?? []).flatMap((document) => {
    const name = requiredField(document, 'name', 'String');
    const jobs = optionalField(document, 'jobs', 'Array') ?? [];
    return applies(document, target) ? [{ name, jobs, document }] : [];
  });
}

function applies(addon: unknown, target: AddonTarget): boolean {
  const include = parseFilter(addon, 'include');
  const exclude = parseFilter(addon, 'exclude');
  return target.groups.some((group) => include.every((test) => test(group, target)) && !(exclude.length > 0 && exclude.every((test) => test(group, target))));
}

type Test = (group: AddonGroup, target: AddonTarget) => boolean;

/** One test per key that says something: a list must have a fitting entry, all keys must fit. */
function parseFilter(addon: unknown, kind: 'include' | 'exclude'): Test[] {
  const filter = optionalField(addon, kind, 'Hash') ?? {};
  const tests: Test[] = listKeys.flatMap(([key, fits]) => {
    const items = optionalField(filter, key, 'Array') ?? [];
    for (const item of items) checkItem(key, item, kind);
    return items.length === 0 ? [] : [(group: AddonGroup, target: AddonTarget) => items.some((item) => fits(item, group, target))];
  });
  const lifecycle = optionalField(filter, 'lifecycle', 'String') ?? '';
  return lifecycle === '' ? tests : [...tests, (group) => group.lifecycle === lifecycle];
}

const listKeys: readonly [key: string, fits: (item: unknown, group: AddonGroup, target: AddonTarget) => boolean][] = [
  ['deployments', (item, _group, target) => item === target.deployment],
  ['teams', (item, _group, target) => target.teams.some((team) => team === item)],
  ['instance_groups', (item, group) => item === group.name],
  ['jobs', (item, group) => isHash(item) && group.jobs.some((job) => job.name === item.name && job.release === item.release)],
  ['networks', (item, group) => group.networks.some((network) => network.name === item)],
  ['azs', (item, group) => (group.azs ?? []).some((az) => az === item)],
  ['stemcell', (item, group) => isHash(item) && item.os === group.os],
];

function checkItem(key: string, item: unknown, kind: string): void {
  const has = (name: string) => (optionalField(item, name, 'String') ?? '') !== '';
  if (key === 'jobs' && !(has('name') && has('release'))) {
    throw new DirectorError(530004, `Job ${JSON.stringify(item)} in runtime config's ${kind} section must have both name and release.`);
  }
  if (key === 'stemcell' && !has('os')) throw new DirectorError(530005, `Stemcell ${JSON.stringify(item)} in runtime config's ${kind} section must have an os name.`);
}
