import { describe, expect, test } from 'vitest';
import { applied, cloudYaml, completePlan, edit, emptyState, manifestYaml, planInput } from '../../tests/support/planning';
import { buildPlan } from './build-plan';
import { neededResources, type CalculatedResources } from './vm-resources';

const resources = { cpu: 2, ram: 1024, ephemeral_disk_size: 4096 };
const manifest = edit(manifestYaml, ['vm_type: small', 'vm_resources: {cpu: 2, ram: 1024, ephemeral_disk_size: 4096}\n  vm_extensions: [fast]']);
const answer = (cpi: string, cloudProperties: Record<string, unknown>): CalculatedResources => ({ cpi, resources, cloudProperties });
const image = (id: number, cpi: string) => ({ id, name: 'local-ubuntu', os: 'ubuntu', version: '1.200', apiVersion: 3, cpi, cid: `sc-${cpi}` });
const twoClouds = {
  manifest, cloud: edit(cloudYaml, ['- name: z1', '- name: z1\n  cpi: east'], ['- name: z2', '- name: z2\n  cpi: east'], ['- name: z3', '- name: z3\n  cpi: west']),
  state: { ...emptyState(), cpis: [{ name: 'east', aliases: ['east'] }, { name: 'west', aliases: ['west'] }], stemcells: [image(1, 'east'), image(2, 'west')] },
};

describe('vm_resources', () => {
  test('are asked for once per CPI, and only where they are used', () => {
    expect(neededResources(planInput({ manifest }))).toEqual([{ cpi: '', resources }]);
    expect(neededResources(planInput(twoClouds))).toEqual([{ cpi: 'east', resources }, { cpi: 'west', resources }]);
    expect(neededResources(planInput())).toEqual([]);
  });

  test('become cloud properties that win over those of AZ and extensions', () => {
    const plan = completePlan({ ...twoClouds, calculatedResources: [answer('east', { type: 'e2', shared: 'resources' }), answer('west', { type: 'w2' })] });
    const instances = plan.groups.flatMap((group) => group.instances);
    expect(instances.map((instance) => instance.cloudProperties)).toEqual([
      { zone: 'one', fast: true, shared: 'resources', type: 'e2' }, { zone: 'two', fast: true, shared: 'resources', type: 'e2' }, { fast: true, shared: 'extension', type: 'w2' },
    ]);
    const recorded = applied(plan, twoClouds.state).instances[0]?.spec;
    expect(recorded).toMatchObject({ vm_type: null, vm_resources: resources });
  });

  test('change a VM when the CPI makes something else of them', () => {
    const state = applied(completePlan({ manifest, calculatedResources: [answer('', { type: 'm1' })] }), emptyState());
    const changes = (type: string) => buildPlan(planInput({ manifest, state, calculatedResources: [answer('', { type })] })).groups.flatMap(({ instances }) => instances.flatMap((one) => one.changes));
    expect(changes('m1')).toEqual([]);
    expect(changes('m2')[0]).toEqual({ kind: 'cloud_properties', reasons: ['cloud property type'] });
  });

  test.each([
    ['with a VM type too', edit(manifest, ['vm_resources', 'vm_type: small\n  vm_resources']), 140022, "Instance group 'web' can only specify 'vm_type' or 'vm_resources' keys."],
    ['without a size', edit(manifest, ['ram: 1024, ', '']), 40001, "Required property 'ram' was not specified in object"],
    ['with a text as a size', edit(manifest, ['ram: 1024', 'ram: "1024"']), 40000, "Property 'ram' value"],
  ])('are refused %s', (_what, text, code, message) => {
    expect(() => neededResources(planInput({ manifest: text }))).toThrow(expect.objectContaining({ code, message: expect.stringContaining(message) }));
  });

  test.each([
    ['no VM type', 'vm_type: large', 'vm_resources: {cpu: 2, ram: 1024, ephemeral_disk_size: 4096}, vm_extensions: [fast]', { vmResources: resources, cloudProperties: { zone: 'one', shared: 'extension', fast: true } }],
    ['a VM type', 'vm_type: large', 'vm_type: large', { vmResources: null, cloudProperties: { zone: 'one', shared: 'az', size: 'l' } }],
  ])('of the compilation with %s', (_what, from, to, expected) => {
    expect(buildPlan(planInput({ cloud: edit(cloudYaml, [from, to]) })).compilation).toMatchObject(expected);
  });
});
