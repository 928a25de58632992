import { sql } from 'drizzle-orm';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { awaitAuthorised } from '../../server/nats/await-authorised';
import { testStore, type TestStore } from '../support/director-parts';

let store: TestStore;
beforeAll(async () => {
  store = await testStore();
});
afterAll(() => store?.close());
beforeEach(async () => {
  await store.connections.db.execute(sql`DELETE FROM nats_auth_appliers`);
  await store.connections.db.execute(sql`UPDATE nats_users_revision SET revision = 7`);
});

async function report(server: string, revision: number, ageSeconds = 0): Promise<void> {
  await store.connections.db.execute(sql`
    INSERT INTO nats_auth_appliers (server_name, applied_revision, heartbeat_at, address) VALUES (${server}, ${revision}, now() - ${ageSeconds} * interval '1 s', ${`nats://${server}`})
    ON CONFLICT (server_name) DO UPDATE SET applied_revision = excluded.applied_revision, heartbeat_at = excluded.heartbeat_at`);
}

function wait(longestMs: number, signal = new AbortController().signal) {
  const warnings: string[] = [];
  return { warnings, done: awaitAuthorised(store.connections.db, { signal, warn: (text) => warnings.push(text), longestMs }) };
}

test('waits until every live server has the users that were recorded at the call', async () => {
  await Promise.all([report('nats-1', 7), report('nats-2', 6), report('nats-3', 0, 60)]);
  const { done, warnings } = wait(5_000);
  let over = false;
  void done.then(() => (over = true));
  await new Promise((resolve) => setTimeout(resolve, 100));
  expect(over).toBe(false);
  // Agents that come later are of no interest to this call.
  await store.connections.db.execute(sql`UPDATE nats_users_revision SET revision = 9`);
  await report('nats-2', 7);
  await done;
  expect(warnings).toEqual([]);
});

test('tells which server lags', async () => {
  await Promise.all([report('nats-1', 7), report('nats-2', 6)]);
  await expect(wait(60).done).rejects.toMatchObject({ code: 450002, message: expect.stringMatching(/^Timed out waiting for the NATS server nats-2 \(nats:\/\/nats-2\) to let new agents in\./) });
});

test('goes on with a warning when no server reports', async () => {
  await report('nats-1', 0, 60);
  const { done, warnings } = wait(5_000);
  await done;
  expect(warnings).toHaveLength(1);
});

test('ends with its caller', async () => {
  await report('nats-1', 0);
  await expect(wait(5_000, AbortSignal.timeout(50)).done).rejects.toThrow(/timeout/);
});
