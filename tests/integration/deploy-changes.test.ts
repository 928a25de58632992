import { sql } from 'drizzle-orm';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { sha1Hex } from '../../server/core/digest';
import { deleteReleaseParts } from '../../server/task-types/delete-release';
import { deleteFromClouds } from '../../server/task-types/delete-stemcell';
import type { TaskContext } from '../../server/tasks/context';
import { testTask } from '../support/task-context';
import { deployScene, type DeployScene, type SceneVm } from '../support/deploy-scene';
import { testStore, type TestStore } from '../support/director-parts';

/** What deploys do to VMs that are there, with a cloud and agents in memory. */

let store: TestStore;
let scene: DeployScene;

beforeAll(async () => {
  store = await testStore();
  scene = deployScene(store);
  await scene.uploadRelease({ name: 'rel', version: '1', jobs: [{ name: 'server', spec: { packages: ['app'], properties: { port: { default: 80 } } } }], packages: [{ name: 'app', dependencies: ['lib'] }, { name: 'lib' }] });
  await scene.uploadStemcell('1.1');
  await scene.uploadConfig('cloud', {
    azs: [{ name: 'z1' }], vm_types: [{ name: 'small' }],
    networks: [{ name: 'net', subnets: [{ range: '10.1.1.0/24', gateway: '10.1.1.1', az: 'z1' }] }],
    compilation: { workers: 1, reuse_compilation_vms: true, az: 'z1', vm_type: 'small', network: 'net' },
  });
});
afterAll(() => store.close());
beforeEach(() => scene.asked.clear());

const manifest = ({ name, instances = 2, port = 80, owner = 'a' }: { name: string; instances?: number; port?: number; owner?: string }) => ({
  name, tags: { owner }, releases: [{ name: 'rel', version: '1' }], stemcells: [{ alias: 'default', os: 'lab-os', version: '1.1' }],
  update: { canaries: 1, max_in_flight: 4, canary_watch_time: 1, update_watch_time: 1 },
  instance_groups: [{ name: 'web', instances, azs: ['z1'], vm_type: 'small', stemcell: 'default', networks: [{ name: 'net' }], jobs: [{ name: 'server', release: 'rel', properties: { port } }] }],
});

async function deployed(document: object, flags: Parameters<DeployScene['deploy']>[1] = {}): Promise<void> {
  const { error } = await scene.deploy(document, flags);
  expect(error).toBeUndefined();
}

async function vmsOf(deployment: string): Promise<SceneVm[]> {
  const { rows } = await store.connections.db.execute<{ agent_id: string }>(sql`
    SELECT v.agent_id FROM vms v JOIN instances i ON i.id = v.instance_id JOIN deployments d ON d.id = i.deployment_id WHERE d.name = ${deployment} ORDER BY i.index`);
  return rows.flatMap((row) => scene.vms.get(row.agent_id) ?? []);
}

describe('the metadata of VMs', () => {
  it('tell the owner, the deployment and the instance, and of compilation VMs the package', async () => {
    scene.told.length = 0;
    await deployed(manifest({ name: 'told', instances: 1 }));
    expect(scene.told.map(({ compiling }) => compiling).filter((pkg) => pkg !== undefined)).toEqual(['lib', 'app']);
    expect(Object.keys((await vmsOf('told'))[0]?.metadata.at(-1) ?? {}).toSorted()).toEqual(['created_at', 'deployment', 'director', 'id', 'index', 'instance_group', 'job', 'name', 'owner']);
  });

  it.each([{ what: 'alone', port: 80 }, { what: 'with something else', port: 81 }])('hear tags that change $what', async ({ port }) => {
    const name = `tags-${port}`;
    await deployed(manifest({ name }));
    await deployed(manifest({ name, owner: 'b', port }));
    for (const vm of await vmsOf(name)) expect(vm.metadata.at(-1)).toMatchObject({ owner: 'b', deployment: name, created_at: expect.stringMatching(/Z$/) });
  });
});

describe('an instance that is not wanted any more', () => {
  it('is deleted by --fix without a word to an agent that does not answer', async () => {
    await deployed(manifest({ name: 'shrinks' }));
    const [, dead] = await vmsOf('shrinks');
    if (dead) dead.silent = true;
    await deployed(manifest({ name: 'shrinks', instances: 1 }), { fix: true });
    expect(await vmsOf('shrinks')).toHaveLength(1);
    expect(scene.vms.has(dead?.agentId ?? '')).toBe(false);
  });

  it('is told that it goes, also when its jobs are stopped already', async () => {
    await deployed(manifest({ name: 'stopped' }));
    await store.connections.db.execute(sql`UPDATE instances i SET state = 'stopped' FROM deployments d WHERE d.id = i.deployment_id AND d.name = 'stopped' AND i.index = 1`);
    scene.asked.clear();
    await deployed(manifest({ name: 'stopped', instances: 1 }));
    expect([scene.asked.get('drain'), scene.asked.get('stop')]).toEqual([1, 1]);
  });
});

