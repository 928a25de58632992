import { randomUUID } from 'node:crypto';
import { eq, sql } from 'drizzle-orm';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import * as t from '../../db/schema';
import type { Agent, Agents } from '../../server/agents/agent';
import { CpiError } from '../../server/cpi/errors';
import type { VmCalls } from '../../server/cpi/vm-calls';
import { compilePackages } from '../../server/deploy/compile';
import { deleteDeployment } from '../../server/deploy/delete-deployment';
import { deleteInstances } from '../../server/deploy/delete-instance';
import type { DeployDeps } from '../../server/deploy/ports';
import { abandonVm, createVmIntent, completeVm, deleteInstanceRecord, deleteVmRecord, listAbandonedVms, listRecordedInstances, listTakenAddresses, releaseUnusedAddresses, reserveAddresses } from '../../server/deploy/store';
import { createSweeper, sweepAbandonedVms, sweepType } from '../../server/deploy/sweep';
import { createVm, resolveUnfinishedVms } from '../../server/deploy/vm-steps';
import { buildPlan } from '../../server/plan/build-plan';
import { disabledBackend } from '../../server/variables/disabled';
import { TaskLost } from '../../server/tasks/context';
import { startTestNode, testStore, type TestNode, type TestStore } from '../support/director-parts';
import { noDisks } from '../support/fake-disks';
import { noVariables } from '../support/no-variables';
import { cloudYaml, edit, planInput } from '../support/planning';
import { mortalBlobstore, testTask, type Attempt, type Fate } from '../support/task-context';

/** Steps of a deploy on a real database, with a cloud and agents that can be told how to behave. */

let store: TestStore;
const nodes: TestNode[] = [];

beforeAll(async () => {
  store = await testStore();
});
afterEach(async () => {
  await Promise.all(nodes.splice(0).map((node) => node.stop()));
  await store.connections.db.execute(sql`TRUNCATE tasks, vms, ip_addresses, instances, deployments, leases CASCADE`);
});
afterAll(() => store.close());

interface FakeCloud extends VmCalls {
  vms: Set<string>;
  /** Cloud properties of the VMs that were made. */
  asked: unknown[];
  /** Thrown by every delete_vm. */
  refusesDeletion: CpiError | undefined;
}

function fakeCloud(): FakeCloud {
  const cloud: FakeCloud = {
    vms: new Set(),
    asked: [],
    refusesDeletion: undefined,
    createVm: async (_caller, { agentId, cloudProperties }) => {
      cloud.asked.push(cloudProperties);
      cloud.vms.add(`cid-${agentId}`);
      return `cid-${agentId}`;
    },
    deleteVm: async (_caller, cid) => {
      if (cloud.refusesDeletion) throw cloud.refusesDeletion;
      cloud.vms.delete(cid);
    },
    hasVm: async (_caller, cid) => cloud.vms.has(cid),
    setVmMetadata: async () => undefined,
    calculateVmCloudProperties: async (_caller, { cpu }) => ({ instance_type: `c${cpu}` }),
  };
  return cloud;
}

const unused = async () => {
  throw new Error('this test does not expect that call');
};

function fakeAgents(how: { ready: () => Promise<void>; compile?: () => Promise<never> }): Agents {
  const agent: Agent = {
    ping: unused, info: unused, getState: async () => ({ job_state: 'running' }), apply: async () => undefined, prepare: unused, start: unused, stop: async () => undefined,
    drain: async () => undefined, runScript: async () => undefined, compilePackage: how.compile ?? unused, compilePackageWithSignedUrl: unused, updateSettings: async () => undefined,
    uploadBlob: unused, syncDns: unused, listDisk: unused, mountDisk: unused, unmountDisk: unused, migrateDisk: unused, addPersistentDisk: unused, removePersistentDisk: unused,
    fetchLogs: unused, runErrand: unused, setUpSsh: unused, cleanUpSsh: unused, getTask: unused, cancelTask: unused, shutdown: unused, deleteArpEntries: unused,
  };
  return { agentFor: () => agent, waitUntilReady: () => how.ready() };
}

