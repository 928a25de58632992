import { randomUUID } from 'node:crypto';
import { sql } from 'drizzle-orm';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { insertAlert } from '../../server/alerts/store';
import { Notifications } from '../../server/cluster/notifications';
import { silentLog } from '../../server/core/log';
import { vitalNames, type AgentStatus, type AgentView } from '../../server/health/fleet-view';
import { startTestNode, testStore, type TestNode, type TestStore } from '../support/director-parts';
import { fleetOf, startTrpcServers, type TestUser, type TrpcServers } from '../support/trpc-server';

/** What the console asks of the health monitor, the schedule and the bus. */
let store: TestStore;
let node: TestNode;
let notifications: Notifications;
let servers: TrpcServers;
const fleet: AgentView[] = [];
const uuids = { web0: randomUUID(), web1: randomUUID(), db0: randomUUID() };

function agent(name: keyof typeof uuids, status: AgentStatus, more: Partial<AgentView> = {}): AgentView {
  const group = name.slice(0, -1);
  return {
    agentId: uuids[name], deployment: group, teams: group === 'web' ? ['web'] : ['data'], group, index: Number(name.at(-1)), instanceUuid: uuids[name], az: 'z1', cid: `vm-${name}`, updatedAt: Date.now(),
    discoveredAt: Date.now(), jobState: status, processes: 2, vitals: undefined, status, ...more,
  };
}

beforeAll(async () => {
  store = await testStore();
  node = await startTestNode({ store, name: 'A', perform: () => Promise.resolve('done') });
  notifications = new Notifications(store.connections, silentLog);
  notifications.start();
  servers = await startTrpcServers({
    store, node, notifications, names: ['A'],
    deps: { agentState: () => Promise.reject(new Error('silent')), fleet: fleetOf(fleet), monitor: { resurrector: true, plugins: [{ id: 'logger', name: 'logger' }, { id: 'ops', name: 'webhook' }] } },
  });
  const { db } = store.connections;
  await db.execute(sql`INSERT INTO deployments (name, canonical_name, teams) VALUES ('web', 'web', '{web}'), ('db', 'db', '{data}')`);
  for (const [name, uuid] of Object.entries(uuids)) {
    await db.execute(sql`INSERT INTO instances (uuid, deployment_id, job, index, az, update_completed) SELECT ${uuid}, id, ${name.slice(0, -1)}, ${Number(name.at(-1))}, 'z1', true FROM deployments WHERE name = ${name.slice(0, -1)}`);
    await db.execute(sql`INSERT INTO vms (instance_id, agent_id, cid, state, active, az) SELECT id, ${uuid}, ${`vm-${name}`}, 'created', true, ${name === 'db0' ? 'z2' : 'z1'} FROM instances WHERE uuid = ${uuid}::uuid`);
  }
});

afterAll(async () => {
  servers?.close();
  await node?.stop();
  await notifications?.stop();
  await store?.close();
});

const as = (username: TestUser) => servers.as(username);
const refused = { data: { httpStatus: 403, boshCode: 600000 } };

