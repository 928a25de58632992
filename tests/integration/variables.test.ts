import { X509Certificate } from 'node:crypto';
import { sql } from 'drizzle-orm';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Connections } from '../../db/client';
import type { VariableBackend } from '../../server/variables/backend';
import { createBuiltInBackend, resealAll } from '../../server/variables/built-in';
import type { CertificateValue } from '../../server/variables/certificate';
import { createConfigServerBackend } from '../../server/variables/config-server';
import { createResolver } from '../../server/variables/resolve';
import { readSealingKey } from '../../server/variables/seal';
import { closeVariableSet, findSuccessfulSet, findVariableSet, fixVersion, listSetVersions, openVariableSet, type VariableSet } from '../../server/variables/store';
import { startConfigServer, type TestConfigServer } from '../support/config-server';
import { testStore, type TestStore } from '../support/director-parts';

const keys = { old: readSealingKey('11'.repeat(32)), new: readSealingKey('22'.repeat(32)) };
let store: TestStore;
let connections: Connections;
let server: TestConfigServer;
let deploymentId: number;

beforeAll(async () => {
  store = await testStore();
  connections = store.connections;
  server = await startConfigServer();
  const { rows } = await connections.db.execute<{ id: number }>(sql`INSERT INTO deployments (name, canonical_name) VALUES ('web', 'web') RETURNING id`);
  deploymentId = rows[0]?.id ?? 0;
});
afterAll(async () => {
  await server.close();
  await store.close();
});

const backends: [string, () => VariableBackend][] = [
  ['the built-in store', () => createBuiltInBackend({ db: connections.db, keys: [keys.old] })],
  ['a config server', () => createConfigServerBackend(server.options)],
];

describe.each(backends)('%s', (kind, make) => {
  const name = (rest: string) => `/d/${kind.replaceAll(' ', '-')}/${rest}`;

  it('makes a value once and keeps every version', async () => {
    const backend = make();
    const order = { name: name('p'), type: 'password', parameters: {}, mode: 'no-overwrite' as const };
    const first = await backend.generate(order);
    expect(first.value).toMatch(/^[a-zA-Z0-9]{30}$/);
    expect(await backend.generate(order)).toMatchObject({ id: first.id, value: first.value });
    const second = await backend.generate({ ...order, mode: 'overwrite' });
    expect(second.id).not.toBe(first.id);
    expect((await backend.latest(order.name)).id).toBe(second.id);
    expect((await backend.version(first.id, order.name)).value).toBe(first.value);
  });

  it('makes a new value when the parameters changed and it is told to converge', async () => {
    const backend = make();
    const order = { name: name('c'), type: 'password', parameters: { length: 10 }, mode: 'converge' as const };
    const first = await backend.generate(order);
    expect((await backend.generate(order)).id).toBe(first.id);
    expect((await backend.generate({ ...order, parameters: { length: 12 } })).value).toHaveLength(12);
  });

  it('signs certificates with a CA that it made', async () => {
    const backend = make();
    const ca = await backend.generate({ name: name('ca'), type: 'certificate', parameters: { is_ca: true, common_name: 'ca' }, mode: 'no-overwrite' });
    const leaf = await backend.generate({ name: name('leaf'), type: 'certificate', parameters: { ca: name('ca'), common_name: 'leaf' }, mode: 'no-overwrite' });
    const { certificate } = leaf.value as CertificateValue;
    expect(new X509Certificate(certificate).verify(new X509Certificate((ca.value as CertificateValue).certificate).publicKey)).toBe(true);
  });

  it('says what it does not have, and what it cannot make', async () => {
    const backend = make();
    await expect(backend.latest(name('gone'))).rejects.toMatchObject({ code: 540002, message: expect.stringContaining(`'${name('gone')}'`) as string });
    await expect(backend.version('3f6f3c1e-0000-4000-8000-000000000000', name('gone'))).rejects.toMatchObject({ code: 540002 });
    await expect(backend.generate({ name: name('x'), type: 'password', parameters: { length: 1 }, mode: 'no-overwrite' })).rejects.toMatchObject({ code: 540005 });
    await expect(backend.latest(name('x'))).rejects.toMatchObject({ code: 540002 });
  });
});

