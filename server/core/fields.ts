import { code, DirectorError } from './errors';
import { isHash, type Hash } from './yaml';

/**
 * Reading typed fields out of documents of operators with BOSH's rules and words: unknown keys are ignored, a key that
 * is present must have the right type (null included), a number is accepted where a string is wanted, nothing else is
 * converted. Source: cloudfoundry/bosh src/bosh-director/lib/bosh/director/validation_helper.rb.
 */

interface Types {
  String: string;
  Integer: number;
  Array: unknown[];
  Hash: Hash;
  boolean: boolean;
}

type TypeName = keyof Types;

/** The field, or `fallback` when the key is absent. Throws 40000 for a wrong type, here and when `object` is no hash. */
export function optionalField<T extends TypeName>(object: unknown, key: string, type: T): Types[T] | undefined {
  const hash = hashOf(object);
  return Object.hasOwn(hash, key) ? checked(hash[key], key, type) : undefined;
}

/** The field; throws 40001 when it is absent. */
export function requiredField<T extends TypeName>(object: unknown, key: string, type: T): Types[T] {
  const found = optionalField(object, key, type);
  if (found === undefined) {
    throw new DirectorError(code.validationMissingField, `Required property '${key}' was not specified in object (${rubyInspect(object)})`);
  }
  return found;
}

/** As `requiredField` for an integer that must not be below `min`. Throws 40002. */
export function integerFieldFrom(object: unknown, key: string, min: number): number {
  const found = requiredField(object, key, 'Integer');
  if (found < min) throw new DirectorError(code.validationViolatedMin, `'${key}' value (${found}) should be greater than ${min}`);
  return found;
}

/** A list of strings; elements that are numbers are accepted. Throws 40000 for others. */
export function stringsField(object: unknown, key: string): string[] | undefined {
  return optionalField(object, key, 'Array')?.map((item) => checked(item, key, 'String'));
}

function hashOf(object: unknown): Hash {
  if (isHash(object)) return object;
  throw new DirectorError(code.validationInvalidType, `Object (${rubyInspect(object)}) did not match the required type 'Hash'`);
}

function checked<T extends TypeName>(value: unknown, key: string, type: T): Types[T] {
  const read = readers[type](value);
  if (read !== undefined) return read;
  throw new DirectorError(code.validationInvalidType, `Property '${key}' value (${rubyInspect(value)}) did not match the required type '${type}'`);
}

const readers: { [T in TypeName]: (value: unknown) => Types[T] | undefined } = {
  String: (value) => (typeof value === 'string' ? value : typeof value === 'number' ? String(value) : undefined),
  Integer: (value) => (typeof value === 'number' && Number.isInteger(value) ? value : undefined),
  Array: (value) => (Array.isArray(value) ? value : undefined),
  Hash: (value) => (isHash(value) ? value : undefined),
  boolean: (value) => (typeof value === 'boolean' ? value : undefined),
};

/** A value as Ruby 3.4 would print it in a message: `{"a" => nil}`. */
export function rubyInspect(value: unknown): string {
  if (value === null || value === undefined) return 'nil';
  if (typeof value === 'string') return JSON.stringify(value).replace(/#(?=[{$@])/g, '\\#');
  if (Array.isArray(value)) return `[${value.map(rubyInspect).join(', ')}]`;
  if (!isHash(value)) return typeof value === 'number' || typeof value === 'boolean' ? String(value) : '';
  const entries = Object.entries(value).map(([key, item]) => `${rubyInspect(key)} => ${rubyInspect(item)}`);
  return entries.length === 0 ? '{}' : `{${entries.join(', ')}}`;
}

/** The name of a value's Ruby class, for messages. */
export function rubyClass(value: unknown): string {
  if (value === null || value === undefined) return 'NilClass';
  if (typeof value === 'string') return 'String';
  if (typeof value === 'number') return Number.isInteger(value) ? 'Integer' : 'Float';
  if (typeof value === 'boolean') return value ? 'TrueClass' : 'FalseClass';
  return Array.isArray(value) ? 'Array' : 'Hash';
}
