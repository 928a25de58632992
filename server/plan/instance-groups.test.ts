import { describe, expect, it } from 'vitest';
import { cloudYaml, completePlan, edit, emptyState, manifestYaml, planInput, release, type World } from '../../tests/support/planning';
import { buildPlan } from './build-plan';

const groupOnly = (...changes: [string, string][]): World => ({ manifest: edit(manifestYaml, ...changes) });

describe('what a manifest refers to', () => {
  const cases: [title: string, world: World, code: number, message: string | RegExp][] = [
    ['an unknown release', groupOnly(['{name: rel,', '{name: other,']), 30005, "Release 'other' doesn't exist"],
    ['an unknown release version', groupOnly(['version: latest}]\nstem', 'version: 9}]\nstem']), 30006, "Release version 'rel/9' doesn't exist"],
    ['a latest version that nothing fits', groupOnly(['version: latest}]\nstem', 'version: 9.latest}]\nstem']), 30006, "Release version 'rel/9.latest' doesn't exist"],
    ['a release version that is none', groupOnly(['version: latest}]\nstem', 'version: "a b"}]\nstem']), 30010, 'Release version invalid: a b'],
    ['an unknown stemcell OS', groupOnly(['os: ubuntu', 'os: plan9']), 50003, "Stemcell with Operating System 'plan9' doesn't exist"],
    ['an unknown stemcell version', groupOnly(['os: ubuntu, version: latest', 'os: ubuntu, version: "2"']), 50003, "Stemcell version '2' for OS 'ubuntu' doesn't exist"],
    ['an unknown stemcell name', groupOnly(['os: ubuntu, version: latest', 'name: x, version: "2"']), 50003, "Stemcell 'x/2' doesn't exist"],
    ['a stemcell prefix that nothing fits', groupOnly(['os: ubuntu, version: latest', 'os: ubuntu, version: 2.latest']), 50003, "Stemcell with Operating System 'ubuntu' exists, but version with prefix '2' not found."],
    ['a job of an unknown release', groupOnly(['name: server, release: rel', 'name: server, release: x']), 140002, "Job 'server' (instance group 'web') references an unknown release 'x'"],
    ['an unknown job', groupOnly(['name: server', 'name: missing-job']), 140029, "Job 'missing-job' not found in release 'rel'"],
    ['an unknown stemcell alias', groupOnly(['stemcell: default', 'stemcell: x']), 140005, "Instance group 'web' references an unknown stemcell 'x'"],
    ['an unknown VM type', groupOnly(['vm_type: small', 'vm_type: gigantic']), 140004, "Instance group 'web' references an unknown vm type 'gigantic'"],
    ['an unknown VM extension', groupOnly(['vm_type: small', 'vm_type: small\n  vm_extensions: [x]']), 100, "The vm_extension 'x' has not been configured in cloud-config."],
    ['an unknown network', groupOnly(['name: private', 'name: x']), 150001, "Instance group 'web' references an unknown network 'x'"],
    ['an AZ that the network does not serve', groupOnly(['[z1, z2, z3]', '[z1, z9]']), 150006, "Instance group 'web' must specify availability zone that matches availability zones of network 'private'"],
    ['no AZs on a network that has them', groupOnly(['  azs: [z1, z2, z3]\n', '']), 150006, /must specify availability zone/],
    ['two networks without defaults', groupOnly(['[{name: private}]', '[{name: private}, {name: public}]']), 150005, "Instance group 'web' must specify which network is default for dns, gateway, since it has more than one network configured"],
    ['two networks with the same default', groupOnly(['[{name: private}]', '[{name: private, default: [dns, gateway]}, {name: public, default: [dns]}]']), 150004, "Instance group 'web' specified more than one network to contain default. 'dns' has default networks: 'private', 'public'."],
    ['a property that has to be a hash', groupOnly(['{port: 80}', '{tls: text}']), 100, "Property 'tls.cert' expects a hash, but received 'String'"],
  ];
  it.each(cases)('%s', (_title, world, code, message) => {
    expect(() => buildPlan(planInput(world))).toThrow(expect.objectContaining({ code, message: typeof message === 'string' ? message : expect.stringMatching(message) }));
  });

  it('prefers the highest version, and takes a prefix', () => {
    const state = { ...emptyState(), releases: [release('1.0'), release('1.10'), release('1.9'), release('2.0')] };
    expect(buildPlan(planInput({ state })).releases[0]?.version).toBe('2.0');
    expect(buildPlan(planInput({ ...groupOnly(['version: latest}]\nstem', 'version: 1.latest}]\nstem']), state })).releases[0]?.version).toBe('1.10');
  });

  it('warns of links that a job does not have', () => {
    const plan = buildPlan(planInput(groupOnly(['properties: {port: 80}', 'consumes: {x: nil}'])));
    expect(plan.warnings).toEqual(["Job 'server' (instance group 'web') has no link 'x' in its 'consumes'"]);
  });

  it('legacy properties count for jobs without their own', () => {
    const legacy = edit(manifestYaml, [', properties: {port: 80}', ''], ['vm_type: small', 'vm_type: small\n  properties: {limits: {max: 9}}'], ['instance_groups:', 'properties: {port: 90, limits: {max: 1}}\ninstance_groups:']);
    const plan = buildPlan(planInput({ manifest: legacy }));
    expect(plan.groups[0]?.jobs[0]?.properties).toMatchObject({ port: 90, limits: { max: 9 } });
    expect(plan.warnings).toHaveLength(1);
    const blocked = edit(legacy, ['release: rel}]', 'release: rel, properties: {}}]']);
    expect(buildPlan(planInput({ manifest: blocked })).groups[0]?.jobs[0]?.properties).toMatchObject({ port: 8080 });
  });
});

