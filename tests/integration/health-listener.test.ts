import { getEventListeners } from 'node:events';
import { readFileSync } from 'node:fs';
import { sql } from 'drizzle-orm';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { Notifications } from '../../server/cluster/notifications';
import { sleep, systemClock } from '../../server/core/clock';
import { silentLog } from '../../server/core/log';
import { HealthListener } from '../../server/health/listener';
import { createMonitorServer } from '../../server/health/http';
import { Prober, type ProberDeps } from '../../server/health/prober';
import { createFleet } from '../../server/health/fleet';
import { worstOf, type Scene } from '../../server/health/paths';
import type { Agent } from '../../server/agents/agent';
import { AgentFailure } from '../../server/agents/request';
import { Bus } from '../../server/nats/connection';
import { testStore, type TestStore } from '../support/director-parts';
import { recordInstances } from '../support/monitor-scene';
import { startNats, type TestNats } from '../support/nats';

const releases: (() => void | Promise<void>)[] = [];
afterEach(async () => {
  for (const release of releases.splice(0).toReversed()) await release();
});

async function until(check: () => boolean, withinMs = 10_000): Promise<void> {
  const deadline = performance.now() + withinMs;
  while (!check()) {
    if (performance.now() > deadline) throw new Error('it did not happen');
    await sleep(10);
  }
}

const messages = readFileSync('tests/fixtures/health/messages.jsonl', 'utf8').trim().split('\n').map((line) => z.object({ subject: z.string(), data: z.unknown() }).parse(JSON.parse(line)));

describe('a node on a real bus', () => {
  let store: TestStore;
  let nats: TestNats;
  beforeAll(async () => {
    [store, nats] = await Promise.all([testStore(), startNats({ servers: 3, agentsOpen: true })]);
  }, 60_000);
  afterAll(() => Promise.all([store.close(), nats.stop()]));

  function busOf(name: string, creds: TestNats['hmCreds'], urls: readonly string[]): Bus {
    const bus = new Bus({ name, urls, ca: nats.ca, certificate: creds.certificate, privateKey: creds.private_key, log: silentLog });
    bus.start();
    releases.push(() => bus.stop());
    return bus;
  }

  it('hears agents, follows the records, and notices which server is lost', async () => {
    const { db } = store.connections;
    const notifications = new Notifications(store.connections, silentLog);
    notifications.start();
    releases.push(() => notifications.stop());
    const own = nats.servers[0];
    const other = nats.servers[1];
    if (!own || !other) throw new Error('no servers');
    const bus = busOf('hm', nats.hmCreds, [own.url]);
    const listener = new HealthListener({ bus, db, notifications, natsUrls: nats.urls, intervals: { agent_timeout: 60, poll_director: 600, path_grace: 300 }, clock: systemClock, log: silentLog });
    listener.start();
    releases.push(() => listener.stop());
    const heard: string[] = [];
    listener.onHeartbeat((agent, message, at) => heard.push(`${agent.agentId} ${message.job_state} ${Math.abs(Date.now() - at) < 5_000}`));
    const agents = busOf('agents', nats.directorCreds, [other.url]);
    await until(() => listener.fleet.synced && bus.isConnected() && agents.isConnected());

    const [instance] = await recordInstances(db, 'lab', 1);
    const agentId = instance?.agentId ?? '';
    await until(() => listener.fleet.managed.has(agentId));
    const say = (kind: string, data: unknown, from = agentId) => agents.publish(`hm.agent.${kind}.${from}`, Buffer.from(JSON.stringify(data)));
    const [real] = messages.filter((message) => message.subject.includes('heartbeat'));
    const [alert] = messages.filter((message) => message.subject.includes('alert.'));
    await until(() => (say('heartbeat', real?.data), heard.length > 0));
    expect(heard[0]).toBe(`${agentId} running true`);
    expect(listener.fleet.find(agentId)).toMatchObject({ status: 'running', processes: 3, deployment: 'lab' });
    expect(listener.vitals.slots()).toHaveLength(1);

    say('heartbeat', real?.data, 'stranger');
    say('alert', alert?.data);
    for (const { subject, data } of messages.filter((message) => message.subject === 'hm.director.alert')) agents.publish(subject, Buffer.from(JSON.stringify(data)));
    await until(() => listener.alerts.size === 4 && listener.fleet.unmanaged.size === 1);
    expect(listener.alerts.take(9).map((one) => one.origin)).toEqual(['agent', 'director', 'director', 'director']);
    expect(listener.invalid).toBe(0);

    say('shutdown', null);
    await until(() => listener.fleet.find(agentId)?.jobState === undefined);
    await until(() => listener.fleet.managed.has(agentId));

    await db.execute(sql`DELETE FROM vms`);
    await until(() => !listener.fleet.managed.has(agentId));

    await until(() => nats.servers.every((server) => listener.scene().servers.get(server.name)?.healthy === true));
    await nats.servers[2]?.process.stop();
    await until(() => listener.scene().servers.get('nats-3')?.lostAt !== undefined);
    expect(listener.scene()).toMatchObject({ anywhere: { healthy: false } });
    expect(listener.scene().provenAt).toBeCloseTo(performance.now(), -3);
    const { grace } = listener.scene();
    await own.process.stop();
    await until(() => listener.scene().provenAt === Number.NEGATIVE_INFINITY);
    await Promise.all([own.process.start(), nats.servers[2]?.process.start()]);
    await until(() => bus.isConnected() && listener.scene().grace > grace && listener.scene().anywhere.healthy);
    expect(listener.scene().servers.get('nats-3')?.backAt).toBeGreaterThan(grace);

    const restarted = performance.now();
    await other.process.stop();
    await other.process.start();
    await until(() => (listener.scene().servers.get('nats-2')?.backAt ?? 0) > restarted);
  }, 60_000);
});

