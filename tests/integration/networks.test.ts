import { eq, sql } from 'drizzle-orm';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import * as t from '../../db/schema';
import type { Agent, Agents } from '../../server/agents/agent';
import { CpiError } from '../../server/cpi/errors';
import type { MadeNetwork, NetworkDefinition } from '../../server/cpi/cpi';
import type { NetworkCalls } from '../../server/cpi/network-calls';
import { AddressTaken, bindPlan } from '../../server/deploy/bind';
import { prepareManagedNetworks, usedNetworkNames } from '../../server/deploy/managed-networks';
import type { DeployDeps } from '../../server/deploy/ports';
import { listTakenAddresses } from '../../server/deploy/store';
import { convergeInstance, createInstanceVm, type InstanceUpdate } from '../../server/deploy/update-instance';
import { findNetwork, listManagedSubnets, listOrphanedNetworks, releaseNetworks } from '../../server/deployments/networks-store';
import { buildPlan } from '../../server/plan/build-plan';
import type { CompleteInstancePlan, Plan, PlanInput } from '../../server/plan/types';
import { deleteOrphanNetworks, scheduledOrphanedNetworkCleanup } from '../../server/task-types/orphaned-networks';
import { testStore, type TestStore } from '../support/director-parts';
import { completePlan, edit, emptyState, planInput } from '../support/planning';
import { testTask, type Fate, type Points } from '../support/task-context';
import { disabledBackend } from '../../server/variables/disabled';
import { noVariables } from '../support/no-variables';

/** Addresses on a real database, networks that are made by a cloud, and addresses that the cloud decides. */

let store: TestStore;

beforeAll(async () => {
  store = await testStore();
});
afterEach(async () => {
  await store.connections.db.execute(sql`TRUNCATE tasks, vms, ip_addresses, instances, deployment_networks, subnets, networks, deployments, events CASCADE`);
});
afterAll(() => store.close());

const db = () => store.connections.db;

async function createDeployment(name: string): Promise<number> {
  const [row] = await db().insert(t.deployments).values({ name, canonicalName: name }).returning({ id: t.deployments.id });
  return row?.id ?? 0;
}

const manifest = (name: string, networks = '{name: small}', more = '') => `
name: ${name}
releases: [{name: rel, version: '1.0'}]
stemcells: [{alias: default, os: ubuntu, version: '1.200'}]
update: {canaries: 1, max_in_flight: 1, canary_watch_time: 1, update_watch_time: 1}
instance_groups:
- {name: web, instances: 1, vm_type: t, stemcell: default, networks: [${networks}], jobs: []${more}}
`;

describe('many deploys at a time on a small network', () => {
  const cloud = `
vm_types: [{name: t}]
networks: [{name: small, subnets: [{range: 10.0.0.0/28, gateway: 10.0.0.1, reserved: [10.0.0.2]}]}]
compilation: {workers: 1, network: small, vm_type: t}
`;

  /** Plans from what is recorded and binds, again while another one is quicker, as deploys do. */
  async function planAndBind(name: string, deploymentId: number): Promise<string> {
    const { error } = await testTask(db()).attempt(async (ctx) => {
      for (;;) {
        const state = { ...emptyState(), deployment: { name, manifest: null, tags: {} }, takenAddresses: (await listTakenAddresses(db())).map(({ address }) => address) };
        const plan = buildPlan({ ...planInput({ manifest: manifest(name), cloud, state }), newUuid: () => crypto.randomUUID() });
        try {
          await bindPlan(ctx, { ...plan, releases: [], stemcells: [] }, { deploymentId, variableSetId: undefined });
          return '';
        } catch (failure) {
          if (!(failure instanceof AddressTaken)) throw failure;
        }
      }
    });
    return error instanceof Error ? ('code' in error ? `${String(error.code)} ${error.message}` : error.message) : 'bound';
  }

  it('give every address out once, and then say that there is none', async () => {
    const names = Array.from({ length: 20 }, (_, i) => `dep-${i}`);
    const ids = await Promise.all(names.map(createDeployment));
    const outcomes = await Promise.all(names.map((name, i) => planAndBind(name, ids[i] ?? 0)));
    const rows = await db().select().from(t.ipAddresses).orderBy(t.ipAddresses.address);
    // 16 without network, broadcast, gateway and the reserved one.
    expect(rows.map(({ address }) => address).toSorted()).toEqual(Array.from({ length: 12 }, (_, i) => `10.0.0.${i + 3}/32`).toSorted());
    expect(new Set(rows.map(({ instanceId }) => instanceId)).size).toBe(12);
    expect(outcomes.filter((outcome) => outcome === 'bound')).toHaveLength(12);
    const refused = outcomes.filter((outcome) => outcome !== 'bound');
    expect(refused).toHaveLength(8);
    for (const outcome of refused) expect(outcome).toMatch(/^130011 Failed to reserve IP for 'web\/[0-9a-f-]{36} \(0\)' for manual network 'small': no more available$/);
  });
});

