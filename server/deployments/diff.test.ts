import { describe, expect, it } from 'vitest';
import fixture from '../../tests/fixtures/plan/diffs.json';
import { parseManifestYaml } from '../core/yaml';
import { diffDeployment, diffDocuments } from './diff';

// The expected lines are answers of the Ruby director.

const cloudConfigs = [parseManifestYaml(fixture.cloudConfig)];
const catalogue = { releases: [{ name: 'caplab', version: '1.0.0' }, { name: 'caplab', version: '1.1.0' }], stemcells: [{ name: 'lab-stemcell', os: 'lab-os', version: '1.1' }] };

describe('deployments', () => {
  it.each(fixture.cases.filter((one) => one.kind === 'deployment'))('$title', ({ before, after, diff }) => {
    const documents = (text: string) => ({ manifest: parseManifestYaml(text), cloudConfigs, runtimeConfigs: [] });
    const lines = diffDeployment({ before: before === null ? undefined : documents(before), after: documents(after), teams: [], catalogue, redact: true });
    expect(lines).toEqual(diff);
  });

  const manifest = { name: 'd', releases: [{ name: 'r', version: '1' }], stemcells: [{ alias: 'a', os: 'lab-os', version: '1.1' }], instance_groups: [{ name: 'g', jobs: [{ name: 'j', release: 'r' }] }] };
  const runtime = {
    releases: [{ name: 'x', version: '1' }, { name: 'y', version: '2' }],
    addons: [{ name: 'here', jobs: [{ name: 'a', release: 'x' }], include: { deployments: ['d'] } }, { name: 'elsewhere', jobs: [{ name: 'b', release: 'y' }], include: { deployments: ['e'] } }],
    tags: { team: 't' },
  };

  it('shows only the part of the runtime config that applies', () => {
    const lines = diffDeployment({
      before: { manifest, cloudConfigs: [], runtimeConfigs: [] }, after: { manifest, cloudConfigs: [], runtimeConfigs: [runtime] }, teams: [], catalogue, redact: true,
    });
    expect(lines.map(([text, status]) => (status === 'added' ? `+ ${text}` : text))).toEqual([
      'releases:', '+ - name: x', "+   version: '1'",
      '', '+ addons:', '+ - name: here', '+   jobs:', '+   - name: a', '+     release: x', '+   include:', '+     deployments:', '+     - d',
      '', '+ tags:', '+   team: t',
    ]);
  });

  it('compares what `latest` stands for', () => {
    const wanting = (version: string) => ({ manifest: { name: 'd', releases: [{ name: 'caplab', version }], stemcells: [{ alias: 'a', os: 'lab-os', version: 'latest' }] }, cloudConfigs: [], runtimeConfigs: [] });
    expect(diffDeployment({ before: wanting('1.1.0'), after: wanting('latest'), teams: [], catalogue, redact: true })).toEqual([]);
    expect(() => diffDeployment({ after: wanting('9.latest'), teams: [], catalogue, redact: true })).toThrow("Release version 'caplab/9.latest' doesn't exist");
  });
});

describe('configs', () => {
  it.each(fixture.cases.filter((one) => one.kind === 'config'))('$title', ({ before, after, diff, redact }) => {
    expect(diffDocuments(parseManifestYaml(before ?? '{}'), parseManifestYaml(after), { redact: redact ?? true })).toEqual(diff);
  });
});

describe('details', () => {
  const cases: [string, Record<string, unknown>, Record<string, unknown>, [string, string | null][]][] = [
    ['equal documents have no difference, whatever the order of keys', { a: { x: 1, y: [2] } }, { a: { y: [2], x: 1 } }, []],
    ['null counts as missing', { a: null }, { a: 1 }, [['a: 1', 'added']]],
    ['a scalar that becomes a hash is replaced', { a: 1 }, { a: { b: 2 } }, [['a: 1', 'removed'], ['', null], ['a:', 'added'], ['  b: 2', 'added']]],
    ['lists of scalars are compared by value', { a: [1, 2] }, { a: [2, 3] }, [['a:', null], ['- 3', 'added'], ['- 1', 'removed']]],
    ['subnets are matched by range', { n: [{ range: 'r1', dns: 1 }] }, { n: [{ range: 'r1', dns: 2 }] }, [['n:', null], ['- range: r1', null], ['  dns: 1', 'removed'], ['  dns: 2', 'added']]],
    ['elements without name are replaced', { n: [{ x: 1 }] }, { n: [{ x: 2 }] }, [['n:', null], ['- x: 2', 'added'], ['- x: 1', 'removed']]],
    ['a list that only changed its order is the same to the reader', { n: [1, 2] }, { n: [2, 1] }, []],
    ['secrets differ without being shown', { properties: { p: 'one' } }, { properties: { p: 'two' } }, [['properties:', null], ['  p: "<redacted>"', 'removed'], ['  p: "<redacted>"', 'added']]],
    ['credentials in release URLs are hidden', {}, { releases: [{ name: 'r', url: 'https://me:secret@host/x' }] }, [['releases:', 'added'], ['- name: r', 'added'], ['  url: https://<redacted>:<redacted>@host/x', 'added']]],
  ];
  it.each(cases)('%s', (_title, before, after, lines) => {
    expect(diffDocuments(before, after, { redact: true })).toEqual(lines);
  });
});
