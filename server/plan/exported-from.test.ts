import { describe, expect, it } from 'vitest';
import { completePlan, edit, emptyState, manifestYaml, planInput, release } from '../../tests/support/planning';
import { buildPlan } from './build-plan';

const exportedFrom = (list: string) => edit(manifestYaml, ['{name: rel, version: latest}', `{name: rel, version: latest, exported_from: ${list}}`]);
const keys = new Map(completePlan().packages.map((requirement) => [requirement.package.name, requirement]));

/** Compiled forms of the named packages for a stemcell. */
function compiled(stemcellVersion: string, names: readonly string[], build = 1) {
  return names.map((name) => {
    const requirement = keys.get(name);
    if (!requirement) throw new Error(name);
    return { packageId: requirement.package.id, stemcellOs: 'ubuntu', stemcellVersion, dependencyKey: requirement.dependencyKey, build, blobstoreId: `${name}-${stemcellVersion}`, sha1: 's' };
  });
}

const all = ['app', 'lib', 'base'];
const version = (name: string) => keys.get(name)?.package.version ?? '';

function plan(list: string, compiledPackages: ReturnType<typeof compiled>) {
  return buildPlan(planInput({ manifest: exportedFrom(list), state: { ...emptyState(), compiledPackages } }));
}

describe('a release with exported_from', () => {
  it('uses exactly what is compiled for one of those stemcells, source or not', () => {
    const found = plan("[{os: centos, version: '1.9'}, {os: ubuntu, version: '1.150'}]", [...compiled('1.150', all), ...compiled('1.200', all, 7)]);
    expect(found.packages.map((requirement) => requirement.compiled?.blobstoreId)).toEqual(['base-1.150', 'lib-1.150', 'app-1.150']);
    expect(found.packages.map((requirement) => requirement.stemcell.version)).toEqual(['1.200', '1.200', '1.200']);
  });

  it('takes the first of several stemcells for which a package is compiled', () => {
    const found = plan("[{os: ubuntu, version: '1.1'}, {os: ubuntu, version: '1.2'}]", [...compiled('1.2', all), ...compiled('1.1', ['lib'])]);
    expect(found.packages.map((requirement) => requirement.compiled?.blobstoreId)).toEqual(['base-1.2', 'lib-1.1', 'app-1.2']);
  });

  it('is not compiled here: all packages that are missing are listed', () => {
    expect(() => plan("[{os: ubuntu, version: '1.150'}]", [...compiled('1.150', ['lib']), ...compiled('1.200', all)])).toThrow(
      expect.objectContaining({
        code: 60003,
        message: `\nCan't use release 'rel/1.0':\nPackages must be exported from stemcell 'ubuntu/1.150', but some packages are not compiled for this stemcell:\n - 'app/${version('app')}'\n - 'base/${version('base')}'\n`,
      }),
    );
  });

  it('is refused in a group with a stemcell of another system or major version', () => {
    expect(() => plan("[{os: ubuntu, version: '2.200'}, {os: centos, version: '1.200'}]", compiled('1.200', all))).toThrow(
      expect.objectContaining({
        code: 80015,
        message:
          "Invalid release detected in instance group 'web' using stemcell 'local-ubuntu/1.200': release 'rel' must be exported from stemcell 'local-ubuntu/1.200'. " +
          "Release 'rel' is exported from: 'ubuntu/2.200', 'centos/1.200'.",
      }),
    );
  });

  it('may come from a runtime config', () => {
    const runtime = "releases: [{name: rel2, version: '1.0', exported_from: [{os: ubuntu, version: '9'}]}]\naddons: [{name: a, jobs: [{name: plain, release: rel2}]}]";
    const state = { ...emptyState(), releases: [release('1.0'), { ...release('1.0'), id: 9, name: 'rel2' }] };
    expect(() => buildPlan(planInput({ runtime: [runtime], state }))).toThrow(expect.objectContaining({ code: 80015 }));
  });
});

it('packages without source for two stemcells are told with their stemcells', () => {
  const manifest = `${edit(manifestYaml, ['[{alias: default, os: ubuntu, version: latest}]', "[{alias: default, os: ubuntu, version: '1.200'}, {alias: other, os: ubuntu, version: '2.1'}]"])}- name: worker
  instances: 1
  azs: [z1]
  vm_type: small
  stemcell: other
  networks: [{name: private}]
  jobs: [{name: server, release: rel}]
`;
  const [one] = [release('1.0')].map((rel) => ({ ...rel, packages: rel.packages.map((pkg) => ({ ...pkg, blobstoreId: null, sha1: null })) }));
  const state = { ...emptyState(), releases: one ? [one] : [], stemcells: [...emptyState().stemcells, { id: 2, name: 'local-ubuntu', os: 'ubuntu', version: '2.1', apiVersion: 3, cpi: '', cid: 'sc-2.1' }] };
  expect(() => buildPlan(planInput({ manifest, state }))).toThrow(
    expect.objectContaining({ code: 60001, message: expect.stringMatching(/not compiled against intended stemcells:\n - 'app\/\w+' against stemcell 'local-ubuntu\/[12]\.\d+'\n/) }),
  );
});
