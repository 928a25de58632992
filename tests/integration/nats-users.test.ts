import { connect, type NatsConnection } from '@nats-io/transport-node';
import { randomUUID } from 'node:crypto';
import { Client } from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { migrate, readMigrations } from '../../db/migrate';
import { silentLog } from '../../server/core/log';
import { NatsAuthApplier } from '../../server/nats/auth-applier';
import { createAgentIssuer, issueClientCertificate, subjectOf, type AgentCertificate } from '../../server/nats/credentials';
import { startNats, type TestNats } from '../support/nats';
import { testDatabase, type TestDatabase } from '../support/postgres';

let nats: TestNats;
let database: TestDatabase;
let sql: Client;
const appliers: NatsAuthApplier[] = [];

beforeAll(async () => {
  [nats, database] = await Promise.all([startNats({ servers: 3 }), testDatabase()]);
  sql = new Client({ connectionString: database.url });
  await sql.connect();
  await migrate(sql, await readMigrations('db/migrations'));
  for (const server of nats.servers) {
    const applier = new NatsAuthApplier({
      databaseUrl: database.url,
      serverName: server.name,
      address: server.url,
      usersFile: server.usersFile,
      directorSubject: subjectOf('default.director.bosh-internal'),
      hmSubject: subjectOf('default.hm.bosh-internal'),
      findPid: () => Promise.resolve(server.readyPid()),
      monitorUrl: server.monitorUrl,
      log: silentLog,
    });
    applier.start();
    appliers.push(applier);
  }
});

afterAll(async () => {
  await Promise.all(appliers.map((applier) => applier.stop()));
  await sql?.end();
  await Promise.all([nats?.stop(), database?.drop()]);
});

function connectAs(credentials: { certificate: string; private_key: string }, url: string): Promise<NatsConnection> {
  return connect({ servers: url, tls: { ca: nats.ca, cert: credentials.certificate, key: credentials.private_key }, reconnect: false, timeout: 5_000 });
}

async function addVm(agentId: string): Promise<number> {
  const { rows } = await sql.query<{ revision: string }>(
    `WITH added AS (INSERT INTO vms (agent_id, state) VALUES ($1, 'creating')) SELECT revision FROM nats_users_revision`,
    [agentId],
  );
  return Number(rows[0]?.revision) + 1;
}

