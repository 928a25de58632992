import type { Database } from '../../db/client';
import { code, DirectorError, isDirectorError } from '../core/errors';
import type { VariableBackend } from './backend';
import { absoluteName, findPlaceholders, replacePlaceholders, requireAbsoluteNames, selectKeys, type NameScope, type SubtreePattern, type VariableReference } from './placeholders';
import { listSetVersions, type FixedName, type VariableSet } from './store';

export interface ResolveOptions {
  /** Subtrees that keep their placeholders. */
  ignored?: readonly SubtreePattern[];
  /** The document belongs to no deployment. */
  absoluteOnly?: boolean;
}

/** Puts values into documents, each name in one version. */
export interface Resolver {
  /** A copy with values. Throws 540001 with a line for each name that cannot be had, 540004, 540007. */
  resolve<T>(document: T, options?: ResolveOptions): Promise<T>;
  /** What the values depend on, without the values: `name=id of the version`, sorted. Throws as `resolve`. */
  versionsIn(document: unknown, options?: ResolveOptions): Promise<string[]>;
}

/** Told of every value that is read, with the placeholder that may be shown instead. */
export type HideValue = (value: unknown, placeholder: string) => void;

/** A name's version; its value is fetched when it is asked for. */
interface FixedVersion {
  id: string;
  value(): Promise<unknown>;
}

interface Source {
  /** Names without a slash at the beginning belong here. */
  scope: NameScope;
  /** Which version of an absolute name counts. */
  versionOf(name: string): Promise<FixedVersion>;
  /** Failures that are told together. */
  collected: ReadonlySet<number>;
  hide: HideValue;
  mayLack?: ReadonlySet<string> | undefined;
}

export interface SetResolverDeps {
  db: Database;
  backend: VariableBackend;
  scope: NameScope;
  set: VariableSet;
  /** Notes a version in the set; returns the id of the one that is noted. */
  fix: (fixed: FixedName) => Promise<string>;
  /** Names (absolute) that need not be there: they keep their placeholders. For plans that nobody carries out. */
  mayLack?: ReadonlySet<string> | undefined;
  hide: HideValue;
}

const fetchFailures: ReadonlySet<number> = new Set([code.configServerFetchError, code.configServerMissingName]);

/**
 * The versions that a set fixes; names that it lacks are fixed in their newest version while it is writable, else refused (540008).
 * It remembers versions and values for as long as it lives. Two at once (a takeover) fix the same versions.
 */
export function createResolver({ db, backend, scope, set, fix, mayLack, hide }: SetResolverDeps): Resolver {
  const fixed = once(() => listSetVersions(db, set.id));
  return resolverOf({
    scope, hide, mayLack, collected: fetchFailures,
    versionOf: async (name) => {
      const known = (await fixed()).get(name);
      if (known !== undefined) return versionById(backend, name, known);
      if (!set.writable) throw notVersioned(name, `deployment '${scope.deployment}'`);
      const latest = await backend.latest(name);
      const id = await fix({ name, id: latest.id });
      return id === latest.id ? { id, value: async () => latest.value } : versionById(backend, name, id);
    },
  });
}

/**
 * Values of a link that another deployment provides: under that deployment's names, in the versions of its last successful deploy, which
 * the consumer's set keeps. `provider` is undefined when it was never deployed successfully: 70011.
 */
export function createLinkResolver(consumer: SetResolverDeps, providerDeployment: string, provider: VariableSet | undefined): Resolver {
  const { db, backend, scope, set, fix, hide } = consumer;
  const fixed = once(() => listSetVersions(db, set.id, providerDeployment));
  const provided = once(async () => {
    if (provider) return listSetVersions(db, provider.id);
    throw new DirectorError(code.variableSetNotFound, `- Cannot consume properties from deployment '${providerDeployment}'. It was never successfully deployed.`);
  });
  return resolverOf({
    scope: { ...scope, deployment: providerDeployment }, hide,
    collected: new Set([...fetchFailures, code.configServerInconsistentVariableState]),
    versionOf: async (name) => {
      const known = (await fixed()).get(name);
      if (known !== undefined) return versionById(backend, name, known);
      if (!set.writable) throw notVersioned(name, `deployment '${scope.deployment}'`);
      const id = (await provided()).get(name);
      if (id === undefined) throw notVersioned(name, `link provider deployment '${providerDeployment}'`);
      return versionById(backend, name, await fix({ name, id, providerDeployment }));
    },
  });
}

