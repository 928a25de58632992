import { describe, expect, it } from 'vitest';
import { unusedReleases, unusedStemcells, uselessForms } from './left-overs';

const release = (name: string, versions: Record<string, boolean>) => ({ name, versions: Object.entries(versions).map(([version, currentlyDeployed]) => ({ version, currentlyDeployed })) });
const stemcell = (name: string, version: string, ...deployments: string[]) => ({ name, version, os: 'ubuntu', deployments });

describe('releases to clean up', () => {
  const releases = [release('web', { 'v1': false, 'v2': true, 'v3': false, 'v4': false }), release('db', { 'v1': false, 'v2': false }), release('dns', { 'v1': false, 'v2': false, 'v3': false })];
  const runtime = [{ releases: [{ name: 'dns', version: 'v1' }] }];

  it('are the unused ones but for the newest two', () => {
    expect(unusedReleases(releases, runtime, false)).toEqual([{ name: 'web', versions: ['v1'] }]);
  });
  it('are all unused ones when everything goes', () => {
    expect(unusedReleases(releases, runtime, true)).toEqual([{ name: 'web', versions: ['v1', 'v3', 'v4'] }, { name: 'db', versions: ['v1', 'v2'] }, { name: 'dns', versions: ['v2', 'v3'] }]);
  });
});

describe('stemcells to clean up', () => {
  const stemcells = [stemcell('jammy', '1.10'), stemcell('jammy', '1.9'), stemcell('jammy', '1.2'), stemcell('jammy', '1.1', 'lab'), stemcell('noble', '1.0')];

  it('are the unused ones but for the newest two', () => {
    expect(unusedStemcells(stemcells, false).map(({ version }) => version)).toEqual(['1.2']);
  });
  it('are all unused ones when everything goes', () => {
    expect(unusedStemcells(stemcells, true).map(({ name, version }) => `${name}/${version}`)).toEqual(['noble/1.0', 'jammy/1.2', 'jammy/1.9', 'jammy/1.10']);
  });
});

it('cleans up compiled packages that no remaining stemcell can run', () => {
  const forms = [
    { packageName: 'a', stemcellOs: 'ubuntu', stemcellVersion: '1.1' },
    { packageName: 'b', stemcellOs: 'ubuntu', stemcellVersion: '2.1' },
    { packageName: 'c', stemcellOs: 'other', stemcellVersion: '1.1' },
  ];
  expect(uselessForms(forms, [{ os: 'ubuntu', version: '1.7' }]).map(({ packageName }) => packageName)).toEqual(['b', 'c']);
});
