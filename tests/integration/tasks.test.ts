import { sql } from 'drizzle-orm';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { connect } from '../../db/client';
import { sleep } from '../../server/core/clock';
import { deferred, type Deferred } from '../../server/core/concurrency';
import { createCompaction } from '../../server/tasks/compaction';
import { isTaskLost, type TaskContext } from '../../server/tasks/context';
import { findStream, readOutput } from '../../server/tasks/output';
import { cancelTask, cancelTasks, enqueueTask, markAnswered } from '../../server/tasks/queue';
import { findTask, listAttempts, listLocks, listTasks, queueFigures } from '../../server/tasks/store';
import { isFinal, type StreamName, type Task } from '../../server/tasks/task';
import { startTestNode, testStore, type TestNode, type TestNodeOptions, type TestStore } from '../support/director-parts';

let store: TestStore;
const nodes: TestNode[] = [];
const openGates: Deferred<string>[] = [];

beforeAll(async () => {
  store = await testStore();
});
afterEach(async () => {
  for (const gate of openGates.splice(0)) gate.resolve('');
  await Promise.all(nodes.splice(0).map((node) => node.stop()));
  await store.connections.db.execute(sql`TRUNCATE tasks, locks, accepted_requests CASCADE`);
  await store.connections.db.execute(sql`UPDATE leases SET holder = NULL, expires_at = NULL`);
});
afterAll(() => store.close());

type Script = (ctx: TaskContext, payload: unknown) => Promise<string>;

async function node(name: string, script: Script, more: Partial<TestNodeOptions> = {}): Promise<TestNode> {
  const started = await startTestNode({ store, name, perform: (ctx, _type, payload) => script(ctx, payload), ...more });
  nodes.push(started);
  return started;
}

function enqueue(more: Partial<Parameters<typeof enqueueTask>[1]> = {}): Promise<{ id: number; requestId: string | undefined; repeated: boolean }> {
  return enqueueTask(store.connections.db, { type: 'test', lane: 'normal', description: 'a test', user: 'admin', payload: {}, ...more });
}

async function ended(id: number, withinMs = 15_000): Promise<Task> {
  const deadline = performance.now() + withinMs;
  for (;;) {
    const task = await findTask(store.connections.db, id);
    if (task && isFinal(task.state)) return task;
    if (performance.now() > deadline) throw new Error(`task ${id} is still ${task?.state} after ${withinMs} ms`);
    await sleep(10);
  }
}

async function output(id: number, stream: StreamName): Promise<string> {
  const info = await findStream(store.connections.db, id, stream);
  const parts: Buffer[] = [];
  if (info) for await (const part of readOutput({ db: store.connections.db, blobstore: store.blobstore }, id, stream, { start: 0, end: info.size })) parts.push(part);
  return Buffer.concat(parts).toString('utf8');
}

/** A script whose attempts wait to be let go, one gate per attempt. */
function gated(): { script: Script; started: Deferred<TaskContext>[]; gates: Deferred<string>[] } {
  const started = [deferred<TaskContext>(), deferred<TaskContext>(), deferred<TaskContext>()];
  const gates = [deferred<string>(), deferred<string>(), deferred<string>()];
  openGates.push(...gates);
  return { started, gates, script: async (ctx) => {
    started[ctx.attempt - 1]?.resolve(ctx);
    return gates[ctx.attempt - 1]?.promise ?? '';
  } };
}

