import { mergeCloudConfigs } from '../configs/parse';
import { sameValue } from '../core/compare';
import { isHash, type Hash } from '../core/yaml';
import { dumpYaml } from '../core/yaml-dump';
import { applyingAddons, mergeRuntimeConfigs, parseAddons, type AddonGroup } from './addons';
import { resolveVersions, type Catalogue } from './artifacts';
import { redactDocument } from './redact';

/**
 * Differences of manifests and configs as `bosh deploy` and `bosh update-config` show them.
 * Rules: cloudfoundry/bosh src/bosh-director/lib/bosh/director/manifest/changeset.rb, diff_lines.rb and manifest.rb.
 */

/** One line of a diff; `null`: not changed, shown for context. */
export type DiffLine = [text: string, status: 'added' | 'removed' | null];

/** A deployment's documents: its manifest and the configs that go with it. */
export interface DeploymentDocuments {
  manifest: Hash;
  cloudConfigs: readonly Hash[];
  runtimeConfigs: readonly Hash[];
}

export interface DeploymentDiff {
  /** Undefined: the deployment does not exist yet, all is added. */
  before?: DeploymentDocuments;
  after: DeploymentDocuments;
  teams: readonly string[];
  catalogue: Catalogue;
  redact: boolean;
}

/** What a deploy would change of manifest, cloud config and applicable runtime config. Throws for malformed documents. */
export function diffDeployment({ before, after, teams, catalogue, redact }: DeploymentDiff): DiffLine[] {
  return diffDocuments(before ? wholeDocument(before, teams, catalogue) : {}, wholeDocument(after, teams, catalogue), { redact });
}

/** The difference of two documents, sections in BOSH's order with an empty line between them. */
export function diffDocuments(before: Hash, after: Hash, { redact }: { redact: boolean }): DiffLine[] {
  const shown = (document: Hash) => (redact ? redactDocument(document) : document);
  return inSections(diffHashes({ real: before, shown: shown(before) }, { real: after, shown: shown(after) }, 0));
}

/** Manifest, cloud config and the applicable part of the runtime config as one document with concrete versions. */
function wholeDocument({ manifest, cloudConfigs, runtimeConfigs }: DeploymentDocuments, teams: readonly string[], catalogue: Catalogue): Hash {
  const document = resolveVersions(manifest, catalogue);
  const runtime = applicableRuntimeConfig(document, mergeRuntimeConfigs(runtimeConfigs), teams);
  const whole: Hash = { ...document, ...mergeCloudConfigs(cloudConfigs) };
  for (const [key, value] of Object.entries(runtime)) whole[key] = mergeKey(key, whole[key], value);
  return whole;
}

function mergeKey(key: string, own: unknown, fromRuntime: unknown): unknown {
  if (own === undefined || own === null) return fromRuntime;
  if (['releases', 'variables', 'addons'].includes(key) && Array.isArray(own) && Array.isArray(fromRuntime)) return unique([...own, ...fromRuntime]);
  return key === 'tags' && isHash(own) && isHash(fromRuntime) ? { ...fromRuntime, ...own } : fromRuntime;
}

function unique(items: readonly unknown[]): unknown[] {
  return items.filter((item, i) => items.findIndex((other) => sameValue(other, item)) === i);
}

/** Addons that do not concern the deployment are left out, and the releases that only they need. */
function applicableRuntimeConfig(document: Hash, runtime: Hash, teams: readonly string[]): Hash {
  if (Object.keys(runtime).length === 0) return {};
  const addons = applyingAddons(parseAddons(runtime, 'runtime'), addonGroups(document), { deployment: textAt(document, 'name'), teams });
  const needed = new Set(addons.flatMap((addon) => addon.jobs.map((job) => job.release)));
  const { addons: _all, ...others } = runtime;
  const releases = hashesAt(runtime, 'releases').filter((release) => needed.has(textAt(release, 'name')));
  return { ...others, releases, ...(addons.length > 0 ? { addons: addons.map((addon) => addon.document) } : {}) };
}

/** The groups of a manifest that has not been checked. */
function addonGroups(document: Hash): AddonGroup[] {
  const stemcells = hashesAt(document, 'stemcells');
  return hashesAt(document, 'instance_groups').map((group) => ({
    name: textAt(group, 'name'),
    lifecycle: textAt(group, 'lifecycle') || 'service',
    jobs: hashesAt(group, 'jobs').map((job) => ({ name: textAt(job, 'name'), release: textAt(job, 'release') })),
    networks: hashesAt(group, 'networks').map((network) => ({ name: textAt(network, 'name') })),
    azs: Array.isArray(group.azs) ? group.azs.filter((az) => typeof az === 'string') : null,
    os: stemcells.filter((stemcell) => stemcell.alias === group.stemcell).map((stemcell) => textAt(stemcell, 'os'))[0],
  }));
}

function hashesAt(object: unknown, key: string): Hash[] {
  const value = isHash(object) ? object[key] : undefined;
  return Array.isArray(value) ? value.filter(isHash) : [];
}

