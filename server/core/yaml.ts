import { isAlias, isMap, isScalar, isSeq, LineCounter, parseDocument, type Alias, type Document, type Node, type Pair, type Scalar, type YAMLMap, type YAMLSeq } from 'yaml';
import { code, DirectorError } from './errors';
import { resolvePlainScalar, UnrepresentableNumber } from './yaml-scalars';

/** Content of somebody else's making: cloud properties, env, job properties, whole YAML documents. */
export type Hash = Record<string, unknown>;

export function isHash(value: unknown): value is Hash {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/**
 * Longest text that is parsed, in UTF-16 units. Parsing blocks the process for about a millisecond per 2 KiB, and a node
 * that is silent for 2 s loses its leases; the largest known manifests have less than a quarter of this.
 */
const maxLength = 2 * 1024 * 1024;
/** Most values that a document may have when its aliases are expanded: an alias bomb has billions. */
const maxExpandedValues = 1_000_000;

/** What is wrong with a YAML text, with its place where there is one. */
export class YamlError extends Error {}

/**
 * The value of a YAML text (its first document) as Ruby's Psych reads it: see `yaml-scalars.ts` for scalars; the last
 * of duplicate keys wins; `<<` merges in place; aliased values are the same object, so treat the result as read-only.
 * Keys become strings; floats without fraction become integers. Throws YamlError.
 */
export function parseYaml(text: string): unknown {
  if (text.length > maxLength) throw new YamlError(`the text is longer than ${maxLength} characters`);
  const lines = new LineCounter();
  try {
    const document = parseDocument(text, { schema: 'failsafe', version: '1.1', merge: false, uniqueKeys: false, logLevel: 'silent', lineCounter: lines, prettyErrors: false });
    const problem = document.errors.find((error) => error.code !== 'MULTIPLE_DOCS');
    if (problem?.message.startsWith('Maximum call stack')) throw new YamlError('the text is nested too deeply');
    if (problem) throw new YamlError(`${problem.message} ${place(problem.pos[0], lines)}`);
    return new Reader(document, lines).read(document.contents).value;
  } catch (error) {
    if (error instanceof RangeError) throw new YamlError('the text is nested too deeply', { cause: error });
    throw error;
  }
}

/**
 * The hash of a manifest or old-style config. Throws DirectorError 440001 for no text, bad YAML and anything else than a hash.
 * Texts: cloudfoundry/bosh src/bosh-director/lib/bosh/director/api/api_helper.rb.
 */
export function parseManifestYaml(text: string): Hash {
  if (text === '') throw new DirectorError(code.badManifest, 'Manifest should not be empty');
  let value: unknown;
  try {
    value = parseYaml(text);
  } catch (error) {
    if (!(error instanceof YamlError)) throw error;
    throw new DirectorError(code.badManifest, `Incorrect YAML structure of the uploaded manifest: ${error.message}`, { cause: error });
  }
  if (!isHash(value)) throw new DirectorError(code.badManifest, 'Manifest should be a hash');
  return value;
}

/** A value and how many values it has when aliases are expanded. */
interface Read {
  value: unknown;
  size: number;
}

/** One pass over the nodes of a document. */
class Reader {
  readonly #document: Document;
  readonly #lines: LineCounter;
  readonly #done = new Map<Node, Read>();
  readonly #open = new Set<Node>();

  constructor(document: Document, lines: LineCounter) {
    this.#document = document;
    this.#lines = lines;
  }

  read(node: unknown): Read {
    if (node === null || node === undefined) return { value: null, size: 1 };
    if (isAlias(node)) return this.#alias(node);
    if (isScalar(node)) return { value: this.#scalar(node), size: 1 };
    if (isMap(node)) return this.#collection(node, () => this.#map(node));
    if (isSeq(node)) return this.#collection(node, () => this.#sequence(node));
    throw new YamlError('the text has a part that is no YAML value');
  }

  #collection(node: Node, build: () => Read): Read {
    const known = this.#done.get(node);
    if (known) return known;
    this.#refuseRubyTag(node);
    this.#open.add(node);
    const read = build();
    this.#open.delete(node);
    if (read.size > maxExpandedValues) throw this.#problem(node, `aliases expand to more than ${maxExpandedValues} values`);
    this.#done.set(node, read);
    return read;
  }

  #alias(node: Alias): Read {
    const target = node.resolve(this.#document);
    if (!target) throw this.#problem(node, `the alias '${node.source}' refers to nothing`);
    if (this.#open.has(target)) throw this.#problem(node, `the alias '${node.source}' refers to a value that contains it`);
    return this.read(target);
  }

  #sequence(node: YAMLSeq): Read {
    const items = node.items.map((item) => this.read(item));
    return { value: items.map((item) => item.value), size: sizeOf(items) };
  }

  #map(node: YAMLMap): Read {
    const hash: Hash = {};
    let size = 1;
    for (const pair of node.items) {
      const value = this.read(pair.value);
      size += 1 + value.size;
      if (isMergeKey(pair) && this.#merge(hash, value.value)) continue;
      set(hash, this.#key(pair.key), value.value);
    }
    return { value: hash, size };
  }

  /** Later keys win over merged ones and merged ones over earlier, as in Psych. False when there is nothing to merge. */
  #merge(hash: Hash, value: unknown): boolean {
    const sources = Array.isArray(value) ? value.toReversed() : [value];
    if (!sources.every(isHash)) return false;
    for (const source of sources) for (const [key, item] of Object.entries(source)) set(hash, key, item);
    return true;
  }

  #key(node: unknown): string {
    const { value } = this.read(node);
    if (value === null) return '';
    if (typeof value === 'string') return value;
    if (typeof value === 'number' || typeof value === 'boolean') return String(value);
    throw this.#problem(node, 'a key is a collection; keys must be scalars');
  }

  #scalar(node: Scalar): unknown {
    this.#refuseRubyTag(node);
    const text = node.source ?? '';
    const tag = node.tag?.replace(/^(?:tag:yaml\.org,2002:|!!)/, '');
    if (tag === 'str' || tag === 'binary') return tag === 'binary' ? decodeBinary(text) : text;
    if (node.type !== 'PLAIN' && tag !== 'int' && tag !== 'float') return text;
    try {
      return resolvePlainScalar(text);
    } catch (error) {
      if (error instanceof UnrepresentableNumber) throw this.#problem(node, `${error.message} cannot be kept exactly; quote it to make it a string`);
      throw error;
    }
  }

  #refuseRubyTag(node: Node): void {
    if (node.tag?.includes('ruby/')) throw this.#problem(node, `the tag '${node.tag}' is not allowed`);
  }

  #problem(node: unknown, what: string): YamlError {
    const range = typeof node === 'object' && node !== null && 'range' in node && Array.isArray(node.range) ? node.range : [0];
    return new YamlError(`${what} ${place(Number(range[0]), this.#lines)}`);
  }
}

function isMergeKey(pair: Pair): boolean {
  return isScalar(pair.key) && pair.key.type === 'PLAIN' && pair.key.source === '<<';
}

/** A plain property even for `__proto__`; a key that is set again moves nowhere. */
function set(hash: Hash, key: string, value: unknown): void {
  Object.defineProperty(hash, key, { value, writable: true, enumerable: true, configurable: true });
}

function sizeOf(items: readonly Read[]): number {
  return items.reduce((sum, item) => sum + item.size, 1);
}

function decodeBinary(text: string): string {
  return new TextDecoder('latin1').decode(Uint8Array.from(atob(text.replace(/\s/g, '')), (char) => char.charCodeAt(0)));
}

function place(offset: number, lines: LineCounter): string {
  const { line, col } = lines.linePos(offset);
  return `at line ${line} column ${col}`;
}