describe('a task', () => {
  it('runs with its payload and ends with its result; all its output is there before its final state', async () => {
    await node('A', async (ctx, payload) => {
      await ctx.stages.stage('Doing', 1, ['x']).run('it', async (progress) => progress.advance(30, 'half'));
      await ctx.result('line\n');
      ctx.cpiOutput('cpi text\n');
      ctx.log.info('marker');
      return `got ${JSON.stringify(payload)}`;
    });
    const { id } = await enqueue({ payload: { a: 1 } });
    const task = await ended(id);
    expect(task).toMatchObject({ state: 'done', result: 'got {"a":1}', attempt: 1, epoch: 1 });
    expect(await output(id, 'result')).toBe('line\n');
    expect(await output(id, 'cpi')).toBe('cpi text\n');
    expect(await output(id, 'debug')).toContain(' INFO -- DirectorJobRunner: marker\n');
    const lines = (await output(id, 'event')).trimEnd().split('\n').map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(lines.map((line) => [line.state, line.progress, line.data])).toEqual([['started', 0, undefined], ['in_progress', 30, { status: 'half' }], ['finished', 100, undefined]]);
    expect(Object.keys(lines[0] ?? {})).toEqual(['time', 'stage', 'tags', 'total', 'task', 'index', 'state', 'progress']);
  });

  it('that fails ends in error with the message as result and as last event line', async () => {
    await node('A', async () => {
      throw new Error('it broke');
    });
    const { id } = await enqueue();
    expect(await ended(id)).toMatchObject({ state: 'error', result: 'it broke' });
    expect(JSON.parse((await output(id, 'event')).trim())).toMatchObject({ error: { code: 100, message: 'it broke' } });
  });

  it('whose error has characters that cannot be stored still ends', async () => {
    await node('A', async () => {
      throw new Error('bad \u0000 byte');
    });
    const { id } = await enqueue();
    expect(await ended(id)).toMatchObject({ state: 'error', result: 'bad  byte', attempt: 1 });
  });

  it('that the database failed in a query is attempted again and does not end', async () => {
    const away = connect({ url: 'postgres://nobody@127.0.0.1:1/none', poolSize: 1 });
    await node('A', async (ctx) => {
      if (ctx.attempt > 1) return 'went on';
      return ctx.stages.stage('Reading', 1).run('piece', async () => (await away.db.execute(sql`SELECT 1`)).command);
    });
    const { id } = await enqueue();
    expect(await ended(id)).toMatchObject({ state: 'done', result: 'went on', attempt: 2 });
    expect(await output(id, 'event')).not.toContain('ECONNREFUSED');
    await away.close();
  });

  it('has each event line whole or not at all, however long', async () => {
    await node('A', async (ctx) => {
      await ctx.stages.warning('x'.repeat(300_000));
      return '';
    });
    const { id } = await enqueue();
    await ended(id);
    const { rows } = await store.connections.db.execute(sql`SELECT 1 FROM task_output WHERE task_id = ${id} AND stream = 'event'`);
    expect(rows).toHaveLength(1);
    expect(JSON.parse(await output(id, 'event'))).toMatchObject({ type: 'warning' });
  });

  it('cancelled while it waits ends cancelled, within a second, with code 10001', async () => {
    await node('A', async (ctx) => {
      await ctx.clock.sleep(60_000, ctx.signal);
      return '';
    });
    const { id } = await enqueue();
    while ((await findTask(store.connections.db, id))?.state !== 'processing') await sleep(10);
    const before = performance.now();
    expect(await cancelTask(store.connections.db, id)).toMatchObject({ state: 'processing', cancelled: true });
    expect(await ended(id)).toMatchObject({ state: 'cancelled', result: 'task cancelled' });
    expect(performance.now() - before).toBeLessThan(1_000);
    expect(await output(id, 'event')).toContain(`{"code":10001,"message":"Task ${id} cancelled"}`);
    expect(await cancelTask(store.connections.db, id)).toMatchObject({ state: 'cancelled', cancelled: false });
  });

  it('cancelled before it started is never performed', async () => {
    const { id } = await enqueue();
    await enqueue({ type: 'other' });
    expect(await cancelTasks(store.connections.db, { states: ['queued'], types: ['test'] })).toEqual([id]);
    const performed: unknown[] = [];
    await node('A', async (ctx) => {
      performed.push(ctx.taskId);
      return '';
    });
    expect((await ended(id)).state).toBe('cancelled');
    await ended(id + 1);
    expect(performed).toEqual([id + 1]);
  });

  it('of the urgent lane does not wait behind normal ones', async () => {
    const { script, gates } = gated();
    await node('A', (ctx, payload) => (payload === 'urgent' ? Promise.resolve('quick') : script(ctx, payload)), { slots: { normal: 1, urgent: 1 } });
    const first = await enqueue();
    await enqueue();
    const urgent = await enqueue({ lane: 'urgent', payload: 'urgent' });
    expect((await ended(urgent.id, 2_000)).result).toBe('quick');
    expect(await queueFigures(store.connections.db)).toMatchObject({ queued: 1, running: 1 });
    gates[0]?.resolve('');
    await ended(first.id);
  });

  it('is claimed by exactly one of several nodes', async () => {
    const runs: number[] = [];
    const script: Script = async (ctx) => {
      runs.push(ctx.taskId);
      return '';
    };
    await Promise.all([node('A', script), node('B', script), node('C', script)]);
    const ids = await Promise.all(Array.from({ length: 60 }, () => enqueue().then(({ id }) => id)));
    await Promise.all(ids.map((id) => ended(id)));
    expect(runs.toSorted((a, b) => a - b)).toEqual(ids.toSorted((a, b) => a - b));
  });
});

