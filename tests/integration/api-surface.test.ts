import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { routes } from '../../server/api/routes';
import { testStore, type TestStore } from '../support/director-parts';
import { startRestServer, type RestServer } from '../support/rest-server';

let store: TestStore;
let server: RestServer;

beforeAll(async () => {
  store = await testStore();
  server = await startRestServer(store, { scopes: { nobody: [], reader: ['bosh.read'] } });
});
afterAll(async () => {
  await server?.close();
  await store?.close();
});

const example = (path: string) => path.replace(/:(\w+)/g, (_, name: string) => (name === 'id' || name === 'task' ? '1' : 'nothing'));

describe('every route', () => {
  const guarded = routes.filter((route) => route.permission !== 'public');

  it('is declared once', () => {
    const keys = routes.map((route) => `${route.method} ${route.path} ${route.media ?? ''}`);
    expect(keys).toEqual([...new Set(keys)]);
  });

  it.each(guarded.map((route) => [route.method, route.path, route] as const))('%s %s asks for a login', async (method, path, route) => {
    const answer = await server.call(method, example(path), { user: null, ...(route.media ? { type: route.media } : {}), ...(method === 'POST' || method === 'PUT' ? { body: '{}' } : {}) });
    expect(answer.status).toBe(401);
    expect(answer.headers['www-authenticate']).toBe('Basic realm="BOSH Director"');
    expect(answer.body).toBe(`Not authorized: '${example(path)}'\n`);
  });

  it.each(guarded.map((route) => [route.method, route.path, route] as const))('%s %s refuses somebody without scopes, or does not know its subject', async (method, path, route) => {
    const answer = await server.call(method, example(path), { user: 'nobody', ...(route.media ? { type: route.media } : {}), ...(method === 'POST' || method === 'PUT' ? { body: '{}' } : {}) });
    expect([401, 404]).toContain(answer.status);
    expect(answer.json).toEqual({ code: answer.status === 401 ? 600000 : path.startsWith('/tasks') ? 10000 : 70000, description: expect.any(String) });
  });

  it.each(guarded.map((route) => [route.method, route.path, route] as const))('%s %s never fails unexpectedly', async (method, path, route) => {
    const answer = await server.call(method, example(path), { ...(route.media ? { type: route.media } : {}), ...(method === 'POST' || method === 'PUT' ? { body: '' } : {}) });
    expect(answer.body).not.toContain('incident');
    if (answer.status === 500) expect(answer.body).toMatch(/is not (supported by this version of Directorate|implemented)/);
  });

  it.each(routes.filter((route) => route.media).map((route) => [route.method, route.path] as const))('%s %s does not exist for another content type', async (method, path) => {
    const answer = await server.call(method, example(path), { type: 'text/x-other', body: 'x' });
    expect([answer.status, answer.body, answer.headers['x-cascade']]).toEqual([404, `Endpoint '${example(path)}' not found.`, 'pass']);
  });
});

describe('requests in general', () => {
  it('know nothing outside the API, without asking for a login', async () => {
    const answer = await server.call('GET', '/no/such/route', { user: null });
    expect([answer.status, answer.headers['content-type'], answer.headers['x-cascade'], answer.headers['www-authenticate'], answer.body]).toEqual([404, 'text/plain', 'pass', undefined, 'Not Found: /no/such/route']);
  });

  it.each(['PATCH', 'OPTIONS', 'TRACE'])('have no method %s', async (method) => {
    expect((await server.call(method, '/deployments')).status).toBe(404);
  });

  it('answer HEAD as GET without the body', async () => {
    const answer = await server.call('HEAD', '/deployments');
    expect([answer.status, answer.headers['content-length'], answer.body]).toEqual([200, '2', '']);
  });

  it('carry a Date', async () => {
    expect((await server.call('GET', '/info', { user: null })).headers.date).toMatch(/GMT$/);
  });

  it.each(['/deployments/%00', '/deployments/%zz', '/configs?type=%00', '/tasks?deployment=%00'])('survive %s', async (path) => {
    const answer = await server.call('GET', path);
    expect([400, 404]).toContain(answer.status);
  });

  it('refuse a context id that is too long, on every route', async () => {
    const answer = await server.call('GET', '/locks', { headers: { 'X-Bosh-Context-Id': 'x'.repeat(65) } });
    expect([answer.status, answer.json]).toEqual([400, { code: 70010, description: 'X-Bosh-Context-Id cannot be more than 64 characters in length' }]);
  });

  it('show who is logged in, also under /info', async () => {
    expect((await server.call('GET', '/info')).json).toMatchObject({ user: 'test' });
    expect((await server.call('GET', '/info', { user: 'unknown' })).json).toMatchObject({ user: null });
    expect((await server.call('GET', '/info', { user: 'unknown' })).headers['www-authenticate']).toBeUndefined();
  });
});
