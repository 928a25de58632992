import { randomUUID } from 'node:crypto';
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { sql } from 'drizzle-orm';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import * as t from '../../db/schema';
import type { Agent, Agents } from '../../server/agents/agent';
import { createConfig } from '../../server/configs/store';
import { loadCpis } from '../../server/configs/load-cpis';
import { createCpis, type CpiCommand } from '../../server/cpi/client';
import { allCpis } from '../../server/cpi/configured';
import { createDiskCalls } from '../../server/cpi/disk-calls';
import { createVmCalls } from '../../server/cpi/vm-calls';
import { deleteDeployment } from '../../server/deploy/delete-deployment';
import { deploy } from '../../server/deploy/deploy';
import { recreateVm } from '../../server/deploy/recreate-vm';
import type { DeployDeps } from '../../server/deploy/ports';
import { findDeployment } from '../../server/deploy/store';
import { ensureDeployment } from '../../server/deployments/store';
import { buildLocalStemcell } from '../../server/local/samples/stemcell';
import { listVms } from '../../server/local/cpi/records';
import { isUploadNeeded } from '../../server/stemcells/store';
import { deleteStemcell } from '../../server/task-types/delete-stemcell';
import type { StemcellDeps } from '../../server/task-types/stemcell-cloud';
import { updateStemcell } from '../../server/task-types/update-stemcell';
import type { TaskContext } from '../../server/tasks/context';
import { testStore, type TestStore } from '../support/director-parts';
import { startLocalCloud, type TestCloud } from '../support/local-cloud';
import { edit } from '../support/planning';
import { testTask } from '../support/task-context';
import { disabledBackend } from '../../server/variables/disabled';

/** One deployment in two clouds: real CPI processes that one program runs, told apart by a property; agents answer at once. */

let store: TestStore;
let cloud: TestCloud;
beforeAll(async () => {
  [store, cloud] = await Promise.all([testStore(), startLocalCloud()]);
});
afterAll(async () => {
  await cloud.stop();
  await store.close();
});

const unused = async (): Promise<never> => {
  throw new Error('this test does not expect that call');
};
const nothing = async () => undefined;

const agent: Agent = {
  ping: nothing, info: unused, getState: async () => ({ job_state: 'running' }), apply: nothing, prepare: nothing, start: nothing, stop: nothing, drain: nothing, runScript: nothing,
  compilePackage: unused, compilePackageWithSignedUrl: unused, updateSettings: nothing, uploadBlob: unused, syncDns: unused, listDisk: async () => [], mountDisk: unused, unmountDisk: unused,
  migrateDisk: unused, addPersistentDisk: unused, removePersistentDisk: unused, fetchLogs: unused, runErrand: unused, setUpSsh: unused, cleanUpSsh: unused, getTask: unused, cancelTask: unused,
  shutdown: unused, deleteArpEntries: unused,
};
const agents: Agents = { agentFor: () => agent, waitUntilReady: nothing };

/** The place of `((/east-cloud))` is taken when the CPI is called. */
const interpolate = async (command: CpiCommand): Promise<CpiCommand> =>
  ({ ...command, properties: Object.fromEntries(Object.entries(command.properties).map(([key, value]) => [key, value === '((/east-cloud))' ? 'east' : value])) });