/** Newest versions, for documents that belong to no deployment (CPI configs): absolute names only. */
export function createLatestResolver(backend: VariableBackend, hide: HideValue): Resolver {
  const resolver = resolverOf({
    scope: { director: '', deployment: '' }, hide, collected: fetchFailures,
    versionOf: async (name) => {
      const { id, value } = await backend.latest(name);
      return { id, value: async () => value };
    },
  });
  return {
    resolve: (document, options) => resolver.resolve(document, { ...options, absoluteOnly: true }),
    versionsIn: (document, options) => resolver.versionsIn(document, { ...options, absoluteOnly: true }),
  };
}

function versionById(backend: VariableBackend, name: string, id: string): FixedVersion {
  return { id, value: once(async () => (await backend.version(id, name)).value) };
}

function notVersioned(name: string, where: string): DirectorError {
  return new DirectorError(code.configServerInconsistentVariableState, `Expected variable '${name}' to be already versioned in ${where}`);
}

function resolverOf(source: Source): Resolver {
  const versions = new Map<string, Promise<FixedVersion>>();
  const versionOf = (name: string): Promise<FixedVersion> => {
    const known = versions.get(name);
    if (known) return known;
    const asked = source.versionOf(name);
    versions.set(name, asked);
    // A failure is not remembered: the next document asks again.
    asked.catch(() => versions.delete(name));
    return asked;
  };
  const nameOf = (reference: VariableReference) => absoluteName(reference.root, source.scope);
  const lacking = (name: string) => (error: unknown) => {
    if (source.mayLack?.has(name) && isDirectorError(error) && error.code === code.configServerMissingName) return undefined;
    throw error;
  };
  const valueOf = async (reference: VariableReference) => {
    const name = nameOf(reference);
    const version = await versionOf(name).catch(lacking(name));
    if (!version) return [reference.placeholder, reference.placeholder] as const;
    const value = selectKeys(reference, name, await version.value());
    source.hide(value, reference.placeholder);
    return [reference.placeholder, value] as const;
  };
  return {
    resolve: async (document, { ignored = [], absoluteOnly = false } = {}) => {
      const references = findPlaceholders(document, ignored);
      if (references.length === 0) return document;
      if (absoluteOnly) requireAbsoluteNames(references);
      return replacePlaceholders(document, new Map(await collect(references.map(valueOf), source.collected)), ignored);
    },
    versionsIn: async (document, { ignored = [], absoluteOnly = false } = {}) => {
      const references = findPlaceholders(document, ignored);
      if (absoluteOnly) requireAbsoluteNames(references);
      const names = [...new Set(references.map(nameOf))].sort();
      return collect(names.map(async (name) => `${name}=${(await versionOf(name).catch(lacking(name)))?.id ?? ''}`), source.collected);
    },
  };
}

/** All results, or one error that tells every failure of the collected kinds; another failure is thrown as it is. */
async function collect<T>(work: readonly Promise<T>[], collected: ReadonlySet<number>): Promise<T[]> {
  const settled = await Promise.allSettled(work);
  const failures = settled.flatMap((one) => (one.status === 'rejected' ? [one.reason as unknown] : []));
  const other = failures.find((failure) => !isDirectorError(failure) || !collected.has(failure.code));
  if (other !== undefined) throw other;
  if (failures.length > 0) throw new DirectorError(code.configServerFetchError, failures.map((failure) => `- ${failure instanceof Error ? failure.message : String(failure)}`).join('\n'));
  return settled.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
}

/** The work is done once, and once more after a failure. */
function once<T>(work: () => Promise<T>): () => Promise<T> {
  let done: Promise<T> | undefined;
  return () => {
    if (done) return done;
    const doing = work();
    done = doing;
    doing.catch(() => (done = undefined));
    return doing;
  };
}
