import { code, DirectorError } from '../core/errors';
import { isHash } from '../core/yaml';

/**
 * `((name))` in documents: finding, naming, replacing. Values come from elsewhere (`resolve.ts`).
 * Rules: cloudfoundry/bosh src/bosh-director/lib/bosh/director/config_server/config_server_helper.rb, deep_hash_replacement.rb;
 * https://bosh.io/docs/cli-int/, https://bosh.io/docs/variable-types/.
 */

/** Matches any key or any index on the way to a subtree. */
export const anyKey = Symbol('any key');
export const anyIndex = Symbol('any index');

/** A subtree of a document by its path from the top. */
export type SubtreePattern = readonly (string | typeof anyKey | typeof anyIndex)[];

/** What a placeholder asks for. */
export interface VariableReference {
  /** As written, with its parentheses. */
  placeholder: string;
  /** Name in the config server: relative or absolute, without keys. */
  root: string;
  /** Keys to follow inside the value: `((cert.private_key))` → ['private_key']. */
  keys: readonly string[];
}

const token = /\(\(.*?\)\)/g;
const wholeToken = /^\(\([^(]*\)\)$/;

/** Whether a value is one placeholder and nothing else. */
export function isPlaceholder(value: unknown): value is string {
  return typeof value === 'string' && /^\(\([^()]+\)\)$/.test(value);
}

/** Placeholders in a text, in order, as written. */
export function placeholdersIn(text: string): string[] {
  return text.match(token) ?? [];
}

/** Reads a placeholder. Throws 540004 with BOSH's sentence when its name is none. */
export function parsePlaceholder(placeholder: string): VariableReference {
  const written = placeholder.slice(2, -2);
  const refuse = (problem: string): never => {
    throw new DirectorError(code.configServerIncorrectNameSyntax, `Variable name '${written}' ${problem}`);
  };
  if (!/^[a-zA-Z0-9_\-.!/]+$/.test(written)) refuse('must only contain alphanumeric, underscores, dashes, or forward slash characters');
  checkSlashes(written);
  checkDots(written, refuse);
  const bangs = written.split('!').length - 1;
  if (bangs > 1 || (bangs === 1 && (!written.startsWith('!') || written.length === 1))) {
    refuse("contains invalid character '!'. If it is included for spiff, it should only be at the beginning of the name. Note: it will not be considered a part of the name");
  }
  const [root = '', ...keys] = written.replace(/^!/, '').split('.');
  return { placeholder, root, keys };
}

function checkSlashes(name: string): void {
  const refuse = (problem: string): never => {
    throw new DirectorError(code.configServerIncorrectNameSyntax, `Variable name '${name}' ${problem}`);
  };
  if (name.endsWith('/')) refuse('must not end with a forward slash');
  if (name.includes('//')) refuse('must not contain two consecutive forward slashes');
}

function checkDots(name: string, refuse: (problem: string) => never): void {
  const slash = name.lastIndexOf('/');
  const last = name.slice(slash + 1);
  if (name.slice(0, slash + 1).includes('.')) refuse('syntax error: Must not contain dots before the last slash');
  if (last.startsWith('.')) refuse('syntax error: Must not have segment starting with a dot');
  if (last.endsWith('.')) refuse('syntax error: Must not end name with a dot');
  if (last.includes('..')) refuse('syntax error: Must not contain consecutive dots');
}

/** Checks the name of an entry of `variables:`. Throws 540004. */
export function checkVariableName(name: string): void {
  if (!/^[a-zA-Z0-9_\-/]+$/.test(name)) {
    throw new DirectorError(code.configServerIncorrectNameSyntax, `Variable name '${name}' must only contain alphanumeric, underscores, dashes, or forward slash characters`);
  }
  checkSlashes(name);
}

/** Where relative names live. */
export interface NameScope {
  director: string;
  deployment: string;
}

/** Absolute names stay, relative ones get `/<director>/<deployment>/` in front. */
export function absoluteName(name: string, scope: NameScope): string {
  return name.startsWith('/') ? name : `/${scope.director}/${scope.deployment}/${name}`;
}

/** Throws 540004 naming every relative name: some documents belong to no deployment. */
export function requireAbsoluteNames(references: readonly VariableReference[]): void {
  const relative = references.filter((one) => !one.root.startsWith('/')).map((one) => `'${[one.root, ...one.keys].join('.')}'`);
  if (relative.length === 0) return;
  throw new DirectorError(code.configServerIncorrectNameSyntax, `Relative paths are not allowed in this context. The following must be be switched to use absolute paths: ${relative.join(', ')}`);
}

type Path = readonly (string | number)[];

function isIgnored(path: Path, ignored: readonly SubtreePattern[]): boolean {
  return ignored.some((pattern) => pattern.length <= path.length && pattern.every((node, i) => fits(node, path[i])));
}

function fits(node: string | typeof anyKey | typeof anyIndex, at: string | number | undefined): boolean {
  if (node === anyKey) return typeof at === 'string';
  if (node === anyIndex) return typeof at === 'number';
  return node === at;
}

/** Every placeholder of a document outside the ignored subtrees, each once, in order. Throws 540004. */
export function findPlaceholders(document: unknown, ignored: readonly SubtreePattern[] = []): VariableReference[] {
  const found = new Map<string, VariableReference>();
  const note = (text: string) => {
    for (const placeholder of placeholdersIn(text)) if (!found.has(placeholder)) found.set(placeholder, parsePlaceholder(placeholder));
  };
  const visit = (value: unknown, path: Path) => {
    if (Array.isArray(value)) value.forEach((item: unknown, index) => visit(item, [...path, index]));
    else if (isHash(value)) {
      for (const [key, item] of Object.entries(value)) {
        visit(item, [...path, key]);
        if (wholeToken.test(key) && !isIgnored(path, ignored)) note(key);
      }
    } else if (typeof value === 'string' && !isIgnored(path, ignored)) note(value);
  };
  visit(document, []);
  return [...found.values()];
}

/**
 * A copy of the document with values in place of placeholders; `values` has one for every placeholder outside the ignored subtrees.
 * A placeholder that is the whole text becomes the value, of any type; inside a longer text only a string or an integer can stand:
 * throws 540007 with a line for each that is neither.
 */
export function replacePlaceholders<T>(document: T, values: ReadonlyMap<string, unknown>, ignored: readonly SubtreePattern[] = []): T {
  const errors: string[] = [];
  const visit = (value: unknown, path: Path): unknown => {
    if (Array.isArray(value)) return value.map((item: unknown, index) => visit(item, [...path, index]));
    if (isHash(value)) {
      return Object.fromEntries(Object.entries(value).map(([key, item]) => [wholeToken.test(key) && !isIgnored(path, ignored) ? String(values.get(key)) : key, visit(item, [...path, key])]));
    }
    return typeof value === 'string' && !isIgnored(path, ignored) ? replaceIn(value, values, errors) : value;
  };
  const replaced = visit(document, []);
  if (errors.length > 0) throw new DirectorError(code.configServerIncorrectVariablePlacement, errors.join('\n'));
  return replaced as T;
}

function replaceIn(text: string, values: ReadonlyMap<string, unknown>, errors: string[]): unknown {
  const found = placeholdersIn(text);
  if (found.length === 1 && found[0] === text) return structuredClone(values.get(text));
  for (const placeholder of found) {
    const value = values.get(placeholder);
    if (typeof value !== 'string' && !Number.isInteger(value)) errors.push(`- Failed to substitute variable: Can not replace '${placeholder}' in '${text}'. The value should be a String or an Integer.`);
  }
  return text.replace(token, (placeholder) => String(values.get(placeholder)));
}

/** Follows the keys of a reference into a variable's value. Throws 540001 naming the variable and the key, never a value. */
export function selectKeys(reference: VariableReference, name: string, value: unknown): unknown {
  let at = value;
  let parent = name;
  for (const key of reference.keys) {
    if (!isHash(at)) throw new DirectorError(code.configServerFetchError, `Failed to fetch variable '${name}' from config server: Expected parent '${parent}' to be a hash`);
    if (!(key in at)) throw new DirectorError(code.configServerFetchError, `Failed to fetch variable '${name}' from config server: Expected parent '${parent}' hash to have key '${key}'`);
    at = at[key];
    parent = `${parent}.${key}`;
  }
  return at;
}
