import type { Database, Tx } from '../../db/client';
import { code, DirectorError, isDirectorError } from '../core/errors';
import type { VariableBackend } from './backend';
import { absoluteName, findPlaceholders, replacePlaceholders, requireAbsoluteNames, selectKeys, type NameScope, type SubtreePattern, type VariableReference } from './placeholders';
import { fixVersion, listSetVersions, type VariableSet } from './store';

export interface ResolveOptions {
  /** Subtrees that keep their placeholders. */
  ignored?: readonly SubtreePattern[];
  /** The document belongs to no deployment. */
  absoluteOnly?: boolean;
}

/** Puts values into documents, each name in the version that the set fixes for the whole deploy. */
export interface Resolver {
  /** A copy with values. Throws 540001 with a line for each name that cannot be had, 540004, 540007. */
  resolve<T>(document: T, options?: ResolveOptions): Promise<T>;
  /** Fixes versions without needing the values. */
  fix(document: unknown, options?: ResolveOptions): Promise<void>;
}

export interface ResolverDeps {
  db: Database;
  backend: VariableBackend;
  scope: NameScope;
  set: VariableSet;
  /** A transaction under the caller's right to act. */
  write<T>(work: (tx: Tx) => Promise<T>): Promise<T>;
}

/** One per deploy: it remembers versions and values for as long as it lives. Two at once (a takeover) fix the same versions. */
export function createResolver(deps: ResolverDeps): Resolver {
  const values = new Map<string, Promise<unknown>>();
  let versions: Promise<Map<string, string>> | undefined;
  const valueOf = (name: string): Promise<unknown> => {
    const known = values.get(name) ?? fetchValue(deps, name, (versions ??= listSetVersions(deps.db, deps.set.id)));
    values.set(name, known);
    // A failure is not remembered: the next document asks again.
    known.catch(() => values.delete(name));
    return known;
  };
  const resolveAll = async (references: readonly VariableReference[], absoluteOnly: boolean): Promise<Map<string, unknown>> => {
    if (absoluteOnly) requireAbsoluteNames(references);
    const found = await Promise.allSettled(
      references.map(async (reference) => {
        const name = absoluteName(reference.root, deps.scope);
        return [reference.placeholder, selectKeys(reference, name, await valueOf(name))] as const;
      }),
    );
    const failures = found.flatMap((one) => (one.status === 'rejected' ? [one.reason as unknown] : []));
    const other = failures.find((failure) => !isFetchFailure(failure));
    if (other !== undefined) throw other;
    if (failures.length > 0) throw new DirectorError(code.configServerFetchError, failures.map((failure) => `- ${failure instanceof Error ? failure.message : String(failure)}`).join('\n'));
    return new Map(found.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : [])));
  };
  return {
    resolve: async (document, { ignored = [], absoluteOnly = false } = {}) => {
      const references = findPlaceholders(document, ignored);
      return references.length === 0 ? document : replacePlaceholders(document, await resolveAll(references, absoluteOnly), ignored);
    },
    fix: async (document, { ignored = [], absoluteOnly = false } = {}) => {
      await resolveAll(findPlaceholders(document, ignored), absoluteOnly);
    },
  };
}

function isFetchFailure(error: unknown): boolean {
  return isDirectorError(error) && (error.code === code.configServerFetchError || error.code === code.configServerMissingName);
}

async function fetchValue(deps: ResolverDeps, name: string, versions: Promise<Map<string, string>>): Promise<unknown> {
  const { backend, set, scope } = deps;
  const fixed = (await versions).get(name);
  if (fixed !== undefined) return (await backend.version(fixed, name)).value;
  if (!set.writable) throw new DirectorError(code.configServerInconsistentVariableState, `Expected variable '${name}' to be already versioned in deployment '${scope.deployment}'`);
  const latest = await backend.latest(name);
  const id = await deps.write((tx) => fixVersion(tx, set.id, name, latest.id));
  return id === latest.id ? latest.value : (await backend.version(id, name)).value;
}
