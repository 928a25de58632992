import { randomUUID } from 'node:crypto';
import { eq } from 'drizzle-orm';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import * as t from '../../db/schema';
import { convergeDisks, updateDetachedDisks } from '../../server/deploy/converge-disks';
import { deleteInstances } from '../../server/deploy/delete-instance';
import { detachInstanceDisks, noteLostDisks, type DiskOwner, type DiskVm } from '../../server/deploy/disk-steps';
import type { DeployDeps } from '../../server/deploy/ports';
import { takeSnapshots } from '../../server/deploy/snapshots';
import { completeVm, createVmIntent, listRecordedInstances } from '../../server/deploy/store';
import { listPossibleLeaks } from '../../server/disks/leak-store';
import { listDiskAssociations, listDisks, listSnapshots } from '../../server/disks/store';
import type { PlannedDisk } from '../../server/plan/disks';
import type { TaskContext } from '../../server/tasks/context';
import { testStore, type TestStore } from '../support/director-parts';
import { diskDeps, diskWorld, machineOf, type DiskWorld } from '../support/fake-disks';
import { testTask, type Attempt, type Fate, type Points, type TestTask } from '../support/task-context';
import { noVariables } from '../support/no-variables';

/** Persistent disks on a real database, with a cloud and an agent that keep what is written on disks. */

let store: TestStore;

beforeAll(async () => {
  store = await testStore();
});
afterEach(() => forgetEverything());
afterAll(() => store.close());

/** Faster than TRUNCATE, which these tests would do hundreds of times. */
async function forgetEverything(): Promise<void> {
  for (const table of [t.persistentDisks, t.orphanDisks, t.possibleLeaks, t.vms, t.instances, t.deployments, t.events]) await store.connections.db.delete(table);
}

interface Scene {
  world: DiskWorld;
  deploymentId: number;
  owner: DiskOwner;
  vm: DiskVm;
}

async function scene(): Promise<Scene> {
  const uuid = randomUUID();
  return store.connections.db.transaction(async (tx) => {
    const [deployment] = await tx.insert(t.deployments).values({ name: 'dep', canonicalName: 'dep' }).returning();
    const deploymentId = deployment?.id ?? 0;
    const [instance] = await tx.insert(t.instances).values({ uuid, deploymentId, job: 'db', index: 0, az: 'z1' }).returning();
    const instanceId = instance?.id ?? 0;
    return { world: diskWorld(), deploymentId, owner: { instanceId, deployment: 'dep', group: 'db', uuid, index: 0, tags: { team: 'a' }, variables: noVariables }, vm: await newVm(instanceId) };
  });

  async function newVm(instanceId: number): Promise<DiskVm> {
    const agentId = randomUUID();
    return { vmId: instanceId, cid: agentId, agent: { id: agentId, name: `db/${uuid} (0)` }, apiVersion: 3 };
  }
}

/** Records the scene's VM; its cid is its agent's id. */
async function withVm(made: Scene): Promise<Scene> {
  const { db } = store.connections;
  const vmId = await db.transaction(async (tx) => {
    const id = await createVmIntent(tx, { instanceId: made.owner.instanceId, agentId: made.vm.agent.id, cpi: '', az: 'z1', networks: {}, stemcellApiVersion: 3, taskId: 1_000_000, epoch: 1 });
    await completeVm(tx, id, made.vm.cid);
    return id;
  });
  return { ...made, vm: { ...made.vm, vmId } };
}

const prepared = async () => withVm(await scene());

const depsOf = ({ world }: Scene, points: Points, settings: Partial<DeployDeps['settings']> = {}): DeployDeps => diskDeps(store, world, points, settings);

const managed = (size: number, type?: string): PlannedDisk => ({ name: '', size, cloudProperties: type === undefined ? {} : { type }, type: 't' });
const named = (name: string): PlannedDisk => ({ name, size: 5, cloudProperties: {}, type: 't' });

