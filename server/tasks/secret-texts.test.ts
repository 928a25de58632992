import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { SecretTexts } from './secret-texts';

function hiding(...texts: string[]): SecretTexts {
  const secrets = new SecretTexts();
  for (const text of texts) secrets.add(text, '((x))');
  return secrets;
}

describe('secret texts', () => {
  it.each([
    { what: 'in the middle', secrets: ['hunter22'], text: 'a hunter22 b hunter22', shown: 'a ((x)) b ((x))' },
    { what: 'in JSON', secrets: ['a"b\nc"d'], text: JSON.stringify({ p: 'a"b\nc"d' }), shown: '{"p":"((x))"}' },
    { what: 'line by line', secrets: ['-----BEGIN X-----\nMIIabcdef\nMIIghijkl\n-----END X-----\n'], text: 'stderr: MIIghijkl', shown: 'stderr: ((x))' },
    { what: 'the longer of two', secrets: ['secret1', 'secret1-and-more'], text: 'secret1-and-more', shown: '((x))' },
    { what: 'not when it is short', secrets: ['web'], text: 'web/0', shown: 'web/0' },
  ])('are hidden $what', ({ secrets, text, shown }) => {
    expect(hiding(...secrets).clean(text)).toBe(shown);
  });

  it('are found wherever they stand, and nothing else is touched', () => {
    fc.assert(fc.property(fc.string({ minLength: 6, unit: fc.constantFrom('a', 'b') }), fc.string({ unit: fc.constantFrom('c', '\n') }), fc.string({ unit: fc.constantFrom('c', '"') }), (secret, before, after) => {
      expect(hiding(secret).clean(before + secret + after)).toBe(`${before}((x))${after}`);
      expect(hiding(secret).clean(before + after)).toBe(before + after);
    }));
  });

  it('are taken from every place of a value', () => {
    const secrets = new SecretTexts();
    secrets.addAll({ a: ['first-one', { b: 'second-one' }], c: 7 }, '((v))');
    expect(secrets.clean('first-one second-one 7')).toBe('((v)) ((v)) 7');
  });
});
