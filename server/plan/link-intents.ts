import { code, DirectorError } from '../core/errors';
import { isHash, type Hash } from '../core/yaml';
import type { ManifestGroup, ManifestJob } from '../deployments/manifest';
import type { JobRecord } from '../releases/release';
import { parseAliases } from './dns';

/**
 * What the jobs of a deployment offer to others and want of them, as releases and manifest say; who gets what is decided in `links.ts`.
 * Rules: cloudfoundry/bosh src/bosh-director/lib/bosh/director/links/ (link_providers_parser.rb, link_consumers_parser.rb, link_helpers.rb).
 */

/** A link that a job of an instance group provides. */
export interface LinkProvider {
  group: string;
  job: string;
  /** As the release (or a custom definition) names it. */
  originalName: string;
  /** Alias under which it is found; equal to the original name unless the manifest says `as`. */
  name: string;
  type: string;
  /** Other deployments may use it. */
  shared: boolean;
  /** False when the manifest says `nil`. */
  consumable: boolean;
  /** Defined in the manifest, not in the release. */
  custom: boolean;
  /** Values of the properties that the link carries. */
  properties: Hash;
  /** DNS aliases as the manifest has them. */
  aliases?: unknown;
  /** It stands for a named disk of the group, not for a job: `job` is the group's name then. */
  disk?: true;
}

/** A link that a job wants. */
export interface LinkConsumer {
  group: string;
  job: string;
  originalName: string;
  /** Alias that is looked for. */
  name: string;
  type: string;
  optional: boolean;
  /** The manifest says `nil`. */
  blocked: boolean;
  /** The manifest says where it comes from; otherwise any provider of the type will do. */
  explicit: boolean;
  network?: string | undefined;
  ipAddresses?: boolean | undefined;
  fromDeployment?: string | undefined;
  /** Content that stands in the manifest itself. */
  manual?: { instances: unknown; properties: unknown; address: unknown } | undefined;
}

export interface LinkIntents {
  providers: readonly LinkProvider[];
  consumers: readonly LinkConsumer[];
  /** Names in the manifest that the release does not know. */
  warnings: readonly string[];
}

/** A job of the manifest with its record. */
export interface LinkedJob {
  group: ManifestGroup;
  job: ManifestJob;
  record: JobRecord;
  release: string;
  /** Of the manifest: the job's own or the inherited ones; not bound to the job's spec. */
  properties: Hash;
}

/** Each named disk of a group can be had as a link of type `disk`. */
export function diskProviders(group: ManifestGroup): LinkProvider[] {
  return group.disks.flatMap(({ name }) =>
    name === '' ? [] : [{ group: group.name, job: group.name, originalName: name, name, type: 'disk', shared: false, consumable: true, custom: false, properties: { name }, disk: true }]);
}

/** Throws an error with a line for each thing that is wrong. `deployments`: names of all there are; `disks`: see `diskProviders`. */
export function linkIntents(jobs: readonly LinkedJob[], deployments: readonly string[], disks: readonly LinkProvider[] = []): LinkIntents {
  const errors: string[] = [];
  const providers = [...jobs.flatMap((linked) => providersOf(linked, errors)), ...disks];
  const consumers = jobs.flatMap((linked) => consumersOf(linked, deployments, errors));
  if (errors.length > 0) throw new DirectorError(code.generic, errors.join('\n'));
  return { providers, consumers, warnings: jobs.flatMap(unknownNames) };
}

interface LinkSpec {
  name: string;
  type: string;
  optional: boolean;
  properties: readonly string[];
}

function linkSpecs(value: unknown): LinkSpec[] {
  if (!Array.isArray(value)) return [];
  return value.flatMap((item: unknown): LinkSpec[] => {
    if (!isHash(item) || typeof item.name !== 'string' || typeof item.type !== 'string') return [];
    const properties = Array.isArray(item.properties) ? item.properties.filter((name) => typeof name === 'string') : [];
    return [{ name: item.name, type: item.type, optional: item.optional === true, properties }];
  });
}

function place({ group, job }: Pick<LinkedJob, 'group' | 'job'>): string {
  return `in job '${job.name}' in instance group '${group.name}'`;
}

