import { randomUUID } from 'node:crypto';
import { sql } from 'drizzle-orm';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { schedulerSchema } from '../../server/core/config-scheduler';
import { commands } from '../../server/scheduler/commands';
import { cleanUp, selectForCleanUp } from '../../server/task-types/cleanup';
import { scheduledDnsBlobsCleanup, scheduledDnsTombstoneCleanup } from '../../server/task-types/scheduled-dns-cleanup';
import { scheduledEventsCleanup } from '../../server/task-types/scheduled-events-cleanup';
import { scheduledOrphanedVmCleanup, type OrphanedVmDeps } from '../../server/task-types/scheduled-orphaned-vm-cleanup';
import { scheduledRecordsCleanup } from '../../server/task-types/scheduled-records-cleanup';
import { scheduledOrphanedDiskCleanup } from '../../server/task-types/orphan-disks';
import { snapshotDeployments } from '../../server/task-types/snapshots';
import { scheduledOrphanedNetworkCleanup } from '../../server/task-types/orphaned-networks';
import { scheduledTasksCleanup } from '../../server/task-types/scheduled-tasks-cleanup';
import { noDisks } from '../support/fake-disks';
import { startTestNode, testStore, type TestStore } from '../support/director-parts';
import { mortalBlobstore, testTask, type Fate, type Points } from '../support/task-context';
import { enqueueTask } from '../../server/tasks/queue';
import { findTask } from '../../server/tasks/store';
import { isFinal } from '../../server/tasks/task';
import { sleep } from '../../server/core/clock';

let store: TestStore;

beforeAll(async () => {
  store = await testStore();
});
afterEach(async () => {
  await run(sql`TRUNCATE tasks, task_streams, accepted_requests, events, incidents, alerts, orphaned_vms, ip_addresses, local_dns_blobs, local_dns_records, director_nodes, leases, lease_history, schedules, schedule_slots, bus_moves, bus_targets CASCADE`);
});
afterAll(() => store.close());

async function run<T extends Record<string, unknown>>(query: ReturnType<typeof sql>) {
  return (await store.connections.db.execute<T>(query)).rows;
}

async function ids(table: string, column = 'id'): Promise<unknown[]> {
  return (await run<{ value: unknown }>(sql`SELECT ${sql.raw(column)} AS value FROM ${sql.raw(table)} ORDER BY 1`)).map((row) => row.value);
}

function hasWork(command: string, params: Record<string, unknown> = {}): Promise<boolean> {
  const found = commands.get(command);
  if (!found) throw new Error(`no command ${command}`);
  return found.hasWork(store.connections.db, { ...found.defaults(schedulerSchema.parse({})), ...params });
}

/** Runs attempts of a task that die at each of their points in turn, until one lives to its end. `check` holds after every death. */
async function throughDeaths(how: Fate['how'], attempt: (task: ReturnType<typeof testTask>, fate: Fate | undefined) => Promise<{ died: boolean; error: unknown }>, check: () => Promise<void>): Promise<number> {
  const task = testTask(store.connections.db);
  let deaths = 0;
  for (let dieAt = 1; dieAt < 200; dieAt++) {
    const { died, error } = await attempt(task, { dieAt, how });
    if (!died) {
      expect(error).toBeUndefined();
      return deaths;
    }
    deaths++;
    await check();
  }
  throw new Error('it never ends');
}

interface SeedTask {
  type?: string;
  state?: string;
  deployment?: string;
  /** Days since it ended; undefined: it has not. */
  endedDays?: number | undefined;
  packed?: boolean;
}