describe('health', () => {
  it('sums up deployments, those with trouble first, and shows teams only theirs', async () => {
    fleet.push(agent('web0', 'running'), agent('web1', 'unresponsive'), agent('db0', 'running'), agent('db0', 'unmanaged', { agentId: 'stranger', deployment: undefined, teams: [], group: undefined, instanceUuid: undefined }));
    await store.connections.db.execute(sql`INSERT INTO incidents (kind, subject, number, deployment, job, instance_id, agent_id, opened_at) VALUES
      ('agent_timeout', ${uuids.web1}, 1, 'web', 'web', ${uuids.web1}, ${uuids.web1}, now() - interval '5 s'), ('missing_vm', ${uuids.db0}, 1, 'db', 'db', ${uuids.db0}, NULL, now()), ('rogue_agent', 'stranger', 1, NULL, NULL, NULL, 'stranger', now())`);
    const summary = await as('reader').health.summary.query({});
    expect(summary).toMatchObject({ synced: true, heartbeats: 7, unmanaged: 1, quiet: { deployments: 0, agents: 0 } });
    expect(summary.deployments).toMatchObject([{ name: 'web', agents: 2, unresponsive: 1, incidents: 1 }, { name: 'db', agents: 1, missingVms: 1, incidents: 1 }]);
    const mine = await as('guest').health.summary.query({});
    expect(mine.deployments.map((one) => one.name)).toEqual(['web']);
    expect(mine.unmanaged).toBeUndefined();

    expect((await as('admin').health.incidents.query({})).incidents.map((one) => [one.kind, one.group, one.index])).toEqual([['rogue_agent', undefined, undefined], ['missing_vm', 'db', 0], ['agent_timeout', 'web', 1]]);
    expect((await as('guest').health.incidents.query({})).incidents.map((one) => one.kind)).toEqual(['agent_timeout']);
    expect((await as('admin').health.incidents.query({ open: false })).incidents).toEqual([]);
    const page = await as('admin').health.incidents.query({ limit: 2 });
    expect((await as('admin').health.incidents.query({ beforeId: page.nextBeforeId })).incidents.map((one) => one.kind)).toEqual(['agent_timeout']);
    expect((await as('reader').cluster.attention.query()).items.map((item) => item.title)).toEqual(expect.arrayContaining(['web: 1 agent does not answer', 'db: 1 instance has no VM', '1 agent belongs to no deployment']));
  });

  it('lists alerts by pages and filters, with how they came to each plugin', async () => {
    const { db } = store.connections;
    const told = (id: string, more: { deployment?: string; severity?: number; title?: string; origin?: 'agent' | 'resurrector' }) =>
      insertAlert(db, { id, dedupKey: id, origin: 'agent', severity: 4, title: `Alert ${id}`, summary: `Alert ${id}`, source: 's', createdAt: 1_700_000_000, ...more });
    await told('a', { deployment: 'web' });
    await told('b', { deployment: 'db', severity: 2 });
    await told('c', { severity: 1, title: '100%_down', origin: 'resurrector' });
    await db.execute(sql`INSERT INTO alert_deliveries (alert_seq, plugin, attempts, delivered_at, given_up_at, error) SELECT seq, 'logger', 1, now(), NULL, NULL FROM alerts WHERE id = 'b'
      UNION ALL SELECT seq, 'ops', 9, NULL, now(), 'refused' FROM alerts WHERE id = 'b' UNION ALL SELECT seq, 'gone', 3, NULL, NULL, 'no host' FROM alerts WHERE id = 'b'`);
    const admin = as('admin');
    const ids = async (filter: Parameters<typeof admin.health.alerts.query>[0]) => (await admin.health.alerts.query(filter)).alerts.map((alert) => alert.id);
    expect(await ids({})).toEqual(['c', 'b', 'a']);
    expect(await ids({ deployment: 'web' })).toEqual(['a']);
    expect(await ids({ severities: [1, 2] })).toEqual(['c', 'b']);
    expect(await ids({ origins: ['resurrector'] })).toEqual(['c']);
    expect(await ids({ text: '0%_D' })).toEqual(['c']);
    const first = await admin.health.alerts.query({ limit: 2 });
    expect(await ids({ beforeSeq: first.nextBeforeSeq })).toEqual(['a']);
    expect((await as('guest').health.alerts.query({})).alerts.map((alert) => alert.id)).toEqual(['a']);

    const seq = first.alerts[1]?.seq ?? 0;
    const one = await admin.health.alert.query({ seq });
    expect(one).toMatchObject({ id: 'b', createdAt: new Date(1_700_000_000_000), deliveries: { delivered: 1, waiting: 1, givenUp: 1 } });
    expect(one.plugins).toMatchObject([{ plugin: 'gone', state: 'waiting', error: 'no host' }, { plugin: 'logger', state: 'delivered' }, { plugin: 'ops', state: 'given up', attempts: 9, error: 'refused' }]);
    await expect(as('guest').health.alert.query({ seq })).rejects.toMatchObject({ data: { httpStatus: 404 } });

    expect(await as('reader').health.plugins.query()).toMatchObject([
      { plugin: 'logger', name: 'logger', configured: true, delivered: 1, pending: 0 }, { plugin: 'ops', name: 'webhook', configured: true, givenUp: 1 }, { plugin: 'gone', configured: false, pending: 1, failing: 1, error: 'no host' },
    ]);
    expect((await as('reader').cluster.attention.query()).items.map((item) => item.title)).toEqual(expect.arrayContaining(['Plugin ops gave up 1 alert', 'Plugin gone has not delivered 1 alert']));
  });

  it('turns resurrection off and on, for administrators only, leaving an audit event', async () => {
    expect(await as('reader').health.resurrection.query()).toEqual({ enabled: true, configured: true });
    await expect(as('reader').health.setResurrection.mutate({ enabled: false })).rejects.toMatchObject(refused);
    expect(await as('admin').health.setResurrection.mutate({ enabled: false })).toEqual({ enabled: false });
    expect((await as('reader').health.resurrection.query()).enabled).toBe(false);
    expect((await as('reader').cluster.attention.query()).items.map((item) => item.title)).toContain('Resurrection is off');
    await as('admin').health.setResurrection.mutate({ enabled: true });
    expect((await as('admin').events.recent.query({ limit: 2 })).map((event) => [event.action, event.objectType])).toEqual([['update', 'resurrection'], ['update', 'resurrection']]);
  });
});

