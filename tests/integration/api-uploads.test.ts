import { createHash, randomBytes } from 'node:crypto';
import { connect as connectSocket } from 'node:net';
import { Readable } from 'node:stream';
import { setTimeout as wait } from 'node:timers/promises';
import { sql } from 'drizzle-orm';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import type { Blobstore } from '../../server/blobstore/blobstore';
import { updateReleasePayload, updateStemcellPayload } from '../../server/task-types/artifact-payloads';
import { testStore, type TestStore } from '../support/director-parts';
import { credentials, startRestServer, type RestServer } from '../support/rest-server';

let store: TestStore;
let server: RestServer;
/** Blobs that were stored and not deleted, and uploads that did not end in a blob. */
const blobs = new Set<string>();
const failedPuts: unknown[] = [];
const db = () => store.connections.db;

function watched(blobstore: Blobstore): Blobstore {
  return {
    ...blobstore,
    put: async (content, id) => {
      try {
        const stored = await blobstore.put(content, id);
        blobs.add(stored.id);
        return stored;
      } catch (error) {
        failedPuts.push(error);
        throw error;
      }
    },
    delete: async (id) => {
      await blobstore.delete(id);
      blobs.delete(id);
    },
  };
}

beforeAll(async () => {
  store = await testStore();
  server = await startRestServer(store, { scopes: { uploader: ['bosh.releases.upload'] }, change: (deps) => ({ ...deps, blobstore: watched(deps.blobstore) }) });
});
afterAll(async () => {
  await server?.close();
  await store?.close();
});
afterEach(async () => {
  await db().execute(sql`TRUNCATE tasks, events, accepted_requests RESTART IDENTITY CASCADE`);
  for (const id of blobs) await store.blobstore.delete(id);
  blobs.clear();
});

const tasks = async () => z.array(z.object({ id: z.number(), type: z.string(), description: z.string(), payload: z.unknown() })).parse((await db().execute(sql`SELECT id::int, type, description, payload FROM tasks ORDER BY id`)).rows);
const archive = 'application/x-compressed';

