import { sql } from 'drizzle-orm';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createSession, deleteSession, findSession, sessionTtlSeconds } from '../../server/auth/sessions';
import type { Principal } from '../../server/auth/permissions';
import { testStore, type TestStore } from '../support/director-parts';

let store: TestStore;
const db = () => store.connections.db;
const users = new Map<string, Principal>();
const deps = () => ({ db: db(), identity: { find: (username: string) => users.get(username) } });
const admin = { username: 'admin', scopes: ['bosh.admin'] };

beforeAll(async () => {
  store = await testStore();
  users.set('admin', admin);
});
afterAll(() => store?.close());

it('a session lasts for its time, on every node, and its token is not stored', async () => {
  const { token, expiresAt } = await createSession(db(), admin);
  expect(Math.abs(expiresAt.getTime() - Date.now() - sessionTtlSeconds * 1000)).toBeLessThan(60_000);
  expect(await findSession(deps(), token)).toEqual({ principal: admin, expiresAt });
  expect(JSON.stringify((await db().execute(sql`SELECT * FROM sessions`)).rows)).not.toContain(token);
  await db().execute(sql`UPDATE sessions SET expires_at = now() - interval '1 second'`);
  expect(await findSession(deps(), token)).toBeUndefined();
});

it('a session ends when the user logs out, once and for all', async () => {
  const { token } = await createSession(db(), admin);
  await deleteSession(db(), token);
  await deleteSession(db(), token);
  expect(await findSession(deps(), token)).toBeUndefined();
});

it('a session has the scopes that its user has now, and ends with the user', async () => {
  const { token } = await createSession(db(), admin);
  users.set('admin', { username: 'admin', scopes: ['bosh.read'] });
  expect((await findSession(deps(), token))?.principal.scopes).toEqual(['bosh.read']);
  users.delete('admin');
  expect(await findSession(deps(), token)).toBeUndefined();
});

it('forgets sessions that have ended when another begins, and knows no made-up token', async () => {
  await createSession(db(), admin);
  await db().execute(sql`UPDATE sessions SET expires_at = now() - interval '1 second'`);
  await createSession(db(), admin);
  expect((await db().execute(sql`SELECT 1 FROM sessions`)).rows).toHaveLength(1);
  expect(await findSession(deps(), 'made-up')).toBeUndefined();
});
