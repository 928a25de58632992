import { sql } from 'drizzle-orm';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Notifications } from '../../server/cluster/notifications';
import { sleep } from '../../server/core/clock';
import { deferred } from '../../server/core/concurrency';
import { silentLog } from '../../server/core/log';
import { enqueueTask } from '../../server/tasks/queue';
import type { TaskContext } from '../../server/tasks/context';
import { createDirectorateClient } from '../../server/trpc/client';
import { startTestNode, testStore, type TestNode, type TestStore } from '../support/director-parts';
import { startTrpcServers, type TestUser, type TrpcServers } from '../support/trpc-server';

/** Two nodes' worth of tRPC on one database, over TLS. */
let store: TestStore;
let node: TestNode;
let notifications: Notifications;
let servers: TrpcServers;
let perform: (ctx: TaskContext) => Promise<string> = () => Promise.resolve('done');
const agents = new Map<string, string>();

beforeAll(async () => {
  store = await testStore();
  node = await startTestNode({ store, name: 'A', perform: (ctx) => perform(ctx) });
  notifications = new Notifications(store.connections, silentLog);
  notifications.start();
  servers = await startTrpcServers({
    store, node, notifications, names: ['A', 'B'],
    deps: { agentState: (id) => (agents.has(id) ? Promise.resolve({ jobState: agents.get(id) ?? '', processes: [{ name: 'web', state: 'running' }] }) : Promise.reject(new Error('silent'))) },
  });
});

afterAll(async () => {
  servers?.close();
  await node?.stop();
  await notifications?.stop();
  await store?.close();
});

const as = (username: TestUser, at = 0) => servers.as(username, at);
const enqueue = (teams: string[] = [], deployment?: string) => enqueueTask(store.connections.db, { type: 'test', lane: 'normal', description: 'test task', user: 'admin', deployment, teams, payload: {} });

describe('who may ask', () => {
  it('is refused with BOSH’s code and the scopes that would suffice', async () => {
    await expect(as('nobody').cluster.overview.query()).rejects.toMatchObject({ data: { httpStatus: 403, boshCode: 600000 }, message: expect.stringContaining('bosh.read') });
    await expect(createDirectorateClient({ url: servers.urls[0] ?? '', ca: servers.ca, auth: { username: 'admin', password: 'wrong' } }).cluster.overview.query()).rejects.toMatchObject({ data: { httpStatus: 401 } });
    await expect(as('reader').cluster.pause.mutate({ component: 'reaper' })).rejects.toMatchObject({ data: { httpStatus: 403, boshCode: 600000 } });
    await expect(as('guest').cluster.attention.query()).rejects.toMatchObject({ data: { httpStatus: 403 } });
    expect((await as('guest').cluster.overview.query()).director.name).toBe('test');
    expect(await as('team').auth.me.query()).toMatchObject({ username: 'team', can: { administer: false, read: false } });
  });

  it('sees the deployments and tasks of their teams only', async () => {
    await store.connections.db.execute(sql`INSERT INTO deployments (name, canonical_name, teams) VALUES ('web', 'web', '{web}'), ('db', 'db', '{data}')`);
    const mine = await enqueue(['web'], 'web');
    const other = await enqueue(['data'], 'db');
    for (const user of ['team', 'guest'] as const) {
      expect((await as(user).deployments.list.query()).map((one) => one.name)).toEqual(['web']);
      expect((await as(user).tasks.list.query({})).tasks.map((task) => task.id)).toEqual([mine.id]);
      await expect(as(user).deployments.get.query({ name: 'db' })).rejects.toMatchObject({ data: { boshCode: 600000 } });
      await expect(as(user).tasks.get.query({ id: other.id })).rejects.toMatchObject({ data: { boshCode: 600000 } });
    }
    expect((await as('reader').tasks.list.query({})).tasks).toHaveLength(2);
    await expect(as('guest').tasks.read.query({ id: mine.id, stream: 'debug', start: 0, end: 10 })).rejects.toMatchObject({ data: { boshCode: 600000 } });
    await expect(as('reader').tasks.cancel.mutate({ id: mine.id })).rejects.toMatchObject({ data: { boshCode: 600000 } });
    await expect(as('admin').deployments.get.query({ name: 'nowhere' })).rejects.toMatchObject({ data: { httpStatus: 404, boshCode: 70000 } });
    await expect(as('admin').tasks.get.query({ id: 9999 })).rejects.toMatchObject({ data: { httpStatus: 404, boshCode: 10000 } });
  });

  it('changes nothing without the header that a foreign page cannot send, and gets a cookie that scripts cannot read', async () => {
    const [url = ''] = servers.urls;
    const { createNodeTransport } = await import('../../server/trpc/node-transport');
    const transport = createNodeTransport(servers.ca);
    const login = (headers: Record<string, string>) => transport.fetch(`${url}/api/trpc/auth.login`, { method: 'POST', headers: { 'content-type': 'application/json', ...headers }, body: JSON.stringify({ json: { username: 'admin', password: 'secret' } }) });
    expect((await login({})).status).toBe(403);
    expect((await login({ 'x-directorate': '1' })).status).toBe(200);
  });
});