/** Waits as whoever creates a VM does: until every server with a fresh heartbeat has applied the revision. */
async function applied(revision: number, staleMs = 3_000): Promise<string[]> {
  for (;;) {
    const { rows } = await sql.query<{ server_name: string; applied_revision: string }>(
      `SELECT server_name, applied_revision FROM nats_auth_appliers WHERE heartbeat_at > now() - $1 * interval '1 ms' ORDER BY 1`,
      [staleMs],
    );
    if (rows.length > 0 && rows.every((row) => Number(row.applied_revision) >= revision)) return rows.map((row) => row.server_name);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

async function allBeating(count: number): Promise<void> {
  await expect.poll(async () => (await applied(0)).length, { timeout: 10_000 }).toBe(count);
}

test('a new agent is let in by every server as soon as they report its revision', async () => {
  await allBeating(3);
  const issuer = createAgentIssuer(nats.ca, nats.caKey);
  const agentId = randomUUID();
  const certificate = await issuer.bootstrap(agentId);
  await expect(connectAs(certificate, nats.urls[0] ?? '')).rejects.toThrow(/authorization/i);
  expect(await applied(await addVm(agentId))).toEqual(['nats-1', 'nats-2', 'nats-3']);
  for (const url of nats.urls) await (await connectAs(certificate, url)).close();
});

test('an agent may answer the director through another server, and nothing else', async () => {
  const agentId = randomUUID();
  await applied(await addVm(agentId));
  const certificate = await createAgentIssuer(nats.ca, nats.caKey).permanent(agentId);
  const agent = await connectAs(certificate, nats.urls[1] ?? '');
  const director = await connectAs(nats.directorCreds, nats.urls[0] ?? '');
  const inbox = director.subscribe(`director.node.${agentId}.>`, { max: 1 });
  agent.subscribe(`agent.${agentId}`, { callback: () => agent.publish(`director.node.${agentId}.1`, 'pong') });
  await Promise.all([agent.flush(), director.flush()]);
  await expect.poll(async () => {
    director.publish(`agent.${agentId}`, 'ping'); // routes learn of a subscription a moment later
    await director.flush();
    return inbox.getReceived();
  }).toBe(1);
  const refused = (async () => {
    for await (const status of agent.status()) if (status.type === 'error') return String(status.error);
    return '';
  })();
  agent.subscribe('agent.other', { callback: () => undefined });
  expect(await refused).toMatch(/permissions violation/i);
  await Promise.all([agent.close(), director.close()]);
});

test('bootstrap credentials end with update_settings, all credentials with the VM; others stay connected', async () => {
  const issuer = createAgentIssuer(nats.ca, nats.caKey);
  const agentId = randomUUID();
  await applied(await addVm(agentId));
  const onBootstrap = await connectAs(await issuer.bootstrap(agentId), nats.urls[0] ?? '');
  const permanent = await issuer.permanent(agentId);
  const onPermanent = await connectAs(permanent, nats.urls[0] ?? '');
  const director = await connectAs(nats.directorCreds, nats.urls[0] ?? '');
  await sql.query('UPDATE vms SET permanent_nats_credentials = true WHERE agent_id = $1', [agentId]);
  await onBootstrap.closed();
  expect(onPermanent.isClosed()).toBe(false);
  await sql.query('DELETE FROM vms WHERE agent_id = $1', [agentId]);
  await onPermanent.closed();
  await expect(connectAs(permanent, nats.urls[0] ?? '')).rejects.toThrow(/authorization/i);
  expect(director.isClosed()).toBe(false);
  await director.close();
});

test('certificates with a wrong name or of another CA are refused', async () => {
  const ca = { certificate: nats.ca, privateKey: nats.caKey };
  const stranger = await issueClientCertificate(ca, { cn: 'default.director.bosh-external', days: 1 });
  await expect(connectAs({ certificate: stranger.certificate, private_key: stranger.privateKey }, nats.urls[0] ?? '')).rejects.toThrow(/authorization/i);
  const other = await foreignAgent();
  await expect(connectAs(other, nats.urls[0] ?? '')).rejects.toThrow();
});

async function foreignAgent(): Promise<AgentCertificate> {
  const { createCa } = await import('../../server/nats/credentials');
  const ca = await createCa();
  return createAgentIssuer(ca.certificate, ca.privateKey).permanent(randomUUID());
}

test('a dead server holds nobody up, and knows the new agents when it is back', async () => {
  await allBeating(3);
  const third = nats.servers[2];
  if (third === undefined) throw new Error('three servers expected');
  await third.process.stop();
  await allBeating(2);
  const agentId = randomUUID();
  expect(await applied(await addVm(agentId))).toEqual(['nats-1', 'nats-2']);
  await third.process.start();
  const agent = await connectAs(await createAgentIssuer(nats.ca, nats.caKey).bootstrap(agentId), third.url);
  await agent.close();
  await allBeating(3);
});

test('without a database the last good file stays', async () => {
  const agentId = randomUUID();
  await applied(await addVm(agentId));
  await sql.query('ALTER TABLE vms RENAME TO vms_away');
  await sql.query('UPDATE nats_users_revision SET revision = revision + 1');
  await sql.query(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'directorate nats-auth%'`);
  await new Promise((resolve) => setTimeout(resolve, 1_000));
  const certificate = await createAgentIssuer(nats.ca, nats.caKey).bootstrap(agentId);
  for (const url of nats.urls) await (await connectAs(certificate, url)).close();
  await sql.query('ALTER TABLE vms_away RENAME TO vms');
  await allBeating(3);
});