interface Wish {
  desired: readonly PlannedDisk[];
  recreate?: boolean;
  settings?: Partial<DeployDeps['settings']>;
}

/** One attempt of a deploy, as far as disks are concerned. */
function converge(made: Scene, task: TestTask, wish: Wish, fate?: Fate): Promise<Attempt> {
  return task.attempt(async (ctx, points) => {
    const deps = depsOf(made, points, wish.settings);
    await noteLostDisks(ctx, deps);
    await convergeDisks(ctx, deps, { ...made, desired: wish.desired, recreate: wish.recreate ?? false, cpi: '' });
    return 'done';
  }, fate);
}

async function deployed(made: Scene, wish: Wish): Promise<void> {
  const { error } = await converge(made, testTask(store.connections.db), wish);
  if (error) throw error;
}

async function everyDisk(): Promise<{ active: string[]; inactive: number; orphans: string[]; leaks: number }> {
  const { db } = store.connections;
  const rows = await db.select().from(t.persistentDisks);
  return {
    active: rows.flatMap((row) => (row.active && row.cid !== null ? [row.cid] : [])), inactive: rows.filter((row) => !row.active).length,
    orphans: (await db.select().from(t.orphanDisks)).map((row) => row.cid), leaks: (await listPossibleLeaks(db)).length,
  };
}

/** What must be true after every deploy that has succeeded. */
async function check(made: Scene, data: string): Promise<void> {
  const { world, vm } = made;
  const { active, inactive, orphans, leaks } = await everyDisk();
  const [cid = ''] = active;
  const machine = machineOf(world, vm.cid);
  expect({ active: active.length, inactive, data: world.disks.get(cid)?.data, at: world.disks.get(cid)?.at }).toEqual({ active: 1, inactive: 0, data, at: vm.cid });
  expect({ store: machine.store, target: machine.target, known: [...machine.known] }).toEqual({ store: cid, target: undefined, known: [cid] });
  const unknown = [...world.disks.keys()].filter((one) => one !== cid && !orphans.includes(one));
  expect(unknown.length).toBeLessThanOrEqual(leaks);
  for (const orphan of orphans) expect(world.disks.get(orphan)?.at).toBeUndefined();
}

describe('a first disk', () => {
  it('is made, attached, mounted and told of', async () => {
    const made = await prepared();
    await deployed(made, { desired: [managed(10, 'ssd')] });
    await check(made, '');
    const [disk] = [...made.world.disks.values()];
    expect(disk).toMatchObject({ size: 10, type: 'ssd', metadata: { team: 'a', director: 'director', deployment: 'dep', instance_group: 'db', instance_index: '0', instance_id: made.owner.uuid } });
    expect(machineOf(made.world, made.vm.cid).asked).toEqual(['add_persistent_disk', 'mount_disk']);
    expect((await store.connections.db.select().from(t.events).orderBy(t.events.id)).map((event) => [event.action, event.objectType, event.objectName])).toEqual([['create', 'disk', null], ['create', 'disk', 'disk-1']]);
  });

  it('is made again and noted as a possible leak when its maker dies before it is recorded', async () => {
    let made = await prepared();
    let task = testTask(store.connections.db);
    for (let dieAt = 1; made.world.disks.size === 0; dieAt++) {
      await forgetEverything();
      [made, task] = [await prepared(), testTask(store.connections.db)];
      await converge(made, task, { desired: [managed(10)] }, { dieAt, how: 'killed' });
    }
    expect((await converge(made, task, { desired: [managed(10)] })).result).toBe('done');
    expect(await listPossibleLeaks(store.connections.db)).toMatchObject([{ kind: 'disk', deploymentName: 'dep', instanceName: `db/${made.owner.uuid}`, size: 10 }]);
    expect(task.events().filter((line) => line.type === 'warning')).toHaveLength(1);
    await check(made, '');
  });
});

