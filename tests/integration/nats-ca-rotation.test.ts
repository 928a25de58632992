import { randomUUID } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { connect } from '@nats-io/transport-node';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { AgentClient } from '../../server/agents/client';
import { createBusMover } from '../../server/agents/bus-mover';
import { findBusMove, startBusMove } from '../../server/agents/bus-move-store';
import { silentLog } from '../../server/core/log';
import { bootSettingsSchema } from '../../server/local/agent/settings';
import { noFaults } from '../../server/local/simulator/faults';
import { SimulatedAgent } from '../../server/local/simulator/simulated-agent';
import { natsServerNames } from '../../server/local/nats-server';
import { NatsAuthApplier } from '../../server/nats/auth-applier';
import { awaitAuthorised } from '../../server/nats/await-authorised';
import { natsConfigSha1 } from '../../server/nats/ca-bundle';
import { Bus } from '../../server/nats/connection';
import { createAgentIssuer, createCa, issueClientCertificate, issueServerCertificate, subjectOf, type Certificate } from '../../server/nats/credentials';
import { reloadNatsServer } from '../../server/nats/users-file';
import { startTestNode, testStore, type TestStore } from '../support/director-parts';
import { MovingAgent } from '../support/moving-agent';
import { startNats, type TestNats } from '../support/nats';

/** What a director node has in its configuration under `nats`. */
interface NatsConfig {
  ca: string;
  caKey: string;
  director: Certificate;
  healthMonitor: Certificate;
}

let nats: TestNats;
let store: TestStore;
let oldCa: Certificate;
let newCa: Certificate;
const appliers: NatsAuthApplier[] = [];
const agents: MovingAgent[] = [];
const simulated: { id: string; agent: SimulatedAgent }[] = [];

beforeAll(async () => {
  [nats, store, newCa] = await Promise.all([startNats({ servers: 3 }), testStore(), createCa()]);
  oldCa = { certificate: nats.ca, privateKey: nats.caKey };
  for (const server of nats.servers) {
    const applier = new NatsAuthApplier({
      databaseUrl: store.url, serverName: server.name, address: server.url, usersFile: server.usersFile, monitorUrl: server.monitorUrl, log: silentLog,
      directorSubject: subjectOf('default.director.bosh-internal'), hmSubject: subjectOf('default.hm.bosh-internal'), findPid: () => Promise.resolve(server.readyPid()),
    });
    applier.start();
    appliers.push(applier);
  }
});

afterAll(async () => {
  await Promise.all([...agents.map((agent) => agent.stop()), ...simulated.map(({ agent }) => agent.stop()), ...appliers.map((applier) => applier.stop())]);
  await Promise.all([nats?.stop(), store?.close()]);
});

async function bootAgents(): Promise<void> {
  const issuer = createAgentIssuer(nats.ca, nats.caKey);
  const ids = Array.from({ length: 10 }, () => randomUUID());
  await store.connections.pool.query(`INSERT INTO vms (agent_id, cid, state) SELECT id, 'vm-' || id, 'created' FROM unnest($1::uuid[]) id`, [ids]);
  await expect.poll(async () => (await store.connections.pool.query('SELECT 1 FROM nats_auth_appliers')).rows.length, { timeout: 10_000 }).toBe(3);
  await awaitAuthorised(store.connections.db, { signal: AbortSignal.timeout(10_000), warn: () => undefined });
  for (const [index, id] of ids.entries()) {
    const mbus = { urls: nats.urls, cert: await issuer.bootstrap(id) };
    if (index < 7) {
      const agent = new MovingAgent(id, mbus);
      await agent.start();
      agents.push(agent);
    } else {
      const boot = bootSettingsSchema.parse({ agent_id: id, env: { bosh: { mbus } } });
      const agent = new SimulatedAgent({ boot, heartbeatIntervalMs: 300, log: silentLog, faults: () => noFaults, reload: () => Promise.resolve(boot) });
      agent.start();
      simulated.push({ id, agent });
    }
  }
}

async function configOf(ca: string, signer: Certificate): Promise<NatsConfig> {
  const [director, healthMonitor] = await Promise.all(['director', 'hm'].map((name) => issueClientCertificate(signer, { cn: `default.${name}.bosh-internal`, days: 1 })));
  if (!director || !healthMonitor) throw new Error('two certificates expected');
  return { ca, caKey: signer.privateKey, director, healthMonitor };
}

