import { describe, expect, it } from 'vitest';
import { differingPaths, sameValue } from './compare';

describe('values', () => {
  it.each([
    [{ a: 1, b: [1, { c: 2 }] }, { b: [1, { c: 2 }], a: 1 }, true],
    [{ a: undefined }, {}, true],
    [{ a: undefined, b: 1 }, { b: 1, c: undefined }, true],
    [{ a: null }, {}, false],
    [{ a: undefined }, { b: 1 }, false],
    [{ b: 1 }, { a: undefined, c: 1 }, false],
    [[1, 2], [2, 1], false],
    [[1], [1, 2], false],
    ['1', 1, false],
    [{}, [], false],
    [null, {}, false],
    [{ toString: 1 }, { valueOf: 1 }, false],
  ])('%j and %j: %s', (a, b, same) => {
    expect(sameValue(a, b)).toBe(same);
    expect(sameValue(b, a)).toBe(same);
  });
});

describe('differing paths', () => {
  it('name keys, never values', () => {
    expect(differingPaths({ a: { b: 1, c: 2 }, d: 'secret' }, { a: { b: 1, c: 3, e: 4 }, d: 'other' })).toEqual(['a.c', 'a.e', 'd']);
  });

  it('are limited', () => {
    expect(differingPaths({ a: 1, b: 1, c: 1 }, {}, 2)).toEqual(['a', 'b']);
  });

  it('are one empty path for values that are no hashes', () => {
    expect(differingPaths(1, 2)).toEqual(['']);
  });
});