describe('a lost node', () => {
  it('has its task taken over under the same id; nothing it does afterwards has effect', async () => {
    const { script, started, gates } = gated();
    const a = await node('A', script);
    const { id } = await enqueue();
    const first = await started[0]!.promise;
    await first.remember('where', 'half way');
    const unlock = await first.lock('lock:deployment:x', 1_000);
    const stage = first.stages.stage('Working', 1).run('piece', async () => first.clock.sleep(60_000, first.signal));
    stage.catch(() => undefined);
    await sleep(50);
    await a.heart.stop();
    await node('B', script);
    const second = await started[1]!.promise;
    expect([second.attempt, second.epoch > first.epoch, second.remembered('where')]).toEqual([2, true, 'half way']);
    // The first attempt believes, or not, that it still owns the task: nothing of it may come through.
    await expect(first.write((tx) => tx.execute(sql`UPDATE tasks SET description = 'stolen' WHERE id = ${id}`))).rejects.toSatisfy(isTaskLost);
    await expect(first.fence()).rejects.toSatisfy(isTaskLost);
    await expect(first.result('late\n')).rejects.toSatisfy(isTaskLost);
    await expect(stage).rejects.toThrow();
    expect((await findTask(store.connections.db, id))?.description).toBe('a test');
    // The lock is the task's: the second attempt has it, and the first cannot free it.
    await unlock().catch(() => undefined);
    expect(await listLocks(store.connections.db)).toMatchObject([{ name: 'lock:deployment:x', taskId: id }]);
    await second.lock('lock:deployment:x', 0);
    gates[1]?.resolve('ended by B');
    gates[0]?.resolve('ended by A');
    expect(await ended(id)).toMatchObject({ state: 'done', result: 'ended by B' });
    expect(await listLocks(store.connections.db)).toEqual([]);
    const events = (await output(id, 'event')).trimEnd().split('\n').map((line) => JSON.parse(line) as { state?: string; type?: string; message?: string });
    expect(events.map((line) => line.state ?? line.type)).toEqual(['started', 'failed', 'warning']);
    expect(events[2]?.message).toContain('Director node A was lost; node B goes on with the task (attempt 2)');
    expect((await listAttempts(store.connections.db, [id])).get(id)?.map((attempt) => [attempt.nodeName, attempt.outcome])).toEqual([['A', 'lost'], ['B', 'done']]);
  });

  it('ends a task that must not run twice in error, naming the node', async () => {
    const { script, started } = gated();
    const a = await node('A', script);
    const { id } = await enqueue();
    await started[0]!.promise;
    await a.heart.stop();
    await node('B', script, { onNodeLoss: () => 'fail' });
    expect(await ended(id)).toMatchObject({ state: 'error', result: expect.stringContaining('Director node A was lost') });
  });

  it('stops what it does for its tasks when their leases end, also when no beat can tell it', async () => {
    const { script, started } = gated();
    const a = await node('A', script);
    await enqueue();
    const first = await started[0]!.promise;
    await a.heart.stop();
    await first.clock.sleep(10_000, first.signal).catch(() => undefined);
    expect(first.signal.reason).toSatisfy(isTaskLost);
  });

  it('that was only slow keeps the task that it claims again, while its first attempt still ends', async () => {
    const { script, started, gates } = gated();
    await node('A', script);
    const { id } = await enqueue();
    const first = await started[0]!.promise;
    await store.connections.db.execute(sql`UPDATE tasks SET owner = NULL, owner_node = NULL, lease_expires_at = NULL, epoch = epoch + 1 WHERE id = ${id}`);
    const second = await started[1]!.promise;
    await expect(sleep(5_000, first.signal)).rejects.toSatisfy(isTaskLost);
    gates[0]?.resolve('too late');
    await sleep(1_500);
    const { rows } = await store.connections.db.execute<{ left: number }>(sql`SELECT extract(epoch FROM lease_expires_at - now())::float8 AS left FROM tasks WHERE id = ${id}`);
    expect(rows[0]?.left).toBeGreaterThan(2);
    await second.fence();
    gates[1]?.resolve('ok');
    expect(await ended(id)).toMatchObject({ state: 'done', result: 'ok', attempt: 2 });
  });

  it('that stops gracefully leaves the locks of its task to who goes on', async () => {
    const order: string[] = [];
    const script: Script = async (ctx, payload) => {
      const unlock = await ctx.lock('lock:deployment:x', 10_000);
      try {
        order.push(`${String(payload)} ${ctx.attempt}`);
        for (let round = 0; round < (payload === 'first' && ctx.attempt === 1 ? 1_000 : 1); round++) {
          await ctx.fence();
          await sleep(10);
        }
      } finally {
        await unlock();
      }
      return '';
    };
    const a = await node('A', script);
    const first = await enqueue({ payload: 'first' });
    while (order.length === 0) await sleep(10);
    await node('B', script);
    const second = await enqueue({ payload: 'second' });
    await sleep(100);
    await a.stop();
    await Promise.all([ended(first.id), ended(second.id)]);
    expect(order.slice(0, 2)).toEqual(['first 1', 'first 2']);
    expect(order.filter((entry) => entry.startsWith('second'))).toHaveLength(1);
  });

  it('that stops gracefully hands its task over at once', async () => {
    const { script, started, gates } = gated();
    const a = await node('A', async (ctx, payload) => {
      if (ctx.attempt > 1) return script(ctx, payload);
      started[0]?.resolve(ctx);
      for (;;) {
        await ctx.fence();
        await sleep(20);
      }
    });
    const { id } = await enqueue();
    await started[0]!.promise;
    await node('B', script, { slots: { normal: 1, urgent: 1 } });
    const before = performance.now();
    await a.stop();
    const second = await started[1]!.promise;
    expect(performance.now() - before).toBeLessThan(1_500);
    expect(second.attempt).toBe(2);
    gates[1]?.resolve('ok');
    expect((await ended(id)).state).toBe('done');
    expect(await output(id, 'event')).toContain('handed the task over');
  });
});

