import { sql } from 'drizzle-orm';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Alert, NewAlert } from '../../server/alerts/alert';
import { claimDue, dispatchAlerts, listDeliveryStates, markDelivered, markFailed, tidyDeliveries } from '../../server/alerts/delivery-store';
import { insertAlert } from '../../server/alerts/store';
import { Notifications } from '../../server/cluster/notifications';
import { sleep } from '../../server/core/clock';
import { deferred } from '../../server/core/concurrency';
import { silentLog } from '../../server/core/log';
import { listEvents } from '../../server/events/store';
import type { HeartbeatAgent, HeartbeatEvent, HeartbeatMessage } from '../../server/health/events';
import { createAlertDelivery, type AlertDelivery } from '../../server/health/plugins/alert-delivery';
import type { DeliveryTiming } from '../../server/health/plugins/courier';
import type { HeartbeatSource } from '../../server/health/plugins/delivery-term';
import { createEventLogger } from '../../server/health/plugins/event-logger';
import { oneByOne, type Plugin } from '../../server/health/plugins/plugin';
import { startTestNode, testStore, type TestNode, type TestStore } from '../support/director-parts';

const timing: DeliveryTiming = { callTimeoutMs: 1_000, claimMs: 2_500, graceMs: 1_000, retry: { firstMs: 100, longestMs: 800, giveUpMs: 86_400_000 } };
const agent: HeartbeatAgent = { agentId: 'agent-1', deployment: 'dep', teams: [], group: 'web', index: 0, instanceUuid: 'uuid-1' };

let store: TestStore;
let notifications: Notifications;
let source: FakeSource;
const nodes: TestNode[] = [];

/** Heartbeats as a test says them. */
class FakeSource implements HeartbeatSource {
  readonly listeners = new Set<(agent: HeartbeatAgent, message: HeartbeatMessage, at: number) => void>();

  onHeartbeat(listener: (agent: HeartbeatAgent, message: HeartbeatMessage, at: number) => void): () => void {
    this.listeners.add(listener);
    return () => void this.listeners.delete(listener);
  }

  say(at: number): void {
    for (const listener of this.listeners) listener(agent, { job_state: 'running' }, at);
  }
}

beforeAll(async () => {
  store = await testStore();
  notifications = new Notifications(store.connections, silentLog);
  notifications.start();
});
beforeEach(() => {
  source = new FakeSource();
});
afterEach(async () => {
  await Promise.all(nodes.splice(0).map((node) => node.stop()));
  await store.connections.db.execute(sql`TRUNCATE leases, lease_history, director_nodes, alerts, alert_deliveries, events`);
});
afterAll(async () => {
  await notifications.stop();
  await store.close();
});

function newAlert(id: string): NewAlert {
  return { id, dedupKey: id, origin: 'health_monitor', severity: 2, title: `${id} has timed out`, summary: `${id} has timed out`, source: 'test', deployment: 'dep', job: 'web', instanceId: 'uuid-1', createdAt: 1_700_000_000 };
}

async function storeAlerts(...ids: string[]): Promise<void> {
  await store.connections.db.transaction(async (tx) => {
    for (const id of ids) await insertAlert(tx, newAlert(id));
  });
}

/** A plugin that notes the ids it was given. */
function recorder(key: string, got: string[], before: (alert: Alert, signal: AbortSignal) => Promise<void> = async () => undefined): Plugin {
  return {
    key,
    alerts: oneByOne(async (alert, signal) => {
      await before(alert, signal);
      got.push(alert.id);
    }),
  };
}

interface Acting {
  node: TestNode;
  delivery: AlertDelivery;
  /** As SIGTERM does. */
  stop(): Promise<void>;
}

async function act(name: string, plugins: () => Plugin[], over: Partial<DeliveryTiming> = {}): Promise<Acting> {
  const delivery = createAlertDelivery({ db: store.connections.db, notifications, heartbeats: source, createPlugins: plugins, timing: { ...timing, ...over } });
  const node = await startTestNode({ store, name, perform: async () => '', components: [delivery] });
  nodes.push(node);
  return {
    node, delivery,
    stop: async () => {
      node.node.setState('draining');
      await node.heart.beat();
      await node.runner.stop();
    },
  };
}