/** A task with packed output, when it has ended. */
async function seedTask({ type = 'update', state = 'done', deployment, endedDays = 1, packed = true }: SeedTask = {}): Promise<{ id: number; blob: string }> {
  const live = state === 'queued' || state === 'processing' || state === 'cancelling';
  const [row] = await run<{ id: number }>(sql`
    INSERT INTO tasks (type, lane, state, description, username, deployment, payload, finished_at, output_packed)
    VALUES (${type}, 'normal', ${state}, 'x', 'admin', ${deployment ?? null}, '{}', ${live ? sql`NULL` : sql`now() - make_interval(secs => ${endedDays * 86_400})`}, ${!live && packed}) RETURNING id`);
  const id = row?.id ?? 0;
  const blob = randomUUID();
  if (!live && packed) {
    await store.blobstore.put(Buffer.from(`output of ${id}`), blob);
    await run(sql`INSERT INTO task_streams (task_id, stream, size, blob_id, frames) VALUES (${id}, 'debug', 5, ${blob}, '[]'), (${id}, 'event', 5, ${blob}, '[]')`);
  } else {
    await run(sql`INSERT INTO task_output (task_id, stream, at, epoch, bytes) VALUES (${id}, 'debug', 0, 1, 'x')`);
  }
  return { id, blob };
}

const keep = (max_tasks: number, more: Record<string, unknown> = {}) => ({ max_tasks, tasks_deployments_retention_period: [], ...more });

function cleanTasks(params: Record<string, unknown>, blobstore = store.blobstore) {
  return testTask(store.connections.db).attempt((ctx) => scheduledTasksCleanup.perform(ctx, { db: store.connections.db, blobstore }, scheduledTasksCleanup.payload.parse(params)));
}

