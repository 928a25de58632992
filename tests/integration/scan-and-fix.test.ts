import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { eq, sql } from 'drizzle-orm';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import * as t from '../../db/schema';
import { deploy } from '../../server/deploy/deploy';
import { listEvents, recordEvent } from '../../server/events/store';
import { setIgnored, setResurrectionPaused } from '../../server/instances/store';
import { scanAndFixTask } from '../../server/problems/request';
import { scanAndFix } from '../../server/problems/scan-and-fix';
import { scanAndFixTaskType } from '../../server/task-types/scan-and-fix';
import { enqueueTask } from '../../server/tasks/queue';
import { startTestNode, testStore, type TestNode, type TestStore } from '../support/director-parts';
import { startRestServer, type RestServer } from '../support/rest-server';
import { startScene, type Scene, type SceneVm } from '../support/resurrection-scene';
import { mortalBlobstore, testTask, type Attempt, type Fate, type TestTask } from '../support/task-context';

/** The task `scan and fix` on a real database, with a cloud and agents that can be told how to behave. */

let store: TestStore;
const nodes: TestNode[] = [];

beforeAll(async () => {
  store = await testStore();
});
afterEach(() => Promise.all(nodes.splice(0).map((node) => node.stop())));
afterAll(() => store.close());

/** Runs the task for instances by their index, once. */
function fix(scene: Scene, options: { indexes?: readonly number[]; task?: TestTask; fate?: Fate; signed?: boolean } = {}): Promise<Attempt> {
  const task = options.task ?? testTask(store.connections.db);
  const jobs = { web: (options.indexes ?? [0]).map((index) => scene.instances[index]?.uuid ?? String(index)) };
  return task.attempt((ctx, points) => {
    const blobs = { ...mortalBlobstore(store.blobstore, points), ...(options.signed ? { signsUrls: true, sign: async (id: string) => `https://blobs/${id}` } : {}) };
    return scanAndFix(ctx, scene.deps(points, { blobstore: blobs }), { deployment: 'dep', jobs, fixStateful: true });
  }, options.fate);
}

function vmOf(scene: Scene, index: number): SceneVm {
  const found = scene.vms.get(scene.instances[index]?.cid ?? '');
  if (!found) throw new Error(`instance ${index} has lost its first VM`);
  return found;
}

/** The VM that stands where the instance's first one stood. */
function nowAt(scene: Scene, ip: string): SceneVm | undefined {
  return [...scene.vms.values()].find((vm) => vm.ip === ip);
}

async function recordOf(scene: Scene, index: number): Promise<{ instance: typeof t.instances.$inferSelect; vms: (typeof t.vms.$inferSelect)[]; addresses: string[] }> {
  const { db } = store.connections;
  const id = scene.instances[index]?.id ?? 0;
  const [instance] = await db.select().from(t.instances).where(eq(t.instances.id, id));
  if (!instance) throw new Error(`instance ${index} is not recorded`);
  const addresses = await db.select().from(t.ipAddresses).where(eq(t.ipAddresses.instanceId, id));
  return { instance, vms: await db.select().from(t.vms).where(eq(t.vms.instanceId, id)), addresses: addresses.map((row) => row.address) };
}

/** The stage lines of a task as `<stage>: <task> <state>`. */
function steps(task: TestTask): string[] {
  return task.events().flatMap((line) => (line.stage === undefined ? [] : [[line.stage, ': ', line.task, ' ', line.state].join('')]));
}

function recorded(name: string): Record<string, unknown>[] {
  return readFileSync(join(__dirname, `../fixtures/events/${name}.jsonl`), 'utf8').trim().split('\n').map((line) => ({ ...JSON.parse(line), time: 0 }));
}

