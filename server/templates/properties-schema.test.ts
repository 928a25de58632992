import { generateKeyPairSync } from 'node:crypto';
import { describe, expect, it, test } from 'vitest';
import { parseManifestYaml } from '../core/yaml';
import { createCa } from '../nats/credentials';
import { propertiesFault } from './properties-schema';

const $schema = 'https://json-schema.org/draft/2020-12/schema';

/** Lines of the error after its headline. */
function faults(schema: object, properties: unknown): string[] {
  const text = propertiesFault('web', { $schema, ...schema }, properties);
  if (text === undefined) return [];
  const [head, ...lines] = text.split('\n');
  expect(head).toBe('Error validating properties for web');
  return lines;
}

describe('a schema', () => {
  it.each([
    ['without $schema', {}, 'You must declare your $schema draft version'],
    ['with an empty $schema', { $schema: ' ' }, 'You must declare your $schema draft version'],
    ['of another draft', { $schema: 'http://json-schema.org/draft-07/schema#' }, 'Only https://json-schema.org/draft/2020-12/schema schema is currently supported'],
    ['that is no object', true, 'You must declare your $schema draft version'],
  ])('%s is refused', (_what, schema, text) => {
    expect(propertiesFault('web', schema, {})).toBe(text);
  });

  it('that cannot be compiled says so', () => {
    expect(propertiesFault('web', { $schema, $ref: 'https://example.com/other.json' }, {})).toMatch(/^The properties_schema.json of job 'web' cannot be used: can't resolve reference/);
    expect(propertiesFault('web', { $schema, type: 'nothing' }, {})).toMatch(/cannot be used: .*type/);
  });

  it('has its own references and may be ended by #', () => {
    expect(faults({ $schema: `${$schema}#`, $defs: { port: { type: 'integer' } }, properties: { port: { $ref: '#/$defs/port' } } }, { port: 'x' })).toEqual(['value at `/port` is not an integer']);
  });
});

describe('faults are told as BOSH tells them', () => {
  const tls = { type: 'object', required: ['cert', 'key'], additionalProperties: false, properties: { cert: { type: 'string' }, key: { type: 'string' } } };
  test.each<[title: string, schema: object, properties: unknown, lines: string[]]>([
    ['nothing wrong', { properties: { port: { type: 'integer', minimum: 1 } } }, { port: 80 }, []],
    ['integers may be written with a point', { properties: { port: { type: 'integer' } } }, { port: 80.0 }, []],
    ['each type', { properties: Object.fromEntries(['null', 'boolean', 'number', 'integer', 'string', 'array', 'object'].map((type) => [type, { type }])) },
      { null: 1, boolean: 1, number: 'x', integer: 1.5, string: 1, array: {}, object: [] },
      ['null', 'a boolean', 'a number', 'an integer', 'a string', 'an array', 'an object'].map((kind) => `value at \`/${kind.split(' ').at(-1) ?? ''}\` is not ${kind}`)],
    ['one of several types', { type: ['string', 'null'] }, 5, ['value at root is not one of the types: ["string", "null"]']],
    ['missing properties in one line', { properties: { tls } }, { tls: {} }, ['object at `/tls` is missing required properties: cert, key']],
    ['a property too many', { properties: { tls } }, { tls: { cert: '', key: '', 'a/b': 1 } }, ['object property at `/tls/a~1b` is a disallowed additional property']],
    ['an unevaluated property', { allOf: [{ properties: { a: true } }], unevaluatedProperties: false }, { a: 1, b: 2 }, ['object property at `/b` is a disallowed unevaluated property']],
    ['enum and const', { properties: { level: { enum: ['info', 'debug', 3] }, fixed: { const: { a: 1 } } } }, { level: 'x', fixed: 0 },
      ['value at `/level` is not one of: ["info", "debug", 3]', 'value at `/fixed` is not: {"a" => 1}']],
    ['numbers', { properties: { a: { maximum: 5 }, b: { minimum: 5 }, c: { exclusiveMaximum: 5 }, d: { exclusiveMinimum: 5 }, e: { multipleOf: 5 } } }, { a: 6, b: 4, c: 5, d: 5, e: 6 },
      ['number at `/a` is greater than: 5', 'number at `/b` is less than: 5', 'number at `/c` is greater than or equal to: 5', 'number at `/d` is less than or equal to: 5', 'number at `/e` is not a multiple of: 5']],
    ['strings', { properties: { a: { maxLength: 1 }, b: { minLength: 2 }, c: { pattern: '^x' }, d: { format: 'ipv4' } } }, { a: 'xx', b: 'x', c: 'y', d: '10.0.0' },
      ['string length at `/a` is greater than: 1', 'string length at `/b` is less than: 2', 'string at `/c` does not match pattern: ^x', 'value at `/d` does not match format: ipv4']],
    ['arrays', { properties: { a: { maxItems: 1 }, b: { minItems: 1 }, c: { uniqueItems: true }, d: { contains: { type: 'string' } }, e: { items: { type: 'string' } } } }, { a: [1, 2], b: [], c: [1, 1], d: [1], e: ['x', 1] },
      ['array size at `/a` is greater than: 1', 'array size at `/b` is less than: 1', 'array items at `/c` are not unique', 'array at `/d` does not contain enough items that match `contains` schema', 'value at `/e/1` is not a string']],
    ['items too many', { prefixItems: [true], items: false }, [1, 2, 3], ['value at `/1` does not match schema', 'value at `/2` does not match schema']],
    ['objects', { properties: { a: { maxProperties: 0 }, b: { minProperties: 1 }, c: { propertyNames: { pattern: '^x' } }, d: { dependentRequired: { user: ['password'] } } } }, { a: { x: 1 }, b: {}, c: { y: 1 }, d: { user: 'u' } },
      ['object size at `/a` is greater than: 0', 'object size at `/b` is less than: 1', 'string at `/c` does not match pattern: ^x', 'object at `/d/user` is missing required `dependentRequired` properties']],
    ['every branch of a choice', { properties: { a: { anyOf: [{ type: 'string' }, { type: 'object', required: ['x'] }] } } }, { a: {} }, ['value at `/a` is not a string', 'object at `/a` is missing required properties: x']],
    ['two branches where one is wanted', { oneOf: [{ type: 'integer' }, { minimum: 1 }, { type: 'string' }] }, 5, ['value at root does not match exactly one `oneOf` schema']],
    ['what must not be', { not: { type: 'integer' } }, 5, ['value at root matches `not` schema']],
    ['a condition', parseManifestYaml('{if: {properties: {tls: {const: true}}}, then: {required: [cert]}}'), { tls: true }, ['object at root is missing required properties: cert']],
    ['a forbidden property', { properties: { old: false } }, { old: 1 }, ['value at `/old` does not match schema']],
  ])('%s', (_title, schema, properties, lines) => {
    expect(faults(schema, properties)).toEqual(lines);
  });

  it('properties with names of Object are properties like others', () => {
    expect(faults({ required: ['constructor'] }, {})).toEqual(['object at root is missing required properties: constructor']);
  });
});

describe('the type certificate', () => {
  const schema = { properties: { cert: { type: 'certificate' } } };

  it('takes an empty string and PEM with one or several certificates', async () => {
    const { certificate } = await createCa();
    for (const cert of ['', certificate, `# comment\n${certificate}\n${certificate}`]) expect(faults(schema, { cert })).toEqual([]);
  });

  it('takes nothing else', async () => {
    const { certificate } = await createCa();
    const { publicKey } = generateKeyPairSync('ed25519');
    for (const cert of ['x', 5, null, publicKey.export({ type: 'spki', format: 'pem' }), certificate.replace(/MII/, 'MIJ'), certificate.slice(0, 200)]) {
      expect(faults(schema, { cert })).toEqual(['value at `/cert` is not a certificate']);
    }
  });

  it('may be one of several types, and a name like any other', () => {
    const several = { properties: { cert: { type: ['certificate', 'null'] }, type: { const: 'certificate' } }, $defs: { type: {} } };
    expect(faults(several, { cert: null, type: 'certificate' })).toEqual([]);
    expect(faults(several, { cert: 'x', type: 'y' })).toEqual(['value at `/cert` is not one of the types: ["certificate", "null"]', 'value at `/type` is not: certificate']);
  });
});
