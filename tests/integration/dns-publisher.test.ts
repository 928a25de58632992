import { randomUUID } from 'node:crypto';
import { sql } from 'drizzle-orm';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { AgentClient } from '../../server/agents/client';
import type { Blobstore } from '../../server/blobstore/blobstore';
import { Notifications } from '../../server/cluster/notifications';
import { sleep } from '../../server/core/clock';
import { matchesDigest } from '../../server/core/digest';
import { silentLog } from '../../server/core/log';
import { createDnsPublisher } from '../../server/dns/publisher';
import { findDnsAnswer, hasPublisher, readDnsRequests, requestDns } from '../../server/dns/request-store';
import { listDnsState } from '../../server/dns/store';
import { AgentSwarm, type SwarmAgent } from '../../server/local/simulator/swarm';
import { Bus } from '../../server/nats/connection';
import { startTestNode, testStore, type TestStore } from '../support/director-parts';
import { deleteVms, insertFleet } from '../support/fleet-rows';
import { startNats, type TestNats } from '../support/nats';

let store: TestStore;
let nats: TestNats;
const ends: (() => unknown)[] = [];

beforeAll(async () => {
  [store, nats] = await Promise.all([testStore(), startNats({ agentsOpen: true })]);
});
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
  await store.connections.db.execute(sql`TRUNCATE local_dns_records, local_dns_encoded_names, local_dns_blobs, agent_dns_versions, leases, lease_history, director_nodes`);
  await store.connections.db.execute(sql`DELETE FROM ip_addresses; DELETE FROM vms; DELETE FROM instances; DELETE FROM deployments`);
});
afterAll(async () => {
  await nats?.stop();
  await store?.close();
});

interface PublisherOptions {
  name?: string;
  blobstore?: Partial<Pick<Blobstore, 'put' | 'sign' | 'signsUrls'>>;
  canSend?: () => boolean;
  fanOut?: number;
}

/** A node with the publisher and nothing else. */
async function startPublisher(options: PublisherOptions = {}) {
  const bus = new Bus({ name: 'test', urls: nats.urls, ca: nats.ca, certificate: nats.directorCreds.certificate, privateKey: nats.directorCreds.private_key, log: silentLog });
  bus.start();
  const agents = new AgentClient({ bus, nodeId: randomUUID() });
  agents.start();
  const notifications = new Notifications(store.connections, silentLog);
  notifications.start();
  const canSend = options.canSend ?? (() => bus.isConnected());
  const publisher = createDnsPublisher({
    db: store.connections.db, blobstore: { ...store.blobstore, ...options.blobstore }, agents, bus: { isConnected: canSend }, notifications, settings: { domain: 'bosh', includeIndex: false, fanOut: options.fanOut ?? 100 },
  });
  const node = await startTestNode({ store, name: options.name ?? 'A', perform: async () => '', components: [publisher] });
  let ended = false;
  const end = async (kill: boolean) => {
    if (ended) return;
    ended = true;
    // A killed node renews nothing and releases nothing.
    if (kill) await node.heart.stop();
    agents.stop();
    await bus.stop();
    await notifications.stop();
    await node.stop();
  };
  ends.push(() => end(false));
  return { node, kill: () => end(true) };
}

async function startSwarm(agents: readonly SwarmAgent[], heard: { agentId: string; version: number; at: number }[] = []): Promise<AgentSwarm> {
  const swarm = new AgentSwarm({
    urls: nats.urls, ca: nats.ca, certificate: nats.hmCreds.certificate, privateKey: nats.hmCreds.private_key, agents, connections: 2,
    onRequest: (agentId, method, args) => void (method === 'sync_dns' && heard.push({ agentId, version: Number(args[2]), at: performance.now() })),
  });
  await swarm.start();
  ends.push(async () => {
    expect(swarm.stats().dnsStepsBack).toBe(0);
    await swarm.stop();
  });
  return swarm;
}

const state = () => listDnsState(store.connections.db);