const migrations: [how: Fate['how'], what: string, wish: Wish][] = [
  ['killed', 'a larger disk', { desired: [managed(20)] }],
  ['lost', 'a larger disk', { desired: [managed(20)] }],
  ['killed', 'a smaller disk of another type', { desired: [managed(5, 'ssd')] }],
  ['killed', 'a disk recreated', { desired: [managed(10)], recreate: true }],
  ['killed', 'a disk resized by the cloud', { desired: [managed(20)], settings: { cpiResizesDisks: true } }],
  ['killed', 'a disk changed by the cloud', { desired: [managed(20, 'ssd')], settings: { cpiUpdatesDisks: true } }],
];

describe('data moves to another disk, wherever the node dies', () => {
  it.each(migrations)('(%s) %s', async (how, _what, wish) => {
    for (let dieAt = 1, died = true; died; dieAt++) {
      const made = await prepared();
      made.world.updates = 'in place';
      await deployed(made, { desired: [managed(10)] });
      for (const disk of made.world.disks.values()) disk.data = 'precious';
      const task = testTask(store.connections.db);
      ({ died } = await converge(made, task, wish, { dieAt, how }));
      const after = await converge(made, task, wish);
      expect(after.error, `point ${dieAt}`).toBeUndefined();
      await check(made, 'precious');
      const { active: [cid = ''], orphans, leaks } = await everyDisk();
      expect(made.world.disks.get(cid)).toMatchObject({ size: wish.desired[0]?.size });
      expect(`${orphans.length} orphans, ${leaks} leaks`).toMatch(/^[01] orphans, [01] leaks$/);
      await forgetEverything();
    }
  }, 150_000);

  it('and another deploy that wants the old disk goes on with it', async () => {
    for (let dieAt = 1, died = true; died; dieAt++) {
      const made = await prepared();
      await deployed(made, { desired: [managed(10)] });
      for (const disk of made.world.disks.values()) disk.data = 'precious';
      ({ died } = await converge(made, testTask(store.connections.db), { desired: [managed(20)] }, { dieAt, how: 'killed' }));
      await deployed(made, { desired: [managed(10)] });
      await check(made, 'precious');
      await forgetEverything();
    }
  });
});

describe('a cloud that does not do as asked', () => {
  it.each([['resize', { cpiResizesDisks: true }], ['update', { cpiUpdatesDisks: true }]])('leaves a %s to copying', async (_what, settings) => {
    const made = await prepared();
    made.world.canResize = false;
    await deployed(made, { desired: [managed(10)] });
    for (const disk of made.world.disks.values()) disk.data = 'precious';
    await deployed(made, { desired: [managed(20)], settings });
    await check(made, 'precious');
    expect((await everyDisk()).orphans).toEqual(['disk-1']);
  });

  it('and gives a changed disk another cid is believed', async () => {
    const made = await prepared();
    made.world.updates = 'as another disk';
    await deployed(made, { desired: [managed(10)] });
    await deployed(made, { desired: [managed(20)], settings: { cpiUpdatesDisks: true } });
    await check(made, '');
    expect(await everyDisk()).toMatchObject({ active: ['disk-2'], orphans: [] });
  });

  it('and gives it another cid that nobody heard stops every deploy until an operator has found the disk', async () => {
    const made = await prepared();
    made.world.updates = 'as another disk';
    await deployed(made, { desired: [managed(10)] });
    const wish = { desired: [managed(20)], settings: { cpiUpdatesDisks: true } };
    const task = testTask(store.connections.db);
    for (let dieAt = 1; !made.world.disks.has('disk-2'); dieAt++) await converge(made, task, wish, { dieAt, how: 'killed' });
    expect((await converge(made, task, wish)).error).toMatchObject({ code: 390002, message: expect.stringContaining("'disk-1'") });
  });

  it('says that a disk is not attached: 390001', async () => {
    const made = await prepared();
    await deployed(made, { desired: [managed(10)] });
    for (const disk of made.world.disks.values()) disk.at = undefined;
    const detach = () => testTask(store.connections.db).attempt((ctx, points) => detachInstanceDisks(ctx, depsOf(made, points), made).then(() => ''));
    expect((await detach()).error).toMatchObject({ code: 390001, message: `'db/${made.owner.uuid} (0)' VM should have persistent disk 'disk-1' attached but it doesn't (according to CPI)` });
  });
});

