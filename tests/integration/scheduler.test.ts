import { sql } from 'drizzle-orm';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { Component, ComponentContext } from '../../server/cluster/component';
import { sleep } from '../../server/core/clock';
import { deferred } from '../../server/core/concurrency';
import { schedulerSchema } from '../../server/core/config-scheduler';
import { silentLog } from '../../server/core/log';
import { scheduleEntries, type ScheduleEntry } from '../../server/scheduler/entries';
import { listSchedulesWithSlots, type ScheduleRow, type SlotRow } from '../../server/scheduler/list-store';
import { createScheduler } from '../../server/scheduler/scheduler';
import { pauseSchedule, runScheduleNow } from '../../server/scheduler/store';
import { startTestNode, testStore, type TestNode, type TestStore } from '../support/director-parts';

let store: TestStore;
const nodes: TestNode[] = [];

beforeAll(async () => {
  store = await testStore();
});
afterEach(async () => {
  await Promise.all(nodes.splice(0).map((node) => node.stop()));
  await store.connections.db.execute(sql`TRUNCATE leases, lease_history, director_nodes, schedules, schedule_slots, tasks, events, orphaned_vms CASCADE`);
});
afterAll(() => store.close());

/** Only these entries; the default ones are taken away. */
function only(jobs: { command: string; schedule: string; missed?: 'skip' | 'run_once'; params?: Record<string, unknown>[] }[]): ScheduleEntry[] {
  const names = scheduleEntries(schedulerSchema.parse({}), new Date()).map((entry) => entry.command);
  const removed = names.filter((name) => !jobs.some((job) => job.command === name)).map((command) => ({ command, schedule: null }));
  return scheduleEntries(schedulerSchema.parse({ scheduled_jobs: [...removed, ...jobs] }), new Date());
}

/** Always has work. */
const everySecond = { command: 'ScheduledTasksCleanup', schedule: '* * * * * *' };
const hourly = { command: 'ScheduledTasksCleanup', schedule: '0 * * * *' };

/** Rounds of a scheduler that holds the lease, without one. */
function rounds(entries: readonly ScheduleEntry[], epoch = 1): () => Promise<void> {
  const { db } = store.connections;
  const scheduler = createScheduler({ db, entries });
  const ctx: ComponentContext = { epoch, signal: new AbortController().signal, log: silentLog, holds: () => true, progress: () => undefined, write: (work) => db.transaction(work) };
  return () => scheduler.tick(ctx);
}

async function rowOf(name: string): Promise<ScheduleRow> {
  const [row] = await listSchedulesWithSlots(store.connections.db, { slots: 1_000, name });
  if (!row) throw new Error(`no entry ${name}`);
  return row;
}

/** Oldest first. */
async function slotsOf(name: string): Promise<SlotRow[]> {
  return (await rowOf(name)).slots.toReversed();
}

/** As if the scheduler had been away since then. */
async function owe(name: string, agoS: number): Promise<void> {
  await store.connections.db.execute(sql`UPDATE schedules SET next_slot_at = date_trunc('second', now()) - make_interval(secs => ${agoS}) WHERE name = ${name}`);
}

async function tasks(): Promise<{ id: number; type: string; username: string; description: string; lane: string; payload: unknown }[]> {
  return (await store.connections.db.execute<{ id: number; type: string; username: string; description: string; lane: string; payload: unknown }>(sql`SELECT id, type, username, description, lane, payload FROM tasks ORDER BY id`)).rows;
}

async function events(): Promise<{ username: string; action: string; object_name: string; task_id: number | null }[]> {
  return (await store.connections.db.execute<{ username: string; action: string; object_name: string; task_id: number | null }>(sql`SELECT username, action, object_name, task_id FROM events WHERE object_type = 'schedule' AND parent_id IS NULL ORDER BY id`)).rows;
}

async function until(check: () => Promise<boolean>, withinMs = 10_000): Promise<void> {
  const start = performance.now();
  while (!(await check())) {
    if (performance.now() - start > withinMs) throw new Error('it did not happen in time');
    await sleep(20);
  }
}

async function node(name: string, component: Component): Promise<TestNode> {
  const started = await startTestNode({ store, name, perform: async () => '', components: [component] });
  nodes.push(started);
  return started;
}

/** Every second from the first slot to the last is decided once, and each firing made one task. */
async function expectExactSeconds(): Promise<SlotRow[]> {
  const slots = await slotsOf('ScheduledTasksCleanup');
  const at = slots.map((slot) => slot.slotAt.getTime());
  expect(at).toEqual(at.map((_, index) => (at[0] ?? 0) + index * 1_000));
  const fired = slots.filter((slot) => slot.outcome === 'fired');
  expect(new Set(fired.map((slot) => slot.task?.id)).size).toBe(fired.length);
  expect((await tasks()).map((task) => task.id)).toEqual(fired.map((slot) => slot.task?.id));
  return slots;
}

