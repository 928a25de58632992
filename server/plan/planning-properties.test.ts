import { array, assert, boolean, constantFrom, integer, property, record, subarray } from 'fast-check';
import { describe, expect, it } from 'vitest';
import { applied, cloudYaml, completePlan, edit, emptyState, planInput } from '../../tests/support/planning';
import { buildPlan } from './build-plan';
import { isUpdated, updateRuns } from './order';
import type { RecordedState } from './types';

/** A manifest of up to three groups, given by a few numbers. */
const wish = record({
  groups: array(record({ size: integer({ min: 0, max: 7 }), azs: subarray(['z1', 'z2', 'z3'], { minLength: 1 }), both: boolean(), port: integer({ min: 1, max: 3 }), vmType: constantFrom('small', 'large'), serial: boolean(), kind: constantFrom('service', 'errand', 'swapped') }), { minLength: 1, maxLength: 3 }),
  canaries: constantFrom('0', '1', '50%'),
  maxInFlight: constantFrom('1', '3', '40%'),
});

type Wish = typeof wish extends { generate: (...args: never[]) => { value: infer W } } ? W : never;

function manifestOf(want: Wish): string {
  const groups = want.groups.map((group, i) => ({
    name: `g${i}`, instances: group.size, azs: group.azs, vm_type: group.vmType, stemcell: 'default', update: { serial: group.serial, ...(group.kind === 'swapped' ? { vm_strategy: 'create-swap-delete' } : {}) }, lifecycle: group.kind === 'errand' ? 'errand' : 'service',
    networks: group.both ? [{ name: 'private', default: ['dns', 'gateway'] }, { name: 'public' }] : [{ name: 'private' }],
    jobs: [{ name: 'server', release: 'rel', properties: { port: group.port } }],
  }));
  return JSON.stringify({
    name: 'dep', releases: [{ name: 'rel', version: '1.0' }], stemcells: [{ alias: 'default', os: 'ubuntu', version: '1.200' }],
    update: { canaries: want.canaries, max_in_flight: want.maxInFlight, canary_watch_time: '1000', update_watch_time: '1000' }, instance_groups: groups,
  });
}

/** Deploys one wish after the other. */
function history(wishes: readonly Wish[]): RecordedState {
  return wishes.reduce((state, want) => applied(completePlan({ manifest: manifestOf(want), state }), state), emptyState());
}

const histories = array(wish, { minLength: 1, maxLength: 3 });
const runs = { numRuns: 30 };

describe('whatever was deployed before', () => {
  it('no address is given out twice, and none that is withheld', () => {
    assert(
      property(histories, (wishes) => {
        const addresses = history(wishes).instances.flatMap((instance) => instance.reservations.map((reservation) => reservation.address));
        expect(new Set(addresses).size).toBe(addresses.length);
        expect(addresses.filter((address) => /^10\.0\.\d\.(?:[0-1]|2[0-2][0-9]|255)\/32$/.test(address) || /^10\.0\.1\.(?:[2-9]|10)\/32$/.test(address))).toEqual([]);
      }),
      runs,
    );
  });

  it('instances lie in the subnets of their AZ', () => {
    assert(
      property(histories, (wishes) => {
        for (const instance of history(wishes).instances) {
          for (const { address, network } of instance.reservations) if (network === 'private') expect(address).toContain(`10.0.${instance.az?.slice(1)}.`);
        }
      }),
      runs,
    );
  });

  it('a group is as large as wanted, its AZs differ by at most one, and it has one bootstrap instance', () => {
    assert(
      property(histories, (wishes) => {
        const state = history(wishes);
        wishes.at(-1)?.groups.forEach((group, i) => {
          const instances = state.instances.filter((instance) => instance.group === `g${i}`);
          expect(instances).toHaveLength(group.size);
          const counts = group.azs.map((az) => instances.filter((instance) => instance.az === az).length);
          expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(1);
          expect(instances.filter((instance) => instance.bootstrap)).toHaveLength(group.size > 0 ? 1 : 0);
          expect(new Set(instances.map((instance) => instance.index)).size).toBe(group.size);
        });
      }),
      runs,
    );
  });

  it('planning again what was just deployed changes nothing', () => {
    assert(
      property(histories, (wishes) => {
        const state = history(wishes);
        const again = completePlan({ manifest: manifestOf(wishes.at(-1) ?? { groups: [], canaries: '1', maxInFlight: '1' }), state });
        expect(again.removed).toEqual([]);
        for (const group of again.groups) {
          expect(group.obsolete).toEqual([]);
          for (const instance of group.instances) expect([instance.changes, instance.reservations.make, instance.reservations.release]).toEqual([[], [], []]);
        }
      }),
      runs,
    );
  });

  it('the same input gives the same plan', () => {
    assert(
      property(histories, wish, (wishes, want) => {
        const world = { manifest: manifestOf(want), state: history(wishes) };
        expect(buildPlan(planInput(world))).toEqual(buildPlan(planInput(world)));
      }),
      runs,
    );
  });

  it('every changed instance is updated exactly once, canaries in the first batch only', () => {
    assert(
      property(histories, wish, (wishes, want) => {
        const plan = completePlan({ manifest: manifestOf(want), state: history(wishes) });
        const updates = updateRuns(plan).flat();
        const updated = updates.flatMap(({ batches }) => batches.flatMap((batch) => [...batch.canaries, ...batch.rest])).map((instance) => instance.uuid);
        const changed = plan.groups.flatMap((group) => group.instances).filter(isUpdated).map((instance) => instance.uuid);
        for (const instance of plan.groups.flatMap((group) => group.instances)) if (instance.lifecycle === 'service') expect(isUpdated(instance)).toBe(instance.changes.length > 0);
        expect(updated.toSorted()).toEqual(changed.toSorted());
        for (const { batches } of updates) for (const batch of batches.slice(1)) expect(batch.canaries).toEqual([]);
      }),
      runs,
    );
  });
});

