import { randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { open, readSealingKey, reseal, seal } from './seal';

const key = readSealingKey('ab'.repeat(32));
const other = readSealingKey(randomBytes(32).toString('base64'));

describe('a sealed value', () => {
  it('is opened with its key and says nothing of the value', () => {
    const value = { password: 'canary-secret', n: [1, null] };
    const sealed = seal(value, 'id-1', key);
    expect(sealed.includes('canary')).toBe(false);
    expect(open(sealed, 'id-1', [other, key])).toEqual(value);
    expect(seal(value, 'id-1', key).equals(sealed)).toBe(false);
  });

  it('cannot be opened with another key, as another variable, or after a bit was changed', () => {
    const sealed = seal('x', 'id-1', key);
    expect(() => open(sealed, 'id-1', [other])).toThrow('not configured');
    expect(() => open(sealed, 'id-2', [key])).toThrow();
    for (const at of [12, 40, sealed.length - 1]) {
      const broken = Buffer.from(sealed);
      broken[at] = (broken[at] ?? 0) ^ 1;
      expect(() => open(broken, 'id-1', [key]), `byte ${at}`).toThrow();
    }
  });

  it('moves to another key', () => {
    const moved = reseal(seal('x', 'id', key), 'id', [key, other], other);
    expect(moved && open(moved, 'id', [other])).toBe('x');
    expect(moved && reseal(moved, 'id', [key, other], other)).toBeUndefined();
  });
});

it('a key of another length is refused', () => {
  expect(() => readSealingKey('abc')).toThrow('32 bytes');
});
