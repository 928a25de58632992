import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import * as t from '../../db/schema';
import { listPossibleLeaks } from '../../server/disks/leak-store';
import { listDisks, listSnapshots } from '../../server/disks/store';
import { attachDiskTask } from '../../server/task-types/attach-disk';
import { cleanUp, selectForCleanUp } from '../../server/task-types/cleanup';
import { deleteOrphanDisks, orphanDisk, scheduledOrphanedDiskCleanup } from '../../server/task-types/orphan-disks';
import { createSnapshot, deleteDeploymentSnapshots, deleteSnapshot, snapshotDeployment } from '../../server/task-types/snapshots';
import { testStore, type TestStore } from '../support/director-parts';
import { diskDeps, diskWorld, machineOf, type DiskWorld } from '../support/fake-disks';
import { startRestServer, type RestServer } from '../support/rest-server';
import { testTask, type Fate, type TestTask } from '../support/task-context';

/** Disks and snapshots as operators ask for them: the requests and their tasks. */

let store: TestStore;
let server: RestServer;
const db = () => store.connections.db;

beforeAll(async () => {
  store = await testStore();
  server = await startRestServer(store);
});
afterEach(async () => {
  for (const table of [t.persistentDisks, t.orphanDisks, t.possibleLeaks, t.vms, t.instances, t.deployments, t.events, t.acceptedRequests, t.tasks]) await db().delete(table);
});
afterAll(async () => {
  await server.close();
  await store.close();
});

const captured = (name: string): unknown => JSON.parse(z.object({ response: z.object({ body: z.string() }) }).parse(JSON.parse(readFileSync(`tests/fixtures/http/${name}.json`, 'utf8'))).response.body);

interface Scene {
  world: DiskWorld;
  instanceId: number;
  uuid: string;
}

/** A stopped instance `db/0` of deployment `lab` with a VM and a mounted disk `old`, and a disk `spare` that only the cloud knows. */
async function scene(state: 'started' | 'stopped' | 'detached' = 'stopped'): Promise<Scene> {
  const uuid = randomUUID();
  const world = diskWorld();
  const agentId = randomUUID();
  const [deployment] = await db().insert(t.deployments).values({ name: 'lab', canonicalName: 'lab' }).returning();
  const [instance] = await db().insert(t.instances).values({ uuid, deploymentId: deployment?.id ?? 0, job: 'db', index: 0, az: 'z1', state }).returning();
  const instanceId = instance?.id ?? 0;
  const [vm] = state === 'detached' ? [] : await db().insert(t.vms).values({ instanceId, agentId, cid: agentId, state: 'created', active: true }).returning();
  await db().insert(t.persistentDisks).values({ instanceId, cid: 'old', size: 10, cloudProperties: { type: 'ssd' }, state: 'created', active: true, vmId: vm?.id ?? null, attached: vm !== undefined });
  const disk = { size: 10, type: '', data: '', metadata: {} };
  world.disks.set('old', { ...disk, at: vm?.cid ?? undefined }).set('spare', { ...disk, at: undefined });
  if (vm) Object.assign(machineOf(world, agentId), { store: 'old', known: new Set(['old']) });
  return { world, instanceId, uuid };
}

const taskOf = async () => (await db().select().from(t.tasks)).map(({ type, description, payload, deployment }) => ({ type, description, payload, deployment }));