function providersOf(linked: LinkedJob, errors: string[]): LinkProvider[] {
  const { job, record } = linked;
  checkCustomProviders(linked, errors);
  const custom = linkSpecs(job.customProviders ?? []).map((spec) => ({ ...spec, custom: true }));
  const released = linkSpecs(record.spec.provides).map((spec) => ({ ...spec, custom: false }));
  return [...custom, ...released].flatMap((spec) => {
    const wish = Object.hasOwn(job.provides, spec.name) ? job.provides[spec.name] : {};
    const problem = problemOfProvider(wish, spec.name, linked);
    if (problem !== undefined) {
      errors.push(problem);
      return [];
    }
    const { name, shared, aliases } = isHash(wish) ? { name: typeof wish.as === 'string' ? wish.as : spec.name, shared: wish.shared === true, aliases: wish.aliases } : { name: spec.name, shared: false, aliases: undefined };
    const properties = mapProperties(spec.properties, linked, errors);
    const provider: LinkProvider = { group: linked.group.name, job: job.name, originalName: spec.name, name, type: spec.type, shared, consumable: wish !== 'nil', custom: spec.custom, properties };
    return [aliases === undefined ? provider : { ...provider, aliases }];
  });
}

function problemOfProvider(wish: unknown, name: string, linked: LinkedJob): string | undefined {
  if (wish === 'nil') return undefined;
  if (!isHash(wish)) return `Provider '${name}' ${place(linked)} specified in the manifest should only be a hash or string 'nil'`;
  if (parseAliases(wish.aliases) === undefined) return `The aliases of provider '${name}' ${place(linked)} must be a list of hashes with a 'domain' and texts`;
  return 'name' in wish || 'type' in wish ? nameOrType(name, linked) : undefined;
}

function nameOrType(name: string, linked: LinkedJob): string {
  return `Cannot specify 'name' or 'type' properties in the manifest for link '${name}' ${place(linked)}. Please provide these keys in the release only.`;
}

function checkCustomProviders(linked: LinkedJob, errors: string[]): void {
  const definitions = linked.job.customProviders ?? [];
  const released = linkSpecs(linked.record.spec.provides).map((spec) => spec.name);
  const nameOf = (definition: unknown) => (isHash(definition) ? definition.name : undefined);
  for (const definition of definitions) {
    for (const key of ['name', 'type'] as const) {
      const value = isHash(definition) ? definition[key] : undefined;
      if (typeof value === 'string' && value !== '') continue;
      errors.push(`${key === 'name' ? 'Name' : 'Type'} for custom link provider definition in manifest ${place(linked)} must be a valid non-empty string.`);
    }
    const name = nameOf(definition);
    if (typeof name === 'string' && released.includes(name)) errors.push(`Custom provider '${name}' ${place(linked)} is already defined in release '${linked.release}'`);
  }
  const names = definitions.map(nameOf);
  for (const name of new Set(names.filter((one, i) => names.indexOf(one) !== i))) errors.push(`Custom provider '${String(name)}' ${place(linked)} is defined multiple times in manifest.`);
}

/** The properties that a link carries: the manifest's value, else the default of the job's spec. */
function mapProperties(wanted: readonly string[], { job, record, properties }: LinkedJob, errors: string[]): Hash {
  const mapped: Hash = {};
  const declared = isHash(record.spec.properties) ? record.spec.properties : {};
  for (const name of wanted) {
    const path = name.split('.');
    const given = valueAt(properties, path);
    const definition = Object.hasOwn(declared, name) ? declared[name] : undefined;
    if (given.found) setAt(mapped, path, given.value);
    else if (isHash(definition)) setAt(mapped, path, definition.default ?? null);
    else errors.push(`Link property ${name} in template ${job.name} is not defined in release spec`);
  }
  return mapped;
}

function valueAt(root: Hash, path: readonly string[]): { found: boolean; value?: unknown } {
  let at: unknown = root;
  for (const key of path) {
    if (!isHash(at) || !Object.hasOwn(at, key)) return { found: false };
    at = at[key];
  }
  return { found: true, value: at };
}

