import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { AgentClient } from '../../server/agents/client';
import { createBusMover, type BusMoverDeps } from '../../server/agents/bus-mover';
import { findBusMove, findBusUrls, listBusMoveAgents, listBusMoves, startBusMove, type BusMove } from '../../server/agents/bus-move-store';
import { silentLog } from '../../server/core/log';
import { natsConfigSha1 } from '../../server/nats/ca-bundle';
import { Bus } from '../../server/nats/connection';
import { createAgentIssuer } from '../../server/nats/credentials';
import { startTestNode, testStore, type TestNode, type TestStore } from '../support/director-parts';
import { MovingAgent } from '../support/moving-agent';
import { startNats, type TestNats } from '../support/nats';

let nats: TestNats;
let store: TestStore;
let bus: Bus;
let client: AgentClient;
let caSha1: string;
let before: string[];
let after: string[];
let agents: MovingAgent[] = [];
const nodes: TestNode[] = [];

beforeAll(async () => {
  [nats, store] = await Promise.all([startNats({ servers: 3, agentsOpen: true }), testStore()]);
  caSha1 = natsConfigSha1(nats.ca, nats.caKey);
  before = nats.urls.slice(0, 2);
  after = nats.urls.slice(2);
  bus = new Bus({ name: 'test', urls: nats.urls, ca: nats.ca, certificate: nats.directorCreds.certificate, privateKey: nats.directorCreds.private_key, log: silentLog });
  bus.start();
  client = new AgentClient({ bus, nodeId: randomUUID() });
  client.start();
});

afterAll(async () => {
  client?.stop();
  await bus?.stop();
  await Promise.all([nats?.stop(), store?.close()]);
});

beforeEach(async () => {
  await store.connections.pool.query('TRUNCATE bus_moves, bus_targets, bus_move_agents, vms, instances, deployments, locks, tasks, leases, agent_paths, events CASCADE');
});

afterEach(async () => {
  await Promise.all(nodes.splice(0).map((node) => node.stop()));
  await Promise.all(agents.splice(0).map((agent) => agent.stop()));
});

const sql = (text: string, values: unknown[] = []) => store.connections.pool.query(text, values);

async function addAgents(count: number, az: string | undefined): Promise<MovingAgent[]> {
  const issuer = createAgentIssuer(nats.ca, nats.caKey);
  const made = await Promise.all(
    Array.from({ length: count }, async () => {
      const id = randomUUID();
      return new MovingAgent(id, { urls: before, cert: await issuer.bootstrap(id) });
    }),
  );
  await sql(`INSERT INTO vms (agent_id, cid, state, az, nats_config_sha1) SELECT id, 'vm-' || id, 'created', $2, 'old' FROM unnest($1::uuid[]) id`, [made.map((one) => one.id), az ?? null]);
  await Promise.all(made.map((one) => one.start()));
  agents.push(...made);
  return made;
}

async function startNode(name: string, deps: Partial<BusMoverDeps> = {}): Promise<TestNode> {
  const mover = createBusMover({
    db: store.connections.db, agents: client, isConnected: () => bus.isConnected(), permanentCertificate: (id) => createAgentIssuer(nats.ca, nats.caKey).permanent(id), caSha1, nodeName: name, ...deps, limits: { probeMs: 800, returnMs: 1_500, ...deps.limits },
  });
  const node = await startTestNode({ store, name, perform: async () => '', components: [{ ...mover, intervalMs: 50 }] });
  nodes.push(node);
  return node;
}

const order = (move: { az?: string; urls?: string[]; caSha1?: string } = {}) => startBusMove(store.connections.db, { urls: after, user: 'admin', caSha1, ...move });

async function moveOf(id: number): Promise<BusMove> {
  const found = await findBusMove(store.connections.db, id);
  if (!found) throw new Error(`no move ${id}`);
  return found;
}

const finished = (id: number, timeout = 20_000) => expect.poll(async () => (await moveOf(id)).finishedAt, { timeout }).toBeInstanceOf(Date);
const host = (urls: string[]) => (urls[0] ?? '').replace('nats://', '');

