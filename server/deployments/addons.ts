import { code, DirectorError } from '../core/errors';
import { optionalField, requiredField } from '../core/fields';
import { isHash, type Hash } from '../core/yaml';
import type { ManifestGroup, ManifestJob, ManifestRelease } from './manifest';
import { parseRelease } from './manifest-releases';

/**
 * Addons of manifests and runtime configs, and how several runtime configs become one.
 * Rules: cloudfoundry/bosh src/bosh-director/lib/bosh/director/runtime_config/runtime_configs_consolidator.rb, runtime_config/ and addon/.
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
  os?: string | undefined;
}

export interface AddonTarget {
  deployment: string;
  teams: readonly string[];
}

/** Addons stand in the manifest itself or in a runtime config. */
export type AddonLevel = 'deployment' | 'runtime';

/** Jobs that are put on every instance group that the filters choose. */
export interface Addon {
  name: string;
  jobs: readonly ManifestJob[];
  appliesTo(group: AddonGroup, target: AddonTarget): boolean;
  /** It has the deprecated `properties` of its own. */
  ownProperties: boolean;
  document: unknown;
}

/**
 * The addons of a manifest or runtime config. Throws BOSH's codes for malformed ones, and 530002 for a job whose release is not
 * among `releases`; undefined leaves that unchecked.
 */
export function parseAddons(document: Hash, level: AddonLevel, releases?: readonly string[]): Addon[] {
  return (optionalField(document, 'addons', 'Array') ?? []).map((addon): Addon => {
    const name = requiredField(addon, 'name', 'String');
    const properties = optionalField(addon, 'properties', 'Hash');
    const jobs = (optionalField(addon, 'jobs', 'Array') ?? []).map((job) => parseJob(job, properties ?? {}));
    const include = parseFilter(addon, 'include', level);
    const exclude = parseFilter(addon, 'exclude', level);
    const foreign = releases && jobs.find((job) => !releases.includes(job.release));
    if (foreign) {
      throw new DirectorError(530002, `Manifest specifies job '${foreign.name}' which is defined in '${foreign.release}', but '${foreign.release}' is not listed in the ${level} releases section.`);
    }
    return {
      name, jobs, ownProperties: properties !== undefined, document: addon,
      appliesTo: (group, target) => include.every((test) => test(group, target)) && !(exclude.length > 0 && exclude.every((test) => test(group, target))),
    };
  });
}

/** An addon's properties are those of its jobs that have none; nothing is inherited from the deployment. */
function parseJob(job: unknown, addonProperties: Hash): ManifestJob {
  const [name, release] = [requiredField(job, 'name', 'String'), requiredField(job, 'release', 'String')];
  return {
    name, release, properties: optionalField(job, 'properties', 'Hash') ?? addonProperties,
    provides: optionalField(job, 'provides', 'Hash') ?? {}, consumes: optionalField(job, 'consumes', 'Hash') ?? {},
  };
}

/** The addons that concern at least one group. */
export function applyingAddons(addons: readonly Addon[], groups: readonly AddonGroup[], target: AddonTarget): Addon[] {
  return addons.filter((addon) => groups.some((group) => addon.appliesTo(group, target)));
}

/**
 * The groups with the jobs of the addons that apply to them, one addon after the other: jobs that an addon brings count for the
 * filters of those after it. Throws when a group has a job of that name already.
 */
export function withAddons<G extends ManifestGroup>(groups: readonly G[], addons: readonly Addon[], context: { target: AddonTarget; os: (group: G) => string | undefined }): G[] {
  return addons.reduce<G[]>(
    (current, addon) => current.map((group) => (addon.appliesTo({ ...group, os: context.os(group) }, context.target) ? { ...group, jobs: [...group.jobs, ...addon.jobs.map((job) => newIn(group, job))] } : group)),
    [...groups],
  );
}

function newIn(group: ManifestGroup, job: ManifestJob): ManifestJob {
  if (group.jobs.some(({ name }) => name === job.name)) throw new DirectorError(code.generic, `Colocated job '${job.name}' is already added to the instance group '${group.name}'.`);
  return job;
}

export interface RuntimeConfig {
  releases: readonly ManifestRelease[];
  addons: readonly Addon[];
}

/** Releases and addons of one runtime config document. Throws 530001 for a version that is not concrete. */
export function parseRuntimeConfig(document: Hash): RuntimeConfig {
  const releases = (optionalField(document, 'releases', 'Array') ?? []).map((spec): ManifestRelease => {
    const release = parseRelease(spec);
    const { name, version } = release;
    if (/(^|[._])latest$/.test(version)) {
      throw new DirectorError(530001, `Runtime manifest contains the release '${name}' with version as '${version}'. Please specify the actual version string.`);
    }
    return release;
  });
  return { releases, addons: parseAddons(document, 'runtime', releases.map((release) => release.name)) };
}

type Test = (group: AddonGroup, target: AddonTarget) => boolean;

/** One test per key that says something: a list must have a fitting entry, all keys must fit. */
function parseFilter(addon: unknown, kind: 'include' | 'exclude', level: AddonLevel): Test[] {
  const filter = optionalField(addon, kind, 'Hash') ?? {};
  const items = (key: string) => optionalField(filter, key, 'Array') ?? [];
  if (level === 'deployment' && items('deployments').length > 0) throw new DirectorError(530006, 'Deployment filter is not allowed for deployment level addons.');
  const tests: Test[] = listKeys.flatMap(([key, fits]) => {
    // The deployment is the team's own already.
    if (key === 'teams' && level === 'deployment') return [];
    for (const item of items(key)) checkItem(key, item, { kind, level });
    return items(key).length === 0 ? [] : [(group: AddonGroup, target: AddonTarget) => items(key).some((item) => fits(item, group, target))];
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

function checkItem(key: string, item: unknown, { kind, level }: { kind: string; level: AddonLevel }): void {
  const has = (name: string) => (optionalField(item, name, 'String') ?? '') !== '';
  if (key === 'jobs' && !(has('name') && has('release'))) {
    throw new DirectorError(530004, `Job ${JSON.stringify(item)} in ${level} config's ${kind} section must have both name and release.`);
  }
  if (key === 'stemcell' && !has('os')) throw new DirectorError(530005, `Stemcell ${JSON.stringify(item)} in ${level} config's ${kind} section must have an os name.`);
}