async function until(check: () => Promise<boolean> | boolean, withinMs = 10_000): Promise<void> {
  const deadline = performance.now() + withinMs;
  while (!(await check())) {
    if (performance.now() > deadline) throw new Error('it did not happen in time');
    await sleep(5);
  }
}

async function stateOf(plugin: string) {
  return (await listDeliveryStates(store.connections.db)).find((state) => state.plugin === plugin);
}

const ids = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, index) => `a${from + index}`);

describe('the delivery of alerts', () => {
  it('brings every alert to every plugin, once and in order', async () => {
    const [one, two]: [string[], string[]] = [[], []];
    await storeAlerts(...ids(1, 10));
    const { delivery } = await act('A', () => [recorder('one', one), recorder('two', two)]);
    await until(() => one.length === 10 && two.length === 10);
    await storeAlerts(...ids(11, 15));
    await until(async () => (await stateOf('one'))?.delivered === 15 && (await stateOf('two'))?.delivered === 15);
    expect(one).toEqual(ids(1, 15));
    expect(two).toEqual(ids(1, 15));
    await until(() => delivery.pluginStats().every((stats) => stats.delivered === 15));
    expect(await stateOf('one')).toEqual({ plugin: 'one', pending: 0, failing: 0, oldestMs: 0, delivered: 15, givenUp: 0, error: undefined });
  });

  it('does not wait for the next round when an alert is stored', async () => {
    const got: string[] = [];
    await act('A', () => [recorder('one', got)]);
    await storeAlerts('first');
    await until(() => got.length === 1);
    const took: number[] = [];
    for (const id of ids(1, 4)) {
      const before = performance.now();
      await storeAlerts(id);
      await until(() => got.includes(id));
      took.push(performance.now() - before);
    }
    expect(Math.min(...took)).toBeLessThan(200);
  });

  it('tries again with growing delays what failed, and says why', async () => {
    const [got, at]: [string[], number[]] = [[], []];
    const { delivery } = await act('A', () => [recorder('one', got, async () => {
      at.push(performance.now());
      if (at.length < 5) throw new Error('out of order');
    })]);
    await storeAlerts('a1');
    await until(async () => (await stateOf('one'))?.error === 'out of order');
    expect(await stateOf('one')).toMatchObject({ pending: 1, failing: 1 });
    await until(async () => (await stateOf('one'))?.delivered === 1);
    expect(got).toEqual(['a1']);
    const delays = at.slice(1).map((time, index) => time - (at[index] ?? 0));
    // Half of the doubled delay at least: 100, 200, 400, 800 ms.
    for (const [index, least] of [50, 100, 200, 400].entries()) expect(delays[index]).toBeGreaterThanOrEqual(least);
    expect(delivery.pluginStats()).toMatchObject([{ delivered: 1, failed: 4 }]);
  });

  it('is kept from nobody by a plugin that hangs, throws at once or throws at its start', async () => {
    const got: string[] = [];
    const hanging = recorder('hanging', [], () => new Promise(() => undefined));
    const broken: Plugin = {
      key: 'broken',
      start: () => {
        throw new Error('no start');
      },
      alerts: { kind: 'call', batch: 1, pauseMs: 0, deliver: () => { throw new Error('thrown, not rejected'); } },
    };
    const { node } = await act('A', () => [hanging, broken, recorder('well', got)]);
    await storeAlerts(...ids(1, 20));
    await until(() => got.length === 20, 3_000);
    await until(async () => (await stateOf('hanging'))?.error === 'no result after 1 s');
    await until(async () => (await stateOf('broken'))?.error === 'thrown, not rejected');
    expect(node.runner.held().map((held) => held.name)).toContain('alert-delivery');
    expect(await stateOf('hanging')).toMatchObject({ delivered: 0, pending: 20 });
  });

  it('goes on with others while one alert cannot be delivered, and gives that one up in the end', async () => {
    const got: string[] = [];
    await storeAlerts(...ids(1, 6));
    await store.connections.db.execute(sql`UPDATE alerts SET stored_at = now() - interval '23 hours 59 minutes 59 seconds' WHERE id = 'a2'`);
    await act('A', () => [recorder('one', got, async (alert) => {
      if (alert.id === 'a2') throw new Error('poison');
    })]);
    await until(() => got.length === 5);
    expect(got).toEqual(['a1', 'a3', 'a4', 'a5', 'a6']);
    await until(async () => (await stateOf('one'))?.givenUp === 1);
    expect(await stateOf('one')).toMatchObject({ pending: 0, delivered: 5, givenUp: 1 });
  });

  it('gives plugins that take several at once what has come since their last call', async () => {
    const batches: string[][] = [];
    await storeAlerts(...ids(1, 3));
    await act('A', () => [{ key: 'mail', alerts: { kind: 'call', batch: 128, pauseMs: 800, deliver: async (alerts) => void batches.push(alerts.map((alert) => alert.id)) } }]);
    await until(() => batches.length === 1);
    const first = performance.now();
    await storeAlerts('a4');
    await storeAlerts('a5', 'a6');
    await until(() => batches.length === 2);
    expect(performance.now() - first).toBeGreaterThan(500);
    expect(batches).toEqual([ids(1, 3), ids(4, 6)]);
  });

  it('finds the one alert for which a whole batch is refused', async () => {
    const got: string[] = [];
    await storeAlerts(...ids(1, 8));
    await act('A', () => [{
      key: 'mail',
      alerts: {
        kind: 'call', batch: 8, pauseMs: 0,
        deliver: async (alerts) => {
          if (alerts.some((alert) => alert.id === 'a5')) throw new Error('552 refused');
          got.push(...alerts.map((alert) => alert.id));
        },
      },
    }], { retry: { firstMs: 20, longestMs: 100, giveUpMs: 86_400_000 } });
    await until(() => got.length === 7);
    expect(got.toSorted()).toEqual(ids(1, 8).filter((id) => id !== 'a5'));
    // A delivery is noted after its call has ended.
    await until(async () => (await stateOf('mail'))?.pending === 1);
    expect(await stateOf('mail')).toMatchObject({ failing: 1, error: '552 refused' });
  });
});