function depsOf(cpi: VmCalls, agents: Agents = fakeAgents({ ready: async () => undefined })): DeployDeps {
  const certificate = async () => ({ ca: '', certificate: '', private_key: '' });
  return {
    db: store.connections.db, blobstore: store.blobstore, agents, cpi: () => cpi, disks: noDisks, renderer: { render: unused }, variables: disabledBackend,
    nats: { bootstrapCertificate: certificate, permanentCertificate: certificate, movedUrls: async () => undefined, awaitAuthorised: async () => undefined },
    settings: {
      director: { name: 'director', uuid: randomUUID(), dnsDomain: 'bosh', localDns: true, useDnsAddresses: false, trustedCertsSha1: 'certs', natsConfigSha1: 'nats', blobstoreConfigSha1: 'blobs', ownAddresses: async () => [] },
      maxThreads: 4, maxVmCreateTries: 2, agentWaitTimeoutMs: 1_000, agentEnv: {}, natsUrls: [], agentBlobstores: [], shortLivedBootstrapCredentials: true, cpiResizesDisks: false, cpiUpdatesDisks: false, snapshots: false,
    },
  };
}

/** A deployment `dep` with one instance at 10.0.1.11, and a VM made by task `taskId`. */
async function recorded(cloud: FakeCloud, vm: { taskId: number; settled: boolean }): Promise<{ deploymentId: number; instanceId: number; vmId: number; cid: string }> {
  return store.connections.db.transaction(async (tx) => {
    const [deployment] = await tx.insert(t.deployments).values({ name: 'dep', canonicalName: 'dep' }).returning();
    const deploymentId = deployment?.id ?? 0;
    const [instance] = await tx.insert(t.instances).values({ uuid: randomUUID(), deploymentId, job: 'web', index: 0 }).returning();
    const instanceId = instance?.id ?? 0;
    await reserveAddresses(tx, [{ address: '10.0.1.11/32', networkName: 'private', static: false, instanceId }], vm.taskId);
    const agentId = randomUUID();
    const vmId = await createVmIntent(tx, { instanceId, agentId, cpi: '', az: null, networks: {}, stemcellApiVersion: 3, taskId: vm.taskId, epoch: 1 });
    await completeVm(tx, vmId, `cid-${agentId}`);
    if (vm.settled) await tx.update(t.vms).set({ permanentNatsCredentials: true }).where(eq(t.vms.id, vmId));
    cloud.vms.add(`cid-${agentId}`);
    return { deploymentId, instanceId, vmId, cid: `cid-${agentId}` };
  });
}

async function taken(): Promise<string[]> {
  return (await listTakenAddresses(store.connections.db)).map((row) => row.address);
}

describe('an abandoned VM', () => {
  it('keeps its address from everybody else until it is gone', async () => {
    const { db } = store.connections;
    const { deploymentId, instanceId, vmId } = await recorded(fakeCloud(), { taskId: 1, settled: true });
    await db.transaction((tx) => abandonVm(tx, vmId));
    await db.transaction((tx) => releaseUnusedAddresses(tx, deploymentId));
    expect(await taken()).toEqual(['10.0.1.11/32']);
    await db.transaction((tx) => deleteInstanceRecord(tx, instanceId));
    expect(await taken()).toEqual(['10.0.1.11/32']);
    await db.transaction((tx) => deleteVmRecord(tx, vmId));
    expect(await taken()).toEqual([]);
  });

  it('that the cloud does not delete is reported once in a while, not all the time', async () => {
    const cloud = fakeCloud();
    const { vmId } = await recorded(cloud, { taskId: 1, settled: true });
    await store.connections.db.transaction((tx) => abandonVm(tx, vmId));
    cloud.refusesDeletion = new CpiError('Unknown', 'no');
    const sweeper = { ...createSweeper(store.connections.db), intervalMs: 20 };
    nodes.push(await startTestNode({ store, name: 'A', perform: (ctx) => sweepAbandonedVms(ctx, depsOf(cloud)), components: [sweeper] }));
    const sweeps = async () => (await store.connections.db.execute<{ state: string }>(sql`SELECT state FROM tasks WHERE type = ${sweepType}`)).rows.map((row) => row.state);
    await expect.poll(sweeps, { timeout: 10_000 }).toEqual(['done']);
    await new Promise((resolve) => setTimeout(resolve, 500));
    expect(await sweeps()).toEqual(['done']);
  });
});

