import { describe, expect, it } from 'vitest';
import { applied, completePlan, edit, emptyState, manifestYaml, planInput, type World } from '../../tests/support/planning';
import { buildPlan } from './build-plan';
import { distribute } from './static-distribution';
import type { RecordedState } from './types';

/** index, AZ and static address of each instance; `+` marks new ones. */
function placed(world: World): string[] {
  return buildPlan(planInput(world)).groups.flatMap((group) => group.instances.map((instance) => `${instance.isNew ? '+' : ''}${instance.index} ${instance.az ?? '-'} ${instance.address ?? ''}`));
}

function after(manifest: string, change: (state: RecordedState) => RecordedState = (state) => state): RecordedState {
  return change(applied(completePlan({ manifest }), emptyState()));
}

const sized = (size: number, azs: string) => edit(manifestYaml, ['instances: 3', `instances: ${size}`], ['azs: [z1, z2, z3]', `azs: [${azs}]`]);
const withDisks = (indexes: number[]) => (state: RecordedState) => ({
  ...state, instances: state.instances.map((instance) => (indexes.includes(instance.index) ? { ...instance, persistentDisks: [{ id: 1, cid: 'd', cpi: '', name: '', size: 1, cloudProperties: {}, active: true, fresh: false }] } : instance)),
});
const ignored = (indexes: number[]) => (state: RecordedState) => ({ ...state, instances: state.instances.map((instance) => ({ ...instance, ignore: indexes.includes(instance.index) })) });

describe('without static addresses', () => {
  it.each([
    ['spreads evenly, ties by name', { manifest: sized(4, 'z3, z1, z2') }, ['+0 z1 10.0.1.11', '+1 z2 10.0.2.2', '+2 z3 10.0.3.2', '+3 z1 10.0.1.12']],
    ['moves diskless instances to an added AZ', { manifest: sized(2, 'z1, z2'), state: after(sized(2, 'z1')) }, ['0 z1 10.0.1.11', '+2 z2 10.0.2.2']],
    ['leaves instances with disks where they are', { manifest: sized(2, 'z1, z2'), state: after(sized(2, 'z1'), withDisks([0, 1])) }, ['0 z1 10.0.1.11', '1 z1 10.0.1.12']],
    ['prefers the AZs that have instances', { manifest: sized(1, 'z1, z2, z3'), state: after(sized(1, 'z3')) }, ['0 z3 10.0.3.2']],
    ['replaces instances of a dropped AZ', { manifest: sized(2, 'z2'), state: after(sized(2, 'z1, z2')) }, ['1 z2 10.0.2.2', '+2 z2 10.0.2.3']],
    ['keeps ignored instances although others fit better', { manifest: sized(1, 'z1, z2'), state: after(sized(2, 'z1, z2'), ignored([1])) }, ['1 z2 10.0.2.2']],
  ])('%s', (_title, world, expected) => {
    expect(placed(world)).toEqual(expected);
  });

  it.each([
    ['fewer instances than are ignored', { manifest: sized(1, 'z1, z2'), state: after(sized(2, 'z1, z2'), ignored([0, 1])) }, /2 ignored instance\(s\)\. 1 instance\(s\)/],
    ['an AZ less in which one is ignored', { manifest: sized(2, 'z1'), state: after(sized(2, 'z1, z2'), ignored([1])) }, /no longer contains AZs \["z2"\]/],
    ['other networks for an ignored one', { manifest: edit(sized(2, 'z1, z2'), ['name: private', 'name: public']), state: after(sized(2, 'z1, z2'), ignored([1])) }, /modify the networks/],
  ])('refuses %s', (_title, world, message) => {
    expect(() => placed(world)).toThrow(expect.objectContaining({ code: 190020, message: expect.stringMatching(message) }));
  });

  it('refuses to change the state of an ignored instance', () => {
    const world = { manifest: sized(2, 'z1, z2'), state: after(sized(2, 'z1, z2'), ignored([1])), request: { instanceStates: { web: { 1: 'stopped' as const } } } };
    expect(() => placed(world)).toThrow(expect.objectContaining({ code: 140021 }));
  });

  it('elects the lowest index when the bootstrap instance goes', () => {
    const plan = buildPlan(planInput({ manifest: sized(2, 'z2, z3'), state: after(sized(3, 'z1, z2, z3')) }));
    expect(plan.groups[0]?.instances.map((instance) => [instance.index, instance.bootstrap])).toEqual([[1, true], [2, false]]);
  });
});