describe('a change of the acting node', () => {
  it('loses and repeats nothing when it stops as it should', async () => {
    const got: { node: string; id: string }[] = [];
    const plugin = (name: string): Plugin => ({
      key: 'one',
      alerts: oneByOne(async (alert) => {
        await sleep(60);
        got.push({ node: name, id: alert.id });
      }),
    });
    await storeAlerts(...ids(1, 30));
    const a = await act('A', () => [plugin('A')]);
    await until(() => got.length >= 5);
    await act('B', () => [plugin('B')]);
    await a.stop();
    await until(async () => (await stateOf('one'))?.delivered === 30);
    expect(got.map((entry) => entry.id).toSorted()).toEqual(ids(1, 30).toSorted());
    expect(new Set(got.map((entry) => entry.node))).toEqual(new Set(['A', 'B']));
  });

  it('gives a call that does not end some time, then hands it to the next node', async () => {
    const got: string[] = [];
    await storeAlerts('a1', 'a2');
    const calling = deferred<void>();
    const a = await act('A', () => [recorder('one', [], () => {
      calling.resolve();
      return new Promise(() => undefined);
    })], { callTimeoutMs: 30_000, claimMs: 40_000, graceMs: 200 });
    await calling.promise;
    await act('B', () => [recorder('one', got)]);
    const before = performance.now();
    await a.stop();
    await until(() => got.length === 2);
    expect(performance.now() - before).toBeLessThan(3_000);
    expect(got.toSorted()).toEqual(['a1', 'a2']);
  });

  it('repeats what may have arrived with the same id when it dies in the call, and delivers the rest once', async () => {
    const got: { node: string; id: string }[] = [];
    const silence = deferred<void>();
    await storeAlerts(...ids(1, 8));
    const a = await act('A', () => [{
      key: 'one',
      alerts: oneByOne(async (alert) => {
        got.push({ node: 'A', id: alert.id });
        // It arrived; before that can be noted the node is as good as dead.
        if (got.length === 4) await silence.promise;
      }),
    }], { callTimeoutMs: 60_000, graceMs: 60_000 });
    await until(() => got.length === 4);
    await act('B', () => [{ key: 'one', alerts: oneByOne(async (alert) => void got.push({ node: 'B', id: alert.id })) }]);
    await a.node.heart.stop();
    await until(async () => (await stateOf('one'))?.delivered === 8, 15_000);
    expect(got.filter((entry) => entry.node === 'A').map((entry) => entry.id)).toEqual(ids(1, 4));
    // What was claimed waits until the claim ends; the others go on.
    expect(got.filter((entry) => entry.node === 'B').map((entry) => entry.id)).toEqual(['a5', 'a6', 'a7', 'a8', 'a4']);
    silence.resolve();
    await sleep(50);
    expect(await stateOf('one')).toMatchObject({ delivered: 8, pending: 0 });
  });

  it('takes plugins and heartbeats along', async () => {
    const log: string[] = [];
    const plugin = (name: string) => (): Plugin[] => [{
      key: 'beats',
      start: () => void log.push(`${name} starts`),
      stop: async () => void log.push(`${name} stops`),
      heartbeats: { batch: 10, send: async (events) => void log.push(`${name} ${events.map((event) => event.timestamp).join(' ')}`) },
    }];
    const a = await act('A', plugin('A'));
    await until(() => source.listeners.size === 1);
    await act('B', plugin('B'));
    source.say(1_000);
    await until(() => log.includes('A 1'));
    await a.stop();
    await until(() => log.includes('B starts') && source.listeners.size === 1);
    source.say(2_000);
    await until(() => log.includes('B 2'));
    expect(log).toEqual(expect.arrayContaining(['A starts', 'A 1', 'A stops', 'B starts', 'B 2']));
    expect(log).toHaveLength(5);
  });
});