const scheduler = () => createScheduler({ db: store.connections.db, entries: only([everySecond]) });

describe('a slot', () => {
  it('fires once however many nodes there are, and when its holder stops', async () => {
    const first = await node('A', scheduler());
    await node('B', scheduler());
    await node('C', scheduler());
    await until(async () => (await rowOf('ScheduledTasksCleanup').catch(() => undefined))?.slots.some((slot) => slot.outcome === 'fired') ?? false);
    await first.stop();
    await sleep(2_500);
    expect((await expectExactSeconds()).length).toBeGreaterThan(2);
  });

  it('fires once when the holder falls silent', async () => {
    const a = await node('A', scheduler());
    await until(async () => (await rowOf('ScheduledTasksCleanup').catch(() => undefined))?.slots.some((slot) => slot.outcome === 'fired') ?? false);
    await node('B', scheduler());
    await a.heart.stop();
    await until(async () => (await slotsOf('ScheduledTasksCleanup')).filter((slot) => slot.epoch > 1).length > 2);
    const slots = await expectExactSeconds();
    expect(slots.every((slot) => slot.outcome === 'fired')).toBe(true);
  });

  it('that a paused holder had in hand is decided by the next one, and only by it', async () => {
    const entered = deferred<void>();
    const release = deferred<void>();
    let late: Promise<unknown> | undefined;
    const inner = scheduler();
    const a = await node('A', {
      ...inner,
      tick: (ctx) =>
        inner.tick({
          ...ctx,
          write: async (work) => {
            if ((await tasks()).length < 1) return ctx.write(work);
            entered.resolve();
            await release.promise;
            const writing = ctx.write(work);
            late = writing.catch(() => 'refused');
            return writing;
          },
        }),
    });
    await entered.promise;
    await a.heart.stop();
    await node('B', scheduler());
    await until(async () => (await slotsOf('ScheduledTasksCleanup')).filter((slot) => slot.epoch > 1).length > 2);
    release.resolve();
    await until(async () => late !== undefined);
    expect(await late).toBe('refused');
    const slots = await expectExactSeconds();
    expect(slots.filter((slot) => slot.epoch === 1)).toHaveLength(1);
  });

  it('enqueues a task as the Ruby director would, with an audit event', async () => {
    const tick = rounds(only([{ ...everySecond, params: [{ max_tasks: 7 }] }]));
    await tick();
    await sleep(1_050);
    await tick();
    const [task] = await tasks();
    expect(task).toMatchObject({ type: 'scheduled_task_cleanup', username: 'scheduler', description: 'clean up tasks', lane: 'normal', payload: { max_tasks: 7, tasks_deployments_retention_period: [] } });
    expect((await events())[0]).toEqual({ username: 'scheduler', action: 'run', object_name: 'ScheduledTasksCleanup', task_id: task?.id });
  });

  it('without work makes no task', async () => {
    const tick = rounds(only([{ command: 'ScheduledOrphanedVMCleanup', schedule: '* * * * * *' }, { command: 'SnapshotDeployments', schedule: '* * * * * *' }]));
    await tick();
    await sleep(1_050);
    await tick();
    expect((await slotsOf('ScheduledOrphanedVMCleanup'))[0]).toMatchObject({ outcome: 'no work', task: undefined });
    expect((await slotsOf('SnapshotDeployments'))[0]).toMatchObject({ outcome: 'no work' });
    await store.connections.db.execute(sql`INSERT INTO orphaned_vms (cid, agent_id, deployment_name, instance_name) VALUES ('vm-1', gen_random_uuid(), 'd', 'i')`);
    await expect.poll(async () => {
      await tick();
      return (await slotsOf('ScheduledOrphanedVMCleanup')).at(-1);
    }, { timeout: 5_000 }).toMatchObject({ outcome: 'fired' });
    expect((await tasks()).map((task) => task.type)).toEqual(['scheduled_orphaned_vm_cleanup']);
  });

  it('of another entry is decided although the first one cannot be', async () => {
    const [broken, fine] = only([{ command: 'ScheduledEventsCleanup', schedule: '* * * * * *' }, everySecond]);
    if (!broken || !fine) throw new Error('two entries');
    const tick = rounds([{ ...broken, runs: { ...broken.runs, hasWork: () => Promise.reject(new Error('out of order')) } }, fine]);
    await tick();
    await sleep(1_050);
    await tick();
    expect(await slotsOf(broken.name)).toEqual([]);
    expect((await slotsOf(fine.name)).length).toBeGreaterThan(0);
  });
});