describe('a VM', () => {
  it('that is well is left alone, and the events are those of the Ruby director', async () => {
    const scene = await startScene(store);
    const task = testTask(store.connections.db);
    const before = vmOf(scene, 0);
    expect((await fix(scene, { task })).result).toBe('scan and fix complete');
    expect(nowAt(scene, before.ip)).toEqual(before);
    expect(task.events().map((line) => ({ ...line, time: 0 }))).toEqual(recorded('scan-and-fix'));
    expect((await recordOf(scene, 0)).instance.updateCompleted).toBe(true);
  });

  it('whose agent refuses to tell its state is well enough', async () => {
    const scene = await startScene(store);
    vmOf(scene, 0).agent = 'refusing';
    expect((await fix(scene)).result).toBe('scan and fix complete');
    expect(scene.vms.has(scene.instances[0]?.cid ?? '')).toBe(true);
  });

  it('whose agent is silent is made again as it was: identity, address, jobs and templates', async () => {
    const scene = await startScene(store);
    const task = testTask(store.connections.db);
    const lost = vmOf(scene, 1);
    const other = vmOf(scene, 0);
    const { instance } = await recordOf(scene, 1);
    lost.agent = 'silent';
    expect((await fix(scene, { indexes: [0, 1], task })).result).toBe('scan and fix complete');

    const fresh = nowAt(scene, lost.ip);
    expect(fresh?.cid).not.toBe(lost.cid);
    expect(scene.vms.has(lost.cid)).toBe(false);
    expect(fresh).toMatchObject({ running: true, asked: ['update_settings', 'initial apply', 'apply', 'pre-start', 'start', 'post-start', 'post-deploy'] });
    for (const key of ['job', 'packages', 'networks', 'configuration_hash', 'rendered_templates_archive', 'template_hashes', 'index', 'id', 'az']) expect(fresh?.applied?.[key], key).toEqual(instance.spec?.[key]);
    for (const key of ['properties', 'env', 'stemcell', 'update']) expect(fresh?.applied, key).not.toHaveProperty(key);
    expect(other.asked).toEqual(['post-deploy']);

    const after = await recordOf(scene, 1);
    expect(after).toMatchObject({ instance: { uuid: instance.uuid, updateCompleted: true, spec: instance.spec, state: 'started' }, vms: [{ cid: fresh?.cid, active: true, permanentNatsCredentials: true }] });
    expect(after.addresses).toEqual([`${lost.ip}/32`]);

    const shape = (line: Record<string, unknown>) => JSON.stringify({ ...line, time: 0 }).replace(/web\/[0-9a-f-]{36}/, 'web/<uuid>').replace(/cloud ID '[^']+'/, "cloud ID '<cid>'").replace(/unresponsive_agent \d+/, 'unresponsive_agent <id>');
    expect(task.events().map(shape)).toEqual(recorded('scan-and-fix-recreates').map(shape));

    const audit = (await listEvents(store.connections.db, { limit: 20 })).map((event) => `${event.action} ${event.objectType}${event.parentId === undefined ? '' : ' ended'}${event.error ?? ''}`).toReversed();
    expect(audit).toEqual(['recreate instance', 'delete vm', 'create vm', 'recreate instance ended']);
  });

  it.each([
    { what: 'the cloud has lost', record: 'kept', text: /^VM for 'web\/\S+ \(0\)' with cloud ID '\S+' missing\. \(missing_vm \d+\): Recreate VM and wait for processes to start$/ },
    { what: 'nobody has a record of', record: 'lost', text: /^VM for 'web\/\S+ \(0\)' missing\. \(missing_vm \d+\): Recreate VM and wait for processes to start$/ },
  ])('that $what is missing and made again', async ({ record, text }) => {
    const scene = await startScene(store);
    const task = testTask(store.connections.db);
    const { ip, cid } = vmOf(scene, 0);
    scene.vms.delete(cid);
    if (record === 'lost') {
      await store.connections.db.execute(sql`UPDATE ip_addresses SET vm_id = NULL WHERE vm_id = ${scene.instances[0]?.vmId}`);
      await store.connections.db.delete(t.vms).where(eq(t.vms.id, scene.instances[0]?.vmId ?? 0));
    }
    expect((await fix(scene, { task })).error).toBeUndefined();
    expect(nowAt(scene, ip)).toMatchObject({ running: true });
    expect((await recordOf(scene, 0)).vms).toMatchObject([{ cid: nowAt(scene, ip)?.cid, active: true }]);
    expect(steps(task)[2]).toContain('0 OK, 0 unresponsive, 1 missing, 0 unbound');
    expect(String(task.events().at(-1)?.task)).toMatch(text);
  });

  it('whose agent answers again after the scan is left alone, and the task says so', async () => {
    const scene = await startScene(store);
    const vm = vmOf(scene, 0);
    vm.agent = 'silent';
    let asked = 0;
    scene.onAsk = () => {
      if (++asked === 2) vm.agent = 'well';
    };
    expect(String((await fix(scene)).error)).toContain("Error resolving problem '1': Agent is responding now, skipping resolution");
    expect(scene.vms.get(vm.cid)).toMatchObject({ asked: [], running: true });
    expect((await recordOf(scene, 0)).instance.updateCompleted).toBe(true);
  });

  it.each([
    ['not connected to NATS', (scene: Scene) => (scene.bus.connected = false)],
    ['connected anew', (scene: Scene) => (scene.bus.connects += 1)],
  ])('is not judged by its silence while the node is %s', async (_what, happens) => {
    const scene = await startScene(store);
    const vm = vmOf(scene, 0);
    vm.agent = 'silent';
    let asked = 0;
    scene.onAsk = () => {
      asked += 1;
      if (asked <= 2) happens(scene);
      if (asked === 3) Object.assign(vm, { agent: 'well' });
    };
    expect((await fix(scene)).result).toBe('scan and fix complete');
    expect(asked).toBe(3);
    expect(scene.vms.get(vm.cid)).toBe(vm);
  });

  it('of an ignored instance is counted and left alone', async () => {
    const scene = await startScene(store);
    const task = testTask(store.connections.db);
    vmOf(scene, 0).agent = 'silent';
    await setIgnored(store.connections.db, scene.instances[0]?.id ?? 0, true);
    expect((await fix(scene, { indexes: [0, 1], task })).result).toBe('scan and fix complete');
    expect(steps(task)[2]).toBe('Scanning 2 VMs: 1 OK, 0 unresponsive, 0 missing, 0 unbound, 1 ignored started');
    expect(vmOf(scene, 0).agent).toBe('silent');
  });

  it('of a stopped instance gets its jobs, which are not started', async () => {
    const scene = await startScene(store);
    const { ip, cid } = vmOf(scene, 0);
    await store.connections.db.update(t.instances).set({ state: 'stopped' }).where(eq(t.instances.id, scene.instances[0]?.id ?? 0));
    scene.vms.delete(cid);
    expect((await fix(scene)).error).toBeUndefined();
    expect(nowAt(scene, ip)).toMatchObject({ running: false, asked: ['update_settings', 'initial apply', 'apply'] });
  });

  it('of a detached instance is expected by nobody', async () => {
    const scene = await startScene(store);
    const task = testTask(store.connections.db);
    await store.connections.db.update(t.instances).set({ state: 'detached' }).where(eq(t.instances.id, scene.instances[0]?.id ?? 0));
    scene.vms.clear();
    expect((await fix(scene, { task })).result).toBe('scan and fix complete');
    expect(steps(task)[0]).toBe('Scanning 0 VMs: Checking VM states started');
  });

  it('of an instance that a deploy left unfinished is made again, and stays for the next deploy to finish', async () => {
    const scene = await startScene(store);
    await store.connections.db.update(t.instances).set({ updateCompleted: false }).where(eq(t.instances.id, scene.instances[0]?.id ?? 0));
    vmOf(scene, 0).agent = 'silent';
    expect((await fix(scene)).error).toBeUndefined();
    expect((await recordOf(scene, 0)).instance.updateCompleted).toBe(false);
  });

  it('to which nothing was ever applied is made again as bare as it was', async () => {
    const scene = await startScene(store);
    const { ip } = vmOf(scene, 0);
    const { instance } = await recordOf(scene, 0);
    const { networks, vm_type: vmType, stemcell, env } = instance.spec ?? {};
    await store.connections.db.update(t.instances).set({ spec: { networks, vm_type: vmType, stemcell, env }, updateCompleted: false }).where(eq(t.instances.id, instance.id));
    vmOf(scene, 0).agent = 'silent';
    expect((await fix(scene)).error).toBeUndefined();
    expect(nowAt(scene, ip)).toMatchObject({ running: false, asked: ['update_settings', 'initial apply', 'post-deploy'] });
    expect((await recordOf(scene, 0)).instance.updateCompleted).toBe(false);
  });

  it('without blobstore credentials gets its templates over NATS and URLs for its packages', async () => {
    const scene = await startScene(store);
    const { ip } = vmOf(scene, 0);
    vmOf(scene, 0).agent = 'silent';
    expect((await fix(scene, { signed: true })).error).toBeUndefined();
    const fresh = nowAt(scene, ip);
    const { instance } = await recordOf(scene, 0);
    expect(fresh?.asked[2]).toMatch(/^upload [0-9a-f-]{36}$/);
    expect(JSON.stringify(fresh?.applied?.packages)).toContain('"signed_url":"https://blobs/');
    expect(JSON.stringify(instance.spec)).not.toContain('signed_url');
  });
});

