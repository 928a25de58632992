import { connect as connectSocket } from 'node:net';
import { setTimeout as wait } from 'node:timers/promises';
import { sql } from 'drizzle-orm';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { updateDeploymentPayload } from '../../server/task-types/deployment-payloads';
import { testStore, type TestStore } from '../support/director-parts';
import { credentials, startRestServer, type RestAnswer, type RestCall, type RestServer } from '../support/rest-server';

let store: TestStore;
let server: RestServer;
const db = () => store.connections.db;

beforeAll(async () => {
  store = await testStore();
  server = await startRestServer(store, { scopes: { other: ['bosh.admin'], ateam: ['openid', 'bosh.teams.ateam.admin', 'bosh.teams.bteam.admin'], bteam: ['bosh.teams.bteam.admin'], cteam: ['bosh.teams.cteam.admin'] } });
});
afterAll(async () => {
  await server?.close();
  await store?.close();
});
afterEach(async () => {
  await db().execute(sql`TRUNCATE tasks, events, deployments, configs, accepted_requests RESTART IDENTITY CASCADE`);
});

const deploy = (options: RestCall & { query?: string } = {}) => server.call('POST', `/deployments${options.query ?? ''}`, { type: 'text/yaml', body: 'name: shop\n', ...options });
const taskOf = (answer: RestAnswer) => Number(/^\/tasks\/(\d+)$/.exec(String(answer.headers.location))?.[1]);
const rows = async <T>(query: ReturnType<typeof sql>, schema: z.ZodType<T>) => z.array(schema).parse((await db().execute(query)).rows);
const count = async (table: string) => (await rows(sql`SELECT count(*)::int AS n FROM ${sql.identifier(table)}`, z.object({ n: z.number() })))[0]?.n;

describe('a request whose answer was lost', () => {
  it('gets the same task when it is sent again', async () => {
    const first = taskOf(await deploy());
    expect(taskOf(await deploy())).toBe(first);
    expect([await count('tasks'), await count('events')]).toEqual([1, 1]);
  });

  it('gets the same task when its connection broke before the answer', async () => {
    const socket = connectSocket(Number(new URL(server.url).port), '127.0.0.1');
    socket.on('error', () => undefined);
    socket.write(`POST /deployments HTTP/1.1\r\nHost: x\r\nAuthorization: ${credentials('test')}\r\nContent-Type: text/yaml\r\nContent-Length: 11\r\n\r\nname: shop\n`);
    while ((await count('tasks')) === 0) await wait(2);
    socket.destroy();
    expect(taskOf(await deploy())).toBe(1);
    expect(await count('tasks')).toBe(1);
  });

  it('gets the same task when both run at once', async () => {
    const tasks = await Promise.all(Array.from({ length: 8 }, async () => taskOf(await deploy())));
    expect(new Set(tasks).size).toBe(1);
    expect([await count('tasks'), await count('events')]).toEqual([1, 1]);
  });

  it('means new work once the task has been looked at', async () => {
    const first = taskOf(await deploy());
    expect((await server.call('GET', `/tasks/${first}`)).status).toBe(200);
    while ((await rows(sql`SELECT id FROM accepted_requests WHERE answered_at IS NULL`, z.unknown())).length > 0) await wait(2);
    expect(taskOf(await deploy())).not.toBe(first);
  });

  it('means new work after 30 seconds', async () => {
    const first = taskOf(await deploy());
    await db().execute(sql`UPDATE accepted_requests SET accepted_at = accepted_at - interval '31 seconds'`);
    expect(taskOf(await deploy())).not.toBe(first);
  });

  it.each<[string, () => Promise<RestAnswer>]>([
    ['user', () => deploy({ user: 'other' })],
    ['query', () => deploy({ query: '?recreate=true' })],
    ['body', () => deploy({ body: 'name: shop\n# again\n' })],
    ['path and method', () => server.call('DELETE', '/deployments/shop')],
  ])('is another one with another %s', async (_, other) => {
    expect(taskOf(await other())).not.toBe(taskOf(await deploy()));
  });
});

