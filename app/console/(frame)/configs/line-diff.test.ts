import fc from 'fast-check';
import { expect, it } from 'vitest';
import { diffLines } from './line-diff';

const marks = { same: ' ', added: '+', removed: '-' };
const show = (before: string, after: string) => diffLines(before, after).map((line) => marks[line.kind] + line.text);

it('marks what was added and removed between what stayed', () => {
  expect(show('a\nb\nc', 'a\nB\nc\nd')).toEqual([' a', '-b', '+B', ' c', '+d']);
});

it('loses and invents no line', () => {
  const text = fc.array(fc.constantFrom('a', 'b', 'c'), { minLength: 1, maxLength: 12 }).map((lines) => lines.join('\n'));
  fc.assert(
    fc.property(text, text, (before, after) => {
      const lines = diffLines(before, after);
      expect(lines.filter((line) => line.kind !== 'added').map((line) => line.text).join('\n')).toBe(before);
      expect(lines.filter((line) => line.kind !== 'removed').map((line) => line.text).join('\n')).toBe(after);
    }),
  );
});
