import { randomUUID } from 'node:crypto';
import { sql } from 'drizzle-orm';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { Component, ComponentContext } from '../../server/cluster/component';
import { acquireLease, listLeaseHistory, listLeases, moveLease, pauseLease } from '../../server/cluster/leases';
import { listNodes } from '../../server/cluster/nodes';
import { sleep } from '../../server/core/clock';
import { deferred } from '../../server/core/concurrency';
import { startTestNode, testStore, type TestNode, type TestStore } from '../support/director-parts';

let store: TestStore;
const nodes: TestNode[] = [];

beforeAll(async () => {
  store = await testStore();
});
afterEach(async () => {
  await Promise.all(nodes.splice(0).map((node) => node.stop()));
  await store.connections.db.execute(sql`TRUNCATE leases, lease_history, director_nodes`);
});
afterAll(() => store.close());

/** A duty that notes who acts when; `acting` is what the fenced writes let through. */
function duty(name: string, log: { node: string; epoch: number }[], node: string, more: (ctx: ComponentContext) => Promise<void> = async () => undefined): Component {
  return {
    name,
    intervalMs: 20,
    async tick(ctx) {
      await more(ctx);
      await ctx.write(async () => void log.push({ node, epoch: ctx.epoch }));
    },
  };
}

async function node(name: string, components: readonly Component[]): Promise<TestNode> {
  const started = await startTestNode({ store, name, perform: async () => '', components });
  nodes.push(started);
  return started;
}

async function until(check: () => Promise<boolean> | boolean, withinMs = 8_000): Promise<number> {
  const start = performance.now();
  while (!(await check())) {
    if (performance.now() - start > withinMs) throw new Error('it did not happen in time');
    await sleep(5);
  }
  return performance.now() - start;
}

async function holderOf(name: string): Promise<string | undefined> {
  return (await listLeases(store.connections.db)).find((lease) => lease.name === name)?.holder;
}

