import { describe, expect, it } from 'vitest';
import { applied, cloudYaml, completePlan, edit, emptyState, manifestYaml, planInput, release, type World } from '../../tests/support/planning';
import { buildPlan } from './build-plan';
import type { CompleteInstancePlan, Plan, RecordedState } from './types';

function only(plan: Plan<CompleteInstancePlan>, index = 0): CompleteInstancePlan {
  const instance = plan.groups[0]?.instances.find((one) => one.index === index);
  if (!instance) throw new Error(`no instance ${index}`);
  return instance;
}

const kinds = (instance: CompleteInstancePlan) => instance.changes.map((change) => change.kind);
const reasons = (instance: CompleteInstancePlan) => Object.fromEntries(instance.changes.map((change) => [change.kind, change.reasons]));

/** The recorded state after `world` was deployed, with changes to every instance. */
function deployed(world: World = {}, change: (state: RecordedState) => RecordedState = (state) => state): RecordedState {
  const state = world.state ?? emptyState();
  return change(applied(completePlan(world), state));
}

const everyInstance = (patch: Partial<RecordedState['instances'][number]>) => (state: RecordedState) => ({ ...state, instances: state.instances.map((instance) => ({ ...instance, ...patch })) });

describe('a first deploy', () => {
  const plan = completePlan();

  it('knows that it is the first, and resolves `latest`', () => {
    expect(plan).toMatchObject({ deployment: 'dep', firstDeploy: true, dryRun: false, tags: { team: 'a' }, warnings: [] });
    expect(plan.manifest).toMatchObject({ releases: [{ name: 'rel', version: '1.0' }], stemcells: [{ alias: 'default', os: 'ubuntu', version: '1.200' }] });
  });

  it('makes one instance per AZ with an address each', () => {
    expect(plan.groups[0]?.instances.map(({ index, az, bootstrap, isNew, needsVm, address }) => ({ index, az, bootstrap, isNew, needsVm, address }))).toEqual([
      { index: 0, az: 'z1', bootstrap: true, isNew: true, needsVm: true, address: '10.0.1.11' },
      { index: 1, az: 'z2', bootstrap: false, isNew: true, needsVm: true, address: '10.0.2.2' },
      { index: 2, az: 'z3', bootstrap: false, isNew: true, needsVm: true, address: '10.0.3.2' },
    ]);
  });

  it('describes networks as agents expect them', () => {
    expect(only(plan).networks).toEqual({
      private: { type: 'manual', ip: '10.0.1.11', prefix: '32', netmask: '255.255.255.0', cloud_properties: { name: 'one' }, default: ['dns', 'gateway'], dns: ['10.0.1.2'], gateway: '10.0.1.1' },
    });
    expect(only(plan).reservations).toEqual({ keep: [], make: [{ address: '10.0.1.11/32', network: 'private', static: false }], release: [] });
  });

  it('merges cloud properties from AZ, VM type and extensions', () => {
    const extended = completePlan({ manifest: edit(manifestYaml, ['vm_type: small', 'vm_type: small\n  vm_extensions: [fast]']) });
    expect(only(extended).cloudProperties).toEqual({ zone: 'one', size: 's', fast: true, shared: 'extension' });
    expect(plan.compilation.cloudProperties).toEqual({ zone: 'one', size: 'l', shared: 'az' });
  });

  it('binds declared properties only', () => {
    expect(only(plan).jobs[0]?.properties).toEqual({ port: 80, tls: { cert: null }, limits: { max: { a: 2, b: 1 } }, debug: false });
  });

  it('lists packages with dependencies first', () => {
    expect(plan.packages.map((requirement) => requirement.package.name)).toEqual(['base', 'lib', 'app']);
    expect(plan.packages[2]?.dependencies).toEqual(['2:ubuntu/1.200', '3:ubuntu/1.200']);
    expect(Object.keys(only(plan).packageSpecs)).toEqual(['app']);
  });

  it('updates because everything is new', () => {
    expect(kinds(only(plan))).toEqual(['dirty', 'network', 'packages', 'configuration', 'job', 'state']);
    expect(only(plan)).toMatchObject({ needsRecreate: false, minimal: false });
  });
});