describe('the cluster', () => {
  it('is told in one answer, with faces of nodes, leases, NATS servers and stores', async () => {
    await store.connections.db.execute(sql`INSERT INTO nats_auth_appliers (server_name, address, heartbeat_at) VALUES ('nats-2', 'nats://127.0.0.1:2', now() - interval '1 minute')`);
    await expect.poll(async () => (await as('admin').cluster.overview.query()).nats.map((server) => server.state)).toEqual(['connected', 'lost']);
    const overview = await as('admin').cluster.overview.query();
    expect(overview.nodes).toMatchObject([{ letter: 'A', hue: 0, state: 'ready', leases: 1 }]);
    expect(overview.leases).toMatchObject([{ name: 'reaper', holder: { letter: 'A' }, epoch: 1, paused: false }]);
    expect(overview.blobstore.ok).toBe(true);
    const { terms } = await as('admin').cluster.leaseHistory.query({ sinceMs: 60_000 });
    expect(terms).toMatchObject([{ component: 'reaper', epoch: 1, holder: { letter: 'A' } }]);
  });

  it('pauses and resumes a component, leaving an audit event, and moves a lease to ready nodes only', async () => {
    const admin = as('admin');
    await admin.cluster.pause.mutate({ component: 'reaper' });
    await expect.poll(async () => (await admin.cluster.overview.query()).leases[0]?.holder, { timeout: 5_000 }).toBeUndefined();
    expect((await admin.cluster.attention.query()).items.map((item) => item.title)).toContain('Component reaper is paused');
    await admin.cluster.resume.mutate({ component: 'reaper' });
    await expect.poll(async () => (await admin.cluster.overview.query()).leases[0]?.epoch, { timeout: 5_000 }).toBe(2);
    expect((await admin.events.recent.query({})).map((event) => [event.user, event.action, event.objectName])).toEqual([['admin', 'resume', 'reaper'], ['admin', 'pause', 'reaper']]);
    await expect(admin.cluster.move.mutate({ component: 'reaper', node: '00000000-0000-4000-8000-000000000000' })).rejects.toMatchObject({ data: { boshCode: 100 } });
    await expect(admin.cluster.pause.mutate({ component: 'nothing' })).rejects.toMatchObject({ data: { boshCode: 100 } });
  });
});

it('instances have the state that their agent tells; a silent agent and a missing VM are told apart', async () => {
  const { db } = store.connections;
  const ids = ['aaaaaaaa-0000-4000-8000-000000000001', 'aaaaaaaa-0000-4000-8000-000000000002', 'aaaaaaaa-0000-4000-8000-000000000003'];
  for (const [index, uuid] of ids.entries()) await db.execute(sql`INSERT INTO instances (uuid, deployment_id, job, index, az, update_completed) SELECT ${uuid}, id, 'web', ${index}, ${`z${index}`}, true FROM deployments WHERE name = 'web'`);
  for (const uuid of ids.slice(0, 2)) await db.execute(sql`INSERT INTO vms (instance_id, agent_id, cid, state, active) SELECT id, uuid, 'vm-' || uuid, 'created', true FROM instances WHERE uuid::text = ${uuid}`);
  agents.set(ids[0] ?? '', 'failing');
  const deployment = await as('team').deployments.get.query({ name: 'web' });
  expect(deployment.azs).toEqual(['z0', 'z1', 'z2']);
  expect(deployment.groups[0]?.instances.map((one) => one.life)).toEqual(['failing', 'silent', 'missing']);
  expect(await as('team').instances.get.query({ deployment: 'web', uuid: ids[0] ?? '' })).toMatchObject({ group: 'web', processes: [{ name: 'web', state: 'running' }] });
  await expect(as('team').instances.get.query({ deployment: 'web', uuid: '00000000-0000-4000-8000-000000000000' })).rejects.toMatchObject({ data: { boshCode: 70001 } });
});