describe('requests', () => {
  it('list orphans as the Ruby director does', async () => {
    const [orphan] = z.array(z.looseObject({ disk_cid: z.string(), size: z.number(), az: z.string(), deployment_name: z.string(), instance_name: z.string(), cloud_properties: z.record(z.string(), z.unknown()), orphaned_at: z.string() })).parse(captured('orphan-disks-list.01.GET.orphan-disks'));
    if (!orphan) throw new Error('nothing captured');
    await db().insert(t.orphanDisks).values({ cid: orphan.disk_cid, size: orphan.size, az: orphan.az, deploymentName: orphan.deployment_name, instanceName: orphan.instance_name, cloudProperties: orphan.cloud_properties, orphanedAt: new Date(orphan.orphaned_at) });
    expect((await server.call('GET', '/disks')).json).toEqual([orphan]);
    expect((await server.call('GET', '/orphan_disks')).json).toEqual([orphan]);
  });

  it('to delete the disk of an instance are refused', async () => {
    const name = 'delete-disk-attached.01.DELETE.disks-9b7248c382be542e2b77f6f5cade45a3';
    const { instanceId } = await scene();
    await db().update(t.persistentDisks).set({ cid: '9b7248c382be542e2b77f6f5cade45a3' });
    const answer = await server.call('DELETE', '/disks/9b7248c382be542e2b77f6f5cade45a3');
    expect([answer.status, answer.json]).toEqual([400, captured(name)]);
    expect((await server.call('GET', `/deployments/lab/jobs/db/0`)).json).toMatchObject({ disks: ['9b7248c382be542e2b77f6f5cade45a3'] });
    expect(await listDisks(db(), instanceId)).toHaveLength(1);
  });

  it.each([
    ['DELETE', '/disks/a%2Fb', { type: 'delete_orphan_disks', description: 'delete orphan disks', payload: { diskCids: ['a/b'] }, deployment: null }],
    ['DELETE', '/orphan_disks/a', { type: 'delete_orphan_disks', description: 'delete orphan disks', payload: { diskCids: ['a'] }, deployment: null }],
    ['DELETE', '/disks/a?orphan=true', { type: 'orphan_disk', description: 'orphan disk', payload: { diskCid: 'a' }, deployment: null }],
    ['PUT', '/disks/a/attachments?deployment=lab&job=db&instance_id=u&disk_properties=copy', { type: 'attach_disk', description: "attach disk 'a' to 'db/u'", payload: { deployment: 'lab', group: 'db', instance: 'u', diskCid: 'a', copyProperties: true }, deployment: 'lab' }],
    ['POST', '/deployments/lab/snapshots', { type: 'snapshot_deployment', description: 'snapshot deployment', payload: { deployment: 'lab' }, deployment: 'lab' }],
    ['DELETE', '/deployments/lab/snapshots', { type: 'delete_deployment_snapshots', description: 'delete deployment snapshots', payload: { deployment: 'lab' }, deployment: 'lab' }],
  ])('%s %s becomes a task', async (method, path, expected) => {
    await scene();
    expect((await server.call(method, path)).status).toBe(303);
    expect(await taskOf()).toEqual([expected]);
  });

  it('about snapshots know only those of the deployment', async () => {
    const { instanceId, uuid } = await scene();
    const [disk] = await listDisks(db(), instanceId);
    await db().insert(t.snapshots).values({ diskId: disk?.id ?? 0, cid: 'snap', clean: true, createdAt: new Date('2026-01-02T03:04:05Z') });
    const expected = [{ job: 'db', index: 0, uuid, snapshot_cid: 'snap', created_at: '2026-01-02 03:04:05 UTC', clean: true }];
    expect((await server.call('GET', '/deployments/lab/snapshots')).json).toEqual(expected);
    expect((await server.call('GET', '/deployments/lab/jobs/db/0/snapshots')).json).toEqual(expected);
    expect(await server.call('DELETE', '/deployments/lab/snapshots/other')).toMatchObject({ status: 400, json: { code: 70008, description: 'snapshot other not found' } });
    expect((await server.call('DELETE', '/deployments/lab/snapshots/snap')).status).toBe(303);
    expect((await server.call('POST', '/deployments/lab/jobs/db/0/snapshots')).status).toBe(303);
    expect((await taskOf()).map(({ type, payload }) => [type, payload])).toEqual([['delete_snapshot', { deployment: 'lab', snapshotCids: ['snap'] }], ['create_snapshot', { deployment: 'lab', instanceId }]]);
  });
});

const attach = ({ world, uuid }: Scene, task: TestTask, options: { cid?: string; copyProperties?: boolean; fate?: Fate } = {}) =>
  task.attempt((ctx, points) => attachDiskTask.perform(ctx, diskDeps(store, world, points), { deployment: 'lab', group: 'db', instance: uuid, diskCid: options.cid ?? 'spare', copyProperties: options.copyProperties ?? false }), options.fate);