describe('with static addresses', () => {
  const fixed = (ips: string, size: number, azs = 'z1, z2, z3') => edit(sized(size, azs), ['{name: private}', `{name: private, static_ips: [${ips}]}`]);

  it.each([
    ['the address decides the AZ', { manifest: fixed('10.0.2.200, 10.0.1.200', 2) }, ['+0 z2 10.0.2.200', '+1 z1 10.0.1.200']],
    ['instances keep the listed addresses that they have', { manifest: fixed('10.0.1.201, 10.0.2.200, 10.0.1.200', 3), state: after(fixed('10.0.2.200, 10.0.1.200', 2)) }, ['0 z2 10.0.2.200', '1 z1 10.0.1.200', '+2 z1 10.0.1.201']],
    ['instances stay in their AZ when their address changes', { manifest: fixed('10.0.1.210, 10.0.2.210', 2), state: after(fixed('10.0.2.200, 10.0.1.200', 2)) }, ['0 z2 10.0.2.210', '1 z1 10.0.1.210']],
    ['ranges are lists', { manifest: fixed('10.0.1.200-10.0.1.202', 3) }, ['+0 z1 10.0.1.200', '+1 z1 10.0.1.201', '+2 z1 10.0.1.202']],
    ['dynamic addresses become static ones', { manifest: fixed('10.0.1.200', 1), state: after(sized(1, 'z1')) }, ['0 z1 10.0.1.200']],
  ])('%s', (_title, world, expected) => {
    expect(placed(world)).toEqual(expected);
  });

  it('spreads addresses that serve several AZs', () => {
    const manifest = edit(sized(3, 'z1, z2, z3'), ['{name: private}', '{name: public, static_ips: [192.168.0.100-192.168.0.102]}']);
    expect(placed({ manifest })).toEqual(['+0 z1 192.168.0.100', '+1 z2 192.168.0.101', '+2 z3 192.168.0.102']);
  });

  it('matches two networks AZ by AZ', () => {
    const manifest = edit(sized(2, 'z2, z3'), ['[{name: private}]', '[{name: public, default: [dns, gateway], static_ips: [192.168.0.100, 192.168.0.101]}, {name: private, static_ips: [10.0.3.200, 10.0.2.200]}]']);
    const plan = buildPlan(planInput({ manifest }));
    expect(plan.groups[0]?.instances.map(({ az, networks }) => [az, networks.public?.ip, networks.private?.ip])).toEqual([['z2', '192.168.0.100', '10.0.2.200'], ['z3', '192.168.0.101', '10.0.3.200']]);
  });

  it.each([
    ['an address outside every static range', fixed('10.0.1.50', 1), 150002, /which belongs to no subnet/],
    ['an address of another AZ', fixed('10.0.2.200', 1, 'z1'), 150007, /10\.0\.2\.200/],
    ['more addresses than instances', fixed('10.0.1.200, 10.0.1.201', 1), 150002, /has 1 instances but was allocated 2 static IPs/],
    ['the same address twice', fixed('10.0.1.200, 10.0.1.200', 2), 150009, /more than once/],
  ])('refuses %s', (_title, manifest, code, message) => {
    expect(() => placed({ manifest })).toThrow(expect.objectContaining({ code, message: expect.stringMatching(message) }));
  });

  it.each([
    [{ deployment: 'other', group: 'db', uuid: 'u-1' }, "instance 'db/u-1' from deployment 'other'"],
    [null, 'orphaned instance'],
  ])('refuses an address that somebody else has', (owner, text) => {
    const state = { ...emptyState(), takenAddresses: ['10.0.1.200/32'], addressOwners: new Map([['10.0.1.200/32', owner]]) };
    expect(() => placed({ manifest: fixed('10.0.1.200', 1), state })).toThrow(expect.objectContaining({ code: 130008, message: expect.stringContaining(`already reserved by ${text}`) }));
  });
});

describe('distribution of ambiguous addresses', () => {
  it.each([
    ['one network', [[['a', 'b'], ['a', 'b'], ['a']]], [['b', 'a', 'a']]],
    ['a second network that leaves one choice', [[['a', 'b'], ['a', 'b']], [['a'], ['a']]], [['a', 'a'], ['a', 'a']]],
    ['a matching that has to be rearranged', [[['a'], ['b']], [['a', 'b'], ['a']]], [['a', 'b'], ['b', 'a']]],
    ['nothing that fits', [[['a'], ['a']], [['a'], ['b']]], undefined],
  ])('%s', (_title, networks, expected) => {
    expect(distribute(networks)).toEqual(expected);
  });
});
