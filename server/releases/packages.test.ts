import { describe, expect, it } from 'vitest';
import { dependencyKey, inDependencyOrder, matchCompiledPackages } from './packages';

const pkg = (name: string, ...dependencies: string[]) => ({ name, version: `${name}-v`, dependencies });

describe('dependencies of packages', () => {
  it('puts packages after what they need', () => {
    const order = inDependencyOrder([pkg('d', 'b', 'c'), pkg('b', 'a'), pkg('c', 'a'), pkg('a'), pkg('e')]);
    expect(order.map(({ name }) => name)).toEqual(['a', 'b', 'c', 'd', 'e']);
  });

  it('names the circle', () => {
    expect(() => inDependencyOrder([pkg('x', 'a'), pkg('a', 'b'), pkg('b', 'c'), pkg('c', 'a')])).toThrow('a => b => c => a');
    expect(() => inDependencyOrder([pkg('a', 'a')])).toThrow('a => a');
  });

  it('names the package that is missing', () => {
    expect(() => inDependencyOrder([pkg('a', 'b')])).toThrow("Package 'a' depends on package 'b'");
  });
});

describe('the dependency key', () => {
  const packages = [pkg('ruby', 'yaml', 'openssl'), pkg('yaml'), pkg('openssl', 'zlib'), pkg('zlib'), pkg('lone')];

  it.each([
    ['lone', '[]'],
    ['openssl', '[["zlib","zlib-v"]]'],
    ['ruby', '[["openssl","openssl-v",[["zlib","zlib-v"]]],["yaml","yaml-v"]]'],
  ])('of %s is %s', (name, expected) => {
    const found = packages.find((candidate) => candidate.name === name) ?? pkg('');
    expect(dependencyKey(found, packages)).toBe(expected);
  });

  it('needs every dependency', () => {
    expect(() => dependencyKey(pkg('a', 'b'), [])).toThrow("'b'");
  });
});

describe('matching compiled packages', () => {
  it('wants every package of a fingerprint', () => {
    const offer = (name: string, fingerprint: string) => ({ ...pkg(name), fingerprint, stemcell: 'os/1' });
    const stored = (name: string, fingerprint: string) => ({ name, fingerprint, stemcell: 'os/1', dependencyKey: '[]' });
    expect(matchCompiledPackages([offer('a', '1'), offer('b', '2'), offer('c', '2')], [stored('a', '1'), stored('b', '2')])).toEqual(['1']);
    expect(matchCompiledPackages([offer('a', '1')], [{ ...stored('a', '1'), stemcell: 'os/2' }])).toEqual([]);
    expect(matchCompiledPackages([], [stored('a', '1')])).toEqual([]);
  });
});