/** The moment at which every agent has confirmed the newest version. */
async function allTold(withinMs = 10_000): Promise<number> {
  await expect.poll(async () => {
    const { newest, agentsBehind } = await state();
    return newest?.stored === true && agentsBehind === 0;
  }, { timeout: withinMs, interval: 20 }).toBe(true);
  return performance.now();
}

/** The newest version as agents would read it, with its digest checked. */
async function readBlob(): Promise<{ version: number; records: [string, string][]; record_infos: unknown[][] }> {
  const { rows } = await store.connections.db.execute<{ id: number; blobstore_id: string; digest: string }>(sql`SELECT id, blobstore_id, digest FROM local_dns_blobs WHERE stored ORDER BY id DESC LIMIT 1`);
  const [row] = rows;
  if (!row) throw new Error('there is no version');
  const content = await store.blobstore.read(row.blobstore_id);
  expect(matchesDigest(content, row.digest)).toBe(true);
  const blob = JSON.parse(content.toString('utf8'));
  expect(blob.version).toBe(row.id);
  return blob;
}

const versions = async () => (await store.connections.db.execute<{ id: number; stored: boolean }>(sql`SELECT id, stored FROM local_dns_blobs ORDER BY id`)).rows;

test('every instance with a VM has a record; compilation VMs and VMs in the making have none and are not told', async () => {
  const fleet = await insertFleet(store.connections.pool, { deployment: 'dep', count: 4 });
  const [first, compiling, creating, inactive] = fleet;
  if (!first || !compiling || !creating || !inactive) throw new Error('no fleet');
  await store.connections.pool.query(`UPDATE instances SET compilation = true WHERE uuid = $1`, [compiling.instanceId]);
  await store.connections.pool.query(`UPDATE vms SET cid = NULL WHERE agent_id = $1`, [creating.id]);
  await store.connections.pool.query(`UPDATE vms SET active = false WHERE agent_id = $1`, [inactive.id]);
  const heard: { agentId: string; version: number; at: number }[] = [];
  await startSwarm(fleet, heard);
  await startPublisher();
  await allTold();
  const { records, record_infos: infos } = await readBlob();
  expect(records).toEqual([[expect.stringMatching(/^10\./), `${first.instanceId}.group-0.default.dep.bosh`]]);
  expect(infos).toEqual([[first.instanceId, expect.any(String), 'group-0', [expect.any(String)], 'z1', expect.any(String), 'default', expect.any(String), 'dep', records[0]?.[0], 'bosh', first.id, 0]]);
  expect(new Set(heard.map((one) => one.agentId))).toEqual(new Set([first.id]));
  expect(await state()).toMatchObject({ records: 1, agents: 1, agentsBehind: 0, oldestBehind: undefined });
});

test('two hundred VMs recorded within two seconds make few versions, and a new agent knows within about a second', async () => {
  const heard: { agentId: string; version: number; at: number }[] = [];
  const swarm = await startSwarm([], heard);
  await startPublisher();
  await sleep(300);
  const recordedAt = new Map<string, number>();
  const since = performance.now();
  for (let i = 0; i < 40; i++) {
    const fleet = await insertFleet(store.connections.pool, { deployment: 'dep', count: 5 });
    for (const agent of fleet) recordedAt.set(agent.id, performance.now());
    await swarm.add(fleet);
    await sleep(40);
  }
  const quickest = new Map<string, number>();
  await allTold();
  for (const { agentId, at } of heard) if (!quickest.has(agentId)) quickest.set(agentId, at - (recordedAt.get(agentId) ?? 0));
  expect(quickest.size).toBe(200);
  expect(Math.max(...quickest.values())).toBeLessThan(1_500);
  // Two a second, and those of the first and last changes.
  expect((await versions()).length).toBeLessThanOrEqual((performance.now() - since) / 500 + 2);
  // The agents of the last ones have been told something already, perhaps not yet of all.
  await expect.poll(async () => (await readBlob()).records.length, { timeout: 5_000 }).toBe(200);
});