describe('the clean-up of tasks', () => {
  it('keeps the newest ended ones of each type, and every live one, and deletes the output of the others', async () => {
    const old = await Promise.all([seedTask(), seedTask({ state: 'error' })]);
    const live = [await seedTask({ state: 'queued' }), await seedTask({ state: 'processing' }), await seedTask({ state: 'cancelling' })];
    const kept = [await seedTask({ state: 'cancelled' }), await seedTask(), await seedTask({ type: 'delete' })];
    const { result, error } = await cleanTasks(keep(2));
    expect(error).toBeUndefined();
    expect(result).toBe('Deleted 2 task(s) with their output');
    expect(await ids('tasks')).toEqual([...live, ...kept].map((task) => task.id));
    expect(await Promise.all(old.map((task) => store.blobstore.exists(task.blob)))).toEqual([false, false]);
    expect(await Promise.all(kept.map((task) => store.blobstore.exists(task.blob)))).toEqual([true, true, true]);
    expect(await run(sql`SELECT 1 FROM task_streams s LEFT JOIN tasks t ON t.id = s.task_id WHERE t.id IS NULL`)).toEqual([]);
  });

  it('goes through more tasks than fit into one transaction', async () => {
    await run(sql`INSERT INTO tasks (type, lane, state, description, username, payload, finished_at, output_packed) SELECT 'bulk', 'normal', 'done', 'x', 'admin', '{}', now() - interval '1 day', true FROM generate_series(1, 1003)`);
    expect((await cleanTasks(keep(3))).result).toBe('Deleted 1000 task(s) with their output');
    expect(await ids('tasks')).toHaveLength(3);
  });

  it('lets alone what has just ended, what may be asked for again, what is not packed yet and what an open incident waits for', async () => {
    const recent = await seedTask({ endedDays: 0.001 });
    const unpacked = await seedTask({ packed: false });
    const asked = await seedTask();
    await run(sql`INSERT INTO accepted_requests (id, fingerprint, task_id) VALUES (gen_random_uuid(), 'f', ${asked.id})`);
    const scanning = await seedTask();
    const scanned = await seedTask();
    await run(sql`INSERT INTO incidents (kind, subject, number, scan_task_id, ended_at) VALUES ('agent_timeout', 'a', 1, ${scanning.id}, NULL), ('agent_timeout', 'a', 2, ${scanned.id}, now())`);
    const newest = await seedTask();
    await cleanTasks(keep(1));
    expect(await ids('tasks')).toEqual([recent, unpacked, asked, scanning, newest].map((task) => task.id));
  });

  it('ends old ones earlier where a period says so, for all or for a deployment', async () => {
    const ancient = await seedTask({ endedDays: 40 });
    const web = await seedTask({ endedDays: 5, deployment: 'web' });
    const db = await seedTask({ endedDays: 5, deployment: 'db' });
    const fresh = await seedTask({ deployment: 'web' });
    await cleanTasks(keep(100, { tasks_deployments_retention_period: [{ deployment_name: 'web', retention_period: 3 }, { deployment_name: 'none', retention_period: 1 }] }));
    expect(await ids('tasks')).toEqual([ancient.id, db.id, fresh.id]);
    await cleanTasks(keep(100, { tasks_retention_period: 30 }));
    expect(await ids('tasks')).toEqual([db.id, fresh.id]);
    expect(await store.blobstore.exists(web.blob)).toBe(false);
  });

  it('keeps a task whose output cannot be deleted, and goes on with the others', async () => {
    const stuck = await seedTask();
    const other = await seedTask();
    const newest = await seedTask();
    const blobstore = { ...store.blobstore, delete: (id: string) => (id === stuck.blob ? Promise.reject(new Error('locked')) : store.blobstore.delete(id)) };
    expect((await cleanTasks(keep(1), blobstore)).result).toBe('Deleted 1 task(s) with their output; 1 stay, as their output could not be deleted');
    expect(await ids('tasks')).toEqual([stuck.id, newest.id]);
    expect(await store.blobstore.exists(other.blob)).toBe(false);
    expect((await cleanTasks(keep(1))).result).toBe('Deleted 1 task(s) with their output');
    expect(await ids('tasks')).toEqual([newest.id]);
  });

  it('gives up when the blobstore is away', async () => {
    for (let count = 0; count < 25; count++) await seedTask();
    const { error } = await cleanTasks(keep(1), { ...store.blobstore, delete: () => Promise.reject(new Error('away')) });
    expect(String(error)).toContain('away');
    expect(await ids('tasks')).toHaveLength(25);
  });

  it.each(['killed', 'lost'] as const)('leaves no blob without its task, wherever its node is %s', async (how) => {
    const seeded = await Promise.all(Array.from({ length: 4 }, () => seedTask()));
    const deps = (points: Points) => ({ db: store.connections.db, blobstore: mortalBlobstore(store.blobstore, points) });
    const params = scheduledTasksCleanup.payload.parse(keep(1));
    const deaths = await throughDeaths(how, (task, fate) => task.attempt((ctx, points) => scheduledTasksCleanup.perform(ctx, deps(points), params), fate), async () => {
      const left = new Set(await ids('tasks'));
      for (const { id, blob } of seeded) if (await store.blobstore.exists(blob)) expect(left).toContain(id);
    });
    expect(deaths).toBeGreaterThan(4);
    expect(await ids('tasks')).toHaveLength(1);
    expect((await Promise.all(seeded.map((task) => store.blobstore.exists(task.blob)))).filter(Boolean)).toHaveLength(1);
  });
});

/** Events with ids from 1; `[parent, task]`. */
async function seedEvents(list: readonly [parent: number | null, task?: number][]): Promise<void> {
  for (const [index, [parent, task]] of list.entries()) await run(sql`INSERT INTO events (id, parent_id, username, action, object_type, task_id) VALUES (${index + 1}, ${parent}, 'u', 'a', 'o', ${task ?? null})`);
}

const cleanEvents = (max_events: number) => testTask(store.connections.db).attempt((ctx) => scheduledEventsCleanup.perform(ctx, { db: store.connections.db }, { max_events }));

