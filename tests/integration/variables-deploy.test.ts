import { sql } from 'drizzle-orm';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import type { VariableBackend } from '../../server/variables/backend';
import { createBuiltInBackend } from '../../server/variables/built-in';
import { createConfigServerBackend } from '../../server/variables/config-server';
import { readSealingKey } from '../../server/variables/seal';
import { startConfigServer, type TestConfigServer } from '../support/config-server';
import { testStore, type TestStore } from '../support/director-parts';
import { startTrpcServers, type TrpcServers } from '../support/trpc-server';
import { newCanary, startVariableScene, type VariableScene } from '../support/variable-scene';

const cloudConfig = `
azs: [{name: z1, cloud_properties: {zone: ((/cloud/az))}}]
vm_types:
- {name: small, cloud_properties: {password: ((/cloud/type)), text: "x-((/cloud/part))-y"}}
- {name: whole, cloud_properties: ((/cloud/whole))}
vm_extensions: [{name: ext, cloud_properties: {extended: ((/cloud/extension))}}]
networks:
- name: private
  subnets: [{range: 10.0.1.0/24, gateway: 10.0.1.1, az: z1, cloud_properties: {net: ((/cloud/subnet))}}]
compilation: {workers: 1, az: z1, network: private, cloud_properties: {worker: ((/cloud/compilation))}, env: {worker: ((/cloud/compilation-env))}}
`;

const runtimeConfig = `
releases: [{name: rel, version: '1'}]
variables: [{name: /runtime/token, type: password}]
addons: [{name: extras, include: {instance_groups: [web]}, jobs: [{name: extra, release: rel, properties: {token: ((/runtime/token))}}]}]
`;

const manifest = `
name: shop
releases: [{name: rel, version: latest}]
stemcells: [{alias: default, os: ubuntu, version: ((stemcell_version))}]
update: {canaries: 1, max_in_flight: 1, canary_watch_time: 1-10, update_watch_time: 1-10}
properties: {token: ((legacy))}
variables:
- {name: pw, type: password}
- {name: ca, type: certificate, options: {is_ca: true, common_name: ca}}
- {name: tls, type: certificate, options: {ca: ca, common_name: web}, consumes: {alternative_name: {from: web, properties: {wildcard: true}}}, update: {strategy: on-stemcell-change}, update_mode: overwrite}
- {name: key, type: ssh}
- {name: rsa, type: rsa}
- {name: login, type: user, options: {username: ((login_name))}}
instance_groups:
- name: web
  instances: 1
  azs: [z1]
  vm_type: small
  vm_extensions: [ext]
  stemcell: default
  networks: [{name: private}]
  env: {persisted: ((env_secret)), bosh: {password: ((env_bosh))}}
  jobs:
  - name: app
    release: rel
    properties: {secret: ((pw)), url: "https://((login.username)):((login.password))@host", tls: ((tls)), key: ((key.private_key)), shared: ((rsa)), user: "((!login))"}
    consumes: {outside: {instances: [{address: 10.0.0.9, properties: {inner: ((link_instance))}}], properties: {outer: ((link_outer))}}}
- name: db
  instances: 1
  azs: [z1]
  vm_type: whole
  stemcell: default
  networks: [{name: private}]
  properties: {token: ((group_secret))}
  jobs:
  - {name: db, release: rel, properties: {password: ((db_pw))}, provides: {sql: {shared: true}}}
  - {name: extra, release: rel}
`;

/** Names of what is put into the backend, with one canary each. */
const given = [
  ...['az', 'type', 'part', 'extension', 'subnet', 'compilation', 'compilation-env'].map((name) => `/cloud/${name}`),
  ...['legacy', 'login_name', 'env_secret', 'env_bosh', 'link_instance', 'link_outer', 'db_pw', 'group_secret'].map((name) => `/dir/shop/${name}`),
];