describe('an uploaded archive', () => {
  it('is in the blobstore, whole, before its task exists', async () => {
    const content = randomBytes(3_500_000);
    const answer = await server.call('POST', '/releases?fix=true&rebase=true', { type: archive, body: content, headers: { 'Content-Length': String(content.length) } });
    expect([answer.status, answer.headers.location]).toEqual([303, '/tasks/1']);
    const [task] = await tasks();
    expect([task?.type, task?.description]).toEqual(['update_release', 'create release']);
    const payload = updateReleasePayload.parse(task?.payload);
    const [blobId = ''] = blobs;
    expect(payload).toEqual({ source: { kind: 'blob', blobId, sha256: createHash('sha256').update(content).digest('hex') }, fix: true, rebase: true });
    expect((await store.blobstore.read(blobId)).equals(content)).toBe(true);
    expect((await server.call('GET', '/events')).json).toEqual([expect.objectContaining({ action: 'create', object_type: 'release', task: '1' })]);
  });

  it('may come in chunks, without a length', async () => {
    const answer = await server.call('POST', '/stemcells?sha1=sha256:00aa', { type: archive, body: Readable.from([Buffer.alloc(100_000, 1), Buffer.alloc(50_000, 2)]) });
    expect(answer.status).toBe(303);
    const payload = updateStemcellPayload.parse((await tasks())[0]?.payload);
    expect(payload).toEqual({ source: { kind: 'blob', blobId: [...blobs][0], sha256: expect.any(String) }, sha1: 'sha256:00aa', fix: false });
  });

  it('is stored once when it is sent again after a lost answer', async () => {
    const content = randomBytes(10_000);
    const answers = [await server.call('POST', '/releases', { type: archive, body: content }), await server.call('POST', '/releases', { type: archive, body: content })];
    expect(answers.map((answer) => answer.headers.location)).toEqual(['/tasks/1', '/tasks/1']);
    const [task] = await tasks();
    expect([...blobs]).toEqual([updateReleasePayload.parse(task?.payload).source].map((source) => source.kind === 'blob' && source.blobId));
  });

  it.each([
    ['/releases', 30002, '0'],
    ['/stemcells', 50000, '0'],
    ['/stemcells', 50000, undefined],
  ])('is refused when it is empty, as the CLI repeats it: %s', async (path, errorCode, length) => {
    const answer = await server.call('POST', path, { type: archive, ...(length === undefined ? { body: Readable.from([]) } : { headers: { 'Content-Length': length } }) });
    expect([answer.status, answer.json]).toEqual([400, { code: errorCode, description: expect.stringContaining('is empty') }]);
    expect([(await tasks()).length, blobs.size]).toEqual([0, 0]);
  });

  it('is refused before it is read when the caller may not upload', async () => {
    const answer = await server.call('POST', '/stemcells', { user: 'uploader', type: archive, body: Buffer.alloc(200_000) });
    expect([answer.status, answer.json]).toEqual([401, { code: 600000, description: 'Require one of the scopes: bosh.admin, bosh.deadbeef.admin, bosh.stemcells.upload' }]);
    expect(blobs.size).toBe(0);
    expect((await server.call('POST', '/releases', { user: 'uploader', type: archive, body: Buffer.alloc(2_000) })).status).toBe(303);
  });

  it('leaves nothing when the client goes away in the middle', async () => {
    const before = failedPuts.length;
    const socket = connectSocket(Number(new URL(server.url).port), '127.0.0.1');
    socket.on('error', () => undefined);
    socket.write(`POST /stemcells HTTP/1.1\r\nHost: x\r\nAuthorization: ${credentials('test')}\r\nContent-Type: ${archive}\r\nContent-Length: 50000000\r\n\r\n`);
    for (let piece = 0; piece < 40; piece++) await new Promise((resolve) => socket.write(Buffer.alloc(100_000, piece), resolve));
    socket.destroy();
    while (failedPuts.length === before) await wait(5);
    expect([(await tasks()).length, blobs.size]).toEqual([0, 0]);
    expect((await server.call('GET', '/stemcells')).status).toBe(200);
  });

  it('is deleted when its task cannot be made', async () => {
    await db().execute(sql`ALTER TABLE accepted_requests RENAME TO hidden`);
    try {
      const answer = await server.call('POST', '/releases', { type: archive, body: Buffer.alloc(1000, 1) });
      expect([answer.status, answer.json]).toEqual([500, { code: 500000, description: expect.stringMatching(/incident [0-9a-f]{8} in the log/) }]);
    } finally {
      await db().execute(sql`ALTER TABLE hidden RENAME TO accepted_requests`);
    }
    expect([(await tasks()).length, blobs.size]).toEqual([0, 0]);
  });
});

describe('a remote archive', () => {
  it('is left to the task', async () => {
    const body = JSON.stringify({ location: 'https://user:secret@example.com/a.tgz', sha1: 'abc123' });
    expect((await server.call('POST', '/stemcells?fix=true', { type: 'application/json', body })).status).toBe(303);
    expect(updateStemcellPayload.parse((await tasks())[0]?.payload)).toEqual({ source: { kind: 'url', location: 'https://user:secret@example.com/a.tgz' }, sha1: 'abc123', fix: true });
    expect(JSON.stringify((await server.call('GET', '/events')).json)).not.toContain('secret');
  });
});

describe('a blob', () => {
  it('is sent as it is', async () => {
    const content = randomBytes(2_000_000);
    const { id } = await store.blobstore.put(content);
    const answer = await server.call('GET', `/resources/${id}`);
    expect([answer.status, answer.headers['content-type'], answer.headers['content-length'], answer.headers['www-authenticate']]).toEqual([200, 'application/x-gzip', '2000000', undefined]);
    await store.blobstore.delete(id);
  });

  it.each(['../../../etc/passwd', '..%2f..%2fetc%2fpasswd', 'x', '11111111-2222-3333-4444-555555555555'])('is not found under %s', async (id) => {
    expect((await server.call('GET', `/resources/${id}`)).status).toBe(404);
  });
});

