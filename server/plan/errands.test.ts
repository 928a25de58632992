import { describe, expect, it } from 'vitest';
import { applied, completePlan, edit, emptyState, manifestYaml } from '../../tests/support/planning';
import { updateRuns } from './order';

const errand = edit(manifestYaml, ['  instances: 3', '  lifecycle: errand\n  instances: 2'], ['jobs: [{name: server', 'jobs: [{name: provider, release: rel}, {name: server']);
const withConsumer = `${errand}- {name: app, instances: 1, azs: [z1], vm_type: small, stemcell: default, networks: [{name: private}], jobs: [{name: consumer, release: rel}]}\n`;
const updated = (plan: ReturnType<typeof completePlan>) => updateRuns(plan).flatMap((run) => run.flatMap(({ batches }) => batches.flatMap((batch) => [...batch.canaries, ...batch.rest])));

describe('an errand', () => {
  it('gets its instances, but neither VMs nor addresses, and its packages are compiled', () => {
    const plan = completePlan({ manifest: errand });
    expect(plan.groups[0]).toMatchObject({ lifecycle: 'errand', dormant: true });
    expect(plan.groups[0]?.instances.map(({ index, az, isNew, needsVm, changes, reservations }) => ({ index, az, isNew, needsVm, changes, make: reservations.make }))).toEqual([
      { index: 0, az: 'z1', isNew: true, needsVm: false, changes: [], make: [] },
      { index: 1, az: 'z2', isNew: true, needsVm: false, changes: [], make: [] },
    ]);
    expect(updated(plan)).toEqual([]);
    expect(plan.packages.map((one) => one.package.name)).toContain('app');
  });

  it('is shown in links, its addresses not known yet', () => {
    const plan = completePlan({ manifest: withConsumer });
    const link = plan.groups[1]?.jobs[0]?.links.db;
    expect(link).toMatchObject({ instance_group: 'web', default_network: 'private', instances: [{ name: 'web', index: 0, az: 'z1', bootstrap: true, address: null }, { index: 1, az: 'z2', address: null }] });
  });

  it('is planned the same the next time', () => {
    const state = applied(completePlan({ manifest: errand }), emptyState());
    const again = completePlan({ manifest: errand, state });
    expect(again.groups[0]?.instances.map(({ isNew, changes }) => [isNew, changes])).toEqual([[false, []], [false, []]]);
    expect(state.instances.map((instance) => instance.vm)).toEqual([undefined, undefined]);
  });

  it('of which an instance has a VM is brought up to date as a whole', () => {
    const up = applied(completePlan({ manifest: edit(errand, ['  lifecycle: errand\n', '']) }), emptyState());
    const oneUp = { ...up, instances: up.instances.map((instance) => (instance.index === 0 ? instance : { ...instance, vm: undefined, agentState: undefined })) };
    const plan = completePlan({ manifest: errand, state: oneUp });
    expect(plan.groups[0]?.dormant).toBe(false);
    expect(plan.groups[0]?.instances.map(({ needsVm, reservations }) => [needsVm, reservations.keep.length])).toEqual([[false, 1], [true, 1]]);
    expect(updated(plan)).toHaveLength(2);
    const all = completePlan({ manifest: errand, state: up });
    expect([all.groups[0]?.instances.flatMap((instance) => instance.changes), updated(all).length]).toEqual([[], 2]);
  });

  it('that is not in the manifest any more goes', () => {
    const state = applied(completePlan({ manifest: errand }), emptyState());
    expect(completePlan({ manifest: edit(errand, ['name: web', 'name: other']), state }).removed.map(({ instance }) => instance.index)).toEqual([0, 1]);
  });
});