interface FakeNetworks extends NetworkCalls {
  /** What the cloud has. */
  made: Map<string, NetworkDefinition>;
  fails: (definition: NetworkDefinition) => boolean;
  refusesDeletion: boolean;
  at(points: Points): NetworkCalls;
}

function fakeNetworks(): FakeNetworks {
  let count = 0;
  const cloud: FakeNetworks = {
    made: new Map(), fails: () => false, refusesDeletion: false,
    createNetwork: async (_caller, { definition }): Promise<MadeNetwork> => {
      if (cloud.fails(definition)) throw new CpiError('CloudError', 'no more networks');
      const cid = `net-${++count}`;
      cloud.made.set(cid, definition);
      const octet = count + 100;
      return { cid, ...(definition.range === undefined ? { range: `10.${octet}.0.0/24`, gateway: `10.${octet}.0.1` } : {}), reserved: definition.range === undefined ? [`10.${octet}.0.2`] : [], cloudProperties: { id: cid } };
    },
    deleteNetwork: async (_caller, { cid }) => {
      if (cloud.refusesDeletion) throw new CpiError('CloudError', 'in use');
      cloud.made.delete(cid);
    },
    at: (points) => {
      const around = async <T>(work: () => Promise<T>): Promise<T> => {
        points.pass(false);
        const result = await work();
        points.pass(false);
        return result;
      };
      return { createNetwork: (caller, network) => around(() => cloud.createNetwork(caller, network)), deleteNetwork: (caller, network) => around(() => cloud.deleteNetwork(caller, network)) };
    },
  };
  return cloud;
}

const unused = async () => {
  throw new Error('this test does not expect that call');
};

function depsOf(parts: Partial<DeployDeps>): DeployDeps {
  const certificate = async () => ({ ca: '', certificate: '', private_key: '' });
  const call = unused;
  return {
    db: db(), blobstore: store.blobstore, agents: { agentFor: () => { throw new Error('no agents'); }, waitUntilReady: unused },
    cpi: () => ({ createVm: unused, deleteVm: unused, hasVm: unused, setVmMetadata: unused, calculateVmCloudProperties: unused }),
    disks: { createDisk: call, deleteDisk: call, hasDisk: call, attachDisk: call, detachDisk: call, setDiskMetadata: call, snapshotDisk: call, deleteSnapshot: call, resizeDisk: call, updateDisk: call },
    renderer: { render: unused }, variables: disabledBackend,
    nats: { bootstrapCertificate: certificate, permanentCertificate: certificate, movedUrls: async () => undefined, awaitAuthorised: async () => undefined },
    settings: {
      director: { name: 'director', uuid: 'u', dnsDomain: 'bosh', localDns: true, useDnsAddresses: false, trustedCertsSha1: 'certs', natsConfigSha1: 'nats', blobstoreConfigSha1: 'blobs', ownAddresses: async () => [] },
      maxThreads: 4, maxVmCreateTries: 1, agentWaitTimeoutMs: 1_000, agentEnv: {}, natsUrls: [], agentBlobstores: [], shortLivedBootstrapCredentials: true, cpiResizesDisks: false, cpiUpdatesDisks: false, snapshots: false,
    },
    ...parts,
  };
}