describe('what cannot be fixed is told, and nothing is deleted for it', () => {
  it('an instance without any record of a VM', async () => {
    const scene = await startScene(store);
    await store.connections.db.update(t.instances).set({ spec: null }).where(eq(t.instances.id, scene.instances[0]?.id ?? 0));
    vmOf(scene, 0).agent = 'silent';
    expect(String((await fix(scene)).error)).toMatch(/Nothing is recorded of a VM of 'web\/\S+ \(0\)' by which it could be made again: deploy first/);
    expect(scene.vms.size).toBe(3);
  });

  it('an instance whose stemcell is gone', async () => {
    const scene = await startScene(store);
    await store.connections.db.delete(t.stemcells);
    vmOf(scene, 0).agent = 'silent';
    expect(String((await fix(scene)).error)).toContain("Stemcell 'local-ubuntu/1.200'");
    expect(scene.vms.size).toBe(3);
  });

  it('an instance whose address another one has by now; a free one is taken again', async () => {
    const scene = await startScene(store);
    const { db } = store.connections;
    const [first, second] = scene.instances;
    const { ip } = vmOf(scene, 0);
    vmOf(scene, 0).agent = 'silent';
    await db.execute(sql`UPDATE ip_addresses SET instance_id = ${second?.id}, vm_id = NULL WHERE instance_id = ${first?.id}`);
    expect(String((await fix(scene)).error)).toContain(`cannot be made again at ${ip}/32, which another instance has by now`);
    expect(scene.vms.size).toBe(3);
    await db.execute(sql`DELETE FROM ip_addresses WHERE address = ${`${ip}/32`}`);
    expect((await fix(scene)).error).toBeUndefined();
    expect((await recordOf(scene, 0)).addresses).toEqual([`${ip}/32`]);
  });

  it('one failure does not keep the others from being fixed', async () => {
    const scene = await startScene(store);
    const task = testTask(store.connections.db);
    const [a, b, c] = [0, 1, 2].map((index) => vmOf(scene, index));
    for (const vm of [a, b, c]) if (vm) vm.agent = 'silent';
    scene.onCreate = (_agentId, ip) => {
      if (ip === b?.ip) throw new Error('no capacity today');
    };
    const { error } = await fix(scene, { indexes: [0, 1, 2], task });
    expect(error).toMatchObject({ code: 100, message: "Error resolving problem '2': no capacity today" });
    expect([a, b, c].map((vm) => nowAt(scene, vm?.ip ?? '')?.running)).toEqual([true, undefined, true]);
    expect(task.events().filter((line) => line.state === 'failed')).toMatchObject([{ stage: 'Applying problem resolutions', total: 3, data: { error: 'no capacity today' } }]);
    expect((await recordOf(scene, 1)).addresses).toEqual([`${b?.ip}/32`]);
    scene.onCreate = () => undefined;
    expect((await fix(scene, { indexes: [1] })).error).toBeUndefined();
    expect(nowAt(scene, b?.ip ?? '')?.running).toBe(true);
  });

  it('instances that are gone are passed over, unless there is no other', async () => {
    const scene = await startScene(store);
    const task = testTask(store.connections.db);
    expect((await fix(scene, { indexes: [0, 7], task })).result).toBe('scan and fix complete');
    expect(task.events()[0]).toMatchObject({ type: 'warning', message: "'dep/web/7' doesn't exist" });
    expect((await fix(scene, { indexes: [7] })).error).toMatchObject({ code: 70001, message: "'dep/web/7' doesn't exist" });
  });
});