describe('the clean-up of events', () => {
  it('keeps the newest ones, and whatever they are the ends of', async () => {
    await seedEvents([[null], [null], [2], [null], [3], [null], [4], [6]]);
    expect(await hasWork('ScheduledEventsCleanup', { max_events: 2 })).toBe(true);
    expect((await cleanEvents(2)).result).toBe('Deleted 4 event(s)');
    expect(await ids('events')).toEqual([4, 6, 7, 8]);
    expect(await hasWork('ScheduledEventsCleanup', { max_events: 2 })).toBe(false);
  });

  it('keeps ancestors of any degree', async () => {
    await seedEvents([[null], [null], [2], [3], [null], [4]]);
    await cleanEvents(1);
    expect(await ids('events')).toEqual([2, 3, 4, 6]);
  });

  it('keeps those of running tasks, whose ends are still to come', async () => {
    const live = await seedTask({ state: 'processing' });
    const ended = await seedTask();
    await seedEvents([[null, live.id], [null, ended.id], [null], [null]]);
    await cleanEvents(1);
    expect(await ids('events')).toEqual([1, 4]);
  });

  it('has nothing to do below the limit', async () => {
    await seedEvents([[null], [null]]);
    expect(await hasWork('ScheduledEventsCleanup', { max_events: 2 })).toBe(false);
    expect((await cleanEvents(2)).result).toBe('Deleted 0 event(s)');
    expect(await ids('events')).toHaveLength(2);
  });

  it('goes through more events than fit into one transaction', async () => {
    await run(sql`INSERT INTO events (id, username, action, object_type) SELECT i, 'u', 'a', 'o' FROM generate_series(1, 12010) i`);
    expect((await cleanEvents(10)).result).toBe('Deleted 12000 event(s)');
    expect(await ids('events')).toHaveLength(10);
  });
});

async function seedOrphan(cid: string, cpi = ''): Promise<number> {
  const [row] = await run<{ id: number }>(sql`INSERT INTO orphaned_vms (cid, agent_id, cpi, deployment_name, instance_name, stemcell_api_version) VALUES (${cid}, gen_random_uuid(), ${cpi}, 'web', ${`i/${cid}`}, 3) RETURNING id`);
  await run(sql`INSERT INTO ip_addresses (address, network_name, static, orphaned_vm_id) VALUES (${`${cid}/32`}, 'n', false, ${row?.id ?? 0}), (${`${cid}-b/32`}, 'n', false, ${row?.id ?? 0})`);
  return row?.id ?? 0;
}

/** A cloud that notes what is deleted; VMs named `stuck…` cannot be. */
function cloud(deleted: string[], points?: Points): OrphanedVmDeps {
  return {
    db: store.connections.db,
    maxThreads: 2,
    vmCalls: (cpiName) => ({
      deleteVm: async (caller, cid) => {
        await caller.fence();
        points?.pass(false);
        if (cid.startsWith('stuck')) throw new Error(`the cloud will not delete ${cid}`);
        deleted.push(`${cpiName}:${cid}`);
        points?.pass(false);
      },
    }),
  };
}