describe('managed networks', () => {
  const cloudConfig = `
azs: [{name: z1, cloud_properties: {zone: one, shared: az}}, {name: z2, cloud_properties: {zone: two}}]
vm_types: [{name: t}]
networks:
- {name: made, managed: true, subnets: [{name: a, netmask_bits: 24, azs: [z1, z2], cloud_properties: {shared: subnet}}, {name: b, range: 10.9.0.0/24, gateway: 10.9.0.1, azs: [z1, z2]}]}
- {name: idle, managed: true, subnets: [{name: a, range: 10.8.0.0/24, gateway: 10.8.0.1, az: z1}]}
- {name: small, subnets: [{range: 10.0.0.0/24, gateway: 10.0.0.1, azs: [z1, z2]}]}
compilation: {workers: 1, network: small, az: z1, vm_type: t}
`;

  async function inputOf(networks = '{name: made}', cloud = cloudConfig): Promise<PlanInput> {
    return planInput({ manifest: manifest('dep', networks, ', azs: [z1]'), cloud, state: { ...emptyState(), managedSubnets: await listManagedSubnets(db()) } });
  }

  const prepare = async (calls: FakeNetworks, deploymentId: number, more: { fate?: Fate; input?: PlanInput; task?: ReturnType<typeof testTask> } = {}) =>
    (more.task ?? testTask(db())).attempt(async (ctx, points) => {
      const input = await prepareManagedNetworks(ctx, depsOf({ networks: calls.at(points) }), more.input ?? (await inputOf()), { deploymentId, variables: noVariables });
      const [web] = buildPlan(input).groups;
      return JSON.stringify(web?.instances[0]?.networks);
    }, more.fate);

  const release = (deploymentId: number, keep: string[]) => db().transaction((tx) => releaseNetworks(tx, deploymentId, { keep, user: 'admin', taskId: 1, deployment: 'dep' }));
  const runDeletion = (calls: FakeNetworks, fate?: Fate, task = testTask(db())) => task.attempt((ctx, points) => deleteOrphanNetworks.perform(ctx, { db: db(), calls: calls.at(points), maxThreads: 1 }, { names: ['made'] }), fate);

  it('are made once, subnet by subnet, and planned with what the cloud says', async () => {
    const calls = fakeNetworks();
    const id = await createDeployment('dep');
    const { result, error } = await prepare(calls, id);
    expect(error).toBeUndefined();
    expect([...calls.made.values()]).toEqual([
      { type: 'manual', cloud_properties: { zone: 'two', shared: 'subnet' }, netmask_bits: 24 }, { type: 'manual', cloud_properties: { zone: 'two', shared: 'az' }, range: '10.9.0.0/24', gateway: '10.9.0.1' },
    ]);
    expect(JSON.parse(result ?? '')).toMatchObject({ made: { ip: '10.101.0.3', gateway: '10.101.0.1', netmask: '255.255.255.0', cloud_properties: { id: 'net-1' } } });
    await prepare(calls, await createDeployment('other'));
    expect(calls.made.size).toBe(2);
    expect(await findNetwork(db(), 'idle')).toBeUndefined();
    expect(usedNetworkNames(buildPlan(await inputOf()))).toEqual(['made', 'small']);
  });

  it('are orphaned when the last deployment leaves them, kept when one comes back, and deleted otherwise', async () => {
    const calls = fakeNetworks();
    const [one, two] = [await createDeployment('one'), await createDeployment('two')];
    await prepare(calls, one);
    await prepare(calls, two);
    expect([await release(one, ['made']), await release(one, []), await listOrphanedNetworks(db())]).toEqual([[], [], []]);
    expect(await release(two, ['small'])).toEqual(['made']);
    expect(await listOrphanedNetworks(db())).toMatchObject([{ name: 'made', type: 'manual', orphanedAt: expect.any(Date) }]);
    expect(await listOrphanedNetworks(db(), 1)).toEqual([]);
    await prepare(calls, one);
    expect([await listOrphanedNetworks(db()), calls.made.size]).toEqual([[], 2]);
    expect((await runDeletion(calls)).error).toMatchObject({ code: 160011, message: 'Deleting unorphaned network is not supported: made' });
    await release(one, []);
    expect((await runDeletion(calls)).result).toBe('orphaned network(s) made deleted');
    expect([calls.made.size, await findNetwork(db(), 'made')]).toEqual([0, undefined]);
    const events = await db().select().from(t.events).orderBy(t.events.id);
    expect(events.map(({ action, objectType, objectName }) => [action, objectType, objectName])).toEqual([['orphan', 'network', 'made'], ['orphan', 'network', 'made'], ['delete', 'subnet', 'net-1'], ['delete', 'subnet', 'net-2']]);
  });

  it('that the cloud does not delete stay orphaned, and the clean-up says how many', async () => {
    const calls = fakeNetworks();
    const id = await createDeployment('dep');
    await prepare(calls, id);
    await release(id, []);
    await db().execute(sql`UPDATE networks SET orphaned_at = now() - interval '2 days'`);
    calls.refusesDeletion = true;
    const cleanUp = () => testTask(db()).attempt((ctx) => scheduledOrphanedNetworkCleanup.perform(ctx, { db: db(), calls, maxThreads: 1 }, { max_orphaned_age_in_days: 1 }));
    expect((await cleanUp()).error).toMatchObject({ message: 'Deleted 0 orphaned networks(s) older than 1 day(s). Failed to delete 1 network(s).' });
    expect(await listOrphanedNetworks(db(), 1)).toMatchObject([{ name: 'made' }]);
    calls.refusesDeletion = false;
    expect((await cleanUp()).result).toBe('Deleted 1 orphaned networks(s) older than 1 day(s). Failed to delete 0 network(s).');
    expect([calls.made.size, await findNetwork(db(), 'made')]).toEqual([0, undefined]);
  });

  it('are taken back when the cloud refuses one of their subnets', async () => {
    const calls = fakeNetworks();
    calls.fails = ({ range }) => range !== undefined;
    const { error } = await prepare(calls, await createDeployment('dep'));
    expect(error).toMatchObject({ message: expect.stringMatching(/^deployment failed during creating managed networks: .*no more networks/) });
    expect([calls.made.size, await findNetwork(db(), 'made')]).toEqual([0, undefined]);
  });

  it('cannot be given another subnet', async () => {
    const calls = fakeNetworks();
    const id = await createDeployment('dep');
    await prepare(calls, id);
    const more = edit(cloudConfig, ['{name: b, range: 10.9.0.0/24', '{name: c, range: 10.7.0.0/24, gateway: 10.7.0.1, azs: [z1, z2]}, {name: b, range: 10.9.0.0/24']);
    expect((await prepare(calls, id, { input: await inputOf('{name: made}', more) })).error).toMatchObject({ code: 91000, message: 'cannot find subnet: c in the database' });
  });

  it.each(['killed', 'lost'] as const)('whose maker or deleter is %s at any moment are made, or deleted, by the next attempt, and what may be left is told', async (how) => {
    for (let dieAt = 1, died = true; died; dieAt++) {
      await db().execute(sql`TRUNCATE deployment_networks, subnets, networks, deployments CASCADE`);
      const calls = fakeNetworks();
      const id = await createDeployment('dep');
      const task = testTask(db());
      died = (await prepare(calls, id, { task, fate: { dieAt, how } })).died;
      expect((await prepare(calls, id, { task })).error).toBeUndefined();
      const recorded = (await findNetwork(db(), 'made'))?.subnets.map(({ cid }) => cid) ?? [];
      const unknown = [...calls.made.keys()].filter((cid) => !recorded.includes(cid));
      expect(recorded).toHaveLength(2);
      expect(unknown.length).toBeLessThanOrEqual(task.events().filter(({ type }) => type === 'warning').length);
      for (const cid of unknown) calls.made.delete(cid);
      await release(id, []);
      const deletion = testTask(db());
      await runDeletion(calls, { dieAt, how }, deletion);
      expect((await runDeletion(calls, undefined, deletion)).error).toBeUndefined();
      expect([calls.made.size, await findNetwork(db(), 'made')]).toEqual([0, undefined]);
    }
  });
});

