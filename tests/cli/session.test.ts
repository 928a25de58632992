import { sql } from 'drizzle-orm';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { deferred } from '../../server/core/concurrency';
import type { TaskContext } from '../../server/tasks/context';
import { CliClient } from '../support/cli-client';
import { startTestNode, testStore, type TestNode, type TestStore } from '../support/director-parts';
import { password, startRestServer, type RestServer } from '../support/rest-server';

/** What `bosh` does on the wire while it starts, follows and cancels tasks; two nodes answer. */

let store: TestStore;
let a: RestServer;
let b: RestServer;
let worker: TestNode;
/** What the worker does with the next tasks. */
let perform: (ctx: TaskContext) => Promise<string>;
/** Requests of node `a` that lose their connection instead of being answered. */
let broken: (method: string, path: string) => boolean = () => false;

beforeAll(async () => {
  store = await testStore();
  a = await startRestServer(store, {
    tls: true,
    intercept: (message) => {
      if (!broken(message.method ?? '', message.url ?? '')) return false;
      message.socket.destroy();
      return true;
    },
  });
  b = await startRestServer(store, { tls: true });
  worker = await startTestNode({ store, name: 'w', perform: (ctx) => perform(ctx) });
});
afterEach(async () => {
  broken = () => false;
  await store.connections.db.execute(sql`TRUNCATE tasks, accepted_requests, deployments CASCADE`);
});
afterAll(async () => {
  await worker?.stop();
  await Promise.all([a?.close(), b?.close()]);
  await store?.close();
});

const cli = (server: RestServer) => new CliClient({ url: server.url, ca: server.ca, client: 'test', secret: password });
const deployment = { contentType: 'text/yaml', body: 'name: shop\n' };
const lineSchema = z.object({ time: z.int(), stage: z.string(), tags: z.array(z.string()), total: z.int().nullable(), task: z.string(), index: z.int(), state: z.string(), progress: z.int() });
const taskCount = async () => (await store.connections.db.execute<{ n: number }>(sql`SELECT count(*)::int AS n FROM tasks`)).rows[0]?.n;

describe('a task', () => {
  it('is followed line by line to its end, whichever node answers', async () => {
    perform = async (ctx) => {
      const stage = ctx.stages.stage('Updating instance', 3, ['web']);
      for (const name of ['web/1 (0) (canary)', 'web/2 (1)', 'web/3 (2)']) await stage.run(name, (progress) => progress.advance(20, 'starting jobs'));
      await ctx.result('{"vm_cid":"1"}\n');
      return '/deployments/shop';
    };
    const id = await cli(a).start('POST', '/deployments', deployment);
    const followed = await cli(b).follow(id);
    expect([followed.state, followed.result, followed.retries]).toEqual(['done', '/deployments/shop', 0]);
    const lines = followed.events.trimEnd().split('\n').map((line) => lineSchema.parse(JSON.parse(line)));
    expect(lines.map((line) => [line.index, line.state])).toEqual([1, 2, 3].flatMap((index) => ['started', 'in_progress', 'finished'].map((state) => [index, state])));
    expect(await cli(a).output(id, 'event')).toBe(followed.events);
    expect(await cli(b).output(id, 'result')).toBe('{"vm_cid":"1"}\n');
  });

  it('that fails tells why', async () => {
    perform = () => Promise.reject(new Error('the disk is full'));
    const id = await cli(a).start('POST', '/deployments', deployment);
    const followed = await cli(a).follow(id);
    expect([followed.state, followed.result]).toEqual(['error', 'the disk is full']);
    expect(JSON.parse(followed.events)).toEqual({ time: expect.any(Number), error: { code: 100, message: 'the disk is full' } });
  });

  it('is cancelled through another node', async () => {
    const began = deferred<void>();
    perform = async (ctx) => {
      began.resolve();
      for (;;) {
        await ctx.checkpoint();
        await ctx.clock.sleep(5, ctx.signal);
      }
    };
    const id = await cli(a).start('POST', '/deployments', deployment);
    await began.promise;
    expect((await cli(b).call('DELETE', `/task/${id}`)).status).toBe(204);
    const followed = await cli(a).follow(id);
    expect([followed.state, followed.result]).toEqual(['cancelled', 'task cancelled']);
    expect(JSON.parse(followed.events)).toEqual({ time: expect.any(Number), error: { code: 10001, message: `Task ${id} cancelled` } });
  });
});

describe('a lost connection', () => {
  beforeAll(() => {
    perform = () => Promise.resolve('/deployments/shop');
  });

  it('while the redirect is followed makes the CLI post again, but not the director work twice', async () => {
    let left = 2;
    broken = (method, path) => method === 'GET' && path.startsWith('/tasks/') && left-- > 0;
    const client = cli(a);
    const id = await client.start('POST', '/deployments', deployment);
    expect([client.retries, await taskCount()]).toEqual([2, 1]);
    expect((await client.follow(id)).state).toBe('done');
  });

  it('while a task is followed loses and repeats nothing', async () => {
    perform = async (ctx) => {
      const stage = ctx.stages.stage('Compiling packages', 20);
      for (let index = 0; index < 20; index++) {
        await stage.run(`package-${index}`, () => Promise.resolve());
        await ctx.clock.sleep(20);
      }
      return 'done';
    };
    const client = cli(a);
    const id = await client.start('POST', '/deployments', deployment);
    let calls = 0;
    broken = () => calls++ % 3 === 1;
    const followed = await client.follow(id);
    broken = () => false;
    expect(followed.retries).toBeGreaterThan(0);
    expect(followed.events).toBe(await client.output(id, 'event'));
    expect(followed.events.match(/"finished"/g)).toHaveLength(20);
  });
});