describe('attaching a disk', () => {
  it('to a stopped instance replaces its disk, wherever the node dies', async () => {
    for (let dieAt = 1, died = true; died; dieAt++) {
      const made = await scene();
      const task = testTask(db());
      ({ died } = await attach(made, task, { fate: { dieAt, how: 'killed' } }));
      expect((await attach(made, task)).result, `point ${dieAt}`).toBe(`attached disk 'spare' to 'db/${made.uuid}' in deployment 'lab'`);
      expect(await listDisks(db(), made.instanceId)).toMatchObject([{ cid: 'spare', size: 1, active: true, attached: true }]);
      expect(await db().select().from(t.orphanDisks)).toMatchObject([{ cid: 'old' }]);
      const [machine] = [...made.world.machines.values()];
      expect([machine?.store, machine?.target, made.world.disks.get('old')?.at]).toEqual(['spare', undefined, undefined]);
      for (const table of [t.persistentDisks, t.orphanDisks, t.vms, t.instances, t.deployments]) await db().delete(table);
    }
  });

  it('to a detached instance only notes it, with the properties of the old one when they are copied', async () => {
    const made = await scene('detached');
    expect((await attach(made, testTask(db()), { copyProperties: true })).error).toBeUndefined();
    expect(await listDisks(db(), made.instanceId)).toMatchObject([{ cid: 'spare', size: 10, cloudProperties: { type: 'ssd' }, vmId: null }]);
    expect(made.world.calls).toEqual([]);
  });

  it('takes an orphan back with its snapshots, unless it is being deleted', async () => {
    const made = await scene('detached');
    const [orphan] = await db().insert(t.orphanDisks).values({ cid: 'spare', size: 7, deploymentName: 'lab', instanceName: 'db/x', cloudProperties: { kind: 'slow' } }).returning();
    await db().insert(t.orphanSnapshots).values({ orphanDiskId: orphan?.id ?? 0, cid: 'snap', clean: true, snapshotCreatedAt: new Date() });
    expect((await attach(made, testTask(db()))).error).toBeUndefined();
    expect(await listDisks(db(), made.instanceId)).toMatchObject([{ cid: 'spare', size: 7, cloudProperties: { kind: 'slow' } }]);
    expect((await listSnapshots(db(), { instanceId: made.instanceId })).map((one) => one.cid)).toEqual(['snap']);
    await db().update(t.orphanDisks).set({ deleting: true });
    expect(String((await attach(made, testTask(db()), { cid: 'old' })).error)).toContain('is being deleted');
  });

  it.each([
    ['started', 520003, /must be in 'bosh stopped' state$/],
    ['ignored', 520003, /is in 'ignore' state. Attaching disks to ignored instances is not allowed\.$/],
    ['unknown', 520001, /^Instance 'db\/.*' in deployment 'lab' was not found$/],
  ])('to an instance that is %s is refused', async (what, errorCode, message) => {
    const made = await scene(what === 'started' ? 'started' : 'stopped');
    if (what === 'ignored') await db().update(t.instances).set({ ignore: true });
    expect((await attach({ ...made, uuid: what === 'unknown' ? randomUUID() : made.uuid }, testTask(db()))).error).toMatchObject({ code: errorCode, message: expect.stringMatching(message) });
  });
});

