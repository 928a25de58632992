import { sql } from 'drizzle-orm';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { connect, isTransient, type Connections } from '../../db/client';
import { startChaosProxy, type ChaosProxy } from '../support/chaos-proxy';
import { testDatabase, type TestDatabase } from '../support/postgres';

let database: TestDatabase;
let proxy: ChaosProxy;
let connections: Connections;
const uncaught: unknown[] = [];
const note = (error: unknown) => void uncaught.push(error);

beforeAll(async () => {
  process.on('uncaughtException', note);
  database = await testDatabase();
  const url = new URL(database.url);
  proxy = await startChaosProxy({ host: url.hostname, port: Number(url.port) });
  url.hostname = '127.0.0.1';
  url.port = String(proxy.port);
  connections = connect({ url: url.toString(), poolSize: 2 });
});
afterEach(() => {
  expect(uncaught.splice(0)).toEqual([]);
});
afterAll(async () => {
  process.off('uncaughtException', note);
  await connections.close();
  await proxy.close();
  await database.drop();
});

describe('a connection that is lost', () => {
  it('between two statements of a transaction fails that transaction and nothing else', async () => {
    const broken = connections.db.transaction(async (tx) => {
      await tx.execute(sql`SELECT 1`);
      proxy.cut();
      await new Promise((resolve) => setTimeout(resolve, 100));
      await tx.execute(sql`SELECT 1`);
    });
    await expect(broken).rejects.toSatisfy(isTransient);
    proxy.heal();
    expect((await connections.db.execute(sql`SELECT 1`)).rows).toHaveLength(1);
  });

  it('as a transaction begins is replaced by another, every time', async () => {
    for (let round = 0; round < 3; round++) {
      await Promise.all([1, 2].map(() => connections.db.execute(sql`SELECT 1`)));
      proxy.cut();
      const begun = await Promise.allSettled([1, 2].map(() => connections.db.transaction(async () => undefined)));
      expect(begun.map((one) => one.status)).toEqual(['rejected', 'rejected']);
      proxy.heal();
    }
    expect((await connections.db.execute(sql`SELECT 1`)).rows).toHaveLength(1);
    expect(connections.pool.totalCount).toBeLessThanOrEqual(2);
  });
});