describe('an accepted deploy', () => {
  const task = async () => (await rows(sql`SELECT type, lane, state, description, username, deployment, context_id, teams, payload FROM tasks ORDER BY id DESC LIMIT 1`, z.record(z.string(), z.unknown())))[0];

  it('is a task with what the operator asked for', async () => {
    await server.call('POST', '/cloud_configs', { type: 'text/yaml', body: 'azs: []\n' });
    const answer = await deploy({
      query: '?recreate=true&recreate_vms_created_before=2026-01-02T03:04:05Z&fix=true&skip_drain=web%2Cdb&canaries=2&max_in_flight=20%25&dry_run=true&force_latest_variables=true&recreate_persistent_disks=true',
      headers: { 'X-Bosh-Context-Id': 'ctx' },
    });
    expect([answer.status, answer.body]).toEqual([303, '']);
    const found = await task();
    expect({ ...found, payload: updateDeploymentPayload.parse(found?.payload) }).toEqual({
      type: 'update_deployment', lane: 'normal', state: 'queued', description: 'create deployment (dry run)', username: 'test', deployment: 'shop', context_id: 'ctx', teams: [],
      payload: {
        deployment: 'shop', manifestText: 'name: shop\n', configIds: { cloud: [1], runtime: [] }, recreate: true, recreateVmsCreatedBefore: '2026-01-02T03:04:05Z', recreatePersistentDisks: true, fix: true,
        skipDrain: ['web', 'db'], canaries: '2', maxInFlight: '20%', dryRun: true, forceLatestVariables: true,
      },
    });
  });

  it('has no flags that were not given', async () => {
    await deploy({ query: '?skip_drain=*' });
    expect((await task())?.payload).toEqual({
      deployment: 'shop', manifestText: 'name: shop\n', configIds: { cloud: [], runtime: [] }, recreate: false, recreatePersistentDisks: false, fix: false, skipDrain: '*', dryRun: false, forceLatestVariables: false,
    });
  });

  it('is in the audit trail', async () => {
    await deploy();
    expect((await server.call('GET', '/events')).json).toEqual([
      { id: '1', timestamp: expect.any(Number), user: 'test', action: 'create', object_type: 'deployment', object_name: 'shop', task: '1', deployment: 'shop', context: {} },
    ]);
  });

  it('belongs to the teams of whoever deployed it first', async () => {
    expect((await deploy({ user: 'ateam' })).status).toBe(303);
    expect(await rows(sql`SELECT teams FROM deployments`, z.unknown())).toEqual([{ teams: ['ateam', 'bteam'] }]);
    expect((await deploy({ user: 'bteam' })).status).toBe(303);
    const refused = await deploy({ user: 'cteam' });
    expect([refused.status, refused.json]).toEqual([401, { code: 600000, description: 'Require one of the scopes: bosh.admin, bosh.deadbeef.admin, bosh.teams.ateam.admin, bosh.teams.bteam.admin' }]);
    expect(await rows(sql`SELECT DISTINCT teams FROM tasks`, z.unknown())).toEqual([{ teams: ['ateam', 'bteam'] }]);
  });

  it('uses the configs that the operator has seen in the diff', async () => {
    for (const zone of ['a', 'b']) await server.call('POST', '/cloud_configs', { type: 'text/yaml', body: `azs: [{name: ${zone}}]\n` });
    await deploy({ query: `?context=${encodeURIComponent('{"cloud_config_ids":[1],"runtime_config_ids":[]}')}` });
    expect(updateDeploymentPayload.parse((await task())?.payload).configIds).toEqual({ cloud: [1], runtime: [] });
    // A new deployment is noted with the configs it is made with; later deploys note theirs when they succeed.
    await deploy({});
    expect(await rows(sql`SELECT config_id FROM deployment_configs`, z.unknown())).toEqual([{ config_id: 1 }]);
  });

  it('is compared with the configs of its teams before it exists', async () => {
    await server.call('POST', '/configs', { user: 'ateam', type: 'application/json', body: JSON.stringify({ type: 'cloud', name: 'ours', content: 'azs: [{name: a}]' }) });
    const context = async (user: string) => (await server.call('POST', '/deployments/shop/diff', { user, type: 'text/yaml', body: 'name: shop\n' })).json;
    expect(await context('ateam')).toMatchObject({ context: { cloud_config_ids: [1], runtime_config_ids: [] } });
    expect(await context('cteam')).toMatchObject({ context: { cloud_config_ids: [], runtime_config_ids: [] } });
  });

  it('refuses CPI configs with a name twice', async () => {
    const answer = await server.call('POST', '/cpi_configs', { type: 'text/yaml', body: 'cpis: [{name: a, type: x}, {name: b, type: x, migrated_from: [{name: a}]}]\n' });
    expect([answer.status, answer.json]).toEqual([400, { code: 550000, description: "Duplicate cpi name 'a'" }]);
  });

  it('cannot use configs of another team', async () => {
    await server.call('POST', '/configs', { user: 'cteam', type: 'application/json', body: JSON.stringify({ type: 'cloud', name: 'theirs', content: 'azs: []' }) });
    const answer = await deploy({ user: 'ateam', query: `?context=${encodeURIComponent('{"cloud_config_ids":[1]}')}` });
    expect([answer.status, answer.json]).toEqual([400, { code: 190025, description: 'Context includes invalid config ID' }]);
    expect(await count('deployments')).toBe(0);
  });
});