describe('a component', () => {
  it('has one actor, and a graceful stop hands it over at once', async () => {
    const log: { node: string; epoch: number }[] = [];
    const a = await node('A', [duty('duty', log, 'A')]);
    await until(() => log.length > 0);
    await node('B', [duty('duty', log, 'B')]);
    await sleep(300);
    expect(new Set(log.map((entry) => entry.node))).toEqual(new Set(['A']));
    const stopping = a.stop();
    const tookMs = await until(() => log.some((entry) => entry.node === 'B'));
    await stopping;
    expect(tookMs).toBeLessThan(500);
    const history = (await listLeaseHistory(store.connections.db, 60_000)).filter((entry) => entry.name === 'duty');
    expect(history.map((entry) => [entry.epoch, entry.reason])).toEqual([[2, undefined], [1, 'released']]);
  });

  it('is taken over after the holder fell silent; what the old holder still tries does not come through', async () => {
    const log: { node: string; epoch: number }[] = [];
    let late: Promise<unknown> | undefined;
    let release: () => void = () => undefined;
    const pause = new Promise<void>((resolve) => {
      release = resolve;
    });
    let paused = false;
    const a = await node('A', [duty('duty', log, 'A', async (ctx) => {
      if (!paused) return;
      late ??= pause.then(() => ctx.write(async () => void log.push({ node: 'A late', epoch: ctx.epoch })));
      await late;
    })]);
    await until(() => log.length > 0);
    await node('B', [duty('duty', log, 'B')]);
    paused = true;
    await sleep(50);
    await a.heart.stop();
    const tookMs = await until(() => log.some((entry) => entry.node === 'B'));
    expect(tookMs).toBeGreaterThan(1_000);
    expect(tookMs).toBeLessThan(3_500);
    release();
    await expect(late).rejects.toThrow();
    expect(log.some((entry) => entry.node === 'A late')).toBe(false);
    const epochs = log.map((entry) => entry.epoch);
    expect(epochs).toEqual(epochs.toSorted((x, y) => x - y));
  });

  it('can be paused, resumed and moved', async () => {
    const log: { node: string; epoch: number }[] = [];
    const a = await node('A', [duty('duty', log, 'A')]);
    const b = await node('B', [duty('duty', log, 'B')]);
    await until(() => log.length > 0);
    const { db } = store.connections;
    await pauseLease(db, 'duty', true);
    await until(async () => (await holderOf('duty')) === undefined);
    const count = log.length;
    await sleep(400);
    expect(log.length).toBe(count);
    await pauseLease(db, 'duty', false);
    await until(() => log.length > count);
    const holder = await holderOf('duty');
    const other = holder === a.node.id ? b : a;
    expect(await moveLease(db, 'duty', other.node.id)).toBe(true);
    await until(async () => (await holderOf('duty')) === other.node.id);
  });

  it('wanted by a node that died stays with whoever took it', async () => {
    const log: { node: string; epoch: number }[] = [];
    const a = await node('A', [duty('duty', log, 'A')]);
    await until(async () => (await holderOf('duty')) === a.node.id);
    await moveLease(store.connections.db, 'duty', randomUUID());
    await until(() => log.some((entry) => entry.epoch > 1));
    const epoch = log.at(-1)?.epoch;
    await sleep(1_500);
    expect(log.at(-1)).toEqual({ node: 'A', epoch });
  });

  it('wanted by a node that does not know it goes on', async () => {
    const log: { node: string; epoch: number }[] = [];
    const a = await node('A', [duty('duty', log, 'A')]);
    await until(async () => (await holderOf('duty')) === a.node.id);
    const older = await node('B', []);
    await moveLease(store.connections.db, 'duty', older.node.id);
    await until(() => log.some((entry) => entry.epoch > 1));
    const epoch = log.at(-1)?.epoch;
    await sleep(1_000);
    expect(log.at(-1)).toEqual({ node: 'A', epoch });
  });

  it('that does not end its round does not hold up the stop of its node', async () => {
    const stuck = deferred<void>();
    const a = await node('A', [{ name: 'duty', intervalMs: 20, tick: () => stuck.promise }]);
    await until(async () => (await holderOf('duty')) === a.node.id);
    await until(() => a.runner.held().length > 0);
    const before = performance.now();
    await a.runner.stop();
    expect(performance.now() - before).toBeLessThan(5_000);
    stuck.resolve();
  });

  it('whose round fails goes on with the next one', async () => {
    const log: { node: string; epoch: number }[] = [];
    let rounds = 0;
    await node('A', [duty('duty', log, 'A', async () => {
      if (++rounds < 3) throw new Error('not yet');
    })]);
    await until(() => log.length > 0);
    expect(rounds).toBeGreaterThanOrEqual(3);
  });
});

describe('leases', () => {
  it('are never held twice, however many nodes grab for them', async () => {
    const { db } = store.connections;
    await db.execute(sql`INSERT INTO leases (name) SELECT 'l' || i FROM generate_series(1, 20) i`);
    const ids = Array.from({ length: 6 }, (_, i) => `00000000-0000-4000-8000-00000000000${i}`);
    const grabs = await Promise.all(Array.from({ length: 20 }, (_, l) => ids.map((id) => acquireLease(db, `l${l + 1}`, id).then((epoch) => ({ l, id, epoch })))).flat());
    const won = grabs.filter((grab) => grab.epoch !== undefined);
    expect(won).toHaveLength(20);
    expect(new Set(won.map((grab) => grab.l)).size).toBe(20);
    expect(won.every((grab) => grab.epoch === 1)).toBe(true);
  });

  it('spread over the nodes', async () => {
    const components = (name: string) => ['d1', 'd2', 'd3', 'd4', 'd5'].map((duties) => duty(duties, [], name));
    await Promise.all([node('A', components('A')), node('B', components('B')), node('C', components('C'))]);
    await until(async () => (await listLeases(store.connections.db)).filter((lease) => lease.holder !== undefined).length === 6);
    const holders = new Set((await listLeases(store.connections.db)).map((lease) => lease.holder));
    expect(holders.size).toBeGreaterThan(1);
  });
});

describe('nodes', () => {
  it('are listed with their state, and a silent one as lost', async () => {
    const a = await node('A', []);
    await node('B', []);
    await a.heart.stop();
    expect((await listNodes(store.connections.db)).map((one) => [one.name, one.state]).toSorted()).toEqual([['A', 'ready'], ['B', 'ready']]);
    await until(async () => (await listNodes(store.connections.db)).some((one) => one.name === 'A' && one.state === 'lost'));
  });
});