describe('output of a task', () => {
  const text = Array.from({ length: 40_000 }, (_, line) => `line ${line} of the log, with some words to make it longer\n`).join('');
  const bytes = Buffer.from(text);

  const record = async (stream: string, upTo: number) => {
    await db().execute(sql`INSERT INTO tasks (id, type, lane, state, description, username, payload) VALUES (500, 'x', 'normal', 'processing', 'x', 'test', '{}') ON CONFLICT DO NOTHING`);
    await db().execute(sql`INSERT INTO task_streams (task_id, stream, size) VALUES (500, ${stream}, ${upTo}) ON CONFLICT (task_id, stream) DO UPDATE SET size = excluded.size`);
    for (let at = 0; at < upTo; at += 65_536) {
      await db().execute(sql`INSERT INTO task_output (task_id, stream, at, epoch, bytes) VALUES (500, ${stream}, ${at}, 1, ${bytes.subarray(at, Math.min(at + 65_536, upTo))}) ON CONFLICT DO NOTHING`);
    }
  };

  it.each<[string, number, number]>([
    ['bytes=0-9', 0, 10],
    ['bytes=65530-65541', 65_530, 65_542],
    ['bytes=65536-', 65_536, bytes.length],
    ['bytes=131071-131072', 131_071, 131_073],
    ['bytes=-7', bytes.length - 7, bytes.length],
    [`bytes=${bytes.length - 1}-`, bytes.length - 1, bytes.length],
  ])('%s', async (range, start, end) => {
    await record('debug', bytes.length);
    const answer = await server.call('GET', '/tasks/500/output?type=debug', { headers: { Range: range } });
    expect([answer.status, answer.headers['content-range'], answer.headers['content-length']]).toEqual([206, `bytes ${start}-${end - 1}/${bytes.length}`, String(end - start)]);
    expect(answer.body === bytes.subarray(start, end).toString()).toBe(true);
  });

  it('is debug unless something else is asked for', async () => {
    await record('debug', bytes.length);
    const answer = await server.call('GET', '/tasks/500/output');
    expect([answer.status, answer.headers['content-length'], answer.body === text]).toEqual([200, String(bytes.length), true]);
  });

  it('is no content while there is no log, and empty while there are no events', async () => {
    await db().execute(sql`INSERT INTO tasks (id, type, lane, state, description, username, payload) VALUES (500, 'x', 'normal', 'queued', 'x', 'test', '{}')`);
    expect((await server.call('GET', '/tasks/500/output?type=cpi')).status).toBe(204);
    const events = await server.call('GET', '/tasks/500/output?type=event', { headers: { Range: 'bytes=0-' } });
    expect([events.status, events.body]).toEqual([200, '']);
  });

  it('can be followed as it grows', async () => {
    let seen = '';
    for (const upTo of [100, 65_536, 65_600, 200_000]) {
      await record('event', upTo);
      await db().execute(sql`UPDATE task_output SET bytes = ${bytes.subarray(0, Math.min(upTo, 65_536))} WHERE task_id = 500 AND stream = 'event' AND at = 0`);
      for (let at = 65_536; at < upTo; at += 65_536) await db().execute(sql`UPDATE task_output SET bytes = ${bytes.subarray(at, Math.min(at + 65_536, upTo))} WHERE task_id = 500 AND stream = 'event' AND at = ${at}`);
      seen += (await server.call('GET', '/tasks/500/output?type=event', { headers: { Range: `bytes=${seen.length}-` } })).body;
    }
    expect(seen === text.slice(0, 200_000)).toBe(true);
    expect((await server.call('GET', '/tasks/500/output?type=event', { headers: { Range: 'bytes=200000-' } })).status).toBe(416);
  });
});