function setAt(root: Hash, path: readonly string[], value: unknown): void {
  let at = root;
  for (const key of path.slice(0, -1)) {
    const present = Object.hasOwn(at, key) ? at[key] : undefined;
    const next: Hash = isHash(present) ? present : {};
    define(at, key, next);
    at = next;
  }
  define(at, path.at(-1) ?? '', value);
}

/** A plain property even for a name like `__proto__`. */
function define(hash: Hash, key: string, value: unknown): void {
  Object.defineProperty(hash, key, { value, writable: true, enumerable: true, configurable: true });
}

function consumersOf(linked: LinkedJob, deployments: readonly string[], errors: string[]): LinkConsumer[] {
  const { group, job, record } = linked;
  return linkSpecs(record.spec.consumes).flatMap((spec): LinkConsumer[] => {
    const base = { group: group.name, job: job.name, originalName: spec.name, name: spec.name, type: spec.type, optional: spec.optional, blocked: false, explicit: false };
    if (!Object.hasOwn(job.consumes, spec.name)) return [base];
    const wish = job.consumes[spec.name];
    if (wish === 'nil') return [{ ...base, blocked: true, explicit: true }];
    const problems = problemsOfConsumer(wish, spec.name, linked);
    errors.push(...problems);
    return problems.length > 0 || !isHash(wish) ? [] : [explicitConsumer(base, wish, { linked, deployments, errors })];
  });
}

const manualKeys = ['instances', 'properties', 'address'] as const;

function explicitConsumer(base: LinkConsumer, wish: Hash, { linked, deployments, errors }: { linked: LinkedJob; deployments: readonly string[]; errors: string[] }): LinkConsumer {
  if (manualKeys.some((key) => key in wish)) {
    return { ...base, explicit: true, manual: { instances: wish.instances ?? null, properties: wish.properties ?? null, address: wish.address ?? null } };
  }
  const from = typeof wish.from === 'string' ? wish.from : base.name;
  const deployment = typeof wish.deployment === 'string' ? wish.deployment : undefined;
  if (deployment !== undefined && !deployments.includes(deployment)) {
    errors.push(`Link '${from}' in job '${linked.job.name}' from instance group '${linked.group.name}' consumes from deployment '${deployment}', but the deployment does not exist.`);
  }
  return {
    // Dotted names are of old: only the last part counts.
    ...base, explicit: true, name: from.split('.').at(-1) ?? from,
    ...(typeof wish.network === 'string' ? { network: wish.network } : {}),
    ...(typeof wish.ip_addresses === 'boolean' ? { ipAddresses: wish.ip_addresses } : {}),
    ...(deployment === undefined ? {} : { fromDeployment: deployment }),
  };
}

function problemsOfConsumer(wish: unknown, name: string, linked: LinkedJob): string[] {
  const link = `link '${name}' ${place(linked)}`;
  if (!isHash(wish)) return [`Consumer '${name}' ${place(linked)} specified in the manifest should only be a hash or string 'nil'`];
  return [
    ...['instances', 'properties'].filter((key) => key in wish && 'from' in wish).map((key) => `Cannot specify both '${key}' and 'from' keys for ${link}.`),
    ...('properties' in wish && !('instances' in wish) ? [`Cannot specify 'properties' without 'instances' for ${link}.`] : []),
    ...('ip_addresses' in wish && typeof wish.ip_addresses !== 'boolean' ? [`Cannot specify non boolean values for 'ip_addresses' field for ${link}.`] : []),
    ...('name' in wish || 'type' in wish ? [nameOrType(name, linked)] : []),
  ];
}

/** Names in `consumes` and `provides` that the job does not have: a slip that BOSH lets pass. */
function unknownNames({ group, job, record }: LinkedJob): string[] {
  const known = {
    consumes: linkSpecs(record.spec.consumes),
    provides: [...linkSpecs(record.spec.provides), ...linkSpecs(job.customProviders ?? [])],
  };
  return (['consumes', 'provides'] as const).flatMap((kind) =>
    Object.keys(job[kind])
      .filter((name) => !known[kind].some((spec) => spec.name === name))
      .map((name) => `Job '${job.name}' (instance group '${group.name}') has no link '${name}' in its '${kind}'`),
  );
}
