import { describe, expect, it } from 'vitest';
import { absoluteName, anyIndex, anyKey, checkVariableName, findPlaceholders, parsePlaceholder, placeholdersIn, replacePlaceholders, requireAbsoluteNames, selectKeys, type SubtreePattern } from './placeholders';

describe('placeholders', () => {
  it('are found as the shortest matches, in order', () => {
    expect(placeholdersIn('a ((b)) c ((/d/e.f))((!g))')).toEqual(['((b))', '((/d/e.f))', '((!g))']);
    expect(placeholdersIn('nothing (( here')).toEqual([]);
  });

  it.each([
    ['((a))', 'a', []],
    ['((!a))', 'a', []],
    ['((/d/x.ca.key))', '/d/x', ['ca', 'key']],
    ['((a-b_c/d.e))', 'a-b_c/d', ['e']],
  ])('%s asks for %s', (placeholder, root, keys) => {
    expect(parsePlaceholder(placeholder)).toEqual({ placeholder, root, keys });
  });

  it.each([
    ['((a b))', 'must only contain alphanumeric, underscores, dashes, or forward slash characters'],
    ['((a/))', 'must not end with a forward slash'],
    ['((a//b))', 'must not contain two consecutive forward slashes'],
    ['((a.b/c))', 'Must not contain dots before the last slash'],
    ['((.a))', 'Must not have segment starting with a dot'],
    ['((a.))', 'Must not end name with a dot'],
    ['((a..b))', 'Must not contain consecutive dots'],
    ['((a!))', "contains invalid character '!'"],
    ['((!))', "contains invalid character '!'"],
  ])('%s is refused', (placeholder, message) => {
    expect(() => parsePlaceholder(placeholder)).toThrow(expect.objectContaining({ code: 540004, message: expect.stringContaining(message) as string }));
  });

  it('have definitions without dots and exclamation marks', () => {
    expect(() => checkVariableName('a/b-c_d')).not.toThrow();
    for (const name of ['a.b', '!a', 'a/', 'a//b', '']) expect(() => checkVariableName(name), name).toThrow(expect.objectContaining({ code: 540004 }));
  });

  it('get director and deployment in front unless they are absolute', () => {
    const scope = { director: 'prod', deployment: 'web' };
    expect(absoluteName('x/y', scope)).toBe('/prod/web/x/y');
    expect(absoluteName('/x', scope)).toBe('/x');
  });

  it('can be required to be absolute, and all that are not are named', () => {
    expect(() => requireAbsoluteNames(['((a))', '((/b))', '((c.d))'].map(parsePlaceholder))).toThrow("absolute paths: 'a', 'c.d'");
  });
});

const manifest = {
  name: '((name))',
  instance_groups: [{ properties: { p: '((secret))' }, env: { '((key))': 1 }, azs: ['((az))'] }],
  update: { '((key))': { x: 'a((n))b((name))' } },
};
const ignored: SubtreePattern[] = [['instance_groups', anyIndex, 'properties'], ['instance_groups', anyIndex, 'env']];

describe('a document', () => {
  it('shows its placeholders outside what is ignored, keys included', () => {
    expect(findPlaceholders(manifest, ignored).map((one) => one.placeholder)).toEqual(['((name))', '((az))', '((n))', '((key))']);
    expect(findPlaceholders({ a: { b: '((x))' } }, [[anyKey, 'b']])).toEqual([]);
  });

  it('gets values in place of them; whole texts take any type', () => {
    const values = new Map<string, unknown>([['((name))', 'web'], ['((az))', { deep: [1] }], ['((n))', 7], ['((key))', 'k']]);
    expect(replacePlaceholders(manifest, values, ignored)).toEqual({
      name: 'web',
      instance_groups: [{ properties: { p: '((secret))' }, env: { '((key))': 1 }, azs: [{ deep: [1] }] }],
      update: { k: { x: 'a7bweb' } },
    });
  });

  it('does not look for placeholders in values, and never changes the values or itself', () => {
    const value = { inner: '((name))' };
    const document = { a: '((v))', b: 'x((w))' };
    const replaced = replacePlaceholders(document, new Map<string, unknown>([['((v))', value], ['((w))', '((v))']]));
    expect(replaced).toEqual({ a: { inner: '((name))' }, b: 'x((v))' });
    expect(document.a).toBe('((v))');
    (replaced.a as unknown as { inner: string }).inner = 'changed';
    expect(value.inner).toBe('((name))');
  });

  it('refuses structures, floats and nothing inside longer texts, all at once', () => {
    const values = new Map<string, unknown>([['((h))', {}], ['((f))', 1.5], ['((u))', null], ['((s))', 's']]);
    expect(() => replacePlaceholders(['x((h))', 'y((f))((s))', 'z((u))'], values)).toThrow(
      expect.objectContaining({ code: 540007, message: ['((h))\' in \'x((h))', "((f))' in 'y((f))((s))", "((u))' in 'z((u))"].map((part) => `- Failed to substitute variable: Can not replace '${part}'. The value should be a String or an Integer.`).join('\n') }),
    );
  });
});

describe('keys of a value', () => {
  it('are followed', () => {
    expect(selectKeys(parsePlaceholder('((c.a.b))'), '/c', { a: { b: 1 } })).toBe(1);
    expect(selectKeys(parsePlaceholder('((c))'), '/c', 'x')).toBe('x');
  });

  it('that are missing are named without the value', () => {
    expect(() => selectKeys(parsePlaceholder('((c.a.b))'), '/c', { a: 'hush' })).toThrow("Failed to fetch variable '/c' from config server: Expected parent '/c.a' to be a hash");
    expect(() => selectKeys(parsePlaceholder('((c.z))'), '/c', { a: 'hush' })).toThrow("Expected parent '/c' hash to have key 'z'");
  });
});
