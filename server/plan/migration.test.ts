import { describe, expect, it } from 'vitest';
import { applied, completePlan, edit, emptyState, manifestYaml, planInput } from '../../tests/support/planning';
import { buildPlan } from './build-plan';
import type { RecordedState } from './types';

const group = (name: string, size: number, more = '') => `- {name: ${name}, instances: ${size}, azs: [z1, z2], vm_type: small, stemcell: default, networks: [{name: private}], jobs: [{name: server, release: rel}]${more}}`;
const manifestOf = (...groups: string[]) => `${manifestYaml.slice(0, manifestYaml.indexOf('- name: web'))}${groups.join('\n')}\n`;
const deployed = (manifest: string) => applied(completePlan({ manifest }), emptyState());
const taking = (...names: string[]) => `, migrated_from: [${names.map((name) => `{name: ${name}}`).join(', ')}]`;

describe('a group that takes others over', () => {
  const before = deployed(manifestOf(group('a', 2), group('b', 2)));
  const renamed = manifestOf(group('c', 4, taking('a', 'b')));

  it('keeps their instances, VMs and addresses under indexes of its own', () => {
    const plan = completePlan({ manifest: renamed, state: before });
    expect([plan.removed, plan.groups[0]?.obsolete, plan.groups[0]?.migratedFrom]).toEqual([[], [], ['a', 'b']]);
    const instances = plan.groups[0]?.instances ?? [];
    expect(instances.map(({ index }) => index)).toEqual([0, 1, 2, 3]);
    expect(instances.map(({ uuid }) => uuid).sort()).toEqual(before.instances.map(({ uuid }) => uuid).sort());
    expect(instances.filter((instance) => instance.bootstrap).map(({ index }) => index)).toEqual([0]);
    for (const instance of instances) {
      expect([instance.needsRecreate, instance.reservations.make, instance.reservations.release]).toEqual([false, [], []]);
      expect(instance.changes.map(({ kind }) => kind)).toContain('job');
    }
  });

  it('is left alone by the next deploy, as long as the manifest names the old groups and after', () => {
    const after = applied(completePlan({ manifest: renamed, state: before }), before);
    for (const manifest of [renamed, manifestOf(group('c', 4))]) {
      const again = completePlan({ manifest, state: after });
      expect([again.removed, again.groups[0]?.instances.flatMap((instance) => instance.changes)]).toEqual([[], []]);
    }
  });

  it('deletes what it has no place for, and makes what is missing', () => {
    const fewer = completePlan({ manifest: manifestOf(group('c', 3, taking('a', 'b'))), state: before });
    expect(fewer.groups[0]?.obsolete).toHaveLength(1);
    const more = completePlan({ manifest: manifestOf(group('c', 5, taking('a', 'b'))), state: before });
    expect(more.groups[0]?.instances.map(({ index, isNew }) => [index, isNew])).toEqual([[0, false], [1, false], [2, false], [3, false], [4, true]]);
  });

  it('keeps the indexes of its own instances', () => {
    const both = deployed(manifestOf(group('c', 2), group('b', 1)));
    const plan = buildPlan(planInput({ manifest: manifestOf(group('c', 3, taking('b'))), state: both }));
    const own = both.instances.filter((instance) => instance.group === 'c');
    for (const { uuid, index } of own) expect(plan.groups[0]?.instances.find((instance) => instance.uuid === uuid)?.index).toBe(index);
  });

  it('gives instances without an AZ that of the migration', () => {
    const state: RecordedState = { ...before, instances: before.instances.filter((instance) => instance.group === 'a' && instance.az === 'z1').map((instance) => ({ ...instance, az: null })) };
    const plan = buildPlan(planInput({ manifest: manifestOf(group('c', 1, ', migrated_from: [{name: a, az: z1}]')), state }));
    expect(plan.groups[0]?.instances.map(({ az, isNew, needsRecreate }) => [az, isNew, needsRecreate])).toEqual([['z1', false, false]]);
  });

  const withoutAz: RecordedState = { ...before, instances: before.instances.map((instance) => ({ ...instance, az: null })) };
  it.each([
    ['that is still in the manifest', manifestOf(group('a', 2), group('c', 2, taking('a'))), before,
      "Failed to migrate instance group 'a' to 'c'. A deployment can not migrate an instance group and also specify it. Please remove instance group 'a'."],
    ['twice', manifestOf(group('c', 2, taking('a')), group('d', 2, taking('a'))), before, "Failed to migrate instance group 'a' to 'c'. An instance group may be migrated to only one instance group."],
    ['whose AZ nobody knows', manifestOf(group('c', 2, taking('a'))), withoutAz, "Failed to migrate instance group 'a' to 'c', availability zone of 'a' is not specified"],
    ['of another AZ', manifestOf(group('c', 2, ', migrated_from: [{name: a, az: z2}]')), before, "Failed to migrate instance group 'a' to 'c', 'a' belongs to availability zone 'z1' and manifest specifies 'z2'"],
  ])('is refused a group %s', (_title, manifest, state, message) => {
    expect(() => buildPlan(planInput({ manifest, state }))).toThrow(expect.objectContaining({ code: 190018, message }));
  });

  it('may not lose ignored instances of the other group', () => {
    const ignored: RecordedState = { ...before, instances: before.instances.map((instance) => ({ ...instance, ignore: instance.group === 'a' })) };
    expect(() => buildPlan(planInput({ manifest: manifestOf(group('c', 1, taking('a'))), state: ignored }))).toThrow(expect.objectContaining({ code: 190020 }));
    expect(() => buildPlan(planInput({ manifest: manifestOf(group('b', 2)), state: ignored }))).toThrow(expect.objectContaining({ code: 190021 }));
  });
});

describe('placement by chance', () => {
  const azOf = (deployment: string) => {
    const plan = buildPlan(planInput({ manifest: edit(manifestOf(group('a', 1)), ['[z1, z2]', '[z1, z2, z3]'], ['name: dep', `name: ${deployment}`], ['tags:', 'features: {randomize_az_placement: true}\ntags:']), state: { ...emptyState(), deployment: { ...emptyState().deployment, name: deployment } } }));
    return plan.groups[0]?.instances[0]?.az;
  };

  it('spreads deployments over the AZs, and places the same one alike each time', () => {
    const azs = Array.from({ length: 60 }, (_, i) => azOf(`dep-${i}`));
    expect(azs).toEqual(Array.from({ length: 60 }, (_, i) => azOf(`dep-${i}`)));
    for (const az of ['z1', 'z2', 'z3']) expect(azs.filter((one) => one === az).length).toBeGreaterThan(8);
  });
});