describe('a creation that finds its address held by a VM of a lost attempt', () => {
  const order = { label: 'web/1 (0)', deployment: 'dep', group: 'web', az: null, cpi: '', stemcell: { cid: 'stemcell', apiVersion: 3 }, cloudProperties: {}, networks: {}, env: {}, tags: {}, metadata: { name: 'web/1' }, variables: noVariables };

  it('is tried again also when somebody else deletes that VM meanwhile', async () => {
    const { db } = store.connections;
    const cloud = fakeCloud();
    const { instanceId, vmId } = await recorded(cloud, { taskId: 1, settled: true });
    await db.transaction((tx) => abandonVm(tx, vmId));
    let calls = 0;
    const contested: VmCalls = {
      ...cloud,
      createVm: async (caller, vm) => {
        if (++calls > 1) return cloud.createVm(caller, vm);
        await db.transaction((tx) => deleteVmRecord(tx, vmId));
        throw new CpiError('VMCreationFailed', 'Address 10.0.1.11 is in use');
      },
    };
    const { result, error } = await testTask(db).attempt(async (ctx) => (await createVm(ctx, depsOf(contested), { ...order, instanceId })).cid);
    expect(error).toBeUndefined();
    expect(calls).toBe(2);
    expect(cloud.vms.has(result ?? '')).toBe(true);
  });

  it('looks at a leftover once for all creations that failed meanwhile', async () => {
    const { db } = store.connections;
    const cloud = fakeCloud();
    const { instanceId, vmId } = await recorded(cloud, { taskId: 1, settled: true });
    await db.transaction((tx) => abandonVm(tx, vmId));
    let deletions = 0;
    const full: VmCalls = {
      ...cloud,
      createVm: () => Promise.reject(new CpiError('VMCreationFailed', 'Address 10.0.1.11 is in use')),
      deleteVm: async (caller, cid) => {
        if (cloud.vms.has(cid)) deletions++;
        await new Promise((resolve) => setTimeout(resolve, 1_500));
        throw new CpiError('Unknown', 'no');
      },
    };
    const { error } = await testTask(db).attempt(async (ctx) => {
      const made = await Promise.allSettled(Array.from({ length: 6 }, () => createVm(ctx, depsOf(full), { ...order, instanceId })));
      return made.map(({ status }) => status).join(' ');
    });
    expect(error).toBeUndefined();
    expect(deletions).toBeLessThanOrEqual(2);
  });

  it('fails at once when no such VM was there', async () => {
    const cloud = fakeCloud();
    const { instanceId } = await recorded(cloud, { taskId: 1, settled: true });
    let calls = 0;
    const full: VmCalls = {
      ...cloud,
      createVm: async () => {
        calls++;
        throw new CpiError('VMCreationFailed', 'there is no room');
      },
    };
    const { error } = await testTask(store.connections.db).attempt(async (ctx) => (await createVm(ctx, depsOf(full), { ...order, instanceId })).cid);
    expect(String(error)).toContain('there is no room');
    expect(calls).toBe(1);
  });
});

describe('a deployment deleted by force', () => {
  it('goes although the cloud refuses, and its VM is deleted later', async () => {
    const cloud = fakeCloud();
    await recorded(cloud, { taskId: 1, settled: true });
    cloud.refusesDeletion = new CpiError('Unknown', 'no');
    const task = testTask(store.connections.db);
    const deps = depsOf(cloud);
    expect((await task.attempt(async (ctx) => deleteDeployment(ctx, deps, { deployment: 'dep', force: true }).then(() => 'gone'))).result).toBe('gone');
    expect(await listAbandonedVms(store.connections.db)).toHaveLength(1);
    cloud.refusesDeletion = undefined;
    await testTask(store.connections.db).attempt((ctx) => sweepAbandonedVms(ctx, deps));
    expect([...cloud.vms, ...(await listAbandonedVms(store.connections.db)), ...(await taken())]).toEqual([]);
  });
});

describe('a VM whose owner died before its agent was heard of', () => {
  it.each([
    { what: 'is kept when the agent answers', silence: undefined, left: 1 },
    { what: 'is deleted when it does not', silence: new Error('Timed out pinging'), left: 0 },
  ])('$what', async ({ silence, left }) => {
    const ready = async () => {
      if (silence) throw silence;
    };
    const cloud = fakeCloud();
    const { deploymentId } = await recorded(cloud, { taskId: 1_000_000, settled: false });
    const task = testTask(store.connections.db);
    const { error } = await task.attempt((ctx) => resolveUnfinishedVms(ctx, depsOf(cloud, fakeAgents({ ready })), deploymentId).then(() => ''));
    expect(error).toBeUndefined();
    expect([cloud.vms.size, (await listRecordedInstances(store.connections.db, deploymentId))[0]?.vms.length]).toEqual([left, left]);
  });
});