describe('the clean-up of orphaned VMs', () => {
  it('deletes each with its CPI, frees its addresses and tells of it; what fails is left to the next run', async () => {
    expect(await hasWork('ScheduledOrphanedVMCleanup')).toBe(false);
    await seedOrphan('vm-1');
    await seedOrphan('stuck-2');
    await seedOrphan('vm-3', 'other');
    await run(sql`INSERT INTO ip_addresses (address, network_name, static) VALUES ('10.0.0.9/32', 'n', false)`);
    expect(await hasWork('ScheduledOrphanedVMCleanup')).toBe(true);
    const deleted: string[] = [];
    const task = testTask(store.connections.db);
    const { result, error } = await task.attempt((ctx) => scheduledOrphanedVmCleanup.perform(ctx, cloud(deleted), {}));
    expect(error).toBeUndefined();
    expect(result).toBe('Deleted 2 orphaned vm(s), 1 could not be deleted');
    expect(deleted.toSorted()).toEqual([':vm-1', 'other:vm-3']);
    expect(await ids('orphaned_vms', 'cid')).toEqual(['stuck-2']);
    expect(await ids('ip_addresses', 'address')).toEqual(['10.0.0.9/32', 'stuck-2-b/32', 'stuck-2/32']);
    expect(task.debug()).toContain('stuck-2');
    const events = await run<{ object_name: string; ended: boolean; error: string | null }>(sql`SELECT object_name, parent_id IS NOT NULL AS ended, error FROM events WHERE action = 'delete' AND object_type = 'vm' AND deployment = 'web' ORDER BY object_name, id`);
    expect(events).toEqual([
      { object_name: 'stuck-2', ended: false, error: null }, { object_name: 'stuck-2', ended: true, error: 'the cloud will not delete stuck-2' },
      { object_name: 'vm-1', ended: false, error: null }, { object_name: 'vm-1', ended: true, error: null },
      { object_name: 'vm-3', ended: false, error: null }, { object_name: 'vm-3', ended: true, error: null },
    ]);
  });

  it.each(['killed', 'lost'] as const)('frees an address only when its VM is gone, and tells of each once, wherever its node is %s', async (how) => {
    await seedOrphan('vm-1');
    await seedOrphan('vm-2');
    const deleted: string[] = [];
    const deaths = await throughDeaths(how, (task, fate) => task.attempt((ctx, points) => scheduledOrphanedVmCleanup.perform(ctx, { ...cloud(deleted, points), maxThreads: 1 }, {}), fate), async () => {
      const left = await ids('orphaned_vms', 'cid');
      for (const cid of ['vm-1', 'vm-2']) if (!left.includes(cid)) expect(deleted).toContain(`:${cid}`);
      expect((await ids('ip_addresses', 'address')).length).toBe(2 * left.length);
    });
    expect(deaths).toBeGreaterThan(4);
    expect(await ids('orphaned_vms')).toEqual([]);
    const events = await run<{ n: number; ended: number }>(sql`SELECT count(*)::int AS n, count(parent_id)::int AS ended FROM events GROUP BY object_name`);
    expect(events).toEqual([{ n: 2, ended: 1 }, { n: 2, ended: 1 }]);
  });

  it('of two tasks at once deletes each VM once', async () => {
    for (let index = 0; index < 6; index++) await seedOrphan(`vm-${index}`);
    const deleted: string[] = [];
    const node = await startTestNode({ store, name: 'A', slots: { normal: 2, urgent: 1 }, perform: (ctx) => scheduledOrphanedVmCleanup.perform(ctx, cloud(deleted), {}) });
    const made = await Promise.all([1, 2].map(() => enqueueTask(store.connections.db, { type: 'scheduled_orphaned_vm_cleanup', lane: 'normal', description: 'x', user: 'scheduler', payload: {} })));
    for (const { id } of made) while (!isFinal((await findTask(store.connections.db, id))?.state ?? 'done')) await sleep(20);
    await node.stop();
    expect(deleted).toHaveLength(6);
    expect((await Promise.all(made.map(({ id }) => findTask(store.connections.db, id)))).map((task) => task?.state)).toEqual(['done', 'done']);
    expect(await ids('orphaned_vms')).toEqual([]);
  });
});

/** Versions from 1, each `[age in s, stored]`, with their blobs. */
async function seedDns(list: readonly [ageS: number, stored?: boolean][]): Promise<string[]> {
  const blobs: string[] = [];
  for (const [index, [ageS, stored = true]] of list.entries()) {
    const blob = randomUUID();
    blobs.push(blob);
    if (stored) await store.blobstore.put(Buffer.from(blob), blob);
    await run(sql`INSERT INTO local_dns_blobs (id, records_id, blobstore_id, stored, created_at) VALUES (${index + 1}, ${index + 1}, ${blob}, ${stored}, now() - make_interval(secs => ${ageS}))`);
  }
  return blobs;
}