describe('a node that dies', () => {
  it.each(['killed', 'lost'] as const)('(%s) anywhere leaves work that the next one finishes', { timeout: 120_000 }, async (how) => {
    for (let dieAt = 1, died = true; died; dieAt++) {
      const scene = await startScene(store);
      const { ip } = vmOf(scene, 0);
      vmOf(scene, 0).agent = 'silent';
      const task = testTask(store.connections.db);
      ({ died } = await fix(scene, { task, fate: { dieAt, how } }));
      const second = await fix(scene, { task });
      expect(second.error, `died at ${dieAt}`).toBeUndefined();
      const { instance, vms, addresses } = await recordOf(scene, 0);
      expect([...scene.vms.keys()].toSorted(), `died at ${dieAt}`).toEqual([...vms, ...(await recordOf(scene, 1)).vms, ...(await recordOf(scene, 2)).vms].map((vm) => vm.cid).toSorted());
      expect(nowAt(scene, ip), `died at ${dieAt}`).toMatchObject({ cid: vms[0]?.cid, running: true, applied: { id: instance.uuid } });
      expect([vms.length, vms[0]?.active, vms[0]?.permanentNatsCredentials, instance.updateCompleted, addresses]).toEqual([1, true, true, true, [`${ip}/32`]]);
    }
  });

  it('twice is no harder', async () => {
    const scene = await startScene(store);
    const { ip } = vmOf(scene, 0);
    vmOf(scene, 0).agent = 'silent';
    const task = testTask(store.connections.db);
    for (const dieAt of [30, 20, 25]) await fix(scene, { task, fate: { dieAt, how: 'killed' } });
    expect((await fix(scene, { task })).error).toBeUndefined();
    expect(nowAt(scene, ip)?.running).toBe(true);
    expect(scene.vms.size).toBe(3);
  });
});