describe('missed slots', () => {
  it('are skipped where the entry says so', async () => {
    const entries = only([{ ...hourly, missed: 'skip' }]);
    await rounds(entries)();
    await store.connections.db.execute(sql`UPDATE schedules SET next_slot_at = date_trunc('hour', now()) - interval '3 hours'`);
    await rounds(entries, 2)();
    const slots = await slotsOf('ScheduledTasksCleanup');
    // On the first half minute of an hour the newest one is not late yet.
    expect(slots.slice(0, 3).map((slot) => slot.outcome)).toEqual(['missed', 'missed', 'missed']);
    expect(slots).toHaveLength(4);
  });

  it('run once where the entry says so: the newest does, the others are missed', async () => {
    const entries = only([{ ...hourly, missed: 'run_once' }]);
    await rounds(entries)();
    await store.connections.db.execute(sql`UPDATE schedules SET next_slot_at = date_trunc('hour', now()) - interval '3 hours'`);
    const tick = rounds(entries, 2);
    await tick();
    await tick();
    expect((await slotsOf('ScheduledTasksCleanup')).map((slot) => slot.outcome)).toEqual(['missed', 'missed', 'missed', 'fired']);
    expect(await tasks()).toHaveLength(1);
  });

  it('that are not half a minute late fire each', async () => {
    const entries = only([{ command: 'ScheduledTasksCleanup', schedule: '*/10 * * * * *', missed: 'skip' }]);
    await rounds(entries)();
    await owe('ScheduledTasksCleanup', 25);
    await rounds(entries, 2)();
    const slots = await slotsOf('ScheduledTasksCleanup');
    expect(slots.length).toBeGreaterThan(1);
    expect(slots.map((slot) => slot.outcome)).toEqual(slots.map(() => 'fired'));
  });

  it('are looked at in bounded number after a long outage', async () => {
    const entries = only([everySecond]);
    await rounds(entries)();
    await owe('ScheduledTasksCleanup', 40_000);
    const before = performance.now();
    await rounds(entries, 2)();
    expect(performance.now() - before).toBeLessThan(10_000);
    const slots = await slotsOf('ScheduledTasksCleanup');
    expect(slots).toHaveLength(500);
    expect(slots[0]?.outcome).toBe('missed');
    expect(slots.at(-1)?.outcome).toBe('fired');
    expect((await rowOf('ScheduledTasksCleanup')).nextSlotAt?.getTime()).toBeGreaterThan(Date.now() - 20_000);
  });

  it('of a new entry do not exist', async () => {
    await rounds(only([hourly]))();
    const row = await rowOf('ScheduledTasksCleanup');
    expect(row.slots).toEqual([]);
    expect(row.lastSlotAt).toBeUndefined();
    expect(row.nextSlotAt?.getTime()).toBeGreaterThan(Date.now() - 1_000);
  });
});

describe('a clock that goes back', () => {
  it('brings no slot again', async () => {
    const entries = only([everySecond]);
    await rounds(entries)();
    await sleep(1_050);
    await rounds(entries, 2)();
    const before = await slotsOf('ScheduledTasksCleanup');
    // What the rows look like to a clock that is an hour behind.
    await store.connections.db.execute(sql`UPDATE schedules SET last_slot_at = last_slot_at + interval '1 hour', next_slot_at = next_slot_at + interval '1 hour'`);
    await sleep(1_050);
    await rounds(entries, 3)();
    expect(await slotsOf('ScheduledTasksCleanup')).toEqual(before);
  });

  it('fires nothing again that is noted, even when the entry went and came back', async () => {
    const entries = only([everySecond]);
    await rounds(entries)();
    await store.connections.db.execute(sql`INSERT INTO schedule_slots (schedule, slot_at, outcome, epoch) SELECT 'ScheduledTasksCleanup', date_trunc('second', now()) + make_interval(secs => i), 'fired', 1 FROM generate_series(0, 120) i`);
    await rounds(only([{ command: 'ScheduledEventsCleanup', schedule: '@daily' }]), 2)();
    await expect(rowOf('ScheduledTasksCleanup')).rejects.toThrow();
    const back = rounds(entries, 3);
    await back();
    await sleep(1_500);
    await back();
    expect(await tasks()).toEqual([]);
    await owe('ScheduledTasksCleanup', 0);
    await back();
    expect(await tasks()).toEqual([]);
  });
});