describe('a move of all VMs', () => {
  test('brings every agent to the new servers, with its identity and a permanent certificate', async () => {
    const moved = [...(await addAgents(30, 'z1')), ...(await addAgents(10, undefined))];
    await startNode('A');
    const id = await order();
    await finished(id);
    expect(await moveOf(id)).toMatchObject({ told: 40, pending: 0, gone: 0, superseded: 0, user: 'admin', az: undefined, urls: after, error: undefined });
    for (const agent of moved) {
      expect(agent.server).toBe(host(after));
      expect(agent.settings.urls).toEqual(after);
      expect(agent.count('update_settings')).toBe(1);
    }
    const { rows } = await sql('SELECT DISTINCT nats_config_sha1, permanent_nats_credentials FROM vms');
    expect(rows).toEqual([{ nats_config_sha1: caSha1, permanent_nats_credentials: true }]);
    expect((await sql('SELECT username, action, object_type, object_name, context FROM events')).rows).toEqual([{ username: 'admin', action: 'update', object_type: 'bus', object_name: 'all', context: { move: id, urls: after } }]);
    expect(await findBusUrls(store.connections.db, 'z1')).toEqual(after);
    expect(await findBusUrls(store.connections.db, undefined)).toEqual(after);
  });

  test('to where they are renews their certificates', async () => {
    const [agent] = await addAgents(1, 'z1');
    await startNode('A');
    const serial = agent?.settings.cert.certificate;
    await finished(await order({ urls: before }));
    expect(agent?.settings.cert.certificate).not.toBe(serial);
    expect(agent?.settings.urls).toEqual(before);
  });

  test('goes on where another node left it; an agent that was just told hears it again at most', async () => {
    const moved = await addAgents(20, 'z1');
    for (const agent of moved) agent.restartMs = 400;
    const first = await startNode('A');
    const id = await order();
    await expect.poll(() => moved.filter((agent) => agent.count('update_settings') > 0).length, { timeout: 10_000, interval: 5 }).toBeGreaterThan(1);
    await startNode('B');
    await first.stop();
    await finished(id);
    expect(await moveOf(id)).toMatchObject({ told: 20 });
    for (const agent of moved) expect(agent.count('update_settings')).toBeLessThanOrEqual(2);
    expect(moved.map((agent) => agent.server)).toEqual(moved.map(() => host(after)));
  });

  test('waits for agents that are away, tells them when they return, and does not wait for VMs that are gone', async () => {
    const [here, away, deleted] = await addAgents(3, 'z1');
    await Promise.all([away?.stop(), deleted?.stop()]);
    await startNode('A');
    const id = await order();
    await expect.poll(async () => await moveOf(id), { timeout: 10_000 }).toMatchObject({ told: 1, pending: 2, error: expect.stringContaining('is connected to NATS') });
    expect(here?.server).toBe(host(after));
    await expect.poll(async () => (await listBusMoveAgents(store.connections.db, { moveId: id, state: 'pending' }))[0]?.attempts, { timeout: 10_000 }).toBeGreaterThan(1);
    await sql('DELETE FROM vms WHERE agent_id = $1', [deleted?.id]);
    await sql(`UPDATE bus_move_agents SET next_attempt_at = now() + interval '1 minute' WHERE agent_id = $1`, [away?.id]);
    await away?.start();
    // As the recorder beside its NATS server does.
    await sql(`INSERT INTO agent_paths (agent_id, server_name, since) VALUES ($1, 'nats-1', now())`, [away?.id]);
    await finished(id, 8_000);
    expect(await moveOf(id)).toMatchObject({ told: 2, gone: 1, pending: 0 });
    expect(away?.server).toBe(host(after));
  });
});

describe('a bad list of servers', () => {
  test('costs one VM, and a good one puts it right for the others', async () => {
    const moved = await addAgents(12, 'z1');
    await startNode('A');
    const bad = await order({ urls: ['nats://127.0.0.1:1'] });
    await expect.poll(async () => (await moveOf(bad)).error, { timeout: 10_000 }).toMatch(/It was sent the settings, without success yet/);
    expect(moved.filter((agent) => agent.count('update_settings') > 0)).toHaveLength(1);
    const good = await order();
    expect(await moveOf(bad)).toMatchObject({ supersededBy: good, superseded: 12, pending: 0 });
    await expect.poll(async () => (await moveOf(good)).told, { timeout: 10_000 }).toBe(11);
    const lost = moved.find((agent) => agent.server === undefined);
    await sql('DELETE FROM vms WHERE agent_id = $1', [lost?.id]);
    await finished(good);
    expect(await moveOf(good)).toMatchObject({ told: 11, gone: 1 });
  });
});

describe('a move of one AZ', () => {
  test('leaves the others alone', async () => {
    const [inside, outside] = [await addAgents(3, 'z1'), await addAgents(2, 'z2')];
    await startNode('A');
    await finished(await order({ az: 'z1' }));
    expect(inside.map((agent) => agent.server)).toEqual(inside.map(() => host(after)));
    expect(outside.map((agent) => agent.count('update_settings'))).toEqual([0, 0]);
    expect(await findBusUrls(store.connections.db, 'z1')).toEqual(after);
    expect(await findBusUrls(store.connections.db, 'z2')).toBeUndefined();
  });

  test('is refused where no VM is', async () => {
    await addAgents(1, 'z1');
    await expect(order({ az: 'z9' })).rejects.toThrow("No VM is in availability zone 'z9': VMs are in z1");
    expect(await listBusMoves(store.connections.db)).toEqual([]);
  });

  test('takes its agents over from a move of all, which goes on with the rest', async () => {
    await addAgents(2, 'z1');
    await addAgents(3, 'z2');
    const all = await order({ urls: before });
    const one = await order({ az: 'z1' });
    expect(await moveOf(all)).toMatchObject({ supersededBy: undefined, superseded: 2, pending: 3 });
    await startNode('A');
    await Promise.all([finished(all), finished(one)]);
    expect(await findBusUrls(store.connections.db, 'z1')).toEqual(after);
    expect(await findBusUrls(store.connections.db, 'z2')).toEqual(before);
    const everything = await order();
    expect(await findBusUrls(store.connections.db, 'z1')).toEqual(after);
    expect((await sql('SELECT az FROM bus_targets')).rows).toEqual([{ az: '' }]);
    await finished(everything);
  });
});