describe('agents', () => {
  it('are counted by NATS server and state, listed by pages and filters, and seen by their teams', async () => {
    const { db } = store.connections;
    await db.execute(sql`INSERT INTO nats_auth_appliers (server_name, address) VALUES ('nats-1', 'nats://127.0.0.1:1'), ('nats-2', 'nats://127.0.0.1:2')`);
    await db.execute(sql`INSERT INTO agent_paths (agent_id, server_name) VALUES (${uuids.web0}, 'nats-1'), (${uuids.db0}, 'nats-2'), (${uuids.web1}, 'nats-old')`);
    await db.execute(sql`INSERT INTO agent_dns_versions (agent_id, dns_version) VALUES (${uuids.web0}, 12)`);
    const admin = as('admin');
    await expect.poll(async () => (await admin.agents.summary.query()).servers.map((server) => [server.name, server.total]), { timeout: 5_000 }).toEqual([['nats-1', 1], ['nats-2', 1], ['nats-old', 1], ['-', 1]]);
    expect((await admin.agents.summary.query()).statuses).toMatchObject({ running: 2, unresponsive: 1, unmanaged: 1 });
    const names = async (filter: Parameters<typeof admin.agents.list.query>[0]) => (await admin.agents.list.query(filter)).agents.map((one) => one.agentId);
    expect(await names({})).toEqual([uuids.db0, uuids.web0, uuids.web1, 'stranger']);
    expect(await names({ server: 'nats-1' })).toEqual([uuids.web0]);
    expect(await names({ server: '-' })).toEqual(['stranger']);
    expect(await names({ status: 'unresponsive' })).toEqual([uuids.web1]);
    expect(await names({ text: 'WEB/1' })).toEqual([uuids.web1]);
    const first = await admin.agents.list.query({ limit: 3 });
    expect(first.total).toBe(4);
    expect(await names({ after: first.next })).toEqual(['stranger']);

    expect((await as('guest').agents.list.query({})).agents.map((one) => one.agentId)).toEqual([uuids.web0, uuids.web1]);
    expect(await as('guest').agents.get.query({ agentId: uuids.web0 })).toMatchObject({ server: 'nats-1', dnsVersion: 12, group: 'web', index: 0 });
    await expect(as('guest').agents.get.query({ agentId: uuids.db0 })).rejects.toMatchObject(refused);
    await expect(as('guest').agents.get.query({ agentId: 'stranger' })).rejects.toMatchObject(refused);
    await expect(admin.agents.get.query({ agentId: 'nobody' })).rejects.toMatchObject({ data: { httpStatus: 404 } });
  });
});

