import { randomUUID } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { connect, type NatsConnection } from '@nats-io/transport-node';
import type { Client } from 'pg';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { createLog } from '../../server/core/log';
import { NatsAuthApplier } from '../../server/nats/auth-applier';
import { createAgentIssuer, subjectOf } from '../../server/nats/credentials';
import type { NatsServer } from '../../server/local/nats-server';
import { testStore, type TestStore } from '../support/director-parts';
import { startNats, type TestNats } from '../support/nats';

let nats: TestNats;
let store: TestStore;
let sql: Client;
let appliers: NatsAuthApplier[] = [];
const logged: string[] = [];

function startApplier(server: NatsServer, databaseUrl = store.url): NatsAuthApplier {
  const applier = new NatsAuthApplier({
    databaseUrl, serverName: server.name, address: server.url, usersFile: server.usersFile,
    directorSubject: subjectOf('default.director.bosh-internal'), hmSubject: subjectOf('default.hm.bosh-internal'),
    findPid: () => Promise.resolve(server.readyPid()), monitorUrl: server.monitorUrl, log: createLog('info', {}, (line) => logged.push(line)),
  });
  applier.start();
  return applier;
}

const stopAll = async () => {
  await Promise.all(appliers.map((one) => one.stop()));
  appliers = [];
};

beforeAll(async () => {
  [nats, store] = await Promise.all([startNats({ servers: 3 }), testStore()]);
  sql = await store.connections.dedicated();
  await sql.query(`INSERT INTO director_settings (key, value) VALUES ('uuid', to_jsonb('${randomUUID()}'::text))`);
  appliers = nats.servers.map((server) => startApplier(server));
  await onEveryServer(await revision());
});

afterAll(async () => {
  await stopAll();
  await sql?.end();
  await Promise.all([nats?.stop(), store?.close()]);
});

beforeEach(() => {
  logged.length = 0;
});

async function revision(): Promise<number> {
  return Number((await sql.query('SELECT revision FROM nats_users_revision')).rows[0]?.revision);
}

/** ms until all three servers report the revision. */
async function onEveryServer(wanted: number): Promise<number> {
  const began = performance.now();
  for (;;) {
    const { rows } = await sql.query(`SELECT 1 FROM nats_auth_appliers WHERE applied_revision >= $1 AND heartbeat_at > now() - interval '5 seconds'`, [wanted]);
    if (rows.length === 3) return performance.now() - began;
    await new Promise((resolve) => setTimeout(resolve, 3));
  }
}

async function connectAs(agentId: string, server: NatsServer): Promise<NatsConnection> {
  const { certificate, private_key: key } = await createAgentIssuer(nats.ca, nats.caKey).permanent(agentId);
  return connect({ servers: server.url, tls: { ca: nats.ca, cert: certificate, key }, reconnect: false, timeout: 5_000 });
}

const addVm = async (agentId: string = randomUUID()) => {
  await sql.query(`INSERT INTO vms (agent_id, state) VALUES ($1, 'created')`, [agentId]);
  return agentId;
};

function server(index: number): NatsServer {
  const found = nats.servers[index];
  if (!found) throw new Error('three servers expected');
  return found;
}

describe('users', () => {
  test('are on every server within 500 ms of a VM\'s creation and deletion', async () => {
    const slowest: number[] = [];
    for (let round = 0; round < 10; round++) {
      const agentId = await addVm();
      slowest.push(await onEveryServer(await revision()));
      for (const one of nats.servers) await (await connectAs(agentId, one)).close();
      await sql.query('DELETE FROM vms WHERE agent_id = $1', [agentId]);
      slowest.push(await onEveryServer(await revision()));
      await expect(connectAs(agentId, server(round % 3))).rejects.toThrow(/authorization/i);
    }
    expect(Math.max(...slowest)).toBeLessThan(500);
  });

  test('of a burst of 500 changes are applied in a few steps', async () => {
    const written = () => logged.filter((line) => line.includes('nats-users-written')).length;
    for (let change = 0; change < 500; change++) await addVm();
    const ms = await onEveryServer(await revision());
    expect(ms).toBeLessThan(1_000);
    expect(written()).toBeLessThan(300);
    const last = (await sql.query('SELECT agent_id FROM vms ORDER BY id DESC LIMIT 1')).rows[0]?.agent_id as string;
    for (const one of nats.servers) await (await connectAs(last, one)).close();
  });

  test('of 20,000 agents are applied in reasonable time, one after the other and in a burst', async () => {
    await sql.query(`INSERT INTO vms (agent_id, state, permanent_nats_credentials) SELECT gen_random_uuid(), 'created', true FROM generate_series(1, 20000)`);
    expect(await onEveryServer(await revision())).toBeLessThan(10_000);
    const one = await addVm();
    expect(await onEveryServer(await revision())).toBeLessThan(6_000);
    for (let change = 0; change < 100; change++) await addVm();
    expect(await onEveryServer(await revision())).toBeLessThan(8_000);
    await (await connectAs(one, server(2))).close();
    await sql.query('DELETE FROM vms');
    expect(await onEveryServer(await revision())).toBeLessThan(8_000);
  }, 60_000);
});