describe('an entry', () => {
  it('of the configuration stands in the place of the default one; others go with it', async () => {
    await rounds(scheduleEntries(schedulerSchema.parse({}), new Date()))();
    const names = (await listSchedulesWithSlots(store.connections.db, { slots: 1 })).map((row) => row.name);
    expect(names).toHaveLength(10);
    await rounds(scheduleEntries(schedulerSchema.parse({ scheduled_jobs: [{ command: 'SnapshotSelf', schedule: null }, { command: 'ScheduledTasksCleanup', schedule: '@daily' }, { command: 'ScheduledTasksCleanup', schedule: '@weekly', params: [{ max_tasks: 5 }] }] }), new Date()), 2)();
    const rows = await listSchedulesWithSlots(store.connections.db, { slots: 1 });
    expect(rows.map((row) => row.name)).toEqual([...names.filter((name) => name !== 'SnapshotSelf' && name !== 'ScheduledTasksCleanup'), 'ScheduledTasksCleanup', 'ScheduledTasksCleanup#2']);
    expect(rows.at(-1)).toMatchObject({ command: 'ScheduledTasksCleanup', schedule: '@weekly', params: [{ max_tasks: 5 }] });
  });

  it('whose cron changes goes on with the first slot from now', async () => {
    await rounds(only([hourly]))();
    await owe('ScheduledTasksCleanup', 90_000);
    await rounds(only([{ ...hourly, schedule: '30 * * * *' }]), 2)();
    expect((await rowOf('ScheduledTasksCleanup')).nextSlotAt?.getTime()).toBeGreaterThan(Date.now() - 1_000);
    expect(await slotsOf('ScheduledTasksCleanup')).toEqual([]);
  });

  it('that is paused fires nothing, and goes on with the next slot', async () => {
    const { db } = store.connections;
    const entries = only([hourly]);
    await rounds(entries)();
    expect(await pauseSchedule(db, 'ScheduledTasksCleanup', { paused: true, user: 'ann' })).toBe(true);
    expect(await pauseSchedule(db, 'ScheduledTasksCleanup', { paused: true, user: 'ann' })).toBe(false);
    await store.connections.db.execute(sql`UPDATE schedules SET next_slot_at = date_trunc('hour', now()) - interval '2 hours'`);
    await rounds(entries, 2)();
    expect((await slotsOf('ScheduledTasksCleanup')).map((slot) => slot.outcome)).toEqual(['paused', 'paused', 'paused']);
    // Nobody was there for these while it was paused.
    await store.connections.db.execute(sql`TRUNCATE schedule_slots`);
    await store.connections.db.execute(sql`UPDATE schedules SET next_slot_at = date_trunc('hour', now()) - interval '2 hours'`);
    await pauseSchedule(db, 'ScheduledTasksCleanup', { paused: false, user: 'ann' });
    await rounds(entries, 3)();
    expect((await slotsOf('ScheduledTasksCleanup')).map((slot) => slot.outcome)).toEqual(['paused', 'paused', 'paused']);
    expect(await tasks()).toEqual([]);
    await rounds(only([everySecond]), 4)();
    await sleep(1_050);
    await rounds(only([everySecond]), 4)();
    expect((await tasks()).length).toBeGreaterThan(0);
    expect((await events()).slice(0, 2).map((event) => [event.username, event.action])).toEqual([['ann', 'pause'], ['ann', 'resume']]);
    await expect(pauseSchedule(db, 'Nothing', { paused: true, user: 'ann' })).rejects.toThrow("There is no entry 'Nothing' in the schedule");
  });

  it('runs at once when somebody wants it to, beside its slots', async () => {
    const { db } = store.connections;
    await rounds(only([{ ...hourly, params: [{ max_tasks: 3 }] }, { command: 'SnapshotSelf', schedule: '@daily' }]))();
    const before = await rowOf('ScheduledTasksCleanup');
    const id = await runScheduleNow(db, 'ScheduledTasksCleanup', 'ann');
    expect(await tasks()).toEqual([{ id, type: 'scheduled_task_cleanup', username: 'ann', description: 'clean up tasks', lane: 'normal', payload: { max_tasks: 3, tasks_deployments_retention_period: [] } }]);
    expect(await events()).toEqual([{ username: 'ann', action: 'run', object_name: 'ScheduledTasksCleanup', task_id: id }]);
    expect(await rowOf('ScheduledTasksCleanup')).toEqual(before);
    await expect(runScheduleNow(db, 'SnapshotSelf', 'ann')).rejects.toThrow("'SnapshotSelf' has nothing to do: the director has no VM of its own");
    await expect(runScheduleNow(db, 'Nothing', 'ann')).rejects.toThrow("There is no entry 'Nothing' in the schedule");
  });
});