test('a deletion makes a version, and what is known of the deleted agent is forgotten', async () => {
  const fleet = await insertFleet(store.connections.pool, { deployment: 'dep', count: 3 });
  await startSwarm(fleet);
  await startPublisher();
  await allTold();
  const before = (await readBlob()).version;
  await deleteVms(store.connections.pool, fleet.slice(0, 1));
  await expect.poll(async () => (await readBlob()).version, { timeout: 5_000 }).toBeGreaterThan(before);
  await allTold();
  expect((await readBlob()).records).toHaveLength(2);
  const { rows } = await store.connections.db.execute(sql`SELECT 1 FROM local_dns_records WHERE tombstone`);
  expect(rows).toHaveLength(1);
  await expect.poll(async () => (await store.connections.db.execute(sql`SELECT 1 FROM agent_dns_versions`)).rows.length, { timeout: 12_000 }).toBe(2);
});

test('nothing new makes no version, whatever else changes in the fleet', async () => {
  const fleet = await insertFleet(store.connections.pool, { deployment: 'dep', count: 3 });
  await startSwarm(fleet);
  await startPublisher();
  await allTold();
  await store.connections.pool.query(`UPDATE instances SET state = 'stopped'`);
  await sleep(1_500);
  expect(await versions()).toHaveLength(1);
});

test('an instance between two VMs keeps its record for as long as the address is its own', async () => {
  const { pool } = store.connections;
  const [first] = await insertFleet(pool, { deployment: 'dep', count: 1 });
  const swarm = await startSwarm(first ? [first] : []);
  await pool.query(`INSERT INTO ip_addresses (address, network_name, static, instance_id) SELECT (v.networks->'default'->>'ip') || '/32', 'default', false, v.instance_id FROM vms v`);
  await startPublisher();
  await allTold();
  const { version, records } = await readBlob();
  await deleteVms(pool, first ? [first] : []);
  await sleep(1_500);
  expect(await readBlob()).toMatchObject({ version, records });
  const agentId = randomUUID();
  await swarm.add([{ id: agentId, deployment: 'dep', job: 'group-0', index: 0, instanceId: first?.instanceId ?? '' }]);
  await pool.query(
    `INSERT INTO vms (instance_id, agent_id, cid, state, active, networks) SELECT id, $1, 'new', 'created', true, jsonb_build_object('default', jsonb_build_object('ip', (SELECT split_part(address, '/', 1) FROM ip_addresses))) FROM instances`, [agentId]);
  await expect.poll(async () => (await readBlob()).record_infos[0]?.[11], { timeout: 5_000 }).toBe(agentId);
  expect((await readBlob()).records).toEqual(records);
  await pool.query('DELETE FROM ip_addresses; DELETE FROM vms');
  await expect.poll(async () => (await readBlob()).records, { timeout: 5_000 }).toEqual([]);
});

test('a name keeps its id for ever', async () => {
  const fleet = await insertFleet(store.connections.pool, { deployment: 'dep', count: 6, groups: 2 });
  await startSwarm(fleet);
  await startPublisher();
  await allTold();
  const idsOf = async () => new Map((await readBlob()).record_infos.map((info) => [String(info[2]), JSON.stringify([info[3], info[7]])]));
  const before = await idsOf();
  await deleteVms(store.connections.pool, fleet);
  await expect.poll(async () => (await readBlob()).records.length, { timeout: 5_000 }).toBe(0);
  await insertFleet(store.connections.pool, { deployment: 'dep', count: 8, groups: 4 });
  await expect.poll(async () => (await readBlob()).records.length, { timeout: 5_000 }).toBe(8);
  const after = await idsOf();
  for (const [group, ids] of before) expect(after.get(group)).toBe(ids);
  expect(new Set([...after.values()].map((ids) => JSON.parse(ids)[0][0])).size).toBe(4);
});