describe('a lock', () => {
  it('is waited for, and the error says who holds it', async () => {
    const { script, started, gates } = gated();
    await node('A', script, { slots: { normal: 1, urgent: 1 } });
    const first = await enqueue({ description: 'create deployment' });
    const holder = await started[0]!.promise;
    const unlock = await holder.lock('lock:release:r', 1_000);
    const waiting = deferred<TaskContext>();
    await node('B', async (ctx) => {
      waiting.resolve(ctx);
      await ctx.lock('lock:release:r', 300);
      return 'never';
    });
    const second = await enqueue();
    expect((await ended(second.id)).result).toContain(`Failed to acquire lock for lock:release:r uid: `);
    expect(await output(second.id, 'event')).toContain(`Locking task id is ${first.id}, description: 'create deployment'`);
    await unlock();
    gates[0]?.resolve('');
    await ended(first.id);
  });

  it('passes to the waiter as soon as it is free', async () => {
    const order: string[] = [];
    await node('A', async (ctx, payload) => {
      const unlock = await ctx.lock('lock:x', 5_000);
      order.push(`in ${String(payload)}`);
      await sleep(100);
      order.push(`out ${String(payload)}`);
      await unlock();
      return '';
    });
    const ids = await Promise.all(['1', '2'].map((payload) => enqueue({ payload }).then(({ id }) => id)));
    await Promise.all(ids.map((id) => ended(id)));
    expect(order.map((entry) => entry.split(' ')[0])).toEqual(['in', 'out', 'in', 'out']);
  });
});