describe('a redeploy', () => {
  it('without changes touches nothing', () => {
    const plan = completePlan({ state: deployed() });
    expect(plan.groups[0]?.instances.map(kinds)).toEqual([[], [], []]);
    expect(plan.firstDeploy).toBe(false);
    expect(plan.groups[0]?.instances.map((instance) => instance.reservations.make)).toEqual([[], [], []]);
  });

  type Case = [title: string, world: World, change: (state: RecordedState) => RecordedState, expected: Record<string, string[]>, recreates: boolean];
  const unchanged = (state: RecordedState) => state;
  const cases: Case[] = [
    ['a property', { manifest: edit(manifestYaml, ['port: 80', 'port: 81']) }, unchanged, { configuration: ['templates of job server (property port)'] }, false],
    ['an unfinished update', {}, everyInstance({ updateCompleted: false }), { dirty: ['its last update was not finished'] }, false],
    ['a new stemcell', {}, (state) => ({ ...state, stemcells: [...state.stemcells, { id: 2, name: 'local-ubuntu', os: 'ubuntu', version: '1.210', apiVersion: 3, cpi: '', cid: 'sc-1.210' }] }), { stemcell: ['stemcell 1.200 → 1.210'], packages: ['package app has a new version'] }, true],
    ['env', { manifest: edit(manifestYaml, ['stemcell: default', 'stemcell: default\n  env: {bosh: {swap_size: 0}}']) }, unchanged, { env: ['env bosh'] }, true],
    ['cloud properties', { cloud: edit(cloudYaml, ['size: s', 'size: xs']) }, unchanged, { cloud_properties: ['cloud property size'] }, true],
    ['network settings', { cloud: edit(cloudYaml, ['{name: one}', '{name: uno}']) }, unchanged, { network: ['network setting private.cloud_properties.name'], configuration: ['templates of job server'] }, true],
    ['a second network', { manifest: edit(manifestYaml, ['[{name: private}]', '[{name: private, default: [dns, gateway]}, {name: public}]']) }, unchanged, { network: ["address 192.168.0.2 on network 'public'"], configuration: ['templates of job server'] }, true],
    ['another job', { manifest: edit(manifestYaml, ['properties: {port: 80}}', 'properties: {port: 80}}, {name: plain, release: rel}']) }, unchanged, { configuration: ['templates of job plain'], job: ['job plain is added'] }, false],
    ['a new release', {}, (state) => ({ ...state, releases: [release('1.0'), release('1.1')] }), { configuration: ['templates of job server'], job: ['job server has a new version'] }, false],
    ['tags only', { manifest: edit(manifestYaml, ['team: a', 'team: b']) }, unchanged, { tags: ['tag team'] }, false],
    ['a failing process', {}, everyInstance({ agentState: { jobState: 'failing' } }), { state: ["it is to run and its agent says 'failing'"] }, false],
    ['an agent that does not answer', { request: { fix: true } }, everyInstance({ agentState: { jobState: 'unresponsive' } }), { recreate: ['its agent does not answer'], state: ['its agent does not answer'] }, true],
    ['a recreation', { request: { recreate: true } }, unchanged, { recreate: ['a recreation was asked for'] }, true],
    ['a recreation of VMs older than it', { request: { recreate: true, recreateVmsCreatedBefore: '2027-01-01T00:00:00Z' } }, unchanged, { recreate: ['its VM was made before 2027-01-01T00:00:00Z'] }, true],
    ['no recreation of VMs that are newer', { request: { recreate: true, recreateVmsCreatedBefore: '2025-01-01T00:00:00Z' } }, unchanged, {}, false],
    ['NATS certificates', {}, (state) => ({ ...state, director: { ...state.director, natsConfigSha1: 'other' } }), { nats_config: ['NATS certificates of the director changed'] }, false],
    ['trusted certificates', {}, (state) => ({ ...state, director: { ...state.director, trustedCertsSha1: 'other' } }), { trusted_certs: ['trusted certificates of the director changed'] }, false],
    ['blobstore settings', {}, (state) => ({ ...state, director: { ...state.director, blobstoreConfigSha1: 'other' } }), { blobstore_config: ['blobstore settings of the director changed'] }, false],
    ['a stop', { request: { groupStates: { web: 'stopped' } } }, unchanged, { state: ['it runs and is to be stopped'] }, false],
    ['a restart', { request: { groupStates: { '*': 'restart' } } }, unchanged, { restart: ['a restart was asked for'] }, false],
    ['a recreation by state', { request: { instanceStates: { web: { 0: 'recreate' } } } }, unchanged, { recreate: ['a recreation was asked for'] }, true],
  ];
  it.each(cases)('sees %s', (_title, world, change, expected, recreates) => {
    const instance = only(completePlan({ ...world, state: deployed({}, change) }));
    expect(reasons(instance)).toEqual(expected);
    expect(instance.needsRecreate).toBe(recreates);
    expect(instance.minimal).toBe(Object.keys(expected).join() === 'tags');
  });

  it('does not recreate what is stopped, and does not start it', () => {
    const stopped = deployed({}, everyInstance({ state: 'stopped', agentState: { jobState: 'stopped' } }));
    const instance = only(completePlan({ state: stopped, request: { recreate: true } }));
    expect(instance).toMatchObject({ desiredState: 'stopped', needsRecreate: false });
  });

  it('makes a VM again that is missing', () => {
    const state = deployed({}, (recorded) => ({ ...recorded, instances: recorded.instances.map(({ vm: _vm, agentState: _agent, ...instance }) => ({ ...instance, reservations: instance.reservations.map(({ vmId: _id, ...reservation }) => reservation) })) }));
    const instance = only(completePlan({ state }));
    expect(instance).toMatchObject({ needsVm: true, needsRecreate: false, address: '10.0.1.11' });
    expect(reasons(instance)).toEqual({ state: ['it is to run and has no VM'] });
  });

  it('leaves ignored instances alone and says so', () => {
    const state = deployed({}, everyInstance({ ignore: true }));
    const plan = completePlan({ state, manifest: edit(manifestYaml, ['port: 80', 'port: 81']) });
    expect(plan.groups[0]?.instances.flatMap(kinds)).toEqual([]);
    expect(plan.warnings).toEqual(['You have ignored instances. They will not be changed.']);
  });

  it('keeps packages of the exact stemcell that are compiled already', () => {
    const first = completePlan();
    const compiledPackages = first.packages.map((requirement) => ({ packageId: requirement.package.id, stemcellOs: 'ubuntu', stemcellVersion: '1.200', dependencyKey: requirement.dependencyKey, build: 7, blobstoreId: 'b', sha1: 's' }));
    const plan = completePlan({ state: { ...emptyState(), compiledPackages } });
    expect(plan.packages.map((requirement) => requirement.compiled?.build)).toEqual([7, 7, 7]);
    expect(only(plan).packageSpecs.app?.version).toMatch(/^[0-9a-f]{40}\.7$/);
  });
});

