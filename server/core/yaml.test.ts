import { array, assert, boolean, constant, constantFrom, dictionary, integer, letrec, oneof, property, string } from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseManifestYaml, parseYaml } from './yaml';
import { dumpYaml } from './yaml-dump';

// Expected values were taken from Ruby 3.4 (Psych 5.2).

describe('plain scalars mean what they mean to Ruby', () => {
  const cases: [string, unknown][] = [
    ['~', null], ['', null], ['Null', null], ['nul', 'nul'],
    ['yes', true], ['On', true], ['OFF', false], ['y', 'y'], ['n', 'n'],
    ['1', 1], ['-1', -1], ['+1', 1], ['1_000', 1000], ['1,000', 1000], ['010', 8], ['08', '08'], ['0x1F', 31], ['0b11', 3], ['0o7', '0o7'],
    ['1.5', 1.5], ['.5', 0.5], ['5.', 5], ['.', '.'], ['1e3', '1e3'], ['1.0e+3', 1000], ['1.2.3', '1.2.3'],
    ['12:30', 45000], ['1:2:3', 3723], ['12:61', '12:61'],
    ['2020-01-01', '2020-01-01'], [':symbol', ':symbol'], ['((secret))', '((secret))'],
  ];
  it.each(cases)('%s', (text, value) => {
    expect(parseYaml(`k: ${text}`)).toEqual({ k: value });
  });
});

describe('documents', () => {
  const cases: [string, unknown][] = [
    ['a: &x {b: 1, c: 2}\nd:\n  c: 3\n  <<: *x\n', { a: { b: 1, c: 2 }, d: { c: 2, b: 1 } }],
    ['d:\n  <<: [{a: 1}, {a: 2, b: 3}]\n', { d: { a: 1, b: 3 } }],
    ['a: 1\na: 2\n', { a: 2 }],
    ['---\na: 1\n---\nb: 2\n', { a: 1 }],
    ['a: !!str 12\nb: !!int "12"\nc: !!binary aGVsbG8=\n', { a: '12', b: 12, c: 'hello' }],
    ['1: a\ntrue: b\n~: c\n', { 1: 'a', true: 'b', '': 'c' }],
    ['', null],
  ];
  it.each(cases)('%j', (text, value) => {
    expect(parseYaml(text)).toEqual(value);
  });

  it('keeps a key named __proto__ as a key', () => {
    const value = parseYaml('__proto__: {polluted: true}');
    expect(Object.keys(value as object)).toEqual(['__proto__']);
    expect(({} as Record<string, unknown>).polluted).toBeUndefined();
  });

  it.each([
    ['a: [{', /at line 1 column \d+/],
    ['a: *nowhere', /nowhere/],
    ['a: &a [*a]', /contains it/],
    ['a: 12345678901234567890', /cannot be kept exactly; quote it .* line 1 column 4/],
    ['a: .inf', /cannot be kept exactly/],
    ['a: !ruby/object:File {}', /not allowed/],
    ['[a]: b', /keys must be scalars/],
    ['['.repeat(100_000), /deeply|expected/i],
  ])('refuses %.40s', (text, message) => {
    expect(() => parseYaml(text)).toThrow(message);
  });

  it('refuses an alias bomb without expanding it', () => {
    const levels = Array.from({ length: 30 }, (_, i) => `l${i}: &l${i} [${i === 0 ? 'x' : `*l${i - 1}, *l${i - 1}`}]`);
    expect(() => parseYaml(levels.join('\n'))).toThrow(/aliases expand/);
  });

  it('refuses a text that would stop the process for seconds', () => {
    expect(() => parseYaml('a'.repeat(2 * 1024 * 1024 + 1))).toThrow(/longer than 2097152 characters/);
  });

  it('accepts hundreds of uses of one anchor', () => {
    const text = `a: &a {b: 1}\nlist: [${Array.from({ length: 500 }, () => '*a').join(', ')}]`;
    expect((parseYaml(text) as { list: unknown[] }).list).toHaveLength(500);
  });
});

describe('manifests', () => {
  it.each([
    ['', 'Manifest should not be empty'],
    ['- a', 'Manifest should be a hash'],
    ['a: [{', /^Incorrect YAML structure of the uploaded manifest: /],
  ])('%j is refused with 440001', (text, message) => {
    expect(() => parseManifestYaml(text)).toThrow(expect.objectContaining({ code: 440001, message: typeof message === 'string' ? message : expect.stringMatching(message) }));
  });
});

describe('dumping', () => {
  const long = 'word '.repeat(20).trim();
  const cases: [unknown, string][] = [
    [{ a: 1, b: [], c: {}, d: null, e: true, f: 1.5, g: 1e-7, h: 1e20 }, 'a: 1\nb: []\nc: {}\nd:\ne: true\nf: 1.5\ng: 1.0e-07\nh: 1.0e+20\n'],
    [{ a: [{ name: 'x', list: ['y', ['z']] }] }, 'a:\n- name: x\n  list:\n  - \'y\'\n  - - z\n'.replace("'y'", '"y"')],
    [{ k: '<redacted>' }, 'k: "<redacted>"\n'],
    [{ k: '1.1' }, "k: '1.1'\n"],
    [{ k: '((x))' }, 'k: "((x))"\n'],
    [{ k: 'no' }, "k: 'no'\n"],
    [{ k: '10.0.0.2-10.0.0.9' }, 'k: 10.0.0.2-10.0.0.9\n'],
    [{ k: '1e3' }, 'k: 1e3\n'],
    [{ k: 'a: b' }, "k: 'a: b'\n"],
    [{ k: "it's" }, "k: it's\n"],
    [{ k: 'a\nb\n' }, 'k: |\n  a\n  b\n'],
    [{ k: 'a\nb' }, 'k: |-\n  a\n  b\n'],
    [{ k: ' a\nb' }, 'k: |2-\n   a\n  b\n'],
    [{ k: 'a\n\nb\n\n' }, 'k: |+\n  a\n\n  b\n\n...\n'],
    [{ k: 'a\n' }, "k: 'a\n\n  '\n"],
    [{ k: 'a\tb' }, 'k: "a\\tb"\n'],
    [{ k: '😀' }, 'k: "\\U0001F600"\n'],
    [{ k: long }, `k: ${'word '.repeat(16).trim()}\n  word word word word\n`],
    [{ k: '' }, "k: ''\n"],
    [{ '1.1': 'x', 'a\nb': 'y' }, '\'1.1\': x\n? |-\n  a\n  b\n: "y"\n'],
  ];
  it.each(cases)('%j', (value, text) => {
    expect(dumpYaml(value)).toBe(text);
  });

  it('reads back as the same value', () => {
    const text = oneof(string(), array(constantFrom('a', ' ', '\n', ':', '#', '-', "'", '"', '1', '.', 'é', '~', 'y', '{', '!', 'longer word'), { maxLength: 30 }).map((parts) => parts.join('')));
    const { value } = letrec((tie) => ({
      value: oneof({ maxDepth: 3 }, text, integer(), boolean(), constant(null), array(tie('value'), { maxLength: 3 }), dictionary(text, tie('value'), { maxKeys: 3, noNullPrototype: true })),
    }));
    assert(
      property(value, (document) => {
        expect(parseYaml(dumpYaml({ document }))).toEqual({ document });
      }),
      { numRuns: 300 },
    );
  });
});