test('silent and absent agents do not delay the others and are told on their return', async () => {
  const fleet = await insertFleet(store.connections.pool, { deployment: 'dep', count: 300 });
  const swarm = await startSwarm(fleet);
  const silent = fleet.slice(0, 60).map((agent) => agent.id);
  const absent = fleet.slice(60, 90).map((agent) => agent.id);
  swarm.setSilent(silent);
  await swarm.setAbsent(absent);
  const since = performance.now();
  await startPublisher({ fanOut: 30 });
  await expect.poll(async () => (await state()).agentsBehind, { timeout: 8_000, interval: 20 }).toBe(90);
  expect(performance.now() - since).toBeLessThan(4_000);
  expect(await state()).toMatchObject({ agents: 300, agentsBehind: 90, oldestBehind: { deployment: 'dep', version: undefined, forS: expect.any(Number) } });
  await swarm.setAbsent(absent, false);
  await expect.poll(async () => (await state()).agentsBehind, { timeout: 11_000, interval: 20 }).toBe(60);
  swarm.setSilent(silent, false);
  await allTold(15_000);
}, 40_000);

test('agents whose stemcell can do it get one signed URL per version', async () => {
  const fleet = [...(await insertFleet(store.connections.pool, { deployment: 'new', count: 3, stemcellApiVersion: 3 })), ...(await insertFleet(store.connections.pool, { deployment: 'old', count: 2, stemcellApiVersion: 2 }))];
  const swarm = await startSwarm(fleet);
  const signed: string[] = [];
  await startPublisher({ blobstore: { signsUrls: true, sign: async (id) => `https://blobs/${id}?${signed.push(id)}` } });
  await allTold();
  expect(swarm.stats().answered).toMatchObject({ sync_dns_with_signed_url: 3, sync_dns: 2 });
  expect(signed).toHaveLength((await versions()).length);
});

test('a blobstore that is away holds up nothing but the new version', async () => {
  const fleet = await insertFleet(store.connections.pool, { deployment: 'dep', count: 3 });
  const swarm = await startSwarm(fleet);
  const away = { now: false };
  await startPublisher({ blobstore: { put: (content, id) => (away.now ? Promise.reject(new Error('the blobstore is away')) : store.blobstore.put(content, id)) } });
  await allTold();
  const { version } = await readBlob();
  away.now = true;
  const more = await insertFleet(store.connections.pool, { deployment: 'dep', count: 1 });
  await swarm.add(more);
  // The version before is what the new agent gets meanwhile.
  await expect.poll(() => swarm.dnsVersionOf(more[0]?.id ?? ''), { timeout: 5_000 }).toBe(version);
  expect(await state()).toMatchObject({ newest: { stored: false }, told: version });
  away.now = false;
  await allTold();
  expect((await readBlob()).records).toHaveLength(4);
});

test('a version whose maker died before its blob was stored is replaced; the dead one cannot store it any more', async () => {
  const fleet = await insertFleet(store.connections.pool, { deployment: 'dep', count: 5 });
  const swarm = await startSwarm(fleet);
  let release: () => void = () => undefined;
  const paused = new Promise<void>((resolve) => {
    release = resolve;
  });
  const late: Promise<unknown>[] = [];
  const a = await startPublisher({
    name: 'A',
    blobstore: {
      put: async (content, id) => {
        await paused;
        const stored = store.blobstore.put(content, id);
        late.push(stored);
        return stored;
      },
    },
  });
  await expect.poll(versions, { timeout: 5_000 }).toHaveLength(1);
  await startPublisher({ name: 'B' });
  await a.node.heart.stop();
  await allTold();
  const made = await versions();
  expect(made.map((one) => one.stored)).toEqual([false, true]);
  expect(swarm.stats().dnsVersions).toEqual({ [made[1]?.id ?? 0]: 5 });
  release();
  await expect.poll(() => late.length).toBe(1);
  await Promise.allSettled(late);
  await sleep(200);
  expect((await versions()).map((one) => one.stored)).toEqual([false, true]);
  await a.kill();
  expect((await readBlob()).records).toHaveLength(5);
});

test('a version that was stored and told to nobody is told by the next holder', async () => {
  const fleet = await insertFleet(store.connections.pool, { deployment: 'dep', count: 5 });
  const swarm = await startSwarm(fleet);
  const a = await startPublisher({ name: 'A', canSend: () => false });
  await expect.poll(async () => (await state()).newest?.stored, { timeout: 5_000 }).toBe(true);
  expect((await state()).agentsBehind).toBe(5);
  await startPublisher({ name: 'B' });
  await a.kill();
  await allTold();
  const made = await versions();
  expect(made).toHaveLength(1);
  expect(swarm.stats().dnsVersions).toEqual({ [made[0]?.id ?? 0]: 5 });
});