describe('a detached instance', () => {
  it.each([
    ['asked for in a request', { request: { groupStates: { web: 'detached' } } }],
    ['asked for in the manifest', { manifest: edit(manifestYaml, ['stemcell: default', 'stemcell: default\n  state: detached']) }],
  ] satisfies [string, World][])('%s, loses its VM', (_title, world) => {
    const instance = only(completePlan({ ...world, state: deployed() }));
    expect(instance).toMatchObject({ desiredState: 'detached', needsVm: false, needsRecreate: false });
    expect(reasons(instance)).toEqual({ state: ['state started → detached'] });
  });

  const detached = deployed({}, everyInstance({ state: 'detached', vm: undefined, agentState: undefined }));

  it('is left alone, also when a VM would be recreated', () => {
    expect(only(completePlan({ state: detached }))).toMatchObject({ desiredState: 'detached', needsVm: false, changes: [] });
    expect(only(completePlan({ state: detached, request: { recreate: true } }))).toMatchObject({ needsVm: false, needsRecreate: false });
  });

  it.each(['started', 'stopped'] as const)('gets a VM again when it shall be %s', (state) => {
    const instance = only(completePlan({ state: detached, request: { groupStates: { web: state } } }));
    expect(instance).toMatchObject({ desiredState: state, needsVm: true });
    expect(reasons(instance)).toEqual({ state: [`state detached → ${state}`] });
  });
});

describe('a VM that was made just before its director died', () => {
  const unrecorded = deployed({}, everyInstance({ spec: null, cloudProperties: { zone: 'one', size: 's', shared: 'type' }, updateCompleted: false }));

  it('is kept', () => {
    expect(only(completePlan({ state: unrecorded }))).toMatchObject({ needsVm: false, needsRecreate: false });
  });

  it('is replaced when its networks are others by now', () => {
    const instance = only(completePlan({ state: unrecorded, cloud: edit(cloudYaml, ['{name: one}', '{name: uno}']) }));
    expect(reasons(instance).network).toEqual(['network setting private.cloud_properties.name']);
    expect(instance.needsRecreate).toBe(true);
  });
});

describe('scaling', () => {
  it('up adds new instances with the next indexes', () => {
    const plan = completePlan({ state: deployed(), manifest: edit(manifestYaml, ['instances: 3', 'instances: 5']) });
    expect(plan.groups[0]?.instances.map(({ index, az, isNew }) => [index, az, isNew])).toEqual([[0, 'z1', false], [1, 'z2', false], [2, 'z3', false], [3, 'z1', true], [4, 'z2', true]]);
  });

  it('down deletes the surplus', () => {
    const plan = completePlan({ state: deployed(), manifest: edit(manifestYaml, ['instances: 3', 'instances: 1']), request: { skipDrain: ['web'] } });
    expect(plan.groups[0]?.obsolete.map(({ instance, reason, skipDrain }) => [instance.index, reason, skipDrain])).toEqual([[1, 'not needed', true], [2, 'not needed', true]]);
  });

  it('to another group removes the old one', () => {
    const plan = completePlan({ state: deployed(), manifest: edit(manifestYaml, ['name: web', 'name: api']) });
    expect(plan.removed.map(({ group, reason }) => [group, reason])).toEqual([['web', 'group removed'], ['web', 'group removed'], ['web', 'group removed']]);
    expect(plan.groups[0]?.instances.map((instance) => instance.address)).toEqual(['10.0.1.12', '10.0.2.3', '10.0.3.3']);
  });

  it('removing a group with ignored instances is refused', () => {
    const state = deployed({}, everyInstance({ ignore: true }));
    expect(() => buildPlan(planInput({ state, manifest: edit(manifestYaml, ['name: web', 'name: api']) }))).toThrow(expect.objectContaining({ code: 190021 }));
  });
});