const cleanDns = (max_blob_age: number, num_dns_blobs_to_keep: number) =>
  testTask(store.connections.db).attempt((ctx) => scheduledDnsBlobsCleanup.perform(ctx, { db: store.connections.db, blobstore: store.blobstore }, { max_blob_age, num_dns_blobs_to_keep }));

describe('the clean-up of DNS blobs', () => {
  it('deletes the oldest expired ones until so many remain', async () => {
    const blobs = await seedDns([[9_000], [8_000], [7_000], [6_000], [100], [50]]);
    expect(await hasWork('ScheduledDnsBlobsCleanup')).toBe(false);
    expect(await hasWork('ScheduledDnsBlobsCleanup', { num_dns_blobs_to_keep: 4 })).toBe(true);
    expect((await cleanDns(3_600, 4)).result).toMatch(/^Deleted 2 dns blob\(s\) created before \d{4}-\d\d-\d\d \d\d:\d\d:\d\d \+0000$/);
    expect(await ids('local_dns_blobs')).toEqual([3, 4, 5, 6]);
    expect(await Promise.all(blobs.map((blob) => store.blobstore.exists(blob)))).toEqual([false, false, true, true, true, true]);
    expect(await hasWork('ScheduledDnsBlobsCleanup', { num_dns_blobs_to_keep: 4 })).toBe(false);
    await cleanDns(3_600, 1);
    expect(await ids('local_dns_blobs')).toEqual([5, 6]);
  });

  it('leaves the version that agents are told, even when newer ones wait for their blobs', async () => {
    const [, told = ''] = await seedDns([[9_000], [8_000], [7_000, false], [6_000, false], [5_000, false]]);
    await cleanDns(3_600, 2);
    expect(await ids('local_dns_blobs')).toEqual([2, 4, 5]);
    expect(await store.blobstore.exists(told)).toBe(true);
  });

  it.each(['killed', 'lost'] as const)('leaves no blob without its record, wherever its node is %s', async (how) => {
    const blobs = await seedDns([[9_000], [8_000], [7_000], [6_000]]);
    const deps = (points: Points) => ({ db: store.connections.db, blobstore: mortalBlobstore(store.blobstore, points) });
    await throughDeaths(how, (task, fate) => task.attempt((ctx, points) => scheduledDnsBlobsCleanup.perform(ctx, deps(points), { max_blob_age: 60, num_dns_blobs_to_keep: 1 }), fate), async () => {
      const left = await ids('local_dns_blobs', 'blobstore_id');
      for (const blob of blobs) if (await store.blobstore.exists(blob)) expect(left).toContain(blob);
    });
    expect(await ids('local_dns_blobs')).toEqual([4]);
  });
});