describe('the deletion of an instance', () => {
  it('leaves no blob behind, wherever it dies', async () => {
    for (let dieAt = 1, died = true; died; dieAt++) {
      const cloud = fakeCloud();
      const { deploymentId, instanceId } = await recorded(cloud, { taskId: 1, settled: true });
      const blob = await store.blobstore.put(Buffer.from('templates'));
      await store.connections.db.insert(t.renderedTemplatesArchives).values({ instanceId, blobstoreId: blob.id, sha1: blob.sha1, contentSha1: 'content' });
      const task = testTask(store.connections.db);
      const remove = (fate?: Fate): Promise<Attempt> =>
        task.attempt(async (ctx, mortal): Promise<string> => {
          const deletions = (await listRecordedInstances(store.connections.db, deploymentId)).map((one) => ({ ...one, skipDrain: false }));
          const deps = { ...depsOf(cloud), blobstore: mortalBlobstore(store.blobstore, mortal) };
          await deleteInstances(ctx, deps, ctx.stages.stage('Deleting', 1), { deletions, options: { intent: { vm: 'delete', instance: 'delete', deployment: 'keep' }, maxInFlight: 1 } });
          return '';
        }, fate);
      ({ died } = await remove({ dieAt, how: 'killed' }));
      await remove();
      expect([await store.blobstore.exists(blob.id), cloud.vms.size, await taken()]).toEqual([false, 0, []]);
      await store.connections.db.delete(t.deployments);
    }
  });
});

describe('compilation', () => {
  async function compileWith(compile: () => Promise<never>, cloud: FakeCloud, cloudConfig = cloudYaml): Promise<unknown> {
    const [deployment] = await store.connections.db.insert(t.deployments).values({ name: 'dep', canonicalName: 'dep' }).returning();
    const plan = buildPlan(planInput({ cloud: cloudConfig }));
    const { error } = await testTask(store.connections.db).attempt((ctx) =>
      compilePackages(ctx, depsOf(cloud, fakeAgents({ ready: async () => undefined, compile })), plan, { deploymentId: deployment?.id ?? 0, variables: noVariables }).then(() => ''));
    return error;
  }

  it('of an attempt that hands its task over goes on in its VMs', async () => {
    const cloud = fakeCloud();
    const error = await compileWith(() => Promise.reject(new TaskLost(1, 1)), cloud);
    expect(error).toBeInstanceOf(TaskLost);
    expect((await store.connections.db.select().from(t.vms)).map((vm) => vm.state)).toEqual(['created']);
    expect(cloud.vms.size).toBe(1);
  });

  it('leaves its VMs to the clean-up where they are to be orphaned, with their addresses', async () => {
    const cloud = fakeCloud();
    const cloudConfig = edit(cloudYaml, ['vm_type: large, reuse_compilation_vms: true', 'vm_resources: {cpu: 3, ram: 1, ephemeral_disk_size: 1}, orphan_workers: true']);
    cloud.refusesDeletion = new CpiError('Unknown', 'nobody is to delete it now');
    expect(String(await compileWith(() => Promise.reject(new Error('packaging exits 1')), cloud, cloudConfig))).toContain('packaging exits 1');
    const { db } = store.connections;
    expect(cloud.asked).toEqual([{ zone: 'one', shared: 'az', instance_type: 'c3' }]);
    const [orphan, ...others] = await db.select().from(t.orphanedVms);
    expect(others).toEqual([]);
    expect(orphan).toMatchObject({ cid: [...cloud.vms][0], deploymentName: 'dep', instanceName: expect.stringMatching(/^compilation-/), az: 'z1', cpi: '' });
    expect([await db.select().from(t.vms), await db.select().from(t.instances)]).toEqual([[], []]);
    expect(await db.select({ orphan: t.ipAddresses.orphanedVmId, vm: t.ipAddresses.vmId }).from(t.ipAddresses)).toEqual([{ orphan: orphan?.id, vm: null }]);
  });

  it('that fails tells why, also when its VMs cannot be deleted', async () => {
    const cloud = fakeCloud();
    cloud.refusesDeletion = new CpiError('Unknown', 'no deletion today');
    expect(String(await compileWith(() => Promise.reject(new Error('packaging exits 1')), cloud))).toContain('packaging exits 1');
  });
});