describe('the tail of a task', () => {
  /** Follows to the end; `cut` is called after each piece of output. */
  const follow = (client: ReturnType<typeof as>, id: number, from: string, cut: (pieces: number) => void = () => undefined) =>
    new Promise<{ text: string; states: string[]; last: string }>((resolve, reject) => {
      let text = '';
      let last = '';
      let pieces = 0;
      const states: string[] = [];
      client.tasks.tail.subscribe({ id, from }, {
        onData: ({ id: eventId, data }) => {
          last = eventId;
          if (data.kind === 'state') states.push(data.state);
          else {
            text += data.text;
            cut(++pieces);
          }
        },
        onError: reject,
        onComplete: () => resolve({ text, states, last }),
      });
    });

  it('tells all output once, in order, to the end, although its connection is cut again and again', async () => {
    const expected: string[] = [];
    perform = async (ctx) => {
      for (let index = 0; index < 40; index++) {
        const line = `${index} größer ☃ ${'x'.repeat(index * 50)}\n`;
        expected.push(line);
        await ctx.result(line);
        await sleep(20);
      }
      return 'finished';
    };
    const { id } = await enqueue();
    const told = await follow(as('admin'), id, 'result=0', (pieces) => {
      if (pieces % 5 === 0) servers.cut(0);
    });
    expect(told.text).toBe(expected.join(''));
    expect(told.states.at(-1)).toBe('done');
  });

  it('goes on at any node from the id of the last message, by bytes', async () => {
    perform = async (ctx) => {
      await ctx.result('eins\nzwölf\n');
      await ctx.stages.stage('Stage', 1).run('step', () => Promise.resolve());
      return 'finished';
    };
    const { id } = await enqueue();
    const first = await follow(as('admin', 0), id, 'result=0,event=0');
    expect(first.last).toMatch(/result=12,event=\d+/);
    const again = await follow(as('reader', 1), id, 'result=5');
    expect(again.text).toBe('zwölf\n');
    expect((await follow(as('admin', 1), id, first.last)).text).toBe('');
    expect((await as('admin').tasks.stages.query({ id })).stages).toMatchObject([{ name: 'Stage', state: 'done', steps: [{ name: 'step', state: 'done' }] }]);
    expect(await as('admin').tasks.read.query({ id, stream: 'result', start: 2, end: 12 })).toEqual({ start: 5, end: 12, size: 12, text: 'zwölf\n' });
  });

  it('is refused to those who may not read the stream', async () => {
    const { id } = await enqueue(['web']);
    await expect(follow(as('guest'), id, 'debug=0')).rejects.toMatchObject({ data: { boshCode: 600000 } });
  });

  it('sees a cancel from another node; a task that has ended cannot be cancelled', async () => {
    const started = deferred<undefined>();
    perform = async (ctx) => {
      started.resolve(undefined);
      for (;;) {
        await ctx.checkpoint();
        await sleep(20, ctx.signal);
      }
    };
    const { id } = await enqueue();
    const following = follow(as('admin', 1), id, 'result=0');
    await started.promise;
    expect(await as('admin', 0).tasks.cancel.mutate({ id })).toEqual({ state: 'cancelling' });
    expect((await following).states.slice(-1)).toEqual(['cancelled']);
    const task = await as('admin').tasks.get.query({ id });
    expect(task).toMatchObject({ state: 'cancelled', attempts: [{ node: { letter: 'A' }, outcome: 'cancelled' }], can: { cancel: false } });
    await expect(as('admin').tasks.cancel.mutate({ id })).rejects.toMatchObject({ message: `Cannot cancel task ${id}: invalid state (cancelled)` });
  });
});

it('lists tasks by pages and filters', async () => {
  const client = as('admin');
  const first = await client.tasks.list.query({ limit: 2 });
  expect(first.tasks).toHaveLength(2);
  const next = await client.tasks.list.query({ limit: 2, beforeId: first.nextBeforeId });
  expect(next.tasks[0]?.id).toBeLessThan(first.tasks[1]?.id ?? 0);
  expect((await client.tasks.list.query({ states: ['cancelled'] })).tasks.map((task) => task.state)).toEqual(['cancelled']);
  expect((await client.tasks.list.query({ user: 'else' })).tasks).toEqual([]);
  expect(await client.tasks.types.query()).toEqual(['test']);
});