/** A backend with a way to put values into it, as `credhub set` does. */
interface Kind {
  what: string;
  open: (store: TestStore) => Promise<{ backend: VariableBackend; put(name: string, value: unknown): Promise<void>; close(): Promise<void> }>;
}

const kinds: Kind[] = [
  {
    what: 'the built-in store',
    open: async (store) => {
      const backend = createBuiltInBackend({ db: store.connections.db, keys: [readSealingKey('33'.repeat(32))] });
      return { backend, put: async (name, value) => void (await backend.put(name, value)), close: async () => undefined };
    },
  },
  {
    what: 'a config server',
    open: async () => {
      const server: TestConfigServer = await startConfigServer();
      return { backend: createConfigServerBackend(server.options), put: async (name, value) => server.put(name, value), close: () => server.close() };
    },
  },
];

describe.each(kinds)('a deployment with variables in $what', ({ open }) => {
  let store: TestStore;
  let scene: VariableScene;
  let opened: Awaited<ReturnType<Kind['open']>>;
  let trpc: TrpcServers;
  const canaries = new Map<string, string>();
  const tasks: number[] = [];

  const put = async (name: string): Promise<string> => {
    const canary = newCanary(name.split('/').at(-1) ?? '');
    canaries.set(`${name} ${canaries.size}`, canary);
    await opened.put(name, canary);
    return canary;
  };
  const deploy = async (text = manifest, query = '') => {
    const outcome = await scene.deploy(text, query);
    tasks.push(outcome.id);
    return outcome;
  };
  const rows = async <T>(query: ReturnType<typeof sql>, schema: z.ZodType<T>) => z.array(schema).parse((await store.connections.db.execute(query)).rows);
  const versions = async () => new Map((await rows(sql`SELECT name, variable_id AS id FROM variables WHERE variable_set_id = (SELECT max(variable_set_id) FROM variables)`, z.object({ name: z.string(), id: z.string() }))).map((row) => [row.name, row.id]));
  /** The error that ended a task, whole. */
  const errorOf = async (task: number) => {
    const last = (await scene.rest.call('GET', `/tasks/${task}/output?type=event`)).body.trimEnd().split('\n').at(-1) ?? '';
    return z.object({ error: z.object({ message: z.string() }) }).parse(JSON.parse(last)).error.message;
  };
  const lastCreated = (group: string) => scene.created.findLast((vm) => JSON.stringify(vm.env).includes(`"dir-shop-${group}"`));

  beforeAll(async () => {
    store = await testStore();
    opened = await open(store);
    scene = await startVariableScene(store, opened.backend);
    trpc = await startTrpcServers({ store, node: scene.node, notifications: scene.node.notifications, names: ['A'], deps: { agentState: async () => ({ jobState: 'running', processes: [] }) } });
    for (const [type, content] of [['cloud', cloudConfig], ['runtime', runtimeConfig]]) {
      expect((await scene.rest.call('POST', '/configs', { type: 'application/json', body: JSON.stringify({ name: 'default', type, content }) })).status).toBe(201);
    }
    for (const name of given) await put(name);
    await opened.put('/dir/shop/stemcell_version', '1');
    canaries.set('whole', newCanary('whole'));
    await opened.put('/cloud/whole', { user: 'root', token: canaries.get('whole') });
  });
  afterAll(async () => {
    trpc?.close();
    await scene?.close();
    await opened?.close();
    await store?.close();
  });

  it('gives values to clouds and templates', async () => {
    expect(await deploy()).toMatchObject({ state: 'done', result: '/deployments/shop' });
    const value = (name: string) => [...canaries].find(([key]) => key.startsWith(`${name} `))?.[1];
    expect(lastCreated('web')).toMatchObject({
      cloudProperties: { zone: value('/cloud/az'), password: value('/cloud/type'), text: `x-${value('/cloud/part')}-y`, extended: value('/cloud/extension') },
      networks: { private: { cloud_properties: { net: value('/cloud/subnet') } } },
      env: { persisted: value('/dir/shop/env_secret'), bosh: { password: value('/dir/shop/env_bosh') } },
    });
    expect(lastCreated('db')).toMatchObject({ cloudProperties: { zone: value('/cloud/az'), user: 'root', token: canaries.get('whole') } });
    const rendered = (group: string, job: string) => scene.rendered.find((one) => one.group === group && one.job === job);
    const app = rendered('web', 'app');
    expect(app).toMatchObject({
      properties: { secret: expect.stringMatching(/^\w{30}$/) as string, url: expect.stringMatching(`^https://${value('/dir/shop/login_name')}:\\w{30}@host$`) as string, key: expect.stringContaining('PRIVATE KEY') as string, user: { username: value('/dir/shop/login_name') } },
      links: { db: { properties: { password: value('/dir/shop/db_pw') } }, outside: { properties: { outer: value('/dir/shop/link_outer') }, instances: [{ properties: { inner: value('/dir/shop/link_instance') } }] } },
    });
    expect(rendered('db', 'extra')?.properties).toEqual({ token: value('/dir/shop/group_secret') });
    expect(rendered('web', 'extra')?.properties).toEqual({ token: expect.stringMatching(/^\w{30}$/) as string });
    const sets = await rows(sql`SELECT writable, deployed_successfully AS successful FROM variable_sets`, z.object({ writable: z.boolean(), successful: z.boolean() }));
    expect(sets).toEqual([{ writable: false, successful: true }]);
    const events = await rows(sql`SELECT object_name AS name FROM events WHERE object_type = 'variable' AND action = 'create' ORDER BY id`, z.object({ name: z.string() }));
    expect(events.map(({ name }) => name)).toEqual([...['pw', 'ca', 'tls', 'key', 'rsa', 'login'].map((name) => `/dir/shop/${name}`), '/runtime/token']);
  });

  it('leaves everything as it is while no value changes', async () => {
    const [created, rendered, before] = [scene.created.length, scene.rendered.length, await versions()];
    expect(await deploy()).toMatchObject({ state: 'done' });
    expect([scene.created.length, scene.rendered.length]).toEqual([created, rendered]);
    expect(await versions()).toEqual(before);
  });

  it('changes what a new value is in, and only that', async () => {
    const created = scene.created.length;
    const type = await put('/cloud/type');
    expect(await deploy()).toMatchObject({ state: 'done' });
    expect(scene.created.length).toBe(created + 1);
    expect(lastCreated('web')).toMatchObject({ cloudProperties: { password: type } });
    const rendered = scene.rendered.length;
    const password = await put('/dir/shop/db_pw');
    expect(await deploy()).toMatchObject({ state: 'done' });
    expect(scene.created.length).toBe(created + 1);
    expect(scene.rendered.slice(rendered).map(({ group, job }) => `${group}/${job}`).toSorted()).toEqual(['db/db', 'db/extra', 'web/app', 'web/extra']);
    expect(scene.rendered.at(-1)).toBeDefined();
    expect(JSON.stringify(scene.rendered.slice(rendered))).toContain(password);
  });

  it('keeps a certificate while the stemcell stays, unless the newest are forced', async () => {
    const before = await versions();
    const changed = async () => [...(await versions())].filter(([name, id]) => before.get(name) !== id).map(([name]) => name);
    expect(await changed()).toEqual([]);
    expect(await deploy(manifest, '?force_latest_variables=true')).toMatchObject({ state: 'done' });
    expect(await changed()).toEqual(['/dir/shop/tls']);
    const rotated = (await versions()).get('/dir/shop/tls');
    await opened.put('/dir/shop/stemcell_version', '2');
    expect(await deploy()).toMatchObject({ state: 'done' });
    expect([before.get('/dir/shop/tls'), rotated]).not.toContain((await versions()).get('/dir/shop/tls'));
  });

  it('lends another deployment what its link carries', async () => {
    const other = `
name: other
releases: [{name: rel, version: latest}]
stemcells: [{alias: default, os: ubuntu, version: '1'}]
update: {canaries: 1, max_in_flight: 1, canary_watch_time: 1-10, update_watch_time: 1-10}
instance_groups:
- {name: app, instances: 1, azs: [z1], vm_type: small, stemcell: default, networks: [{name: private}], jobs: [{name: app, release: rel, properties: {}, consumes: {db: {from: sql, deployment: shop}}}]}
`;
    expect(await deploy(other)).toMatchObject({ state: 'done' });
    expect(JSON.stringify(scene.rendered.at(-1)?.links)).toContain([...canaries.values()].at(-1));
    expect(await rows(sql`SELECT name, provider_deployment AS provider FROM variables WHERE NOT is_local`, z.unknown())).toEqual([{ name: '/dir/shop/db_pw', provider: 'shop' }]);
  });

  it('tells what is missing for each job', async () => {
    const { id, state } = await deploy(manifest.replace('secret: ((pw))', 'secret: ((gone)), legacy: ((lost))'));
    expect(state).toBe('error');
    expect(await errorOf(id)).toMatch(/^Unable to render instance groups for deployment\. Errors are:\n {2}- Unable to render jobs for instance group 'web'\. Errors are:\n {4}- Unable to render templates for job 'app'\. Errors are:\n {6}- Failed to find variable '\/dir\/shop\/(gone|lost)'[^\n]*\n {6}- Failed to find variable '\/dir\/shop\/(gone|lost)'[^\n]*$/);
    const [newest] = await rows(sql`SELECT writable, deployed_successfully AS successful FROM variable_sets ORDER BY id DESC LIMIT 1`, z.unknown());
    expect(newest).toEqual({ writable: false, successful: false });
  });

  it('looks up what errands and empty groups use, and fixes the versions', async () => {
    const chores = `
name: chores
releases: [{name: rel, version: latest}]
stemcells: [{alias: default, os: ubuntu, version: '1'}]
update: {canaries: 1, max_in_flight: 1, canary_watch_time: 1-10, update_watch_time: 1-10}
instance_groups:
- {name: errand, lifecycle: errand, instances: 1, azs: [z1], vm_type: small, stemcell: default, networks: [{name: private}], jobs: [{name: app, release: rel, properties: {secret: ((errand_pw))}, consumes: {db: {from: sql, deployment: shop}}}]}
- {name: empty, instances: 0, azs: [z1], vm_type: small, stemcell: default, networks: [{name: private}], jobs: [{name: extra, release: rel, properties: {token: ((empty_pw))}}]}
`;
    const failed = await deploy(chores);
    expect(failed.state).toBe('error');
    expect((await errorOf(failed.id)).split('\n').map((line) => line.replace(/ from config server: .*/, ''))).toEqual([
      'Unable to render instance groups for deployment. Errors are:',
      "  - Unable to render jobs for instance group 'errand'. Errors are:", "    - Unable to render templates for job 'app'. Errors are:", "      - Failed to find variable '/dir/chores/errand_pw'",
      "  - Unable to render jobs for instance group 'empty'. Errors are:", "    - Unable to render templates for job 'extra'. Errors are:", "      - Failed to find variable '/dir/chores/empty_pw'",
    ]);
    for (const name of ['errand_pw', 'empty_pw']) await put(`/dir/chores/${name}`);
    const before = scene.rendered.length;
    expect(await deploy(chores)).toMatchObject({ state: 'done' });
    expect([...(await versions()).keys()]).toEqual(expect.arrayContaining(['/dir/chores/errand_pw', '/dir/chores/empty_pw', '/dir/shop/db_pw']));
    expect(scene.rendered).toHaveLength(before);
  });

  it('never shows a value, though CPIs and templates repeat them', async () => {
    scene.failures.createVm = (text) => `cannot make ${text}`;
    await put('/cloud/type');
    expect(await deploy()).toMatchObject({ state: 'error', result: expect.stringContaining('cannot make') as string });
    scene.failures.createVm = undefined;
    scene.failures.render = (text) => `undefined method for ${text}`;
    await put('/dir/shop/link_outer');
    const failed = await deploy();
    expect([failed.state, await errorOf(failed.id)]).toEqual(['error', expect.stringContaining('undefined method')]);
    scene.failures.render = undefined;
    expect(await deploy()).toMatchObject({ state: 'done' });

    const { rest } = scene;
    const get = async (path: string) => (await rest.call('GET', path)).body;
    const diff = async (redact: boolean) => (await rest.call('POST', `/deployments/shop/diff?redact=${redact}`, { type: 'text/yaml', body: manifest.replace('instances: 1', 'instances: 2') })).body;
    const client = trpc.as('admin');
    const shown = [
      await scene.dump(), ...(await Promise.all(tasks.map((task) => scene.output(task)))), await diff(false), await diff(true),
      ...(await Promise.all(['/deployments', '/deployments/shop', '/deployments/shop/variables', '/deployments/shop/certificate_expiry', '/deployments/shop/instances', '/events', '/tasks?verbose=2', '/links?deployment=shop', '/link_providers?deployment=shop', '/link_consumers?deployment=shop', '/configs?latest=true'].map(get))),
      JSON.stringify(await Promise.all([client.deployments.get.query({ name: 'shop' }), client.deployments.manifest.query({ name: 'shop' }), client.variables.list.query({ deployment: 'shop' })])),
    ].join('\n');
    expect(shown).toContain('cannot make');
    expect(shown).toContain('((/cloud/type))');
    for (const secret of await secrets()) expect(shown.includes(secret), `'${secret}' is shown: ${around(shown, secret)}`).toBe(false);
  });

  it('lists names, ids and expiry', async () => {
    const listed = (await scene.rest.call('GET', '/deployments/shop/variables')).json;
    const ids = await versions();
    expect(listed).toEqual(expect.arrayContaining([{ id: ids.get('/dir/shop/tls'), name: '/dir/shop/tls' }]));
    const expiry = (await scene.rest.call('GET', '/deployments/shop/certificate_expiry')).json;
    expect(expiry).toHaveLength(2);
    expect(expiry).toEqual(expect.arrayContaining([{ id: ids.get('/dir/shop/ca'), name: '/dir/shop/ca', expiry_date: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/) as string, days_left: 364 }]));
    expect((await scene.rest.call('GET', `/deployed_variables/${encodeURIComponent('/dir/shop/tls')}`)).json).toEqual({ deployments: [{ name: 'shop', version: ids.get('/dir/shop/tls') }] });
  });

  /** Canaries and every text of every generated value; of long ones a line of their middle. */
  async function secrets(): Promise<string[]> {
    const used = await rows(sql`SELECT DISTINCT name, variable_id AS id FROM variables WHERE name NOT LIKE '%stemcell_version'`, z.object({ name: z.string(), id: z.string() }));
    const values = await Promise.all(used.map(async ({ name, id }) => (await opened.backend.version(id, name)).value));
    const texts = (value: unknown): string[] => (typeof value === 'string' ? [value] : typeof value === 'object' && value !== null ? Object.values(value).flatMap(texts) : []);
    const found = [...canaries.values(), ...texts(values)].map((text) => (text.includes('\n') ? (text.split('\n')[3] ?? text) : text)).filter((text) => text.length > 5);
    expect(found.length).toBeGreaterThan(given.length + 10);
    return found;
  }
});

function around(text: string, secret: string): string {
  const at = text.indexOf(secret);
  return at < 0 ? '' : text.slice(Math.max(0, at - 120), at + 40);
}