describe('trusted certificates', () => {
  it('are told to new VMs, and to others when they change', async () => {
    const { settings } = scene.deps;
    const trusting = (trustedCerts: string) => ({ ...settings, trustedCerts, director: { ...settings.director, trustedCertsSha1: sha1Hex(trustedCerts) } });
    scene.deps.settings = trusting('first');
    await deployed(manifest({ name: 'trusting', instances: 1 }));
    const [vm] = await vmsOf('trusting');
    expect(vm?.trustedCerts).toBe('first');
    scene.deps.settings = trusting('second');
    await deployed(manifest({ name: 'trusting', instances: 1 })).finally(() => (scene.deps.settings = settings));
    expect(await vmsOf('trusting')).toEqual([vm]);
    expect(vm?.trustedCerts).toBe('second');
    const { rows } = await store.connections.db.execute(sql`SELECT last_changes FROM instances i JOIN deployments d ON d.id = i.deployment_id WHERE d.name = 'trusting'`);
    expect(rows).toEqual([{ last_changes: ['trusted_certs'] }]);
  });
});

describe('a deletion and a deploy of the same release or stemcell', () => {
  /** A deployment of things that nobody else uses, which asks its cloud something while it is being planned. */
  const document = (name: string) => {
    const { instance_groups: [web], ...rest } = manifest({ name, instances: 1 });
    const { vm_type: _type, ...group } = web ?? {};
    return {
      ...rest, releases: [{ name: `rel-${name}`, version: '1' }], stemcells: [{ alias: 'default', os: 'lab-os', version: `of-${name}` }],
      instance_groups: [{ ...group, vm_resources: { cpu: 1, ram: 1, ephemeral_disk_size: 1 }, jobs: [{ name: 'server', release: `rel-${name}` }] }],
    };
  };
  const kinds = [
    { what: 'release', name: 'release', gone: 30006, inUse: 30008, remove: (ctx: TaskContext, name: string) => deleteReleaseParts(ctx, { db: scene.deps.db, blobstore: store.blobstore }, { name: `rel-${name}`, version: '1', force: false, memory: 'begun' }) },
    { what: 'whole release', name: 'whole', gone: 30006, inUse: 30007, remove: (ctx: TaskContext, name: string) => deleteReleaseParts(ctx, { db: scene.deps.db, blobstore: store.blobstore }, { name: `rel-${name}`, version: undefined, force: false, memory: 'begun' }) },
    { what: 'stemcell', name: 'stemcell', gone: 50003, inUse: 50004, remove: (ctx: TaskContext, name: string) => deleteFromClouds(ctx, { db: scene.deps.db, deleteImage: async () => undefined }, { name: 'lab-stemcell', version: `of-${name}`, force: false, memory: 'begun' }) },
  ];
  const upload = async (name: string) => {
    await scene.uploadRelease({ name: `rel-${name}`, version: '1', jobs: [{ name: 'server' }], packages: [] });
    await scene.uploadStemcell(`of-${name}`);
  };
  const run = (work: (ctx: TaskContext) => Promise<void>) => testTask(scene.deps.db).attempt(async (ctx) => {
    await work(ctx);
    return '';
  });

  it.each(kinds)('fails the deploy when the $what goes while it is being planned', async ({ name: kind, gone, remove }) => {
    const name = `late-${kind}`;
    await upload(name);
    const { cpi } = scene.deps;
    scene.deps.cpi = (cloud) => ({ ...cpi(cloud), calculateVmCloudProperties: async () => {
      expect((await run((ctx) => remove(ctx, name))).error).toBeUndefined();
      return {};
    } });
    const { error } = await scene.deploy(document(name)).finally(() => (scene.deps.cpi = cpi));
    expect(error).toMatchObject({ code: gone, message: expect.stringContaining('deleted while the deployment was being planned') });
    expect(await vmsOf(name)).toEqual([]);
  });

  it.each(kinds)('refuses to delete the $what when it is deployed before the deletion begins in earnest', async ({ name: kind, inUse, remove }) => {
    const name = `early-${kind}`;
    await upload(name);
    const { error } = await run((ctx) => remove({ ...ctx, remember: async () => deployed(document(name)) }, name));
    expect(error).toMatchObject({ code: inUse, message: expect.stringContaining(`is still in use by: ${name}`) });
    await deployed(document(name), { recreate: true });
  });
});

it('VMs that are to be recreated when they are older than a time to come are all recreated, with a warning', async () => {
  await deployed(manifest({ name: 'future', instances: 1 }));
  const { events, error } = await scene.deploy(manifest({ name: 'future', instances: 1 }), { recreate: true, recreateVmsCreatedBefore: '2999-01-02T03:04:05Z' });
  expect(error).toBeUndefined();
  expect(events).toContainEqual(expect.objectContaining({ type: 'warning', message: expect.stringContaining("timestamp '2999-01-02T03:04:05Z' is in the future") }));
});