describe('a repeated request', () => {
  it('gets the task of the one whose answer was lost, and a new one after an answer', async () => {
    const first = await enqueue({ fingerprint: 'f1' });
    const repeat = await enqueue({ fingerprint: 'f1' });
    expect(repeat).toMatchObject({ id: first.id, repeated: true });
    await markAnswered(store.connections.db, first.requestId ?? '');
    expect((await enqueue({ fingerprint: 'f1' })).id).not.toBe(first.id);
    const both = await Promise.all([enqueue({ fingerprint: 'f2' }), enqueue({ fingerprint: 'f2' })]);
    expect(both[0].id).toBe(both[1].id);
    expect(await listTasks(store.connections.db, {})).toHaveLength(3);
  });
});

describe('output', () => {
  it('is packed into the blobstore after the end, and reads the same from any offset', async () => {
    const text = Array.from({ length: 30_000 }, (_, i) => `line ${i} with some text to fill it\n`).join('');
    await node('A', async (ctx) => {
      await ctx.result(text);
      return '';
    }, { components: [createCompaction({ db: store.connections.db, blobstore: store.blobstore, delayMs: 0 })] });
    const { id } = await enqueue();
    await ended(id);
    const before = await output(id, 'result');
    for (let tries = 0; tries < 400 && !(await findStream(store.connections.db, id, 'result'))?.packed; tries++) await sleep(20);
    expect((await findStream(store.connections.db, id, 'result'))?.packed?.frames.length).toBeGreaterThan(2);
    expect((await store.connections.db.execute(sql`SELECT 1 FROM task_output WHERE task_id = ${id}`)).rows).toEqual([]);
    expect(before === text && (await output(id, 'result')) === text).toBe(true);
    const middle: Buffer[] = [];
    for await (const part of readOutput({ db: store.connections.db, blobstore: store.blobstore }, id, 'result', { start: 262_100, end: 262_300 })) middle.push(part);
    expect(Buffer.concat(middle).toString()).toBe(text.slice(262_100, 262_300));
  });

  it('that cannot be packed does not keep that of other tasks from it', async () => {
    const script: Script = async (ctx, payload) => {
      await ctx.result(`${String(payload)}\n`);
      return '';
    };
    const a = await node('A', script);
    const broken = await enqueue({ payload: 'broken' });
    await ended(broken.id);
    await store.connections.db.execute(sql`UPDATE task_streams SET size = size + 10 WHERE task_id = ${broken.id} AND stream = 'result'`);
    const whole = await enqueue({ payload: 'whole' });
    await ended(whole.id);
    await a.stop();
    await node('B', script, { components: [createCompaction({ db: store.connections.db, blobstore: store.blobstore, delayMs: 0 })] });
    for (let tries = 0; tries < 400 && !(await findStream(store.connections.db, whole.id, 'result'))?.packed; tries++) await sleep(20);
    expect(await output(whole.id, 'result')).toBe('whole\n');
    expect((await findStream(store.connections.db, whole.id, 'result'))?.packed).toBeDefined();
    expect((await findStream(store.connections.db, broken.id, 'result'))?.packed).toBeUndefined();
  });
});
