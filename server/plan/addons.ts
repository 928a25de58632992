import { DirectorError, notSupported } from '../core/errors';
import { optionalField, requiredField } from '../core/fields';
import { isHash, type Hash } from '../core/yaml';
import type { ManifestGroup, ManifestStemcell } from '../deployments/manifest';

/**
 * Runtime configs: tags are honoured; addons and variables are not built yet, so a runtime config whose addon would apply
 * is refused rather than left out.
 * Rules: cloudfoundry/bosh src/bosh-director/lib/bosh/director/addon/filter.rb and runtime_config/.
 */

export interface AddonTarget {
  deployment: string;
  teams: readonly string[];
  groups: readonly ManifestGroup[];
  stemcells: readonly ManifestStemcell[];
}

/** The tags of the runtime configs. Throws 530006 when two define tags, "not supported" for addons that apply and for variables. */
export function applyRuntimeConfigs(documents: readonly Hash[], target: AddonTarget): Record<string, string> {
  const tagged = documents.filter((document) => optionalField(document, 'tags', 'Hash') !== undefined);
  if (tagged.length > 1) throw new DirectorError(530006, "Runtime config 'tags' key cannot be defined in multiple runtime configs.");
  for (const document of documents) {
    const addons = optionalField(document, 'addons', 'Array') ?? [];
    const applying = addons.find((addon) => applies(addon, target));
    if (applying !== undefined) throw notSupported(`The addon '${requiredField(applying, 'name', 'String')}' of a runtime config, which applies to this deployment,`);
    if ((optionalField(document, 'variables', 'Array') ?? []).length > 0) throw notSupported("'variables' in a runtime config");
  }
  const tags = tagged[0] ? (optionalField(tagged[0], 'tags', 'Hash') ?? {}) : {};
  return Object.fromEntries(Object.keys(tags).map((key) => [key, optionalField(tags, key, 'String') ?? '']));
}

function applies(addon: unknown, target: AddonTarget): boolean {
  const include = optionalField(addon, 'include', 'Hash') ?? {};
  const exclude = optionalField(addon, 'exclude', 'Hash') ?? {};
  return target.groups.some((group) => matches(include, group, target) && !(Object.keys(exclude).length > 0 && matches(exclude, group, target)));
}

/** Every present key must match; of a list any entry. An empty filter matches. */
function matches(filter: Hash, group: ManifestGroup, target: AddonTarget): boolean {
  return filterKeys.every(([key, test]) => {
    const value = filter[key];
    if (value === undefined || value === null) return true;
    return (Array.isArray(value) ? value : [value]).some((item) => test(item, group, target));
  });
}

type Test = (item: unknown, group: ManifestGroup, target: AddonTarget) => boolean;

const filterKeys: readonly [key: string, test: Test][] = [
  ['deployments', (item, _group, target) => item === target.deployment],
  ['teams', (item, _group, target) => target.teams.some((team) => team === item)],
  ['instance_groups', (item, group) => item === group.name],
  ['jobs', (item, group) => isHash(item) && group.jobs.some((job) => job.name === item.name && job.release === item.release)],
  ['networks', (item, group) => group.networks.some((network) => network.name === item)],
  ['azs', (item, group) => (group.azs ?? []).some((az) => az === item)],
  ['lifecycle', (item, group) => item === group.lifecycle],
  ['stemcell', (item, group, target) => isHash(item) && target.stemcells.some((stemcell) => stemcell.alias === group.stemcell && stemcell.os === item.os)],
];
