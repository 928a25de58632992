import type { ErrorObject } from 'ajv/dist/2020';
import { rubyInspect } from '../core/fields';

/**
 * Faults of properties in the words in which BOSH's validator tells them:
 * davishmcclurg/json_schemer lib/json_schemer/draft202012/vocab/ (applicator.rb, unevaluated.rb, validation.rb, format_annotation.rb).
 */

/** Stands in schemas for a `type` that names `certificate`; not a keyword of JSON Schema. */
export const certificateKeyword = 'directorate-type';

/** Lines for one error of the validator; none for an error that only sums up others. `all`: every error of the same validation. */
export function describeFault(error: ErrorObject, all: readonly ErrorObject[]): string[] {
  const at = place(error.instancePath);
  const { schema, params } = error;
  switch (error.keyword) {
    case 'type': return [typeFault(schema, at)];
    case certificateKeyword: return [typeFault(Array.isArray(schema) && schema.length === 1 ? schema[0] : schema, at)];
    case 'required': return [`object at ${at} is missing required properties: ${all.filter((other) => other.keyword === 'required' && other.instancePath === error.instancePath && other.schemaPath === error.schemaPath).map((other) => String(other.params.missingProperty)).join(', ')}`];
    case 'dependentRequired': return [`object at ${place(error.instancePath, String(params.property))} is missing required \`dependentRequired\` properties`];
    case 'additionalProperties': return [`object property at ${place(error.instancePath, String(params.additionalProperty))} is a disallowed additional property`];
    case 'unevaluatedProperties': return [`object property at ${place(error.instancePath, String(params.unevaluatedProperty))} is a disallowed unevaluated property`];
    case 'unevaluatedItems': return surplus(error, Number(params.len)).map((index) => `array item at ${place(error.instancePath, index)} is a disallowed unevaluated item`);
    case 'items': return surplus(error, Number(params.limit)).map((index) => `value at ${place(error.instancePath, index)} does not match schema`);
    case 'oneOf': return params.passingSchemas === null ? [] : [`value at ${at} does not match exactly one \`oneOf\` schema`];
    case 'not': return [`value at ${at} matches \`not\` schema`];
    case 'contains': return [`array at ${at} does not contain enough items that match \`contains\` schema`];
    case 'const': return [`value at ${at} is not: ${rubyText(schema)}`];
    case 'enum': return [`value at ${at} is not one of: ${rubyInspect(schema)}`];
    case 'uniqueItems': return [`array items at ${at} are not unique`];
    case 'false schema': return [`value at ${at} does not match schema`];
    case 'anyOf':
    case 'if':
    case 'propertyNames': return [];
    default: return [limitFault(error, at)];
  }
}

/** Indexes of the items from `from` on. */
function surplus({ data }: ErrorObject, from: number): string[] {
  return Array.isArray(data) ? Array.from({ length: Math.max(0, data.length - from) }, (_, i) => String(from + i)) : [];
}

const kinds: Readonly<Record<string, string>> = {
  null: 'null', boolean: 'a boolean', number: 'a number', integer: 'an integer', string: 'a string', array: 'an array', object: 'an object', certificate: 'a certificate',
};

function typeFault(type: unknown, at: string): string {
  const kind = typeof type === 'string' ? kinds[type] : undefined;
  return kind ? `value at ${at} is not ${kind}` : `value at ${at} is not one of the types: ${rubyText(type)}`;
}

const limits: Readonly<Record<string, [subject: string, relation: string]>> = {
  multipleOf: ['number', 'is not a multiple of'], maximum: ['number', 'is greater than'], exclusiveMaximum: ['number', 'is greater than or equal to'],
  minimum: ['number', 'is less than'], exclusiveMinimum: ['number', 'is less than or equal to'], maxLength: ['string length', 'is greater than'], minLength: ['string length', 'is less than'],
  pattern: ['string', 'does not match pattern'], maxItems: ['array size', 'is greater than'], minItems: ['array size', 'is less than'],
  maxProperties: ['object size', 'is greater than'], minProperties: ['object size', 'is less than'], format: ['value', 'does not match format'],
};

function limitFault({ keyword, schema }: ErrorObject, at: string): string {
  const [subject, relation] = limits[keyword] ?? ['value', `does not match \`${keyword}\``];
  return `${subject} at ${at} ${relation}: ${rubyText(schema)}`;
}

/** `root`, or the JSON pointer in backquotes. */
function place(pointer: string, ...more: string[]): string {
  const path = [pointer, ...more.map((key) => key.replaceAll('~', '~0').replaceAll('/', '~1'))].join('/');
  return path === '' ? 'root' : `\`${path}\``;
}

/** As Ruby interpolates a value. */
function rubyText(value: unknown): string {
  if (typeof value === 'string') return value;
  return value === null || value === undefined ? '' : rubyInspect(value);
}