it('vitals of an instance lie on an even grid in which gaps stay gaps, with the newest from its agent', async () => {
  const values = vitalNames.map((_, index) => (index === 12 ? Number.NaN : index + 1));
  for (const [index, slotsAgo] of [1, 2, 5].entries()) {
    await store.connections.db.execute(sql`
      INSERT INTO instance_vitals (instance_id, slot, at, samples, "values")
      SELECT id, ${index}, to_timestamp((floor(extract(epoch FROM now()) / 300) - ${slotsAgo}) * 300), 10, ${sql.param(values)}::real[] FROM instances WHERE uuid = ${uuids.web0}::uuid`);
  }
  const [own] = fleet;
  if (own) own.vitals = values;
  const vitals = await as('guest').instances.vitals.query({ uuid: uuids.web0, hours: 1 });
  expect(vitals.at).toHaveLength(13);
  expect(vitals.at.slice(1).every((at, index) => at - (vitals.at[index] ?? 0) === vitals.slotMs)).toBe(true);
  expect(vitals.series.load_1m.slice(-7)).toEqual([null, 1, null, null, 1, 1, null]);
  expect(vitals.series.disk_persistent_percent.every((value) => value === null)).toBe(true);
  await expect.poll(async () => (await as('guest').instances.vitals.query({ uuid: uuids.web0 })).newest?.values.cpu_user, { timeout: 5_000 }).toBe(2);
  expect((await as('guest').instances.vitals.query({ uuid: uuids.web0 })).agent).toMatchObject({ id: uuids.web0, server: 'nats-1', dnsVersion: 12 });
  await expect(as('guest').instances.vitals.query({ uuid: uuids.db0 })).rejects.toMatchObject(refused);
  await expect(as('admin').instances.vitals.query({ uuid: randomUUID() })).rejects.toMatchObject({ data: { httpStatus: 404, boshCode: 70001 } });
  await expect(as('admin').instances.vitals.query({ uuid: uuids.web0, hours: 48 })).rejects.toMatchObject({ data: { httpStatus: 400 } });
});

it('the schedule shows entries with their last due times; administrators pause, resume and run them', async () => {
  const { db } = store.connections;
  await db.execute(sql`INSERT INTO schedules (name, command, schedule, missed, position, next_slot_at) VALUES
    ('ScheduledOrphanedVMCleanup', 'ScheduledOrphanedVMCleanup', '*/5 * * * * UTC', 'run_once', 1, now() + interval '1 hour'), ('SnapshotSelf', 'SnapshotSelf', '0 0 6 * * * UTC', 'skip', 2, now() + interval '1 hour'), ('early', 'ScheduledEventsCleanup', '0 * * * * UTC', 'skip', 0, now() + interval '1 minute')`);
  await db.execute(sql`INSERT INTO schedule_slots (schedule, slot_at, outcome, epoch) SELECT 'early', now() - n * interval '1 hour', CASE WHEN n = 1 THEN 'missed' ELSE 'no work' END, 3 FROM generate_series(1, 30) n`);
  const admin = as('admin');
  const { schedules } = await as('reader').schedules.list.query();
  expect(schedules.map((one) => one.name)).toEqual(['early', 'ScheduledOrphanedVMCleanup', 'SnapshotSelf']);
  expect(schedules.map((one) => one.absent)).toEqual([undefined, undefined, 'the director has no VM of its own']);
  expect(schedules[0]?.slots).toHaveLength(24);
  expect(schedules[0]?.slots[0]).toMatchObject({ outcome: 'missed', epoch: 3 });
  expect(await as('reader').schedules.slots.query({ name: 'early' })).toHaveLength(30);
  expect((await as('reader').cluster.attention.query()).items.map((item) => item.title)).toContain('early missed 1 run');
  await expect(as('guest').schedules.list.query()).rejects.toMatchObject(refused);
  await expect(as('reader').schedules.pause.mutate({ name: 'early' })).rejects.toMatchObject(refused);

  await admin.schedules.pause.mutate({ name: 'early' });
  expect((await admin.schedules.list.query()).schedules[0]?.paused).toBe(true);
  await admin.schedules.resume.mutate({ name: 'early' });
  const { taskId } = await admin.schedules.runNow.mutate({ name: 'ScheduledOrphanedVMCleanup' });
  expect((await admin.tasks.get.query({ id: taskId })).user).toBe('admin');
  expect((await admin.events.recent.query({ limit: 3 })).map((event) => [event.action, event.objectName])).toEqual([['run', 'ScheduledOrphanedVMCleanup'], ['resume', 'early'], ['pause', 'early']]);
  await expect(admin.schedules.runNow.mutate({ name: 'SnapshotSelf' })).rejects.toMatchObject({ message: expect.stringContaining('the director has no VM of its own') });
  await expect(admin.schedules.pause.mutate({ name: 'nothing' })).rejects.toMatchObject({ data: { httpStatus: 404 } });
});