describe('orphans', () => {
  const seed = (cid: string, daysAgo = 0) => db().insert(t.orphanDisks).values({ cid, size: 1, deploymentName: 'lab', instanceName: 'db/x', orphanedAt: new Date(Date.now() - daysAgo * 86_400_000) }).returning();
  const orphans = async () => (await db().select().from(t.orphanDisks)).map((one) => one.cid);

  it('are deleted with their snapshots, wherever the node dies', async () => {
    for (let dieAt = 1, died = true; died; dieAt++) {
      const { world } = await scene();
      const [orphan] = await seed('spare');
      await db().insert(t.orphanSnapshots).values({ orphanDiskId: orphan?.id ?? 0, cid: 'snap', clean: true, snapshotCreatedAt: new Date() });
      world.snapshots.set('snap', '');
      const task = testTask(db());
      const remove = (fate?: Fate) => task.attempt((ctx, points) => deleteOrphanDisks.perform(ctx, diskDeps(store, world, points), { diskCids: ['spare', 'nothing'] }), fate);
      ({ died } = await remove({ dieAt, how: 'killed' }));
      expect((await remove()).result).toBe('orphaned disk(s) spare, nothing deleted');
      expect([[...world.disks.keys()], world.snapshots.size, await orphans()]).toEqual([['old'], 0, []]);
      for (const table of [t.persistentDisks, t.vms, t.instances, t.deployments]) await db().delete(table);
    }
  });

  it('that are old go by themselves; one that the cloud does not delete stays', async () => {
    const { world } = await scene();
    for (const [cid, days] of [['spare', 6], ['old-2', 6], ['new', 1]] as const) await seed(cid, days);
    world.disks.set('old-2', { size: 1, type: '', at: 'some-vm', data: '', metadata: {} });
    const { error } = await testTask(db()).attempt((ctx, points) => scheduledOrphanedDiskCleanup.perform(ctx, diskDeps(store, world, points), { max_orphaned_age_in_days: 5 }));
    expect(String(error)).toMatch(/Deleted 1 orphaned disk\(s\) older than .* Failed to delete 1 disk\(s\)\.$/);
    expect((await orphans()).toSorted()).toEqual(['new', 'old-2']);
  });

  it('go with a clean-up of everything, unless they are to be kept', async () => {
    const { world } = await scene();
    await seed('spare');
    const order = (keepOrphanedDisks: boolean) => testTask(db()).attempt((ctx, points) =>
      cleanUp.perform(ctx, { ...diskDeps(store, world, points), maxThreads: 1, deleteImage: async () => undefined, vmCalls: () => ({ deleteVm: async () => undefined }) }, { removeAll: true, keepOrphanedDisks }));
    expect((await selectForCleanUp(db(), { removeAll: true, keepOrphanedDisks: false })).orphanDisks.map((one) => one.cid)).toEqual(['spare']);
    expect((await order(true)).result).toContain('0 orphaned disk(s)');
    expect((await order(false)).result).toContain('1 orphaned disk(s)');
    expect(await orphans()).toEqual([]);
  });

  it('are made of disks that operators name', async () => {
    const { world } = await scene('detached');
    const orphan = (task: TestTask, diskCid: string) => task.attempt((ctx, points) => orphanDisk.perform(ctx, diskDeps(store, world, points), { diskCid }));
    expect((await orphan(testTask(db()), 'old')).result).toBe('disk old orphaned');
    expect(await orphans()).toEqual(['old']);
    const task = testTask(db());
    await orphan(task, 'nothing');
    expect(task.events().find((line) => line.type === 'warning')?.message).toBe('Disk nothing does not exist. Orphaning is skipped');
  });
});

describe('snapshots', () => {
  it('are made and deleted by tasks', async () => {
    const { world, instanceId } = await scene('started');
    const run = <P>(type: { perform(ctx: Parameters<typeof createSnapshot.perform>[0], deps: ReturnType<typeof diskDeps>, payload: P): Promise<string> }, payload: P) =>
      testTask(db()).attempt((ctx, points) => type.perform(ctx, diskDeps(store, world, points), payload));
    expect((await run(createSnapshot, { deployment: 'lab', instanceId })).result).toBe('snapshot(s) snapshot-1 created');
    expect((await run(snapshotDeployment, { deployment: 'lab' })).result).toBe("snapshots of deployment 'lab' created");
    expect((await listSnapshots(db(), { instanceId })).map(({ cid, clean }) => [cid, clean])).toEqual([['snapshot-1', false], ['snapshot-2', false]]);
    expect((await run(deleteSnapshot, { deployment: 'lab', snapshotCids: ['snapshot-1'] })).result).toBe('snapshot(s) snapshot-1 deleted');
    expect((await run(deleteDeploymentSnapshots, { deployment: 'lab' })).result).toBe("snapshots of deployment 'lab' deleted");
    expect([world.snapshots.size, await listSnapshots(db(), { instanceId }), await listPossibleLeaks(db())]).toEqual([0, [], []]);
  });
});
