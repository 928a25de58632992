import { describe, expect, it } from 'vitest';
import { applied, completePlan, emptyState, type World } from '../../tests/support/planning';
import { addonsYaml, fixture, platformManifest, releasesOf } from '../../tests/support/typical-manifests';
import { updateRuns } from './order';
import type { CompleteInstancePlan, Plan, RecordedState } from './types';

const worlds: [string, () => string][] = [
  ['a cluster that coordinates others', () => fixture('coordination-cluster.yml')],
  ['a shop with a database and an errand', () => fixture('shop.yml')],
  ['a platform of thirty groups', platformManifest],
];

function worldOf(manifest: string, state?: RecordedState): World {
  const name = /^name: (.*)$/m.exec(manifest)?.[1] ?? '';
  const first = { ...emptyState(), releases: releasesOf(manifest, addonsYaml), deployment: { ...emptyState().deployment, name }, deployments: [name] };
  return { manifest, runtime: [addonsYaml], state: state ?? first };
}

const stateOf = (world: World) => world.state ?? emptyState();
const instances = (plan: Plan<CompleteInstancePlan>) => plan.groups.flatMap((group) => group.instances);

describe.each(worlds)('%s', (_title, manifest) => {
  it('is planned whole: every instance has its place, its addresses and the jobs of the addons', () => {
    const plan = completePlan(worldOf(manifest()));
    for (const group of plan.groups) {
      const names = group.jobs.map(({ name }) => name);
      expect([names.includes('dns-resolver'), names.includes('syslog-shipper')]).toEqual([true, group.lifecycle === 'service']);
      for (const instance of group.instances) {
        expect(instance.reservations.make.length > 0, group.name).toBe(group.lifecycle === 'service');
        expect(instance.needsVm).toBe(group.lifecycle === 'service');
      }
    }
    expect(plan.tags).toMatchObject({ operator: 'ops' });
    const addresses = instances(plan).flatMap((instance) => instance.reservations.make.map(({ address }) => address));
    expect(new Set(addresses).size).toBe(addresses.length);
  });

  it('is as it should be after its deploy, and the same plan is made each time', () => {
    const world = worldOf(manifest());
    const plan = completePlan(world);
    expect(completePlan(world)).toEqual(plan);
    const again = completePlan(worldOf(manifest(), applied(plan, stateOf(world))));
    expect([again.removed, again.groups.flatMap((group) => group.obsolete), instances(again).flatMap((instance) => [...instance.changes, ...instance.reservations.make])]).toEqual([[], [], []]);
    expect(updateRuns(again).flat().flatMap(({ batches }) => batches)).toEqual([]);
  });
});

it('links of the cluster show all its nodes, to the errand too', () => {
  const plan = completePlan(worldOf(fixture('coordination-cluster.yml')));
  for (const [group, job] of [[0, 'keeper-node'], [0, 'keeper-status'], [1, 'keeper-smoke-tests']] as const) {
    expect(plan.groups[group]?.jobs.find(({ name }) => name === job)?.links.peers?.instances, job).toHaveLength(5);
  }
});

it('the shop swaps the VMs of its web servers for another stemcell, and keeps its database where it is', () => {
  const world = worldOf(fixture('shop.yml'));
  const state = applied(completePlan(world), stateOf(world));
  const [stemcell] = state.stemcells;
  const newer = { ...state, stemcells: stemcell ? [stemcell, { ...stemcell, id: 2, version: '1.300', cid: 'sc-1.300' }] : [] };
  const plan = completePlan(worldOf(fixture('shop.yml'), newer));
  const addresses = (group: string, of: Plan<CompleteInstancePlan>) => of.groups.find(({ name }) => name === group)?.instances.flatMap((instance) => Object.values(instance.networks).map(({ ip }) => ip)) ?? [];
  expect(plan.groups.map((group) => group.instances.map((instance) => [instance.needsRecreate, instance.swap !== undefined]))).toEqual([[[true, false]], Array.from({ length: 4 }, () => [true, true]), [[false, false]]]);
  const before = completePlan(world);
  expect(addresses('web', plan).filter((ip) => addresses('web', before).includes(ip))).toEqual([]);
  expect(addresses('database', plan)).toEqual(addresses('database', before));
  const again = completePlan(worldOf(fixture('shop.yml'), applied(plan, newer)));
  expect(instances(again).flatMap((instance) => [...instance.changes, instance.swap].filter(Boolean))).toEqual([]);
});