describe('a plan that was interrupted', () => {
  it('goes on with the addresses and instances that it had recorded', () => {
    assert(
      property(wish, (want) => {
        const manifest = manifestOf(want);
        const plan = completePlan({ manifest });
        // Recorded, but no VM was made.
        const instances = applied(plan, emptyState()).instances.map(({ vm: _vm, agentState: _agent, ...instance }) => ({
          ...instance, spec: null, cloudProperties: null, updateCompleted: false, reservations: instance.reservations.map(({ vmId: _id, ...reservation }) => reservation),
        }));
        const state = { ...emptyState(), instances, takenAddresses: instances.flatMap((instance) => instance.reservations.map((reservation) => reservation.address)) };
        const again = completePlan({ manifest, state });
        const facts = (one: typeof plan) => one.groups.flatMap((group) => group.instances.map(({ uuid, index, az, networks }) => ({ uuid, index, az, networks })));
        expect(facts(again)).toEqual(facts(plan));
        expect(again.groups.flatMap((group) => group.instances.flatMap((instance) => instance.reservations.make))).toEqual([]);
      }),
      runs,
    );
  });
});

it('a network that is full is an error, not a repeated address', () => {
  const cloud = edit(cloudYaml, ['range: 10.0.2.0/24, gateway: 10.0.2.1, az: z2, static: [10.0.2.200-10.0.2.220]', 'range: 10.0.2.0/29, gateway: 10.0.2.1, az: z2']);
  const manifest = (size: number) => manifestOf({ groups: [{ size, azs: ['z2'], both: false, port: 1, vmType: 'small', serial: true, kind: 'service' }], canaries: '1', maxInFlight: '1' });
  expect(completePlan({ cloud, manifest: manifest(5) }).groups[0]?.instances).toHaveLength(5);
  expect(() => completePlan({ cloud, manifest: manifest(6) })).toThrow(expect.objectContaining({ code: 130011, message: expect.stringContaining("for manual network 'private': no more available") }));
});

it('instances with disks keep their AZ and are never lost while there is room for them', () => {
  assert(
    property(histories, wish, (wishes, want) => {
      const state = history(wishes);
      const disks = { ...state, instances: state.instances.map((instance) => ({ ...instance, persistentDisks: [{ id: 1, cid: 'd', cpi: '', name: '', size: 1, cloudProperties: {}, active: true, fresh: false }] })) };
      const plan = buildPlan(planInput({ manifest: manifestOf(want), state: disks }));
      want.groups.forEach((group, i) => {
        const mine = disks.instances.filter((instance) => instance.group === `g${i}` && instance.az !== null && group.azs.includes(instance.az));
        const kept = plan.groups[i]?.instances.filter((instance) => instance.existing !== undefined) ?? [];
        expect(kept.length).toBeGreaterThanOrEqual(Math.min(mine.length, group.size));
        for (const instance of kept) expect(instance.az).toBe(instance.existing?.az);
      });
    }),
    runs,
  );
});

it('groups that take each other over keep every instance that they have room for', () => {
  const group = (name: string, size: number, from: string[]) => ({ name, instances: size, azs: ['z1', 'z2'], vm_type: 'small', stemcell: 'default', networks: [{ name: 'private' }], jobs: [{ name: 'server', release: 'rel' }], migrated_from: from.map((one) => ({ name: one })) });
  const manifest = (...groups: unknown[]) => JSON.stringify({ name: 'dep', releases: [{ name: 'rel', version: '1.0' }], stemcells: [{ alias: 'default', os: 'ubuntu', version: '1.200' }], update: { canaries: 1, max_in_flight: 1, canary_watch_time: '1', update_watch_time: '1' }, instance_groups: groups });
  assert(
    property(integer({ min: 0, max: 3 }), integer({ min: 0, max: 3 }), integer({ min: 0, max: 8 }), (a, b, size) => {
      // Even numbers lie evenly in both AZs, so that balancing moves nobody.
      const state = applied(completePlan({ manifest: manifest(group('a', 2 * a, []), group('b', 2 * b, [])) }), emptyState());
      const merged = manifest(group('c', size, ['a', 'b']));
      const plan = completePlan({ manifest: merged, state });
      const instances = plan.groups[0]?.instances ?? [];
      expect(instances.filter((instance) => !instance.isNew)).toHaveLength(Math.min(size, 2 * a + 2 * b));
      expect(instances.map(({ index }) => index)).toEqual(Array.from({ length: size }, (_, i) => i));
      const again = completePlan({ manifest: merged, state: applied(plan, state) });
      expect([again.removed, again.groups[0]?.obsolete, again.groups[0]?.instances.flatMap((instance) => instance.changes)]).toEqual([[], [], []]);
    }),
    runs,
  );
});