it('the bus is moved by administrators and followed agent by agent', async () => {
  const admin = as('admin');
  expect(await as('reader').bus.targets.query()).toEqual({ configured: ['nats://127.0.0.1:1'], all: undefined, vms: 3, azs: [{ az: 'z1', vms: 2, urls: ['nats://127.0.0.1:1'] }, { az: 'z2', vms: 1, urls: ['nats://127.0.0.1:1'] }] });
  await expect(as('reader').bus.start.mutate({ urls: ['nats://a:1'] })).rejects.toMatchObject(refused);
  await expect(admin.bus.start.mutate({ urls: ['http://a:1'] })).rejects.toMatchObject({ data: { boshCode: 40005 } });
  await expect(admin.bus.start.mutate({ az: 'z9', urls: ['nats://a:1'] })).rejects.toMatchObject({ data: { boshCode: 40005 } });
  const { id } = await admin.bus.start.mutate({ az: 'z1', urls: ['nats://a:1', 'nats://b:2'] });
  expect(await as('reader').bus.get.query({ id })).toMatchObject({ id, az: 'z1', urls: ['nats://a:1', 'nats://b:2'], user: 'admin', told: 0, pending: 2, gone: 0 });
  expect((await as('reader').bus.targets.query()).azs[0]).toEqual({ az: 'z1', vms: 2, urls: ['nats://a:1', 'nats://b:2'], moveId: id });
  const first = await as('reader').bus.agents.query({ id, state: 'pending', limit: 1 });
  const second = await as('reader').bus.agents.query({ id, state: 'pending', after: first.next });
  expect([...first.agents, ...second.agents].map((one) => one.instance).toSorted()).toEqual([`web/${uuids.web0}`, `web/${uuids.web1}`].toSorted());
  expect((await as('reader').bus.list.query({ unfinished: true })).map((move) => move.id)).toEqual([id]);
  expect((await admin.events.recent.query({ limit: 1 })).map((event) => [event.action, event.objectType, event.objectName])).toEqual([['update', 'bus', 'z1']]);
  await expect(admin.bus.get.query({ id: 999 })).rejects.toMatchObject({ data: { httpStatus: 404 } });
});

describe('disks', () => {
  it('shows those of instances, orphans and possible leaks; administrators delete and dismiss', async () => {
    const { db } = store.connections;
    await db.execute(sql`INSERT INTO persistent_disks (instance_id, cid, size, state, active, vm_id, attached) SELECT i.id, 'disk-1', 1024, 'created', true, v.id, true FROM instances i JOIN vms v ON v.instance_id = i.id WHERE i.uuid = ${uuids.db0}::uuid`);
    await db.execute(sql`INSERT INTO persistent_disks (instance_id, size, state) SELECT id, 7, 'creating' FROM instances WHERE uuid = ${uuids.db0}::uuid`);
    await db.execute(sql`INSERT INTO orphan_disks (cid, size, deployment_name, instance_name) VALUES ('disk-2', 5, 'db', 'db/x')`);
    await db.execute(sql`INSERT INTO possible_leaks (kind, deployment_name, instance_name, size, begun_at) VALUES ('disk', 'db', 'db/x', 5, '2026-01-02T03:04:05Z')`);
    const shown = await as('reader').disks.list.query();
    expect(shown.disks).toMatchObject([{ cid: 'disk-1', size: 1024, deployment: 'db', group: 'db', index: 0, active: true, attachment: 'attached', vmCid: 'vm-db0', snapshots: 0 }]);
    expect(shown.orphans).toMatchObject([{ cid: 'disk-2', deployment: 'db', instance: 'db/x', deleting: false }]);
    expect(shown.leaks).toMatchObject([{ kind: 'disk', text: "At 2026-01-02T03:04:05Z the cloud was asked for a disk of 5 MB for 'db/x' and nobody heard the answer; should the cloud have made it, delete it there by hand" }]);
    expect(await as('admin').disks.ofInstance.query({ uuid: uuids.db0 })).toEqual(shown.disks);
    await expect(as('guest').disks.ofInstance.query({ uuid: uuids.db0 })).rejects.toMatchObject(refused);
    await expect(as('reader').disks.deleteOrphan.mutate({ cid: 'disk-2' })).rejects.toMatchObject(refused);
    const { taskId } = await as('admin').disks.deleteOrphan.mutate({ cid: 'disk-2' });
    expect((await db.execute<{ type: string; payload: unknown }>(sql`SELECT type, payload FROM tasks WHERE id = ${taskId}`)).rows).toEqual([{ type: 'delete_orphan_disks', payload: { diskCids: ['disk-2'] } }]);
    for (const { id } of shown.leaks) await as('admin').disks.dismissLeak.mutate({ id });
    expect((await as('reader').disks.list.query()).leaks).toEqual([]);
  });
});