describe('an agent', () => {
  it('that has another disk mounted is not touched: 400010', async () => {
    const made = await prepared();
    await deployed(made, { desired: [managed(10)] });
    machineOf(made.world, made.vm.cid).store = 'foreign';
    const { error } = await converge(made, testTask(store.connections.db), { desired: [managed(20)] });
    expect(error).toMatchObject({ code: 400010, message: `'db/${made.owner.uuid} (0)' has invalid disks: agent reports 'foreign' while director record shows 'disk-1'` });
  });

  it('that has lost its disk gets it again', async () => {
    const made = await prepared();
    await deployed(made, { desired: [managed(10)] });
    machineOf(made.world, made.vm.cid).store = undefined;
    await deployed(made, { desired: [managed(10)] });
    await check(made, '');
  });

  it('that cannot copy keeps its disk, and the new one becomes an orphan', async () => {
    const made = await prepared();
    await deployed(made, { desired: [managed(10)] });
    made.world.migrateFails = true;
    expect(String((await converge(made, testTask(store.connections.db), { desired: [managed(20)] })).error)).toContain('copying failed');
    await check(made, '');
    expect(await everyDisk()).toMatchObject({ active: ['disk-1'], orphans: ['disk-2'] });
  });
});

describe('a disk that is not wanted any more', () => {
  it('becomes an orphan, with its snapshots', async () => {
    const made = await prepared();
    await deployed(made, { desired: [managed(10)] });
    await snapshot(made, testTask(store.connections.db));
    await deployed(made, { desired: [] });
    expect(await everyDisk()).toEqual({ active: [], inactive: 0, orphans: ['disk-1'], leaks: 0 });
    expect(await store.connections.db.select().from(t.orphanDisks)).toMatchObject([{ cid: 'disk-1', size: 10, az: 'z1', deploymentName: 'dep', instanceName: `db/${made.owner.uuid}` }]);
    expect(await store.connections.db.select().from(t.orphanSnapshots)).toMatchObject([{ cid: 'snapshot-2', clean: true }]);
    expect([...made.world.disks.values()].map((disk) => disk.at)).toEqual([undefined]);
  });

  it('is kept as an orphan when its instance is deleted', async () => {
    const made = await prepared();
    await deployed(made, { desired: [managed(10), named('wal')].slice(0, 1) });
    const task = testTask(store.connections.db);
    await store.connections.db.insert(t.persistentDisks).values({ instanceId: made.owner.instanceId, size: 3, state: 'creating', taskId: 1_000_000, epoch: 1 });
    const { error } = await task.attempt(async (ctx, points) => {
      const deletions = (await listRecordedInstances(store.connections.db, made.deploymentId)).map((one) => ({ ...one, skipDrain: true }));
      await deleteInstances(ctx, depsOf(made, points), ctx.stages.stage('Deleting', 1), { deletions, options: { intent: { vm: 'delete', instance: 'delete', deployment: 'delete' }, maxInFlight: 1 } });
      return '';
    });
    expect(error).toBeUndefined();
    expect(await everyDisk()).toEqual({ active: [], inactive: 0, orphans: ['disk-1'], leaks: 1 });
    expect(await store.connections.db.select().from(t.instances)).toEqual([]);
  });
});

