import { describe, expect, test } from 'vitest';
import { aliasesOf, allCpis, findCpi } from '../cpi/configured';
import { parseYaml, type Hash } from '../core/yaml';
import { parseCpiConfigs } from './cpi-config';

const parse = (...texts: string[]) => parseCpiConfigs(texts.map((text) => parseYaml(text) as Hash));

describe('CPI configs', () => {
  test('are one list, with the path and names of each CPI', () => {
    expect(parse('cpis: [{name: a, type: vsphere, properties: {host: ((/host))}, migrated_from: [{name: ""}, {name: old}]}]', 'cpis: [{name: b, type: x, exec_path: /opt/cpi}]')).toEqual([
      { name: 'a', aliases: ['a', '', 'old'], execPath: '/var/vcap/jobs/vsphere_cpi/bin/cpi', properties: { host: '((/host))' } },
      { name: 'b', aliases: ['b'], execPath: '/opt/cpi', properties: {} },
    ]);
    expect(parse()).toBeUndefined();
    expect(parse('cpis: []')).toEqual([]);
  });

  test.each([
    ['a name twice', 'cpis: [{name: a, type: x}, {name: a, type: y}]', 550000, "Duplicate cpi name 'a'"],
    ['a name that another one had', 'cpis: [{name: a, type: x}, {name: b, type: y, migrated_from: [{name: a}]}]', 550000, "Duplicate cpi name 'a'"],
    ['no list', 'cpi: []', 40001, "Required property 'cpis' was not specified in object"],
    ['no name', 'cpis: [{type: x}]', 40001, "Required property 'name' was not specified in object"],
    ['no type', 'cpis: [{name: x}]', 40001, "Required property 'type' was not specified in object"],
    ['a former name that is none', 'cpis: [{name: x, type: y, migrated_from: [{}]}]', 40001, "Required property 'name' was not specified in object"],
    ['properties that are none', 'cpis: [{name: x, type: y, properties: [1]}]', 40000, "Property 'properties' value"],
    ['a variable as a name', 'cpis: [{name: ((/x)), type: y}]', 100, 'The variable ((/x))'],
  ])('refuse %s', (_what, text, code, message) => {
    expect(() => parse(text)).toThrow(expect.objectContaining({ code, message: expect.stringContaining(message) }));
  });

  test('know CPIs by the names that they had', () => {
    const cpis = parse('cpis: [{name: a, type: x, migrated_from: [{name: ""}]}, {name: b, type: y}]') ?? [];
    expect(findCpi(cpis, '')?.name).toBe('a');
    expect(findCpi(cpis, 'c')).toBeUndefined();
    expect(aliasesOf(cpis, 'a')).toEqual(['a', '']);
    expect(aliasesOf(undefined, '')).toEqual(['']);
    expect(allCpis(undefined).map(({ name }) => name)).toEqual(['']);
  });
});
