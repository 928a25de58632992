import { assert, bigInt, integer, property } from 'fast-check';
import { describe, expect, it } from 'vitest';
import { contains, formatAddress, formatBlock, formatNetmask, overlaps, parseBlock, parseRange } from './ip';

describe('blocks', () => {
  it.each([
    ['10.0.0.5', '10.0.0.5/32'],
    ['10.0.0.5/24', '10.0.0.0/24'],
    ['10.0.0.5/255.255.255.0', '10.0.0.0/24'],
    [' 10.0.0.1 ', '10.0.0.1/32'],
    ['fd00::1', 'fd00::1/128'],
    ['fd00:0:0:1::/64', 'fd00:0:0:1::/64'],
    ['::ffff:10.0.0.1', '::ffff:a00:1/128'],
    ['::/0', '::/0'],
  ])('%s is %s', (text, block) => {
    const parsed = parseBlock(text);
    expect(parsed && formatBlock(parsed)).toBe(block);
  });

  it.each(['', '10.0.0', '10.0.0.256', '10.0.0.1/33', '10.0.0.01', '10.0.0.1/255.0.255.0', 'fd00::1::', 'fd00::/129', '1:2:3:4:5:6:7', 'g::', '10.0.0.1/24/3', 'a'])('%j is none', (text) => {
    expect(parseBlock(text)).toBeUndefined();
  });
});

describe('ranges', () => {
  it.each([
    ['10.0.0.2-10.0.0.9', ['10.0.0.2', '10.0.0.9']],
    ['10.0.0.2 - 10.0.0.9', ['10.0.0.2', '10.0.0.9']],
    ['10.0.0.0/30', ['10.0.0.0', '10.0.0.3']],
    ['10.0.0.7', ['10.0.0.7', '10.0.0.7']],
  ])('%s', (text, ends) => {
    const range = parseRange(text);
    expect(range && [formatAddress(range.first, range.version), formatAddress(range.last, range.version)]).toEqual(ends);
  });

  it.each(['10.0.0.0/30-10.0.0.9', '10.0.0.1-fd00::1', 'a-b', '1-2-3'])('%s is none', (text) => {
    expect(parseRange(text)).toBeUndefined();
  });

  it('contain and overlap', () => {
    expect(contains({ first: 1n, last: 9n }, { first: 2n, last: 9n })).toBe(true);
    expect(contains({ first: 1n, last: 9n }, { first: 2n, last: 10n })).toBe(false);
    expect(overlaps({ first: 1n, last: 2n }, { first: 2n, last: 3n })).toBe(true);
    expect(overlaps({ first: 1n, last: 2n }, { first: 3n, last: 4n })).toBe(false);
  });
});

it('prints netmasks', () => {
  expect(formatNetmask(24, 4)).toBe('255.255.255.0');
  expect(formatNetmask(0, 4)).toBe('0.0.0.0');
  expect(formatNetmask(64, 6)).toBe('ffff:ffff:ffff:ffff:0000:0000:0000:0000');
});

it('reads what it prints', () => {
  assert(
    property(bigInt({ min: 0n, max: (1n << 128n) - 1n }), integer({ min: 0, max: 128 }), (value, prefix) => {
      const text = `${formatAddress(value, 6)}/${prefix}`;
      const block = parseBlock(text);
      expect(block && block.first <= value && value <= block.last).toBe(true);
    }),
  );
});