function depsOf(): DeployDeps & StemcellDeps {
  const { db } = store.connections;
  const cpis = createCpis({
    path: cloud.program, preferredApiVersion: 3, directorUuid: 'test', environment: { HOME: process.env.HOME, TMPDIR: undefined }, interpolate, configured: () => loadCpis(db),
  });
  const certificate = async () => ({ ca: '', certificate: '', private_key: '' });
  return {
    db, blobstore: store.blobstore, agents, disks: createDiskCalls(cpis), renderer: { render: unused }, variables: disabledBackend, tmpDir: cloud.blobstore, stemcellTags: async () => ({}),
    cpi: (cpiName) => createVmCalls(cpis, { maxCreateTries: 1, cpiName }),
    clouds: async (ctx) => allCpis(await loadCpis(db)).map(({ name, aliases }) => ({ ...cpis.cpiFor(name, ctx), name, aliases })),
    deleteImage: (ctx, cpi, cid) => cpis.cpiFor(cpi, ctx).deleteStemcell(cid),
    nats: { bootstrapCertificate: certificate, permanentCertificate: certificate, movedUrls: nothing, awaitAuthorised: nothing },
    settings: {
      director: { name: 'director', uuid: randomUUID(), dnsDomain: 'bosh', localDns: false, useDnsAddresses: false, trustedCertsSha1: 'certs', natsConfigSha1: 'nats', blobstoreConfigSha1: 'blobs', ownAddresses: async () => [] },
      maxThreads: 4, maxVmCreateTries: 1, agentWaitTimeoutMs: 1_000, agentEnv: {}, natsUrls: [], agentBlobstores: [], shortLivedBootstrapCredentials: true, cpiResizesDisks: false, cpiUpdatesDisks: false, snapshots: false,
    },
  };
}

async function run(work: (ctx: TaskContext) => Promise<unknown>): Promise<{ debug: string }> {
  const task = testTask(store.connections.db);
  const { error } = await task.attempt(async (ctx) => String(await work(ctx)));
  if (error !== undefined) throw error;
  return { debug: task.debug() };
}

const cpiConfig = (program: string) => `
cpis:
- {name: east, type: local, exec_path: ${program}, properties: {cloud: ((/east-cloud))}}
- {name: west, type: local, exec_path: ${program}, properties: {cloud: west}}
`;
const cloudConfig = `
azs: [{name: z1, cpi: east}, {name: z2, cpi: west}]
networks:
- name: private
  subnets: [{range: 127.78.1.0/24, gateway: 127.78.1.1, az: z1}, {range: 127.78.2.0/24, gateway: 127.78.2.1, az: z2}]
vm_types: []
compilation: {workers: 1, az: z1, network: private}
`;
const manifestText = `
name: dep
releases: []
stemcells: [{alias: default, os: local-linux, version: latest}]
update: {canaries: 0, max_in_flight: 2, canary_watch_time: 1-1, update_watch_time: 1-1}
instance_groups:
- name: web
  instances: 2
  azs: [z1, z2]
  vm_resources: {cpu: 1, ram: 64, ephemeral_disk_size: 128}
  stemcell: default
  networks: [{name: private}]
  jobs: []
`;

async function configure(type: string, content: string): Promise<number> {
  return store.connections.db.transaction(async (tx) => (await createConfig(tx, { type, name: 'default', content, team: undefined })).id);
}

async function deployWith(cloudText: string): Promise<{ debug: string }> {
  const cloudId = await configure('cloud', cloudText);
  await store.connections.db.transaction((tx) => ensureDeployment(tx, { name: 'dep', teams: [] }));
  return run((ctx) => deploy(ctx, depsOf(), { deployment: 'dep', manifestText, configIds: { cloud: [cloudId], runtime: [] }, request: {} }));
}

const stateDir = (name: string) => join(cloud.stateDir, 'clouds', name);
const vmsIn = (name: string) => listVms(stateDir(name)).map(({ cid, cloud_properties: properties }) => ({ cid, properties }));
const imagesIn = (name: string) => readdirSync(join(stateDir(name), 'stemcells'));
const callsTo = (name: string, method: string) => readFileSync(join(stateDir(name), 'requests.jsonl'), 'utf8').split('\n').filter((line) => line.includes(`"method":"${method}"`)).length;
const recorded = () => store.connections.db.select({ cpi: t.vms.cpi, cid: t.vms.cid, az: t.vms.az }).from(t.vms).orderBy(t.vms.az);
const stemcell = { name: 'directorate-local', version: '1.0' };