describe('runtime configs', () => {
  const addon = (include: string, exclude = '{}') => `releases: [{name: rel, version: '1.0'}]\naddons: [{name: extra, jobs: [{name: plain, release: rel}], include: ${include}, exclude: ${exclude}}]\ntags: {from: runtime, team: r}`;
  const jobsOf = (...runtime: string[]) => buildPlan(planInput({ runtime, state: { ...emptyState(), deployment: { ...emptyState().deployment, teams: ['ours'] } } })).groups.map((group) => group.jobs.map((job) => job.name));

  it('give tags, over which the manifest wins', () => {
    expect(buildPlan(planInput({ runtime: [addon('{deployments: [other]}')] })).tags).toEqual({ from: 'runtime', team: 'a' });
  });

  const fitting = ['{deployments: [x, dep]}', '{instance_groups: [web]}', '{azs: [z2]}', '{stemcell: [{os: ubuntu}]}', '{networks: [private], lifecycle: service}', '{jobs: [{name: server, release: rel}]}', '{teams: [theirs, ours]}'];
  const strange = ['{azs: [z9]}', '{deployments: [dep], instance_groups: [x]}', '{stemcell: [{os: windows}]}', '{teams: [t]}', '{lifecycle: errand}', '{networks: [public]}', '{jobs: [{name: server, release: other}]}'];
  it.each(['{}', ...fitting])('put their addons on groups that they include: %s', (include) => {
    expect(jobsOf(addon(include))).toEqual([['server', 'plain']]);
  });
  it.each(strange)('leave groups alone that they do not include: %s', (include) => {
    expect(jobsOf(addon(include))).toEqual([['server']]);
  });
  it.each(fitting)('leave groups alone that they exclude: %s', (exclude) => {
    expect(jobsOf(addon('{}', exclude))).toEqual([['server']]);
  });
  it.each(['{}', ...strange])('exclude only what fits in every way: %s', (exclude) => {
    expect(jobsOf(addon('{}', exclude))).toEqual([['server', 'plain']]);
  });

  it('come one after the other: what one adds counts for the next', () => {
    const second = "releases: [{name: rel, version: '1.0'}]\naddons: [{name: more, jobs: [{name: provider, release: rel}], include: {jobs: [{name: plain, release: rel}]}}]";
    expect(jobsOf(addon('{}'), second)).toEqual([['server', 'plain', 'provider']]);
    expect(jobsOf(second, addon('{}'))).toEqual([['server', 'plain']]);
  });

  it('come after the addons of the manifest', () => {
    const manifest = edit(manifestYaml, ['tags:', 'addons: [{name: own, jobs: [{name: provider, release: rel, properties: {a: 1}}]}]\ntags:']);
    const [group] = buildPlan(planInput({ manifest, runtime: [addon('{jobs: [{name: provider, release: rel}]}')] })).groups;
    expect(group?.jobs.map((job) => job.name)).toEqual(['server', 'provider', 'plain']);
  });

  it('give their own properties to jobs that have none, and nothing of the deployment', () => {
    const runtime = "releases: [{name: rel, version: '1.0'}]\naddons: [{name: a, properties: {port: 1, debug: true}, jobs: [{name: server, release: rel}]}]";
    const manifest = edit(manifestYaml, ['{name: server, release: rel, properties: {port: 80}}', '{name: plain, release: rel}'], ['instance_groups:', 'properties: {port: 7, limits: {max: 3}}\ninstance_groups:']);
    const plan = buildPlan(planInput({ manifest, runtime: [runtime] }));
    expect(plan.groups[0]?.jobs.find((job) => job.name === 'server')?.properties).toMatchObject({ port: 1, debug: true, limits: { max: { a: 2, b: 1 } } });
    expect(plan.warnings).toContain("Top level 'properties' in addons are deprecated. Please define 'properties' at the job level.");
  });

  it('bring their releases only with an addon that applies', () => {
    const extra = { ...release('1.0'), id: 9, name: 'extra' };
    const state = { ...emptyState(), releases: [release('1.0'), extra] };
    const runtime = (include: string) => [`releases: [{name: extra, version: '1.0'}]\naddons: [{name: a, jobs: [{name: plain, release: extra}], include: ${include}}]`];
    expect(buildPlan(planInput({ state, runtime: runtime('{}') })).releases.map((one) => one.name)).toEqual(['rel', 'extra']);
    expect(buildPlan(planInput({ state, runtime: runtime('{teams: [t]}') })).releases.map((one) => one.name)).toEqual(['rel']);
  });

  it.each([
    ['a release without a concrete version', "releases: [{name: rel, version: latest}]", 530001, /'rel' with version as 'latest'/],
    ['another version of a release of the manifest', "releases: [{name: rel, version: '2.0'}]\naddons: [{name: a, jobs: [{name: plain, release: rel}]}]", 530003, "Runtime manifest specifies release 'rel' with version as '2.0'. This conflicts with version '1.0' specified in the deployment manifest."],
    ['a release that is not listed', 'addons: [{name: a, jobs: [{name: plain, release: rel}]}]', 530002, /listed in the runtime releases section/],
    ['a job that the group has', "releases: [{name: rel, version: '1.0'}]\naddons: [{name: a, jobs: [{name: server, release: rel}]}]", 100, "Colocated job 'server' is already added to the instance group 'web'."],
    ['a job that its release does not have', "releases: [{name: rel, version: '1.0'}]\naddons: [{name: a, jobs: [{name: gone, release: rel}]}]", 140029, /'gone'/],
    ['a variable twice', 'variables: [{name: a, type: password}, {name: a, type: rsa}]', 560000, /duplicate names, eg: 'a'/],
    ['a variable without a good name', 'variables: [{name: a.b, type: password}]', 540004, /'a\.b' must only contain/],
  ])('are refused with %s', (_what, runtime, errorCode, message) => {
    expect(() => buildPlan(planInput({ runtime: [runtime] }))).toThrow(expect.objectContaining({ code: errorCode, message: typeof message === 'string' ? message : (expect.stringMatching(message) as string) }));
  });

  it('may have tags only once', () => {
    expect(() => buildPlan(planInput({ runtime: ['tags: {a: b}', 'tags: {c: d}'] }))).toThrow(expect.objectContaining({ code: 530006 }));
  });
});