test('a version that was told to half of the agents is told to the other half, and nobody who is noted hears it again', async () => {
  const fleet = await insertFleet(store.connections.pool, { deployment: 'dep', count: 40 });
  const heard: { agentId: string; version: number; at: number }[] = [];
  const swarm = await startSwarm(fleet, heard);
  const half = fleet.slice(0, 20).map((agent) => agent.id);
  swarm.setSilent(half);
  const a = await startPublisher({ name: 'A' });
  await expect.poll(async () => (await state()).agentsBehind, { timeout: 5_000 }).toBe(20);
  await startPublisher({ name: 'B' });
  await a.kill();
  swarm.setSilent(half, false);
  await allTold();
  const told = fleet.map((agent) => heard.filter((one) => one.agentId === agent.id).length);
  expect(told.slice(20)).toEqual(Array.from({ length: 20 }, () => 1));
  expect(told.slice(0, 20).every((count) => count >= 1)).toBe(true);
});

test('a holder that was paused says nothing old when it wakes', async () => {
  const fleet = await insertFleet(store.connections.pool, { deployment: 'dep', count: 10 });
  const heard: { agentId: string; version: number; at: number }[] = [];
  const swarm = await startSwarm(fleet, heard);
  const gate = { open: false };
  const a = await startPublisher({ name: 'A', canSend: () => gate.open });
  await expect.poll(async () => (await state()).newest?.stored, { timeout: 5_000 }).toBe(true);
  await startPublisher({ name: 'B' });
  await a.node.heart.stop();
  await allTold();
  await swarm.add(await insertFleet(store.connections.pool, { deployment: 'dep', count: 5 }));
  await allTold();
  const count = heard.length;
  gate.open = true;
  await sleep(500);
  expect(heard).toHaveLength(count);
  await a.kill();
});

const ask = (broadcast: boolean) => store.connections.db.transaction((tx) => requestDns(tx, { broadcast }));

test('many requests have one answer; what was asked of a publisher that died is answered by the next one', async () => {
  const fleet = await insertFleet(store.connections.pool, { deployment: 'dep', count: 2 });
  const heard: { agentId: string; version: number; at: number }[] = [];
  await startSwarm(fleet, heard);
  expect(await hasPublisher(store.connections.db)).toBe(false);
  const a = await startPublisher({ name: 'A' });
  await allTold();
  expect(await hasPublisher(store.connections.db)).toBe(true);
  const asked = await Promise.all([ask(false), ask(true), ask(true)]);
  const last = Math.max(...asked);
  await expect.poll(() => findDnsAnswer(store.connections.db, last), { timeout: 5_000 }).toBe((await readBlob()).version);
  await expect.poll(async () => (await readDnsRequests(store.connections.db)).broadcastDone, { timeout: 5_000 }).toBeGreaterThanOrEqual(2);
  // Once for the version itself, once more for both broadcasts, which may just fall into two rounds.
  expect([4, 6]).toContain(heard.length);
  heard.length = 0;
  expect(await versions()).toHaveLength(1);
  await a.kill();
  const late = await ask(true);
  expect(await findDnsAnswer(store.connections.db, late)).toBeUndefined();
  await startPublisher({ name: 'B' });
  await expect.poll(() => findDnsAnswer(store.connections.db, late), { timeout: 10_000 }).toBe((await readBlob()).version);
  await expect.poll(() => heard.length, { timeout: 5_000 }).toBe(2);
});

test('a request is answered also when there is nothing to tell', async () => {
  await startPublisher();
  const asked = await ask(true);
  await expect.poll(() => findDnsAnswer(store.connections.db, asked), { timeout: 5_000 }).toBeNull();
  await expect.poll(async () => { const { broadcastDone, broadcastRequested } = await readDnsRequests(store.connections.db); return broadcastDone === broadcastRequested; }, { timeout: 5_000 }).toBe(true);
});