describe('a refused request answers with a code and a sentence and leaves nothing', () => {
  const yaml = (body: string, path = '/deployments'): [string, string, RestCall] => ['POST', path, { type: 'text/yaml', body }];
  const jsonBody = (path: string, body: unknown, method = 'POST'): [string, string, RestCall] => [method, path, { type: 'application/json', body: typeof body === 'string' ? body : JSON.stringify(body) }];

  it.each<[string, number, number, [string, string, RestCall]]>([
    ['manifest: empty', 400, 440001, yaml('')],
    ['manifest: not YAML', 400, 440001, yaml('a: [{')],
    ['manifest: a list', 400, 440001, yaml('- a')],
    ['manifest: only text', 400, 440001, yaml('hello')],
    ['manifest: no name', 400, 40001, yaml('a: b')],
    ['manifest: name is a list', 400, 40005, yaml('name: [x]')],
    ['manifest: name that leaves its place', 400, 40005, yaml('name: ../../etc')],
    ['manifest: alias bomb', 400, 440001, yaml(`name: x\na: &a [${'x,'.repeat(40)}]\n${'bcdefghij'.split('').map((key, i) => `${key}: &${key} [${`*${'abcdefghi'[i] ?? 'a'},`.repeat(20)}]`).join('\n')}\n`)],
    ['manifest: no DNS name', 400, 420001, yaml('name: -x')],
    ['flags: timestamp without recreate', 400, 40005, yaml('name: x', '/deployments?recreate_vms_created_before=2026-01-02T03:04:05Z')],
    ['flags: bad timestamp', 400, 40005, yaml('name: x', '/deployments?recreate=true&recreate_vms_created_before=yesterday')],
    ['flags: canaries', 400, 40005, yaml('name: x', '/deployments?canaries=many')],
    ['flags: max_in_flight', 400, 40005, yaml('name: x', '/deployments?max_in_flight=-1%25')],
    ['context: not JSON', 400, 190025, yaml('name: x', '/deployments?context=%7B')],
    ['context: wrong types', 400, 190025, yaml('name: x', `/deployments?context=${encodeURIComponent('{"cloud_config_ids":["1"]}')}`)],
    ['context: unknown config', 400, 190025, yaml('name: x', `/deployments?context=${encodeURIComponent('{"cloud_config_ids":[99]}')}`)],
    ['unknown deployment', 404, 70000, ['DELETE', '/deployments/nope', {}]],
    ['config: not JSON', 400, 710001, jsonBody('/configs', '{')],
    ['config: no body', 400, 40001, jsonBody('/configs', '')],
    ['config: a list', 400, 40000, jsonBody('/configs', [])],
    ['config: no type', 400, 440010, jsonBody('/configs', { name: 'a', content: 'a: b' })],
    ['config: name is a number', 400, 440010, jsonBody('/configs', { type: 'cloud', name: 1, content: 'a: b' })],
    ['config: content not YAML', 400, 440011, jsonBody('/configs', { type: 'cloud', name: 'a', content: 'a: [{' })],
    ['config: content a list', 400, 440011, jsonBody('/configs', { type: 'cloud', name: 'a', content: '- a' })],
    ['config: NUL in it', 400, 40005, jsonBody('/configs', { type: 'cloud\u0000', name: 'a', content: 'a: b' })],
    ['cloud config: not YAML', 400, 440001, yaml('azs: [{{', '/cloud_configs')],
    ['cloud config: empty', 400, 440001, yaml('', '/cloud_configs')],
    ['configs: limit', 400, 440010, ['GET', '/configs?limit=0', {}]],
    ['release: no location', 400, 40001, jsonBody('/releases', {})],
    ['release: location a number', 400, 40000, jsonBody('/releases', { location: 5 })],
    ['release: location a local path', 400, 40005, jsonBody('/releases', { location: '/etc/passwd' })],
    ['release: location a file URL', 400, 40005, jsonBody('/releases', { location: 'file:///etc/passwd' })],
    ['release: malformed digest', 400, 40005, jsonBody('/releases', { location: 'https://x/y.tgz', sha1: 'zz' })],
    ['release: unknown', 404, 30005, ['DELETE', '/releases/nope', {}]],
    ['stemcell: multipart', 501, 100, ['POST', '/stemcells', { type: 'multipart/form-data', body: 'nginx_upload_path=/etc/passwd' }]],
    ['tasks: cancel with states that are no list', 400, 40000, jsonBody('/tasks/cancel', { states: 'queued' })],
    ['tasks: limit', 400, 40000, ['GET', '/tasks?limit=x', {}]],
    ['task: not a number', 404, 10000, ['GET', '/tasks/abc', {}]],
    ['task: a huge number', 404, 10000, ['GET', '/tasks/99999999999999999999', {}]],
    ['event: wrong types', 400, 40000, jsonBody('/events', { action: 1 })],
    ['resurrection: wrong type', 400, 40000, jsonBody('/resurrection', { resurrection_paused: 'no' }, 'PUT')],
    ['clean-up: wrong type', 400, 40000, jsonBody('/cleanup', { config: { remove_all: 'yes' } })],
    ['body: 20 MB of YAML', 413, 40002 + 1, yaml(`name: x\n# ${'x'.repeat(20 * 1024 * 1024)}`)],
  ])('%s', async (_, status, errorCode, [method, path, call]) => {
    const answer = await server.call(method, path, call);
    expect([answer.status, answer.json]).toEqual([status, { code: errorCode, description: expect.stringMatching(/\w+ .*\w/) }]);
    expect(await Promise.all(['tasks', 'events', 'deployments', 'configs', 'accepted_requests'].map(count))).toEqual([0, 0, 0, 0, 0]);
  });

  it('a name whose DNS form another deployment has', async () => {
    await deploy();
    const answer = await deploy({ body: 'name: SHOP\n' });
    expect([answer.status, answer.json]).toEqual([400, { code: 190009, description: expect.stringContaining("deployment 'shop'") }]);
    expect([await count('deployments'), await count('tasks')]).toEqual([1, 1]);
  });
});

describe('a database that comes and goes', () => {
  it('is waited for', async () => {
    await deploy();
    const terminated = await db().execute(sql`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()`);
    expect(terminated.rows.length).toBeGreaterThanOrEqual(0);
    const answers = await Promise.all([server.call('GET', '/deployments'), server.call('GET', '/tasks'), deploy()]);
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 303]);
  });
});