describe('an instance on a dynamic network', () => {
  const cloud = 'vm_types: [{name: t}]\nnetworks: [{name: cloud, type: dynamic}, {name: small, subnets: [{range: 10.0.0.0/28, gateway: 10.0.0.1}]}]\ncompilation: {workers: 1, network: small, vm_type: t}\n';
  const text = manifest('dep', '{name: cloud}');

  /** A cloud that gives addresses, and agents that tell them once they were told their networks. */
  function scene(points: () => Points) {
    let given = 0;
    const asked: unknown[] = [];
    const ips = new Map<string, string>();
    const told = new Set<string>();
    const around = async <T>(work: () => T): Promise<T> => {
      points().pass(false);
      const result = work();
      points().pass(false);
      return result;
    };
    const agentOf = (id: string): Agent => ({
      ping: unused, info: unused, apply: () => around(() => void told.add(id)), prepare: async () => undefined, start: async () => undefined, stop: async () => undefined, drain: async () => undefined, runScript: async () => undefined,
      getState: async () => ({ job_state: 'running', ...(told.has(id) ? { networks: { cloud: { type: 'dynamic', ip: ips.get(id), netmask: '255.0.0.0', gateway: '127.0.0.1' } } } : {}) }),
      compilePackage: unused, compilePackageWithSignedUrl: unused, updateSettings: async () => undefined, uploadBlob: unused, syncDns: unused, listDisk: async () => [], mountDisk: unused, unmountDisk: unused, migrateDisk: unused,
      addPersistentDisk: unused, removePersistentDisk: unused, fetchLogs: unused, runErrand: unused, setUpSsh: unused, cleanUpSsh: unused, getTask: unused, cancelTask: unused, shutdown: unused, deleteArpEntries: unused,
    });
    const agents: Agents = { agentFor: ({ id }) => agentOf(id), waitUntilReady: async () => undefined };
    const calls: ReturnType<DeployDeps['cpi']> = {
      createVm: (_caller, { agentId, networks }) =>
        around(() => {
          asked.push(networks);
          ips.set(agentId, `127.200.0.${++given}`);
          return `vm-${agentId}`;
        }),
      deleteVm: async () => undefined, hasVm: async () => true, setVmMetadata: async () => undefined, calculateVmCloudProperties: unused,
    };
    return { asked, deps: depsOf({ agents, cpi: () => calls }) };
  }

  const only = (plan: Plan<CompleteInstancePlan>): CompleteInstancePlan => plan.groups[0]?.instances[0] ?? (() => { throw new Error('no instance'); })();

  it('has the address that its agent tells, in records and templates, whenever its maker dies', async () => {
    for (let dieAt = 1, died = true; died; dieAt++) {
      await db().execute(sql`TRUNCATE vms, instances, deployments CASCADE`);
      const deploymentId = await createDeployment('dep');
      let current: Points = { pass: () => undefined };
      const { asked, deps } = scene(() => current);
      const plan = completePlan({ manifest: text, cloud });
      const instance = only(plan);
      const [row] = await db().insert(t.instances).values({ uuid: instance.uuid, deploymentId, job: 'web', index: 0 }).returning({ id: t.instances.id });
      const instanceId = row?.id ?? 0;
      const rendered: unknown[] = [];
      const none = { hashes: { templateHashes: {} }, inputKey: '', reused: false, jobs: async () => [] };
      const update = (vm: InstanceUpdate['vm']): InstanceUpdate => ({ plan, instance, instanceId, rendered: none, variables: noVariables, vm, canary: false, renderAgain: async ({ networks }) => (rendered.push(networks), none) });
      const task = testTask(db());
      const first = await task.attempt(async (ctx, points) => {
        current = points;
        await createInstanceVm(ctx, deps, { plan, instance, instanceId, variables: noVariables });
        return '';
      }, { dieAt, how: 'killed' });
      died = first.died;
      const found = async () => (await db().select().from(t.vms).where(eq(t.vms.instanceId, instanceId)))[0];
      const left = await found();
      // A VM that was made and recorded is gone on with, any other is made anew.
      const vm = left?.cid ? { vmId: left.id, cid: left.cid, agentId: left.agentId, cpi: '', apiVersion: 3, fresh: false } : undefined;
      if (left && !vm) await db().delete(t.vms).where(eq(t.vms.id, left.id));
      const second = await task.attempt(async (ctx, points) => {
        current = points;
        await convergeInstance(ctx, deps, update(vm), { advance: async () => undefined });
        return '';
      });
      expect(second.error).toBeUndefined();
      const record = await found();
      const ip = `127.200.0.${asked.length}`;
      const wanted = { type: 'dynamic', cloud_properties: {}, prefix: '32', default: ['dns', 'gateway'] };
      expect(asked.at(-1)).toEqual({ cloud: wanted });
      expect(record?.networks).toEqual({ cloud: { ...wanted, ip, netmask: '255.0.0.0', gateway: '127.0.0.1' } });
      const [{ spec } = { spec: null }] = await db().select({ spec: t.instances.spec }).from(t.instances).where(eq(t.instances.id, instanceId));
      expect(spec).toMatchObject({ networks: { cloud: { ip } }, address: `${instance.uuid}.web.cloud.dep.bosh` });
      expect(rendered.at(-1)).toEqual(record?.networks);
    }
  });
});