describe('a deployment in two clouds', () => {
  it('gets its stemcell in both', async () => {
    const { db } = store.connections;
    await configure('cpi', cpiConfig(cloud.program));
    expect(await isUploadNeeded(db, stemcell, allCpis(await loadCpis(db)))).toBe(true);
    const { id: blobId, sha256 } = await store.blobstore.put((await buildLocalStemcell({ ...stemcell, agent: { agent: 'simulated' } })).tarball);
    await run((ctx) => updateStemcell.perform(ctx, depsOf(), { source: { kind: 'blob', blobId, sha256 }, sha1: undefined, fix: false }));
    expect([imagesIn('east').length, imagesIn('west').length]).toEqual([1, 1]);
    expect(await isUploadNeeded(db, stemcell, allCpis(await loadCpis(db)))).toBe(false);
  });

  it('has the VMs of each AZ in the cloud of its CPI', async () => {
    const { debug } = await deployWith(cloudConfig);
    const properties = { instance_type: 'local', cpu: 1, ram: 64, ephemeral_disk: { size: 128 } };
    const [east, west] = await recorded();
    expect([east, west]).toEqual([{ cpi: 'east', cid: vmsIn('east')[0]?.cid, az: 'z1' }, { cpi: 'west', cid: vmsIn('west')[0]?.cid, az: 'z2' }]);
    expect([vmsIn('east'), vmsIn('west')]).toEqual([[{ cid: east?.cid, properties }], [{ cid: west?.cid, properties }]]);
    expect([callsTo('east', 'calculate_vm_cloud_properties'), callsTo('west', 'set_vm_metadata')]).toEqual([1, 1]);
    expect(debug).toContain('"cloud":"<redacted>"');
  });

  it('keeps its VMs when a CPI gets another name', async () => {
    const before = await recorded();
    await configure('cpi', edit(cpiConfig(cloud.program), ['{name: east,', '{name: orient, migrated_from: [{name: east}],']));
    await deployWith(edit(cloudConfig, ['cpi: east', 'cpi: orient']));
    expect(await recorded()).toEqual(before.map((vm) => ({ ...vm, cpi: vm.cpi === 'east' ? 'orient' : vm.cpi })));
    expect([callsTo('east', 'create_vm'), callsTo('west', 'create_vm'), callsTo('east', 'create_stemcell')]).toEqual([1, 1, 1]);
  });

  it('has a lost VM made again by the CPI that had it', async () => {
    const { db } = store.connections;
    const deployment = await findDeployment(db, 'dep');
    const [instance] = await db.select().from(t.instances).where(sql`az = 'z2'`);
    if (!deployment || !instance) throw new Error('nothing is deployed');
    const [lost] = vmsIn('west');
    await run((ctx) => recreateVm(ctx, depsOf(), { deployment, instanceId: instance.id }));
    expect(vmsIn('west')).toEqual([{ cid: (await recorded())[1]?.cid, properties: lost?.properties }]);
    expect([vmsIn('west')[0]?.cid === lost?.cid, callsTo('east', 'create_vm'), callsTo('west', 'create_vm')]).toEqual([false, 1, 2]);
  });

  it('moves with its AZ to another CPI', async () => {
    await deployWith(edit(cloudConfig, ['cpi: east', 'cpi: orient'], ['cpi: west', 'cpi: orient']));
    expect((await recorded()).map(({ cpi }) => cpi)).toEqual(['orient', 'orient']);
    expect([vmsIn('east').length, vmsIn('west').length]).toEqual([2, 0]);
  });

  it('goes from both, and its stemcell too', async () => {
    await run((ctx) => deleteDeployment(ctx, depsOf(), { deployment: 'dep', force: false }));
    expect([vmsIn('east'), vmsIn('west')]).toEqual([[], []]);
    await run((ctx) => deleteStemcell.perform(ctx, depsOf(), { ...stemcell, force: false }));
    expect([imagesIn('east'), imagesIn('west')]).toEqual([[], []]);
  });
});

describe('the local cloud', () => {
  it('refuses a cloud without a usable name', async () => {
    await configure('cpi', `cpis: [{name: odd, type: local, exec_path: ${cloud.program}, properties: {cloud: ../../etc}}]`);
    await expect(run((ctx) => depsOf().cpi('odd').hasVm(ctx, 'vm-1'))).rejects.toThrow("The property 'cloud' of the CPI config must be a name");
  });
});