describe('the event logger', () => {
  it('writes each alert into the audit trail exactly once, with the fields of POST /events', async () => {
    await storeAlerts(...ids(1, 5));
    let failures = 0;
    const plugin = createEventLogger('event_logger');
    const { alerts: sink } = plugin;
    if (sink?.kind !== 'row') throw new Error('it writes rows');
    const flaky: Plugin = {
      key: 'event_logger',
      alerts: {
        kind: 'row',
        record: async (tx, alert) => {
          await sink.record(tx, alert);
          if (alert.id === 'a3' && failures++ < 2) throw new Error('after the row');
        },
      },
    };
    await act('A', () => [flaky]);
    await until(async () => (await stateOf('event_logger'))?.delivered === 5);
    const events = await listEvents(store.connections.db, { limit: 100 });
    expect(events.map((event) => event.objectName).toSorted()).toEqual(ids(1, 5));
    expect(failures).toBe(3);
    expect(events.find((event) => event.objectName === 'a1')).toMatchObject({
      action: 'create', objectType: 'alert', deployment: 'dep', instance: 'web/uuid-1', at: new Date(1_700_000_000_000), error: undefined, taskId: undefined,
      context: { message: 'a1 has timed out. Alert @ 2023-11-14 22:13:20 UTC, severity 2: a1 has timed out' },
    });
  });

  it('writes none twice, however many nodes do it at a time', async () => {
    await storeAlerts('a1');
    const { db } = store.connections;
    await db.transaction((tx) => dispatchAlerts(tx, ['event_logger']));
    const claims = [await db.transaction((tx) => claimDue(tx, 'event_logger', { batch: 1, claimMs: 0 })), await db.transaction((tx) => claimDue(tx, 'event_logger', { batch: 1, claimMs: 0 }))];
    const { alerts: sink } = createEventLogger('event_logger');
    if (sink?.kind !== 'row') throw new Error('it writes rows');
    await Promise.all(claims.map((claim) => db.transaction(async (tx) => {
      for (const alert of claim?.alerts ?? []) if ((await markDelivered(tx, 'event_logger', [alert.seq])).length > 0) await sink.record(tx, alert);
    })));
    expect(claims.map((claim) => claim?.alerts.length)).toEqual([1, 1]);
    expect(await listEvents(db, { limit: 10 })).toHaveLength(1);
  });
});