describe('while a deploy holds the lock', () => {
  it('the task ends at once and says why', async () => {
    const scene = await startScene(store);
    const { db } = store.connections;
    await db.execute(sql`TRUNCATE tasks CASCADE`);
    let release = () => undefined as void;
    const held = new Promise<void>((resolve) => (release = resolve));
    nodes.push(await startTestNode({
      store, name: 'A',
      perform: async (ctx, type, payload) => {
        if (type === scanAndFixTaskType.type) return scanAndFixTaskType.perform(ctx, scene.deps(), scanAndFixTaskType.payload.parse(payload));
        await ctx.lock('lock:deployment:dep', 1_000);
        await held;
        return '';
      },
    }));
    await db.execute(sql`INSERT INTO tasks (type, lane, state, description, username, payload) VALUES ('deploy', 'normal', 'queued', 'create deployment', 'admin', '{}')`);
    await expect.poll(async () => (await db.execute(sql`SELECT 1 FROM locks`)).rows.length, { timeout: 10_000 }).toBe(1);
    const enqueue = () =>
      db.transaction(async (tx) => {
        const { event, ...order } = scanAndFixTask({ deployment: 'dep', jobs: { web: ['0'] }, fixStateful: true }, []);
        const { id } = await enqueueTask(tx, { ...order, user: 'hm' });
        await recordEvent(tx, { ...event, user: 'hm', taskId: id });
        return id;
      });
    const task = await enqueue();
    const states = async (id: number) => (await db.execute<{ state: string; result: string | null }>(sql`SELECT state, result FROM tasks WHERE id = ${id}`)).rows[0];
    await expect.poll(() => states(task), { timeout: 10_000 }).toEqual({ state: 'error', result: 'Unable to get deployment lock, maybe a deployment is in progress. Try again later.' });
    release();
    await expect.poll(async () => (await db.execute(sql`SELECT 1 FROM locks`)).rows.length, { timeout: 10_000 }).toBe(0);
    const again = await enqueue();
    await expect.poll(() => states(again), { timeout: 10_000 }).toEqual({ state: 'done', result: 'scan and fix complete' });
    const audit = await listEvents(db, { taskId: again, limit: 5 });
    expect(audit.map((event) => [event.action, event.objectType, event.objectName, event.user, event.parentId !== undefined])).toEqual([
      ['scan and fix', 'deployment', 'dep', 'hm', true], ['scan and fix', 'deployment', 'dep', 'hm', false],
    ]);
  });
});