function textAt(object: unknown, key: string): string {
  const value = isHash(object) ? object[key] : undefined;
  return typeof value === 'string' ? value : '';
}

/** A value that is compared, and what of it is shown. */
interface Both<T = unknown> {
  real: T;
  shown: T;
}

function diffHashes(before: Both<Hash>, after: Both<Hash>, depth: number): DiffLine[] {
  const keys = new Set([...Object.keys(before.real), ...Object.keys(after.real)]);
  return [...keys].flatMap((key) => diffKey(key, { before: at(before, key), after: at(after, key) }, depth));
}

function at(both: Both<Hash>, key: string): Both {
  return { real: Object.hasOwn(both.real, key) ? both.real[key] : undefined, shown: Object.hasOwn(both.shown, key) ? both.shown[key] : undefined };
}

function diffKey(key: string, { before, after }: { before: Both; after: Both }, depth: number): DiffLine[] {
  const had = before.real !== undefined && before.real !== null;
  const has = after.real !== undefined && after.real !== null;
  if ((!had && !has) || sameValue(before.real, after.real)) return [];
  const added = () => yamlLines({ [key]: after.shown }, depth, 'added');
  const removed = () => yamlLines({ [key]: before.shown }, depth, 'removed');
  if (!had) return added();
  if (!has) return removed();
  const nested = diffNested(before, after, depth);
  if (!nested) return [...removed(), ...added()];
  return nested.length > 0 ? [line(depth, `${key}:`, null), ...nested] : [];
}

/** Lines below a key whose values are both hashes or both lists; undefined for others. */
function diffNested(before: Both, after: Both, depth: number): DiffLine[] | undefined {
  if (isHash(before.real) && isHash(after.real)) return diffHashes(asHashes(before), asHashes(after), depth + 1);
  if (Array.isArray(before.real) && Array.isArray(after.real)) return diffLists(itemsOf(before), itemsOf(after), depth);
  return undefined;
}

function asHashes(both: Both): Both<Hash> {
  return { real: isHash(both.real) ? both.real : {}, shown: isHash(both.shown) ? both.shown : {} };
}

function itemsOf(both: Both): Both[] {
  const shown: readonly unknown[] = Array.isArray(both.shown) ? both.shown : [];
  return Array.isArray(both.real) ? both.real.map((real, i) => ({ real, shown: shown[i] })) : [];
}

/** Elements are matched by their name, or by their range, when all that differ have one. */
function diffLists(before: readonly Both[], after: readonly Both[], depth: number): DiffLine[] {
  const without = (items: readonly Both[], others: readonly Both[]) => items.filter((item) => !others.some((other) => sameValue(other.real, item.real)));
  const added = without(after, before);
  let removed = without(before, after);
  const lines: DiffLine[] = [];
  for (const item of added) {
    const changed = [...added, ...removed].filter((one) => one.real !== null && one.real !== undefined);
    const key = ['name', 'range'].find((candidate) => changed.every((one) => isHash(one.real) && one.real[candidate] !== undefined && one.real[candidate] !== null));
    const partner = key !== undefined && isHash(item.real) ? removed.find((one) => isHash(one.real) && isHash(item.real) && sameValue(one.real[key], item.real[key])) : undefined;
    if (!partner || key === undefined) {
      lines.push(...yamlLines([item.shown], depth, 'added'));
      continue;
    }
    removed = removed.filter((one) => !sameValue(one.real, partner.real));
    const nested = diffHashes(asHashes(partner), asHashes(item), depth + 1);
    if (nested.length > 0) lines.push(...yamlLines([{ [key]: asHashes(item).shown[key] }], depth, null), ...nested);
  }
  if (removed.length > 0) lines.push(...yamlLines(removed.map((one) => one.shown), depth, 'removed'));
  return lines;
}

function yamlLines(value: unknown, depth: number, status: DiffLine[1]): DiffLine[] {
  return dumpYaml(value).replace(/\n+$/, '').split('\n').map((text) => line(depth, text, status));
}

function line(depth: number, text: string, status: DiffLine[1]): DiffLine {
  return [' '.repeat(2 * depth) + text, status];
}

const sectionOrder = [
  'azs', 'vm_types', 'vm_extensions', 'resource_pools', 'compilation', 'networks', 'disk_types', 'name', 'stemcells',
  'releases', 'update', 'jobs', 'release', 'addons', 'variables',
].map((key) => `${key}:`);

/** Known sections first, in a fixed order; a section begins with every line that is neither indented nor a list element. */
function inSections(lines: readonly DiffLine[]): DiffLine[] {
  const sections: DiffLine[][] = [];
  for (const one of lines) {
    if (!/^[ -]/.test(one[0]) || sections.length === 0) sections.push([]);
    sections.at(-1)?.push(one);
  }
  const rank = (section: DiffLine[]) => {
    const at = sectionOrder.indexOf(section[0]?.[0] ?? '');
    return at < 0 ? sectionOrder.length : at;
  };
  return sections.toSorted((a, b) => rank(a) - rank(b)).flatMap((section, i) => (i === 0 ? section : [['', null] as DiffLine, ...section]));
}