describe('agents at work', () => {
  async function deploymentOf(agent: MovingAgent | undefined, options: { compilation?: boolean } = {}): Promise<void> {
    const { rows } = await sql(`INSERT INTO deployments (name, canonical_name) VALUES ('web', 'web') ON CONFLICT (name) DO UPDATE SET name = 'web' RETURNING id`);
    await sql(`WITH i AS (INSERT INTO instances (uuid, deployment_id, job, index, compilation) VALUES (gen_random_uuid(), $1, 'web', 0, $2) RETURNING id) UPDATE vms SET instance_id = i.id FROM i WHERE agent_id = $3`, [rows[0]?.id, options.compilation ?? false, agent?.id]);
  }

  test('are told after the deploy', async () => {
    const [busy, idle] = await addAgents(2, 'z1');
    await deploymentOf(busy);
    const { rows } = await sql(`INSERT INTO tasks (type, lane, description, state, username, payload, owner, lease_expires_at) VALUES ('update_deployment', 'normal', '', 'processing', 'admin', '{}', 'B', now() + interval '1 hour') RETURNING id`);
    await sql(`INSERT INTO locks (name, uid, task_id, epoch) VALUES ('lock:deployment:web', gen_random_uuid(), $1, 1)`, [rows[0]?.id]);
    await startNode('A');
    const id = await order();
    await expect.poll(async () => (await moveOf(id)).told, { timeout: 10_000 }).toBe(1);
    expect([busy?.count('update_settings'), idle?.count('update_settings')]).toEqual([0, 1]);
    await sql(`UPDATE tasks SET state = 'done'`);
    await finished(id);
    const [first] = (await listBusMoveAgents(store.connections.db, { moveId: id })).filter((one) => one.agentId === busy?.id);
    expect(first).toMatchObject({ state: 'told', attempts: 1, deployment: 'web', az: 'z1', cid: `vm-${busy?.id}`, error: undefined });
  });

  test('are left alone while they compile', async () => {
    const [compiling] = await addAgents(2, 'z1');
    await deploymentOf(compiling, { compilation: true });
    await startNode('A');
    const id = await order();
    await expect.poll(async () => (await moveOf(id)).told, { timeout: 10_000 }).toBe(1);
    await sql('DELETE FROM vms WHERE agent_id = $1', [compiling?.id]);
    await finished(id);
    expect(compiling?.received).toEqual([]);
  });
});

describe('a node with another CA', () => {
  test('sends nothing and says so; one with the right CA goes on', async () => {
    const [agent] = await addAgents(1, 'z1');
    const wrong = await startNode('A', { caSha1: 'other' });
    const id = await order();
    await expect.poll(async () => (await moveOf(id)).error, { timeout: 10_000 }).toMatch(/Node A, which moves the bus, has another NATS CA/);
    expect(agent?.received).toEqual([]);
    await wrong.stop();
    await startNode('B');
    await finished(id);
    expect((await moveOf(id)).error).toBeUndefined();
  });
});

test('a VM that is recorded while a move is ordered is told by it, or reads the new list', async () => {
  const { db } = store.connections;
  const agentId = randomUUID();
  let recorded = false;
  let insert: Promise<unknown> = Promise.resolve();
  const id = await db.transaction(async (tx) => {
    const made = await startBusMove(tx, { urls: after, user: 'admin', caSha1 });
    insert = sql(`INSERT INTO vms (agent_id, state) VALUES ($1, 'creating')`, [agentId]).then(() => (recorded = true));
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect(recorded).toBe(false);
    return made;
  });
  await insert;
  expect(await listBusMoveAgents(db, { moveId: id })).toEqual([]);
  expect(await findBusUrls(db, undefined)).toEqual(after);
});

test('moves that have ended are kept, twenty of them, and agents are listed page by page', async () => {
  await addAgents(5, 'z1');
  for (let round = 0; round < 25; round++) await order();
  const moves = await listBusMoves(store.connections.db);
  expect(moves).toHaveLength(21);
  expect(await listBusMoves(store.connections.db, { unfinished: true })).toHaveLength(1);
  const id = moves[0]?.id ?? 0;
  const all = (await listBusMoveAgents(store.connections.db, { moveId: id })).map((one) => one.agentId);
  const first = (await listBusMoveAgents(store.connections.db, { moveId: id, limit: 3 })).map((one) => one.agentId);
  const second = (await listBusMoveAgents(store.connections.db, { moveId: id, limit: 3, after: first[2] })).map((one) => one.agentId);
  expect([...first, ...second]).toEqual(all);
  expect(all).toHaveLength(5);
});