describe('the endpoints', () => {
  it('are those of the Ruby monitor', async () => {
    let synced = false;
    let now = 0;
    const counts = { unresponsive: { lab: 1 }, unhealthy: { lab: 2 }, failing: { lab: 3 }, stopped: { lab: 4 }, unknown: { lab: 5 }, available: { lab: 6, unmanaged: 7 } };
    const server = createMonitorServer({ host: '127.0.0.1', port: 0, fleet: { get synced() { return synced; }, counts: () => counts }, clock: { monotonic: () => now } });
    await server.start();
    releases.push(() => server.stop());
    const get = async (path: string) => {
      const reply = await fetch(`http://127.0.0.1:${server.port()}${path}`);
      return [reply.status, await reply.text()];
    };
    expect(await get('/unresponsive_agents')).toEqual([503, '']);
    synced = true;
    const paths = ['/unresponsive_agents', '/unhealthy_agents', '/failing_instances', '/stopped_instances', '/unknown_instances', '/total_available_agents'];
    expect(await Promise.all(paths.map(get))).toEqual(Object.values(counts).map((count) => [200, JSON.stringify(count)]));
    expect(await get('/healthz')).toEqual([200, 'Last pulse was 0 seconds ago']);
    now = 180_001;
    expect((await get('/healthz'))[0]).toBe(500);
    expect((await get('/toString'))[0]).toBe(404);
    const taken = createMonitorServer({ host: '127.0.0.1', port: server.port(), fleet: { synced, counts: () => counts }, clock: systemClock });
    await expect(taken.start()).rejects.toThrow('EADDRINUSE');
    await taken.stop();
  });
});