describe('the last good file', () => {
  const users = async (of: NatsServer) => readFile(of.usersFile, 'utf8');

  test('is not replaced by what another director\'s database says', async () => {
    const agentId = await addVm();
    await onEveryServer(await revision());
    const before = await users(server(0));
    await stopAll();
    const other = await testStore();
    const wrong = startApplier(server(0), other.url);
    await expect.poll(() => logged.some((line) => line.includes('of no director'))).toBe(true);
    await other.connections.pool.query(`INSERT INTO director_settings (key, value) VALUES ('uuid', '"other"'); INSERT INTO vms (agent_id, state) VALUES (gen_random_uuid(), 'created')`);
    await expect.poll(() => logged.some((line) => line.includes('of director other')), { timeout: 5_000 }).toBe(true);
    expect(await users(server(0))).toBe(before);
    expect((await other.connections.pool.query('SELECT 1 FROM nats_auth_appliers')).rows).toEqual([]);
    await (await connectAs(agentId, server(0))).close();
    await wrong.stop();
    await other.close();
    appliers = nats.servers.map((one) => startApplier(one));
    await onEveryServer(await revision());
  });

  test.each([['empty', ''], ['damaged', '{"authorization":{"users":[{"us'], ['without users', '{"authorization":{"users":[]}}']])('is made anew when it is %s', async (_what, content) => {
    const agentId = await addVm();
    await onEveryServer(await revision());
    await stopAll();
    for (const one of nats.servers) await writeFile(one.usersFile, content);
    appliers = nats.servers.map((one) => startApplier(one));
    for (const one of nats.servers) await expect.poll(async () => (await users(one)).includes(agentId), { timeout: 5_000 }).toBe(true);
  });

  test('never lacks the director', () => {
    expect(() => new NatsAuthApplier({ databaseUrl: store.url, serverName: 'x', address: '', usersFile: '/nowhere', directorSubject: '', hmSubject: '', findPid: async () => undefined, log: createLog('error') })).toThrow(/no user name/);
  });
});

describe('the path of an agent', () => {
  const path = async (agentId: string) => (await sql.query('SELECT server_name FROM agent_paths WHERE agent_id = $1', [agentId])).rows[0]?.server_name as string | undefined;

  test('is the server of its newest connection, also when it is gone, and ends with its VM', async () => {
    const agentId = await addVm();
    await onEveryServer(await revision());
    const first = await connectAs(agentId, server(0));
    await expect.poll(() => path(agentId), { timeout: 6_000 }).toBe('nats-1');
    const second = await connectAs(agentId, server(1));
    await expect.poll(() => path(agentId), { timeout: 6_000 }).toBe('nats-2');
    await Promise.all([first.close(), second.close()]);
    const other = await connectAs(await addVmAndWait(), server(2));
    await expect.poll(async () => (await sql.query(`SELECT 1 FROM agent_paths WHERE server_name = 'nats-3'`)).rows.length, { timeout: 6_000 }).toBe(1);
    expect(await path(agentId)).toBe('nats-2');
    await other.close();
    await sql.query('DELETE FROM vms WHERE agent_id = $1', [agentId]);
    await stopAll();
    appliers = nats.servers.map((one) => startApplier(one));
    await expect.poll(() => path(agentId), { timeout: 6_000 }).toBeUndefined();
  });

  test('follows it back to a server where it was before', async () => {
    const agentId = await addVmAndWait();
    for (const index of [0, 1, 0]) {
      const connection = await connectAs(agentId, server(index));
      await expect.poll(() => path(agentId), { timeout: 6_000 }).toBe(server(index).name);
      await connection.close();
    }
  });

  async function addVmAndWait(): Promise<string> {
    const agentId = await addVm();
    await onEveryServer(await revision());
    return agentId;
  }
});
