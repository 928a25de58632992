import { describe, expect, it } from 'vitest';
import { pickStemcells } from '../stemcells/retention';
import { pickCompiledPackages, pickReleases } from './retention';

describe('what a clean-up deletes', () => {
  const versions = (deployed: string, ...all: string[]) => all.map((version) => ({ version, currentlyDeployed: version === deployed }));

  it('keeps the two newest unused versions of each release, and used ones besides', () => {
    const releases = [
      { name: 'web', versions: versions('1', '1', '2', '10', '9', '3') },
      { name: 'db', versions: versions('', '1', '2') },
    ];
    expect(pickReleases(releases, 2, [])).toEqual([{ name: 'web', versions: ['2', '3'] }]);
    expect(pickReleases(releases, 0, [])).toEqual([{ name: 'web', versions: ['2', '3', '9', '10'] }, { name: 'db', versions: ['1', '2'] }]);
  });

  it('never takes a version that a runtime config names', () => {
    expect(pickReleases([{ name: 'dns', versions: versions('', '1', '2') }], 0, [{ name: 'dns', version: '1' }])).toEqual([{ name: 'dns', versions: ['2'] }]);
  });

  it('keeps the two newest unused versions of each stemcell, whatever the number of CPIs', () => {
    const row = (name: string, version: string, cpi: string, ...deployments: string[]) => ({ name, version, cpi, deployments });
    const stemcells = [row('s', '1.9', 'a'), row('s', '1.9', 'b'), row('s', '1.10', 'a'), row('s', '1.10', 'b'), row('s', '1.11', 'a'), row('s', '1.1', 'a', 'lab'), row('t', '3', 'a')];
    expect(pickStemcells(stemcells, 2)).toEqual([row('s', '1.9', 'a'), row('s', '1.9', 'b')]);
    expect(pickStemcells(stemcells, 0).map((stemcell) => stemcell.version)).toEqual(['1.9', '1.9', '1.10', '1.10', '1.11', '3']);
  });

  it('takes compiled packages whose stemcells are gone', () => {
    const form = (stemcellOs: string, stemcellVersion: string) => ({ stemcellOs, stemcellVersion });
    expect(pickCompiledPackages([form('u', '1.2'), form('u', '2.0'), form('v', '1.2')], [{ os: 'u', version: '1.9' }])).toEqual([form('u', '2.0'), form('v', '1.2')]);
  });
});
