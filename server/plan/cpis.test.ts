import { describe, expect, test } from 'vitest';
import type { CpiNames } from '../cpi/configured';
import { applied, cloudYaml, completePlan, edit, emptyState, manifestYaml, planInput } from '../../tests/support/planning';
import { buildPlan } from './build-plan';
import type { RecordedState } from './types';

/** z1 and z2 belong to east, z3 to west. */
const twoClouds = edit(cloudYaml, ['- name: z1', '- name: z1\n  cpi: east'], ['- name: z2', '- name: z2\n  cpi: east'], ['- name: z3', '- name: z3\n  cpi: west']);
const cpis: CpiNames[] = [{ name: 'east', aliases: ['east', 'old'] }, { name: 'west', aliases: ['west'] }];

const image = (id: number, cpi: string, name = 'local-ubuntu') => ({ id, name, os: 'ubuntu', version: '1.200', apiVersion: 3, cpi, cid: `sc-${cpi}` });
const inTwoClouds: RecordedState = { ...emptyState(), cpis, stemcells: [image(1, 'east'), image(2, 'west')] };

const whereOf = (state: RecordedState, cloud = twoClouds) =>
  buildPlan(planInput({ state, cloud })).groups.flatMap(({ instances }) => instances.map(({ az, stemcell }) => [az, stemcell.cpi, stemcell.cid]));
const changesOf = (state: RecordedState, cloud = twoClouds) =>
  buildPlan(planInput({ state, cloud })).groups.flatMap(({ instances }) => instances.map(({ az, changes, needsRecreate, cpiRenamed }) => ({ az, changes: changes.map(({ kind }) => kind), needsRecreate, cpiRenamed })));

describe('CPIs of AZs', () => {
  test('make the VMs of their AZs from their own images', () => {
    expect(whereOf(inTwoClouds)).toEqual([['z1', 'east', 'sc-east'], ['z2', 'east', 'sc-east'], ['z3', 'west', 'sc-west']]);
  });

  test('use images that were uploaded under an earlier name, their own first', () => {
    expect(whereOf({ ...inTwoClouds, stemcells: [image(1, 'old'), image(2, 'west')] })[0]).toEqual(['z1', 'east', 'sc-old']);
    expect(whereOf({ ...inTwoClouds, stemcells: [image(1, 'old'), image(2, 'west'), image(3, 'east')] })[0]).toEqual(['z1', 'east', 'sc-east']);
  });

  test('are the same for an AZ that still has the earlier name', () => {
    expect(whereOf(inTwoClouds, edit(twoClouds, ['cpi: east', 'cpi: old']))[0]).toEqual(['z1', 'east', 'sc-east']);
  });

  test('call a stemcell that was asked for by operating system by their own names', () => {
    const state = { ...inTwoClouds, stemcells: [image(1, 'east', 'east-ubuntu'), image(2, 'west', 'west-ubuntu')] };
    const plan = completePlan({ state, cloud: twoClouds });
    expect(plan.groups.flatMap(({ instances }) => instances.map(({ stemcell }) => stemcell.name))).toEqual(['east-ubuntu', 'east-ubuntu', 'west-ubuntu']);
    expect(changesOf(applied(plan, state)).flatMap(({ changes }) => changes)).toEqual([]);
  });

  test.each([
    ['an AZ without a CPI', inTwoClouds, edit(twoClouds, ['- name: z3\n  cpi: west', '- name: z3']), 550001, "AZ 'z3' must specify a CPI when CPI config is defined."],
    ['a CPI that there is not', inTwoClouds, edit(twoClouds, ['cpi: west', 'cpi: north']), 100, "Failed to load CPI for AZ 'z3': CPI 'north' not found in cpi-config"],
    ['a CPI without CPI configs', { ...inTwoClouds, cpis: undefined }, twoClouds, 100, "Failed to load CPI for AZ 'z1': CPI 'east' not found in cpi-config (because cpi-config is not set)"],
    ['a stemcell that a CPI has not', { ...inTwoClouds, stemcells: [image(1, 'east')] }, twoClouds, 50003, "Required stemcell 'local-ubuntu/1.200' not found for cpi west, please upload again"],
    ['a stemcell that the default CPI has not', { ...emptyState(), stemcells: [image(1, 'east')] }, cloudYaml, 50003, "Required stemcell 'local-ubuntu/1.200' not found for default cpi, please upload again"],
  ])('are refused: %s', (_what, state, cloud, code, message) => {
    expect(() => whereOf(state, cloud)).toThrow(expect.objectContaining({ code, message }));
  });
});

describe('a deployed instance', () => {
  const state = applied(completePlan({ state: inTwoClouds, cloud: twoClouds, manifest: manifestYaml }), inTwoClouds);

  test('stays as it is when its CPI gets another name', () => {
    const renamed: CpiNames[] = [{ name: 'orient', aliases: ['orient', 'east', 'old'] }, ...cpis.slice(1)];
    const cloud = twoClouds.replaceAll('cpi: east', 'cpi: orient');
    expect(changesOf({ ...state, cpis: renamed }, cloud)).toEqual([
      { az: 'z1', changes: [], needsRecreate: false, cpiRenamed: true }, { az: 'z2', changes: [], needsRecreate: false, cpiRenamed: true }, { az: 'z3', changes: [], needsRecreate: false, cpiRenamed: false },
    ]);
  });

  test('with disks stays in its cloud', () => {
    const disk = { id: 1, cid: 'disk-1', cpi: 'west', name: '', size: 1, cloudProperties: {}, active: true, fresh: false };
    const withDisk = { ...state, instances: state.instances.map((instance) => (instance.az === 'z3' ? { ...instance, persistentDisks: [disk] } : instance)) };
    expect(() => changesOf(withDisk, edit(twoClouds, ['cpi: west', 'cpi: east']))).toThrow("has the persistent disk 'disk-1' in the CPI 'west', and AZ 'z3' now belongs to the CPI 'east'");
  });

  test('is made anew when its AZ belongs to another CPI', () => {
    expect(changesOf(state, edit(twoClouds, ['cpi: west', 'cpi: east']))[2]).toEqual({ az: 'z3', changes: ['recreate'], needsRecreate: true, cpiRenamed: false });
  });
});