describe('a clean-up that an operator orders', () => {
  const deleted: string[] = [];
  const order = (removeAll: boolean) =>
    testTask(store.connections.db).attempt((ctx) => cleanUp.perform(ctx, { ...cloud(deleted), disks: noDisks, blobstore: store.blobstore, deleteImage: async () => undefined }, { removeAll, keepOrphanedDisks: false }));

  it('deletes DNS blobs too: by the same limits, or all but what agents are told', async () => {
    const blobs = await seedDns([...Array.from({ length: 11 }, (): [number] => [9_000]), [100]]);
    expect((await selectForCleanUp(store.connections.db, { removeAll: false })).dnsBlobs.map((one) => one.version)).toEqual([1, 2]);
    expect((await order(false)).result).toContain('Deleted 2 dns blob(s) created before');
    expect(await ids('local_dns_blobs')).toEqual([3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
    expect((await order(true)).result).toContain('Deleted 9 dns blob(s) created before');
    expect(await ids('local_dns_blobs')).toEqual([12]);
    expect((await Promise.all(blobs.map((blob) => store.blobstore.exists(blob)))).filter(Boolean)).toHaveLength(1);
  });

  it('deletes orphaned VMs too, and counts those that are gone', async () => {
    for (const cid of ['vm-7', 'stuck-8', 'vm-9']) await seedOrphan(cid);
    expect((await selectForCleanUp(store.connections.db, { removeAll: false })).orphanedVms.map((vm) => vm.cid)).toEqual(['vm-7', 'stuck-8', 'vm-9']);
    expect((await order(false)).result).toContain(' 2 orphaned vm(s)');
    expect(deleted.toSorted()).toEqual([':vm-7', ':vm-9']);
    expect(await ids('orphaned_vms', 'cid')).toEqual(['stuck-8']);
  });
});

describe('the clean-up of DNS tombstones', () => {
  const record = (id: number, tombstone: boolean) => run(sql`INSERT INTO local_dns_records (id, instance_uuid, instance_index, instance_group, network, deployment, ip, domain, tombstone) VALUES (${id}, 'u', 0, 'g', 'n', 'd', ${tombstone ? `${id}-tombstone` : '10.0.0.1'}, 'bosh', ${tombstone})`);
  const clean = () => testTask(store.connections.db).attempt((ctx) => scheduledDnsTombstoneCleanup.perform(ctx, { db: store.connections.db }, {}));

  it('leaves the newest record, whatever it is', async () => {
    for (const [id, tombstone] of [[1, true], [2, false], [3, true], [4, true]] as const) await record(id, tombstone);
    expect(await hasWork('ScheduledDnsTombstoneCleanup')).toBe(true);
    expect((await clean()).result).toBe('Deleted 2 dns tombstone records');
    expect(await ids('local_dns_records')).toEqual([2, 4]);
    expect(await hasWork('ScheduledDnsTombstoneCleanup')).toBe(false);
    await record(5, false);
    await clean();
    expect(await ids('local_dns_records')).toEqual([2, 5]);
  });

  it('leaves the newest alias too, and those of deployments', async () => {
    await run(sql`INSERT INTO deployments (id, name, canonical_name) VALUES (77, 'aliased', 'aliased')`);
    await run(sql`INSERT INTO local_dns_aliases (id, deployment_id, domain) VALUES (1, NULL, 'a-tombstone'), (2, 77, 'db.internal'), (3, NULL, 'b-tombstone')`);
    expect(await hasWork('ScheduledDnsTombstoneCleanup')).toBe(true);
    await clean();
    expect(await ids('local_dns_aliases')).toEqual([2, 3]);
    expect(await hasWork('ScheduledDnsTombstoneCleanup')).toBe(false);
  });
});

describe('the clean-up of records', () => {
  const clean = (params = { node_days: 7, record_days: 30 }) => testTask(store.connections.db).attempt((ctx) => scheduledRecordsCleanup.perform(ctx, {}, params));

  it('forgets what ended long ago, and nothing that is open or the newest of its kind', async () => {
    expect(await hasWork('ScheduledRecordsCleanup')).toBe(false);
    const days = (n: number) => sql`now() - make_interval(days => ${n})`;
    await run(sql`INSERT INTO director_nodes (id, name, host, url, roles, version, pid, state, heartbeat_at) VALUES (gen_random_uuid(), 'gone', 'h', 'u', '{}', '1', 1, 'stopped', ${days(8)}), (gen_random_uuid(), 'here', 'h', 'u', '{}', '1', 1, 'ready', now())`);
    await run(sql`INSERT INTO lease_history (id, name, epoch, holder, ended_at) VALUES (1, 'a', 1, gen_random_uuid(), ${days(40)}), (2, 'a', 2, gen_random_uuid(), ${days(35)}), (3, 'b', 1, gen_random_uuid(), ${days(40)}), (4, 'b', 2, gen_random_uuid(), NULL), (5, 'c', 1, gen_random_uuid(), ${days(2)}), (6, 'c', 2, gen_random_uuid(), NULL)`);
    await run(sql`INSERT INTO schedule_slots (schedule, slot_at, decided_at, outcome, epoch) VALUES ('s', ${days(50)}, ${days(50)}, 'fired', 1), ('s', ${days(40)}, ${days(40)}, 'fired', 1), ('t', ${days(40)}, ${days(40)}, 'fired', 1), ('t', ${days(1)}, ${days(1)}, 'fired', 1)`);
    await run(sql`INSERT INTO incidents (id, kind, subject, number, ended_at) VALUES (1, 'agent_timeout', 'a', 1, ${days(40)}), (2, 'agent_timeout', 'b', 1, NULL), (3, 'agent_timeout', 'c', 1, ${days(40)}), (4, 'agent_timeout', 'd', 1, ${days(3)})`);
    const alert = (seq: number, more: { stored: number; dispatched: boolean; incident: number | null }) =>
      run(sql`INSERT INTO alerts (seq, id, dedup_key, origin, severity, title, summary, source, created_at, stored_at, dispatched, incident_id) VALUES (${seq}, 'i', ${`k${seq}`}, 'health_monitor', 2, 't', 's', 'x', now(), ${days(more.stored)}, ${more.dispatched}, ${more.incident})`);
    await alert(1, { stored: 40, dispatched: true, incident: 1 });
    await alert(2, { stored: 40, dispatched: true, incident: 2 });
    await alert(3, { stored: 40, dispatched: true, incident: 3 });
    await alert(4, { stored: 40, dispatched: false, incident: null });
    await alert(5, { stored: 3, dispatched: true, incident: null });
    await run(sql`INSERT INTO alert_deliveries (alert_seq, plugin, delivered_at) VALUES (1, 'p', now()), (3, 'p', NULL)`);
    await run(sql`INSERT INTO bus_moves (id, urls, ca_sha1, username, finished_at) VALUES (1, '{}', '', 'u', ${days(40)}), (2, '{}', '', 'u', ${days(40)}), (3, '{}', '', 'u', NULL)`);
    await run(sql`INSERT INTO bus_targets (az, urls, move_id) VALUES ('', '{}', 2)`);
    expect(await hasWork('ScheduledRecordsCleanup')).toBe(true);
    expect((await clean()).result).toBe('Deleted 1 nodes, 2 lease holders, 2 schedule slots, 1 alerts, 1 incidents, 1 moves of the bus');
    expect(await ids('director_nodes', 'name')).toEqual(['here']);
    expect(await ids('lease_history')).toEqual([2, 4, 5, 6]);
    expect(await ids('schedule_slots', 'schedule')).toEqual(['s', 't']);
    expect(await ids('alerts', 'seq')).toEqual([2, 3, 4, 5]);
    expect(await ids('incidents')).toEqual([2, 3, 4]);
    expect(await ids('bus_moves')).toEqual([2, 3]);
    expect(await hasWork('ScheduledRecordsCleanup')).toBe(false);
    expect((await clean()).result).toBe('Nothing has expired');
  });
});

describe('every command', () => {
  it('with work to do has a task type that takes its payload', () => {
    const types = [scheduledTasksCleanup, scheduledEventsCleanup, scheduledOrphanedVmCleanup, scheduledDnsBlobsCleanup, scheduledDnsTombstoneCleanup, scheduledRecordsCleanup, scheduledOrphanedDiskCleanup, scheduledOrphanedNetworkCleanup, snapshotDeployments];
    const payloads = new Map(types.map((one) => [one.type, (value: unknown): unknown => one.payload.parse(value)]));
    const settings = schedulerSchema.parse({});
    for (const command of commands.values()) {
      if (command.absent !== undefined) continue;
      const payload = command.payload(command.defaults(settings));
      expect(payloads.get(command.type)?.(payload)).toEqual(payload);
      payloads.delete(command.type);
    }
    expect([...payloads.keys()]).toEqual([]);
  });
});