describe('named disks', () => {
  it('are attached, never mounted, and told to the agent by name', async () => {
    const made = await prepared();
    await deployed(made, { desired: [named('data'), named('wal')] });
    expect(await listDiskAssociations(store.connections.db, made.vm.vmId)).toEqual([{ name: 'data', cid: 'disk-1' }, { name: 'wal', cid: 'disk-2' }]);
    expect(machineOf(made.world, made.vm.cid).asked).toEqual(['add_persistent_disk', 'add_persistent_disk']);
    await deployed(made, { desired: [named('wal')] });
    expect(await everyDisk()).toEqual({ active: ['disk-2'], inactive: 0, orphans: ['disk-1'], leaks: 0 });
  });
});

describe('a VM that is replaced', () => {
  it('gives its disks to the next one, wherever the node dies', async () => {
    for (let dieAt = 1, died = true; died; dieAt++) {
      const made = await prepared();
      await deployed(made, { desired: [managed(10)] });
      for (const disk of made.world.disks.values()) disk.data = 'precious';
      const task = testTask(store.connections.db);
      const detach = (ctx: TaskContext, points: Points) => detachInstanceDisks(ctx, depsOf(made, points), made).then(() => '');
      ({ died } = await task.attempt(detach, { dieAt, how: 'killed' }));
      expect((await task.attempt(detach)).error).toBeUndefined();
      expect([...made.world.disks.values()].map((disk) => disk.at)).toEqual([undefined]);
      await store.connections.db.delete(t.vms);
      const next = await withVm({ ...made, vm: { ...made.vm, cid: randomUUID(), agent: { ...made.vm.agent, id: randomUUID() } } });
      const replaced = { ...next, vm: { ...next.vm, cid: next.vm.agent.id } };
      await store.connections.db.update(t.vms).set({ cid: replaced.vm.cid }).where(eq(t.vms.id, replaced.vm.vmId));
      await deployed(replaced, { desired: [managed(10)] });
      await check(replaced, 'precious');
      await forgetEverything();
    }
  });

  it('lets the cloud change its disks meanwhile', async () => {
    const made = await prepared();
    made.world.updates = 'in place';
    await deployed(made, { desired: [managed(10)] });
    const { error } = await testTask(store.connections.db).attempt(async (ctx, points) => {
      const deps = depsOf(made, points, { cpiUpdatesDisks: true });
      await detachInstanceDisks(ctx, deps, made);
      await updateDetachedDisks(ctx, deps, { ...made, desired: [managed(20, 'ssd')] });
      return '';
    });
    expect(error).toBeUndefined();
    expect(await listDisks(store.connections.db, made.owner.instanceId)).toMatchObject([{ cid: 'disk-1', size: 20, cloudProperties: { type: 'ssd' }, vmId: null }]);
  });
});

function snapshot(made: Scene, task: TestTask, fate?: Fate): Promise<Attempt> {
  return task.attempt(async (ctx, points) => {
    const deps = depsOf(made, points);
    await noteLostDisks(ctx, deps);
    return (await takeSnapshots(ctx, deps, { instance: { id: made.owner.instanceId, uuid: made.owner.uuid, group: 'db', index: 0 }, deployment: { name: 'dep', tags: {} }, agentId: made.vm.agent.id, clean: true })).join();
  }, fate);
}

describe('snapshots', () => {
  it('are made once per task, and none is lost from sight, wherever the node dies', async () => {
    for (let dieAt = 1, died = true; died; dieAt++) {
      const made = await prepared();
      await deployed(made, { desired: [managed(10)] });
      const task = testTask(store.connections.db);
      ({ died } = await snapshot(made, task, { dieAt, how: 'killed' }));
      expect((await snapshot(made, task)).error).toBeUndefined();
      const known = await listSnapshots(store.connections.db, { deploymentId: made.deploymentId });
      expect(known).toHaveLength(1);
      expect(made.world.snapshots.size - known.length).toBeLessThanOrEqual((await listPossibleLeaks(store.connections.db)).length);
      await forgetEverything();
    }
  });
});
