import { isHash } from './yaml';

/** True when two values of documents are the same; the order of keys does not count, an undefined key is an absent one. */
export function sameValue(a: unknown, b: unknown): boolean {
  if (Object.is(a, b)) return true;
  if (Array.isArray(a)) return Array.isArray(b) && a.length === b.length && a.every((item, i) => sameValue(item, b[i]));
  if (!isHash(a) || !isHash(b)) return false;
  const keys = definedKeys(a);
  return keys.length === definedKeys(b).length && keys.every((key) => Object.hasOwn(b, key) && b[key] !== undefined && sameValue(a[key], b[key]));
}

/** Dotted paths at which two values differ, at most `limit`; never the values, which may be secret. */
export function differingPaths(a: unknown, b: unknown, limit = 5): string[] {
  const found: string[] = [];
  const visit = (left: unknown, right: unknown, path: string) => {
    if (found.length >= limit || sameValue(left, right)) return;
    if (!isHash(left) || !isHash(right)) {
      found.push(path);
      return;
    }
    for (const key of new Set([...definedKeys(left), ...definedKeys(right)])) visit(left[key], right[key], path === '' ? key : `${path}.${key}`);
  };
  visit(a, b, '');
  return found;
}

function definedKeys(hash: Record<string, unknown>): string[] {
  return Object.keys(hash).filter((key) => hash[key] !== undefined);
}
