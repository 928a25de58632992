import { X509Certificate } from 'node:crypto';
import { Ajv2020, type ErrorObject, type ValidateFunction } from 'ajv/dist/2020';
import { fullFormats } from 'ajv-formats/dist/formats';
import { isHash } from '../core/yaml';
import { certificateKeyword, describeFault } from './schema-faults';

/**
 * A job's `properties_schema.json`: JSON Schema, draft 2020-12, with the additional type `certificate` (an empty string, or PEM that
 * can be read). Rules and texts: cloudfoundry/bosh src/bosh-director/lib/bosh/director/core/templates/job_schema_validator.rb.
 */

const draft = 'https://json-schema.org/draft/2020-12/schema';

/** The text of the error when the job's properties do not fit its schema, or the schema cannot be used; undefined when all is well. */
export function propertiesFault(jobName: string, schema: unknown, properties: unknown): string | undefined {
  const declared = isHash(schema) ? schema.$schema : undefined;
  if (typeof declared !== 'string' || declared.trim() === '') return 'You must declare your $schema draft version';
  if (declared.replace(/#$/, '') !== draft) return `Only ${draft} schema is currently supported`;
  let validate: ValidateFunction;
  try {
    validate = compile(schema);
  } catch (error) {
    return `The properties_schema.json of job '${jobName}' cannot be used: ${error instanceof Error ? error.message : String(error)}`;
  }
  if (validate(properties)) return undefined;
  return [`Error validating properties for ${jobName}`, ...faultsOf(validate.errors ?? [])].join('\n');
}

function compile(schema: unknown): ValidateFunction {
  const ajv = new Ajv2020({ allErrors: true, verbose: true, strict: false, validateSchema: false, ownProperties: true, logger: false, formats: fullFormats });
  // The name of the keyword that stands for a `type` with `certificate` in it, which is none of JSON's types.
  ajv.addKeyword({ keyword: certificateKeyword, schemaType: 'array', errors: false, validate: (types: string[], value: unknown) => types.some((type) => hasType(type, value)) });
  return ajv.compile(withCertificates(schema) as object);
}

function hasType(type: string, value: unknown): boolean {
  switch (type) {
    case 'certificate': return typeof value === 'string' && (value === '' || isCertificate(value));
    case 'null': return value === null;
    case 'array': return Array.isArray(value);
    case 'object': return isHash(value);
    case 'integer': return Number.isInteger(value);
    default: return typeof value === type;
  }
}

function isCertificate(text: string): boolean {
  const blocks = text.match(/-----BEGIN CERTIFICATE-----[^]*?-----END CERTIFICATE-----/g) ?? [];
  return blocks.length > 0 && blocks.every((block) => {
    try {
      return new X509Certificate(block).fingerprint256 !== '';
    } catch {
      return false;
    }
  });
}

/** Keywords whose values are schemas: alone, in a list, or by name. */
const single = new Set(['items', 'additionalProperties', 'contains', 'not', 'if', 'then', 'else', 'propertyNames', 'unevaluatedItems', 'unevaluatedProperties', 'contentSchema']);
const listed = new Set(['allOf', 'anyOf', 'oneOf', 'prefixItems']);
const named = new Set(['properties', 'patternProperties', '$defs', 'definitions', 'dependentSchemas']);

/** The schema with the keyword above in place of every `type` that names `certificate`. */
function withCertificates(schema: unknown): unknown {
  if (!isHash(schema)) return schema;
  const changed = Object.entries(schema).map(([key, value]): [string, unknown] => {
    if (key === 'type' && (value === 'certificate' || (Array.isArray(value) && value.includes('certificate')))) return [certificateKeyword, [value].flat()];
    if (single.has(key)) return [key, withCertificates(value)];
    if (listed.has(key) && Array.isArray(value)) return [key, value.map(withCertificates)];
    if (named.has(key) && isHash(value)) return [key, Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, withCertificates(inner)]))];
    return [key, value];
  });
  return Object.fromEntries(changed);
}

/** One line per fault, each once; of a choice between schemas what is wrong with each of them. */
function faultsOf(errors: readonly ErrorObject[]): string[] {
  // What the items of an array are not, or what other branches want where two fit, explains nothing.
  const whole = errors.filter((error) => error.keyword === 'contains' || (error.keyword === 'oneOf' && error.params.passingSchemas !== null)).map((error) => `${error.schemaPath}/`);
  const own = errors.filter((error) => !whole.some((path) => error.schemaPath.startsWith(path)));
  return [...new Set(own.flatMap((error) => describeFault(error, own)))];
}