describe('the built-in store', () => {
  it('makes one value when several ask at once', async () => {
    const backends = Array.from({ length: 6 }, () => createBuiltInBackend({ db: connections.db, keys: [keys.old] }));
    const made = await Promise.all(backends.map((backend) => backend.generate({ name: '/race', type: 'password', parameters: {}, mode: 'no-overwrite' })));
    expect(new Set(made.map((one) => one.id)).size).toBe(1);
    expect(new Set(made.map((one) => one.value)).size).toBe(1);
  });

  it('has nothing of a value in its rows', async () => {
    const { value } = await createBuiltInBackend({ db: connections.db, keys: [keys.old] }).generate({ name: '/canary', type: 'user', parameters: { username: 'canary-name' }, mode: 'no-overwrite' });
    const { rows } = await connections.db.execute<{ all: string }>(sql`SELECT coalesce(string_agg(v::text || encode(v.sealed, 'escape'), ''), '') AS all FROM variable_values v WHERE name = '/canary'`);
    expect(rows[0]?.all).not.toContain((value as { password: string }).password);
  });

  it('changes its key without losing a value, and without the old key afterwards', async () => {
    const before = await createBuiltInBackend({ db: connections.db, keys: [keys.old] }).generate({ name: '/kept', type: 'password', parameters: {}, mode: 'no-overwrite' });
    while ((await resealAll({ db: connections.db, keys: [keys.new, keys.old] }, 2)) > 0);
    expect((await createBuiltInBackend({ db: connections.db, keys: [keys.new] }).latest('/kept')).value).toBe(before.value);
    await expect(createBuiltInBackend({ db: connections.db, keys: [keys.old] }).latest('/kept')).rejects.toThrow('not configured');
    while ((await resealAll({ db: connections.db, keys: [keys.old, keys.new] }, 100)) > 0);
  });
});

describe('a config server', () => {
  it('is given one token for many requests, and another when it refuses that', async () => {
    const backend = createConfigServerBackend(server.options);
    server.put('/t', 1);
    const given = server.tokensGiven;
    await Promise.all([backend.latest('/t'), backend.latest('/t')]);
    expect(server.tokensGiven).toBe(given + 1);
    server.expireTokens();
    expect((await backend.latest('/t')).value).toBe(1);
    expect(server.tokensGiven).toBe(given + 2);
  });

  it('is asked again when the network fails, three times in all', async () => {
    const backend = createConfigServerBackend(server.options);
    server.put('/n', 'v');
    server.cutOff(2);
    expect((await backend.latest('/n')).value).toBe('v');
    server.cutOff(3);
    await expect(backend.latest('/n')).rejects.toMatchObject({ code: 540001 });
  });

  it('is not believed with a certificate of another CA, and without a good secret', async () => {
    await expect(createConfigServerBackend({ ...server.options, ca: undefined, uaa: { ...server.options.uaa, ca: undefined } }).latest('/n')).rejects.toMatchObject({ code: 540001 });
    await expect(createConfigServerBackend({ ...server.options, uaa: { ...server.options.uaa, clientSecret: 'wrong' } }).latest('/n')).rejects.toThrow("check the client 'director'");
  });
});

describe('a variable set', () => {
  let set: VariableSet;
  let lastTask = 0;
  const backend = () => createConfigServerBackend(server.options);
  const resolver = (of: VariableSet) => createResolver({ db: connections.db, backend: backend(), scope: { director: 'dir', deployment: 'web' }, set: of, fix: (fixed) => connections.db.transaction((tx) => fixVersion(tx, of.id, fixed)), hide: () => undefined });
  beforeEach(async () => {
    set = await openVariableSet(connections.db, deploymentId, ++lastTask);
  });

  it('fixes the version of each name for all that comes after', async () => {
    server.put('/dir/web/cert', { ca: 'A', key: 'K' });
    expect(await resolver(set).resolve({ a: '((cert.ca))', b: 'x-((cert.key))' })).toEqual({ a: 'A', b: 'x-K' });
    server.put('/dir/web/cert', { ca: 'B', key: 'L' });
    expect(await resolver(set).resolve({ a: '((cert))' })).toEqual({ a: { ca: 'A', key: 'K' } });
    expect([...(await listSetVersions(connections.db, set.id)).keys()]).toEqual(['/dir/web/cert']);
    expect(await resolver(await openVariableSet(connections.db, deploymentId, ++lastTask)).resolve('((cert.ca))')).toBe('B');
  });

  it('takes no more names once it is closed', async () => {
    server.put('/dir/web/known', 1);
    await resolver(set).versionsIn(['((known))']);
    await connections.db.transaction((tx) => closeVariableSet(tx, set.id, true));
    const closed = await findVariableSet(connections.db, set.id);
    expect(closed).toEqual(await findSuccessfulSet(connections.db, deploymentId));
    expect(await resolver(closed ?? set).resolve('((known))')).toBe(1);
    await expect(resolver(closed ?? set).resolve('((cert))')).rejects.toMatchObject({ code: 540008, message: "Expected variable '/dir/web/cert' to be already versioned in deployment 'web'" });
  });

  it('tells everything that is missing at once', async () => {
    server.put('/dir/web/flat', 'hush');
    const failing = resolver(set).resolve({ a: '((gone))', b: '((flat.key))', c: '((/also/gone))' });
    await expect(failing).rejects.toMatchObject({ code: 540001 });
    await expect(failing).rejects.toThrow(/^- Failed to find variable '\/dir\/web\/gone'[^\n]*\n- Failed to fetch variable '\/dir\/web\/flat'[^\n]*\n- Failed to find variable '\/also\/gone'[^\n]*$/);
    await expect(failing).rejects.not.toThrow('hush');
    await expect(resolver(set).resolve('((relative))', { absoluteOnly: true })).rejects.toMatchObject({ code: 540004 });
  });
});