describe('the request for it', () => {
  let server: RestServer;
  beforeAll(async () => {
    server = await startRestServer(store, { change: (deps) => ({ ...deps, autoFixStatefulNodes: false }) });
  });
  afterAll(() => server?.close());

  const put = (body: unknown) => server.call('PUT', '/deployments/dep/scan_and_fix', { type: 'application/json', body: JSON.stringify(body) });

  it('becomes a task', async () => {
    await startScene(store);
    const answer = await put({ jobs: { web: [0, 'a2b70a4e-3d0c-4a0b-8a3e-0d3e3a1f8d11'], db: ['1'] } });
    const id = Number(answer.headers.location?.split('/').at(-1));
    const { rows } = await store.connections.db.execute(sql`SELECT type, lane, description, username, deployment, payload FROM tasks WHERE id = ${id}`);
    expect([answer.status, rows]).toEqual([303, [{
      type: 'cck_scan_and_fix', lane: 'normal', description: 'scan and fix', username: 'test', deployment: 'dep',
      payload: { deployment: 'dep', jobs: { web: ['0', 'a2b70a4e-3d0c-4a0b-8a3e-0d3e3a1f8d11'], db: ['1'] }, fixStateful: false },
    }]]);
    expect(await listEvents(store.connections.db, { taskId: id, limit: 5 })).toMatchObject([{ action: 'scan and fix', objectType: 'deployment', objectName: 'dep', user: 'test' }]);
  });

  it('is refused while resurrection is paused, and when every instance is ignored', async () => {
    const scene = await startScene(store);
    await setResurrectionPaused(store.connections.db, true);
    expect(await put({ jobs: { web: ['0'] } })).toMatchObject({ status: 400, json: { code: 410004, description: 'Resurrector is paused' } });
    await setResurrectionPaused(store.connections.db, false);
    for (const { id } of scene.instances) await setIgnored(store.connections.db, id, true);
    expect(await put({ jobs: { web: ['0'] } })).toMatchObject({ status: 404, json: { code: 70001 } });
  });

  it.each([[{}, 40001], [{ jobs: { web: '0' } }, 40000], [{ jobs: { web: [-1] } }, 40000]])('must be understood: %j', async (body, expected) => {
    await startScene(store);
    expect((await put(body)).json).toMatchObject({ code: expected });
  });
});

describe('a deploy', () => {
  it('tells of its beginning and its failure, each once however often it is attempted; dry runs tell nothing', async () => {
    const scene = await startScene(store);
    const { db } = store.connections;
    const alerts = async () => (await db.select().from(t.alerts).orderBy(t.alerts.seq)).map((row) => [row.origin, row.severity, row.title, row.summary, row.deployment]);
    const task = testTask(db);
    const attempt = (fate?: Fate, dryRun = false) =>
      task.attempt(async (ctx) => deploy(ctx, scene.deps(), { deployment: 'dep', manifestText: 'name: dep', configIds: { cloud: [], runtime: [] }, request: { dryRun } }).then(() => ''), fate);
    await attempt(undefined, true);
    expect(await alerts()).toEqual([]);
    expect((await attempt({ dieAt: 4, how: 'killed' })).died).toBe(true);
    const begin = ['director', 4, 'director - begin update deployment', "Begin update deployment for 'dep' against Director 'deadbeef'", 'dep'];
    expect(await alerts()).toEqual([begin]);
    const { error } = await attempt();
    const failure = ['director', 3, 'director - error during update deployment', `Error during update deployment for 'dep' against Director 'deadbeef': ${error instanceof Error ? error.message : ''}`, 'dep'];
    expect(await alerts()).toEqual([begin, failure]);
    await attempt();
    expect(await alerts()).toEqual([begin, failure]);
  });
});