describe('claims', () => {
  it('keep others away while they last, and a lost one changes nothing', async () => {
    await storeAlerts('a1');
    const { db } = store.connections;
    await db.transaction((tx) => dispatchAlerts(tx, ['one']));
    const claim = await db.transaction((tx) => claimDue(tx, 'one', { batch: 1, claimMs: 50 }));
    expect(await db.transaction((tx) => claimDue(tx, 'one', { batch: 1, claimMs: 50 }))).toBeUndefined();
    await sleep(60);
    const second = await db.transaction((tx) => claimDue(tx, 'one', { batch: 1, claimMs: 10_000 }));
    expect(second?.alerts.map((alert) => alert.id)).toEqual(['a1']);
    if (!claim || !second) throw new Error('there were two claims');
    await markFailed(db, claim, { error: 'too late', retry: timing.retry });
    expect(await stateOf('one')).toMatchObject({ failing: 0, error: undefined });
    expect(await markDelivered(db, 'one', second.alerts.map((alert) => alert.seq))).toHaveLength(1);
    expect(await markDelivered(db, 'one', second.alerts.map((alert) => alert.seq))).toHaveLength(0);
  });
});

describe('tidying', () => {
  it('gives up what no plugin is configured for, and removes old alerts that are done', async () => {
    const { db } = store.connections;
    await storeAlerts('old and done', 'old and pending', 'new');
    await db.transaction((tx) => dispatchAlerts(tx, ['one', 'gone']));
    await db.execute(sql`UPDATE alerts SET stored_at = now() - interval '8 days' WHERE id LIKE 'old%'`);
    await db.execute(sql`UPDATE alert_deliveries SET delivered_at = now() WHERE plugin = 'one' AND alert_seq = (SELECT seq FROM alerts WHERE id = 'old and done')`);
    await db.transaction((tx) => tidyDeliveries(tx, { plugins: ['one'], giveUpMs: 86_400_000, keepMs: 7 * 86_400_000 }));
    const { rows } = await db.execute<{ id: string }>(sql`SELECT id FROM alerts ORDER BY seq`);
    expect(rows.map((row) => row.id)).toEqual(['old and pending', 'new']);
    expect(await stateOf('gone')).toMatchObject({ pending: 1, givenUp: 1 });
  });
});

describe('heartbeats', () => {
  it('are not even heard when no plugin wants them', async () => {
    const got: string[] = [];
    await act('A', () => [recorder('one', got)]);
    await storeAlerts('a1');
    await until(() => got.length === 1);
    expect(source.listeners.size).toBe(0);
  });

  it('are dropped, the oldest first, when a plugin does not keep up', async () => {
    const got: HeartbeatEvent[] = [];
    const gate = deferred<void>();
    const { delivery } = await act('A', () => [{ key: 'slow', heartbeats: { batch: 100, send: async (events) => {
      await gate.promise;
      got.push(...events);
    } } }], { callTimeoutMs: 30_000 });
    await until(() => source.listeners.size === 1);
    for (let second = 1; second <= 12_000; second++) source.say(second * 1_000);
    gate.resolve();
    await until(() => got.at(-1)?.timestamp === 12_000);
    const [stats] = delivery.pluginStats();
    expect((stats?.droppedHeartbeats ?? 0) + got.length).toBe(12_000);
    expect(stats?.droppedHeartbeats).toBeGreaterThanOrEqual(2_000);
    const times = got.map((event) => event.timestamp);
    expect(times).toEqual(times.toSorted((x, y) => x - y));
  });

  it('are lost for a plugin that fails, and for no other', async () => {
    const got: HeartbeatEvent[] = [];
    const { delivery } = await act('A', () => [
      { key: 'bad', heartbeats: { batch: 1, send: async () => { throw new Error('no'); } } },
      { key: 'good', heartbeats: { batch: 1, send: async (events) => void got.push(...events) } },
    ]);
    await until(() => source.listeners.size === 1);
    source.say(1_000);
    source.say(2_000);
    await until(() => got.length === 2 && delivery.pluginStats().some((stats) => stats.droppedHeartbeats > 0));
    expect(delivery.pluginStats().find((stats) => stats.key === 'good')).toMatchObject({ heartbeats: 2, droppedHeartbeats: 0 });
  });
});