describe('the prober', () => {
  type Behaviour = 'answers' | 'refuses' | 'deaf';

  function probing(behaviours: Record<string, Behaviour>, more: Partial<ProberDeps> = {}) {
    const asked: string[] = [];
    const scene = (): Scene => ({ now: performance.now(), grace: 0, provenAt: performance.now(), servers: new Map(), anywhere: worstOf([]), pathGraceMs: 0 });
    const fleet = createFleet({ agentTimeoutMs: 60_000, unmanagedLimit: 1, scene, epochOffset: () => 0 });
    const agents = Object.keys(behaviours).map((agentId) => ({
      agentId, deployment: 'lab', group: 'web', index: 0, instanceId: 1, instanceUuid: 'i', az: undefined, cid: 'c', compilation: false, path: undefined, pathSince: Number.NEGATIVE_INFINITY,
    }));
    fleet.sync({ deployments: new Map(), agents, missing: [], others: new Set() }, performance.now());
    const ping = async (id: string, signal: AbortSignal) => {
      asked.push(id);
      if (behaviours[id] === 'refuses') throw new AgentFailure('busy');
      if (behaviours[id] === 'deaf') await sleep(10_000, signal);
    };
    const prober = new Prober(
      {
        agents: { agentFor: ({ id }, { signal }) => ({ ping: () => ping(id, signal) }) as Agent }, fleet, scene, canAsk: () => true, lockedDeployments: async () => new Set<string>(), holds: () => true, clock: systemClock, log: silentLog, ...more,
      },
      { everyMs: 50, retryMs: 20, patienceMs: 20, agentTimeoutMs: 60_000 },
    );
    const stop = new AbortController();
    prober.start(stop.signal);
    releases.push(async () => {
      stop.abort();
      await prober.ended();
    });
    for (const id of Object.keys(behaviours)) fleet.beat(id, {}, performance.now());
    return { prober, asked, behaviours, scene, fleet, signal: stop.signal };
  }

  it('finds agents that beat but do not answer, until they do', async () => {
    const { prober, behaviours, asked } = probing({ well: 'answers', busy: 'refuses', deaf: 'deaf' });
    await until(() => prober.deaf.size > 0);
    expect([...prober.deaf]).toEqual(['deaf']);
    expect(asked.filter((id) => id === 'deaf').length).toBeGreaterThanOrEqual(3);
    expect(prober.answeredAt('busy')).toBeGreaterThan(0);
    behaviours.deaf = 'answers';
    await until(() => prober.deaf.size === 0);
    expect(prober.answeredAt('deaf')).toBeGreaterThan(0);
  });

  it.each<[string, Partial<ProberDeps>]>([
    ['a task works on the deployment', { lockedDeployments: async () => new Set(['lab']) }],
    ['the bus is not well', { scene: () => ({ now: 1, grace: 0, provenAt: 0, servers: new Map(), anywhere: worstOf([]), pathGraceMs: 0 }) }],
    ['it cannot be known whether one works on it', { lockedDeployments: () => Promise.reject(new Error('the database is away')) }],
  ])('blames nobody while %s', async (_, more) => {
    const { prober, asked } = probing({ deaf: 'deaf' }, more);
    await until(() => asked.length >= 4);
    expect(prober.deaf.size).toBe(0);
  });

  it('gives everybody a turn, though not all can be asked in time', async () => {
    const ids = Array.from({ length: 150 }, (_, n) => `agent-${n}`);
    const { asked } = probing(Object.fromEntries(ids.map((id) => [id, 'answers' as const])));
    await until(() => new Set(asked).size === ids.length);
  });

  it('leaves nothing behind at the signal of the reign', async () => {
    const { asked, prober, signal } = probing({ well: 'answers', busy: 'refuses' });
    await until(() => asked.length >= 4 && prober.answeredAt('busy') !== undefined);
    // Where Node keeps what `AbortSignal.any` made of a signal.
    const kept = Object.getOwnPropertySymbols(signal).filter((symbol) => symbol.description === 'kDependantSignals').map((symbol): unknown => Reflect.get(signal, symbol));
    expect(kept).toEqual([]);
    expect(getEventListeners(signal, 'abort').length).toBeLessThanOrEqual(3);
  });

  it('asks nobody that does not beat, nor when this node must not act', async () => {
    const silent = probing({ dead: 'answers' });
    const record = silent.fleet.managed.get('dead');
    if (record) record.beatAt = Number.NEGATIVE_INFINITY;
    const fenced = probing({ well: 'answers' }, { holds: () => false });
    await sleep(700);
    expect([...silent.asked, ...fenced.asked]).toEqual([]);
  });
});