describe('packages', () => {
  const withPackages = (change: (packages: ReturnType<typeof release>['packages']) => ReturnType<typeof release>['packages']) => {
    const one = release('1.0');
    return { ...emptyState(), releases: [{ ...one, packages: change(one.packages) }] };
  };

  it('without source and compiled form are listed', () => {
    const state = withPackages((packages) => packages.map((pkg) => ({ ...pkg, blobstoreId: null, sha1: null })));
    expect(() => buildPlan(planInput({ state }))).toThrow(expect.objectContaining({ code: 60001, message: expect.stringMatching(/Can't use release 'rel\/1\.0'[^]*stemcell 'local-ubuntu\/1\.200':\n - 'app\/[^]*- 'base\//) }));
  });

  it('without source may come from another minor version of the stemcell', () => {
    const { packages } = completePlan();
    const state = withPackages((all) => all.map((pkg) => ({ ...pkg, blobstoreId: null, sha1: null })));
    const compiled = (minor: number) => packages.map((requirement) => ({ packageId: requirement.package.id, stemcellOs: 'ubuntu', stemcellVersion: `1.${minor}`, dependencyKey: requirement.dependencyKey, build: minor, blobstoreId: 'b', sha1: 's' }));
    const plan = buildPlan(planInput({ state: { ...state, compiledPackages: [...compiled(9), ...compiled(150), ...compiled(20)] } }));
    expect(plan.packages.map((requirement) => requirement.compiled?.build)).toEqual([150, 150, 150]);
  });

  it('that depend on each other are refused', () => {
    const state = withPackages((packages) => packages.map((pkg) => (pkg.name === 'base' ? { ...pkg, dependencies: ['app'] } : pkg)));
    expect(() => buildPlan(planInput({ state }))).toThrow(/in a circle: app → lib → base → app/);
  });

  it('have a key of their dependencies as BOSH makes it', () => {
    const [base, lib, app] = completePlan().packages;
    expect(base?.dependencyKey).toBe('[]');
    expect(lib?.dependencyKey).toBe(JSON.stringify([['base', base?.package.version]]));
    expect(app?.dependencyKey).toBe(JSON.stringify([['base', base?.package.version], ['lib', lib?.package.version, [['base', base?.package.version]]]]));
  });

  it('of one name from two releases must be the same', () => {
    const other = { ...release('1.0'), id: 9, name: 'rel2', packages: [{ ...(release('1.0').packages[2] ?? { name: '', dependencies: [] }), id: 99, name: 'app', version: 'v', fingerprint: 'other', sha1: 's', blobstoreId: 'b', dependencies: [] }] };
    const jobs = [{ ...(release('1.0').jobs[1] ?? release('1.0').jobs[0]), name: 'second', packages: ['app'] }] as typeof other.jobs;
    const manifest = edit(manifestYaml, ['[{name: rel, version: latest}]', '[{name: rel, version: latest}, {name: rel2, version: latest}]'], ['jobs: [', 'jobs: [{name: second, release: rel2}, ']);
    const state = { ...emptyState(), releases: [release('1.0'), { ...other, jobs }] };
    expect(() => buildPlan(planInput({ manifest, state }))).toThrow(expect.objectContaining({ code: 80011 }));
  });
});

it('compilation uses its own cloud properties when it has no VM type', () => {
  const plan = buildPlan(planInput({ cloud: edit(cloudYaml, ['vm_type: large, reuse', 'cloud_properties: {zone: x}, env: {bosh: {}}, reuse']) }));
  expect(plan.compilation).toMatchObject({ workers: 2, az: 'z1', reuseVms: true, orphanWorkers: false, cloudProperties: { zone: 'x', shared: 'az' }, env: { bosh: {} } });
});

describe('the VM strategy of the director', () => {
  const strategyOf = (text: string) => {
    const state = emptyState();
    return buildPlan(planInput({ manifest: text, state: { ...state, director: { ...state.director, defaultVmStrategy: 'create-swap-delete' } } })).groups[0]?.update.vmStrategy;
  };

  it('is that of manifests that name none', () => {
    expect(strategyOf(manifestYaml)).toBe('create-swap-delete');
    expect(strategyOf(edit(manifestYaml, ['canaries: 1', 'canaries: 1, vm_strategy: delete-create']))).toBe('delete-create');
  });
});
