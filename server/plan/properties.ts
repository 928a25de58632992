import { code, DirectorError } from '../core/errors';
import { rubyClass } from '../core/fields';
import { isHash, type Hash } from '../core/yaml';

/**
 * Binding of job properties: only names that the job's spec declares are kept, each with the manifest's value, else the
 * default, else null. `false` is a value, null counts as missing. Hashes are replaced as a whole and sorted by key.
 * Rules: cloudfoundry/bosh src/bosh-director/lib/bosh/director/deployment_plan/job.rb.
 *
 * @param declared the `properties` section of job.MF: dotted name to definition
 */
export function bindProperties(declared: unknown, provided: Hash): Hash {
  const bound: Hash = {};
  if (!isHash(declared)) return bound;
  for (const [name, definition] of Object.entries(declared)) {
    const path = name.split('.');
    const given = lookUp(provided, path, name);
    const value = given ?? (isHash(definition) ? definition.default : undefined) ?? null;
    setAt(bound, path, sortKeys(value));
  }
  return bound;
}

/** Values of `over` win; hashes in both are merged. */
export function mergeDeep(base: Hash, over: Hash): Hash {
  const merged: Hash = { ...base };
  for (const [key, value] of Object.entries(over)) {
    const present = Object.hasOwn(merged, key) ? merged[key] : undefined;
    define(merged, key, isHash(present) && isHash(value) ? mergeDeep(present, value) : value);
  }
  return merged;
}

function lookUp(provided: Hash, path: readonly string[], name: string): unknown {
  let value: unknown = provided;
  for (const key of path) {
    if (!isHash(value)) throw new DirectorError(code.generic, `Property '${name}' expects a hash, but received '${rubyClass(value)}'`);
    value = Object.hasOwn(value, key) ? value[key] : undefined;
    if (value === undefined || value === null) return undefined;
  }
  return value;
}

function setAt(target: Hash, path: readonly string[], value: unknown): void {
  const last = path.at(-1) ?? '';
  let hash = target;
  for (const key of path.slice(0, -1)) {
    const present = Object.hasOwn(hash, key) ? hash[key] : undefined;
    const next: Hash = isHash(present) ? present : {};
    define(hash, key, next);
    hash = next;
  }
  define(hash, last, value);
}

/** A plain property even for a name like `__proto__`. */
function define(hash: Hash, key: string, value: unknown): void {
  Object.defineProperty(hash, key, { value, writable: true, enumerable: true, configurable: true });
}

/** Lists keep their order and what is in them. */
function sortKeys(value: unknown): unknown {
  if (!isHash(value)) return value;
  const sorted: Hash = {};
  for (const key of Object.keys(value).sort()) define(sorted, key, sortKeys(value[key]));
  return sorted;
}
