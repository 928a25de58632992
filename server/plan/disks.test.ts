import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { applied, cloudYaml, completePlan, edit, emptyState, manifestYaml } from '../../tests/support/planning';
import { diskChanges, diskReasons, onlyGrows, type PlannedDisk, type RecordedDisk } from './disks';
import type { CompleteInstancePlan, DeployRequest, Plan } from './types';
import { applySpec, fullSpec } from './specs';

const withDisk = (disk: string) => edit(manifestYaml, ['stemcell: default', `stemcell: default\n  ${disk}`]);
const cloud = edit(cloudYaml, ['- {name: d1, disk_size: 1024}', '- {name: d1, disk_size: 1024}\n- {name: fast, disk_size: 1024, cloud_properties: {type: ssd}}\n- {name: none, disk_size: 0}']);

function first(plan: Plan<CompleteInstancePlan>): CompleteInstancePlan {
  const instance = plan.groups[0]?.instances[0];
  if (!instance) throw new Error('no instance');
  return instance;
}

const disksOf = (disk: string) => first(completePlan({ cloud, manifest: withDisk(disk) })).disks;

describe('disks of an instance group', () => {
  it.each([
    ['persistent_disk: 512', [{ name: '', size: 512, cloudProperties: {}, type: '512' }]],
    ['persistent_disk: 0', []],
    ['persistent_disk_type: fast', [{ name: '', size: 1024, cloudProperties: { type: 'ssd' }, type: 'fast' }]],
    ['persistent_disk_type: none', []],
    ['persistent_disks: [{name: a, type: d1}, {name: b, type: fast}]', [{ name: 'a', size: 1024, cloudProperties: {}, type: 'd1' }, { name: 'b', size: 1024, cloudProperties: { type: 'ssd' }, type: 'fast' }]],
  ])('%s', (disk, expected) => {
    expect(disksOf(disk)).toEqual(expected);
  });

  it('of a type that nobody knows are refused', () => {
    expect(() => disksOf('persistent_disk_type: x')).toThrow(expect.objectContaining({ code: 140012, message: "Instance group 'web' references an unknown disk type 'x'" }));
    expect(() => disksOf('persistent_disks: [{name: a, type: x}]')).toThrow(expect.objectContaining({ code: 140012, message: "Instance group 'web' persistent_disks's section references an unknown disk type 'x'" }));
  });

  it('are told to agents as BOSH does', () => {
    const spec = (disk: string) => {
      const plan = completePlan({ cloud, manifest: withDisk(disk) });
      const full = fullSpec(first(plan), plan, undefined);
      return [applySpec(first(plan), plan, undefined).persistent_disk, full.persistent_disk_type];
    };
    expect(spec('persistent_disk_type: fast')).toEqual([1024, { name: 'fast', disk_size: 1024, cloud_properties: { type: 'ssd' } }]);
    expect(spec('persistent_disks: [{name: a, type: d1}]')).toEqual([undefined, undefined]);
    expect(spec('persistent_disk: 0')).toEqual([0, undefined]);
  });
});

describe('a redeploy', () => {
  const state = applied(completePlan({ cloud, manifest: withDisk('persistent_disk: 512') }), emptyState());
  const changesAfter = (disk: string, request: DeployRequest = {}) => {
    const instance = first(completePlan({ cloud, manifest: withDisk(disk), state, request }));
    return { reasons: Object.fromEntries(instance.changes.map((change) => [change.kind, change.reasons])), recreates: instance.needsRecreate };
  };

  it.each([
    ['persistent_disk: 512', {}, {}],
    ['persistent_disk: 1024', {}, { persistent_disk: ['persistent disk 512 MB → 1024 MB'] }],
    ['persistent_disk_type: fast', {}, { persistent_disk: ['persistent disk 512 MB → 1024 MB', 'persistent disk: cloud property type'] }],
    ['persistent_disk: 0', {}, { persistent_disk: ['persistent disk of 512 MB is removed'] }],
    ['persistent_disks: [{name: a, type: d1}]', {}, { persistent_disk: ["persistent disk 'a' of 1024 MB is added", 'persistent disk of 512 MB is removed'], dns: ['DNS group of link a-disk is added'] }],
    ['persistent_disk: 512', { recreatePersistentDisks: true }, { recreate_persistent_disks: ['a recreation of persistent disks was asked for'], persistent_disk: ['persistent disk is recreated'] }],
  ] satisfies [string, DeployRequest, object][])('with %s %o', (disk, request, expected) => {
    expect(changesAfter(disk, request)).toEqual({ reasons: expected, recreates: false });
  });

  it('that recreates disks does so once, however often its task is begun', () => {
    const made = { ...state, instances: state.instances.map((instance) => ({ ...instance, persistentDisks: instance.persistentDisks.map((disk) => ({ ...disk, fresh: true })) })) };
    const instance = first(completePlan({ cloud, manifest: withDisk('persistent_disk: 512'), state: made, request: { recreatePersistentDisks: true } }));
    expect(instance.changes).toEqual([]);
  });
});

describe('changes of disks', () => {
  it.each([
    { what: 'with another value of a variable, though both say ((x))', differing: ['type'], fresh: false, reasons: ['persistent disk: cloud property type'] },
    { what: 'that the present task made are none', differing: ['type'], fresh: true, reasons: [] },
    { what: 'with the same value are none', differing: [], fresh: false, reasons: [] },
  ])('$what', ({ differing, fresh, reasons }) => {
    const disk = { name: '', size: 1, cloudProperties: { type: '((x))' } };
    expect(diskReasons(diskChanges([{ ...disk, id: 1, cid: 'd', cpi: '', active: true, fresh }], [{ ...disk, type: 't', differing }], false))).toEqual(reasons);
  });

  const planned = fc.uniqueArray(fc.record({ name: fc.constantFrom('a', 'b', 'c'), size: fc.constantFrom(1, 2), cloudProperties: fc.constantFrom({}, { type: 'ssd' }), type: fc.constant('t') }), { selector: (disk) => disk.name });
  const after = (disks: readonly PlannedDisk[]): RecordedDisk[] => disks.map(({ name, size, cloudProperties }, id) => ({ id, cid: name, cpi: '', name, size, cloudProperties, active: true, fresh: false }));

  it('lead to what was wanted, and then there are none', () => {
    fc.assert(fc.property(planned, planned, (before, wanted) => {
      const changes = diskChanges(after(before), wanted, false);
      const kept = after(before).filter((disk) => !changes.some(({ name }) => name === disk.name)).map(({ name }) => name);
      expect([...kept, ...changes.flatMap(({ to }) => (to ? [to.name] : []))].sort()).toEqual(wanted.map(({ name }) => name).sort());
      expect(diskChanges(after(wanted), wanted, false)).toEqual([]);
      for (const change of changes) expect(diskReasons([change]).length).toBeGreaterThan(0);
    }));
  });

  it('can be left to the cloud when a managed disk only grows', () => {
    const [from] = after([{ name: '', size: 2, cloudProperties: {}, type: '2' }]);
    const to = { name: '', size: 3, cloudProperties: {}, type: '3' };
    if (!from) throw new Error('no disk');
    expect([onlyGrows({ name: '', from, to }), onlyGrows({ name: '', from, to: { ...to, size: 1 } }), onlyGrows({ name: '', from, to: { ...to, cloudProperties: { a: 1 } } }), onlyGrows({ name: '', to })]).toEqual([true, false, false, false]);
  });
});