/** Gives the servers other files and lets them read these, as an operator does: with SIGHUP, nobody is disconnected. */
async function reconfigureServers(files: { ca?: string; server?: Certificate }): Promise<void> {
  const folder = dirname(dirname(nats.servers[0]?.usersFile ?? ''));
  if (files.ca) await writeFile(join(folder, 'ca.crt'), files.ca);
  if (files.server) await Promise.all([writeFile(join(folder, 'server.crt'), files.server.certificate), writeFile(join(folder, 'server.key'), files.server.privateKey)]);
  for (const server of nats.servers) await reloadNatsServer({ pid: server.readyPid() ?? 0, monitorUrl: server.monitorUrl });
}

/** Runs a director with that configuration, moves the bus to where it is, and then makes everybody connect anew. */
async function moveWith(config: NatsConfig, beforeRestart: () => Promise<void> = async () => undefined): Promise<void> {
  const { db } = store.connections;
  const caSha1 = natsConfigSha1(config.ca, config.caKey);
  const issuer = createAgentIssuer(config.ca, config.caKey);
  const bus = new Bus({ name: 'director', urls: nats.urls, ca: config.ca, certificate: config.director.certificate, privateKey: config.director.privateKey, log: silentLog });
  const monitor = new Bus({ name: 'hm', urls: nats.urls, ca: config.ca, certificate: config.healthMonitor.certificate, privateKey: config.healthMonitor.privateKey, log: silentLog });
  const client = new AgentClient({ bus, nodeId: randomUUID() });
  const heard = new Set<string>();
  monitor.subscribe('hm.agent.heartbeat.*', ({ subject }) => heard.add(subject.split('.').at(-1) ?? ''));
  bus.start();
  monitor.start();
  client.start();
  const mover = createBusMover({ db, agents: client, isConnected: () => bus.isConnected(), permanentCertificate: (id) => issuer.permanent(id), caSha1, nodeName: 'A' });
  const node = await startTestNode({ store, name: 'A', perform: async () => '', components: [{ ...mover, intervalMs: 50 }] });
  const everybodyIsHeard = async () => {
    heard.clear();
    await expect.poll(() => {
      for (const agent of agents) agent.beat();
      return heard.size;
    }, { timeout: 20_000 }).toBe(10);
  };
  await everybodyIsHeard();
  const id = await startBusMove(db, { urls: nats.urls, user: 'admin', caSha1 });
  await expect.poll(async () => findBusMove(db, id), { timeout: 30_000 }).toMatchObject({ told: 10, pending: 0, finishedAt: expect.any(Date) });
  for (const agent of agents) expect(agent.settings.cert.ca).toBe(config.ca);
  await beforeRestart();
  for (const server of nats.servers) {
    await server.process.stop();
    await server.process.start();
  }
  await everybodyIsHeard();
  await node.stop();
  client.stop();
  await Promise.all([bus.stop(), monitor.stop()]);
}

test('the NATS CA changes in three steps, and every agent keeps its identity and stays in touch', async () => {
  await bootAgents();
  const records = async () => (await store.connections.pool.query('SELECT id, agent_id, cid FROM vms ORDER BY id')).rows;
  const before = await records();
  const both = oldCa.certificate + newCa.certificate;

  await reconfigureServers({ ca: both });
  await moveWith(await configOf(both, oldCa));

  await reconfigureServers({ server: await issueServerCertificate(newCa, natsServerNames) });
  await moveWith(await configOf(both, newCa));

  await moveWith(await configOf(newCa.certificate, newCa), () => reconfigureServers({ ca: newCa.certificate }));

  expect(await records()).toEqual(before);
  const { rows } = await store.connections.pool.query('SELECT DISTINCT nats_config_sha1, permanent_nats_credentials FROM vms');
  expect(rows).toEqual([{ nats_config_sha1: natsConfigSha1(newCa.certificate, newCa.privateKey), permanent_nats_credentials: true }]);
  const stranger = await createAgentIssuer(oldCa.certificate, oldCa.privateKey).permanent(agents[0]?.id ?? '');
  await expect(connect({ servers: nats.urls, reconnect: false, timeout: 2_000, tls: { ca: newCa.certificate, cert: stranger.certificate, key: stranger.private_key } })).rejects.toThrow();
}, 120_000);
