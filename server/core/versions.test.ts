import { describe, expect, it } from 'vitest';
import { compareReleaseVersions, compareStemcellVersions, formatVersion, otherNotation, parseReleaseVersion, rebaseVersion, resolveVersion, stemcellVersionsMatch } from './versions';

describe('order', () => {
  it.each([
    ['1', '2', -1], ['2', '10', -1], ['009', '10', -1], ['1.0', '1', 0], ['1.0.1', '1', 1], ['1.a', '1.2', 1], ['1.a', '1', 1],
    ['1-rc.1', '1', -1], ['1-rc.1', '1-rc.2', -1], ['1+dev.1', '1', 1], ['1+dev.9', '1+dev.10', -1], ['1.5-dev', '1+dev.4', 1],
    ['1.2-build.3', '1.2', -1], ['not a version', '1', -1],
  ])('%s against %s is %i', (a, b, order) => {
    expect(Math.sign(compareReleaseVersions(a, b))).toBe(order);
    expect(Math.sign(compareReleaseVersions(b, a))).toBe(0 - order);
  });

  it('reads underscores in stemcell versions as dots', () => {
    expect(compareStemcellVersions('1_10', '1.9')).toBe(1);
  });
});

describe('what a manifest asks for', () => {
  const existing = ['1.2', '1.10', '1.10-rc', '11.3', '2.1', '3+dev.4'];
  it.each([
    ['1.2', '1.2'], ['9', undefined], ['latest', '11.3'], ['1.latest', '1.10'], ['1.10.latest', '1.10'], ['4.latest', undefined], ['3.4-dev', '3+dev.4'],
  ])('%s is %s', (wanted, found) => {
    expect(resolveVersion(wanted, existing, 'release')).toBe(found);
  });

  it('is exact for stemcells', () => {
    expect(resolveVersion('1.0', ['1'], 'stemcell')).toBeUndefined();
  });
});

it.each([
  ['1.200', '1.315', true], ['1', '1.5', true], ['1_2', '1.3', true], ['1.200', '2.200', false],
])('packages compiled for stemcell %s fit %s: %s', (a, b, fits) => {
  expect(stemcellVersionsMatch(a, b)).toBe(fits);
});

it('translates between the notations of development versions', () => {
  expect(otherNotation('1.5-dev')).toBe('1+dev.5');
  expect(otherNotation('1+dev.5')).toBe('1.5-dev');
  expect(otherNotation('1.5')).toBeUndefined();
  expect(parseReleaseVersion('1 2')).toBeUndefined();
});

it.each([
  ['1.0+dev.9', [], '1.0+dev.1'],
  ['1.0+dev.1', ['1.0'], '1.0+dev.1'],
  ['1.0+dev.1', ['1.0', '1.0+dev.2', '1.0+dev.10', '2.0+dev.50'], '1.0+dev.11'],
  ['1-rc.1+dev.1', ['1-rc.1+dev.3', '1+dev.7'], '1-rc.1+dev.4'],
])('rebases %s on %j to %s', (version, stored, expected) => {
  const parse = (text: string) => {
    const parsed = parseReleaseVersion(text);
    if (!parsed) throw new Error(text);
    return parsed;
  };
  const rebased = rebaseVersion(parse(version), stored.map(parse));
  expect(rebased && formatVersion(rebased)).toBe(expected);
});
