import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { mkdtemp, readdir, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Blobstore } from '../../server/blobstore/blobstore';
import { openBlobstore } from '../../server/blobstore/open-blobstore';
import { startS3Server, type S3Server } from '../support/s3-server';

let folder: string;
let s3: S3Server;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'blobstore-'));
  s3 = await startS3Server(join(folder, 's3'), 'blobs');
});

afterAll(async () => {
  await s3.stop();
  await rm(folder, { recursive: true, force: true });
});

const openLocal = () => openBlobstore({ provider: 'local', path: join(folder, 'local') });
const openS3 = (over: Partial<{ bucket: string; endpoint: string }> = {}) =>
  openBlobstore({ provider: 's3', bucket: 'blobs', endpoint: s3.endpoint, region: 'us-east-1', access_key_id: s3.accessKeyId, secret_access_key: s3.secretAccessKey, force_path_style: true, enable_signed_urls: true, ...over });

/** `count` chunks of 1 MiB, each the same bytes. */
async function* chunks(count: number, failAfter?: number): AsyncGenerator<Buffer> {
  const chunk = Buffer.alloc(1 << 20, 'directorate');
  for (let at = 0; at < count; at++) {
    if (at === failAfter) throw new Error('the client went away');
    yield chunk;
  }
}

const hex = (algorithm: string, content: Buffer) => createHash(algorithm).update(content).digest('hex');

describe.each([
  ['local', openLocal],
  ['s3', openS3],
])('%s blobstore', (_provider, open: () => Promise<Blobstore>) => {
  let blobs: Blobstore;
  beforeAll(async () => {
    blobs = await open();
  });

  it('gives back what was put, with its size and digests', async () => {
    const content = randomBytes(300_000);
    const stored = await blobs.put(Readable.from([content.subarray(0, 7), content.subarray(7)]));
    expect(stored).toEqual({ id: stored.id, size: content.length, sha1: hex('sha1', content), sha256: hex('sha256', content) });
    expect((await blobs.read(stored.id)).equals(content)).toBe(true);
    expect(await blobs.size(stored.id)).toBe(content.length);
    expect(await blobs.exists(stored.id)).toBe(true);
  });

  it('stores under the id that the caller chose, and overwrites it when the put is repeated', async () => {
    const id = randomUUID();
    await blobs.put(Buffer.from('first'), id);
    await blobs.put(Buffer.from('second'), id);
    expect((await blobs.read(id)).toString()).toBe('second');
  });

  it('stores an empty blob', async () => {
    const { id, size } = await blobs.put(Buffer.alloc(0));
    expect(size).toBe(0);
    expect((await blobs.read(id)).length).toBe(0);
  });

  it('reads ranges, also past the end', async () => {
    const { id } = await blobs.put(Buffer.from('0123456789'));
    const range = async (start: number, end: number) => (await buffer(await blobs.get(id, { range: { start, end } }))).toString();
    expect(await range(2, 4)).toBe('234');
    expect(await range(8, 100)).toBe('89');
    expect(await range(10, 20)).toBe('');
  });

  it('fails a verified read at its end when the content does not match', async () => {
    const content = Buffer.from('hello');
    const { id } = await blobs.put(content);
    const right = `${hex('sha1', content)};sha256:${hex('sha256', content)}`;
    expect((await blobs.read(id, right)).toString()).toBe('hello');
    const wrong = `${hex('sha1', content)};sha256:${'0'.repeat(64)}`;
    await expect(blobs.read(id, wrong)).rejects.toMatchObject({ code: 100001 });
  });

  it('leaves nothing of a put whose content breaks off', async () => {
    const id = randomUUID();
    await expect(blobs.put(Readable.from(chunks(3, 2)), id)).rejects.toThrow('the client went away');
    expect(await blobs.exists(id)).toBe(false);
  });

  it('leaves nothing of a large put whose content breaks off', async () => {
    const id = randomUUID();
    await expect(blobs.put(Readable.from(chunks(30, 25)), id)).rejects.toThrow('the client went away');
    expect(await blobs.exists(id)).toBe(false);
  });

  it('stores a blob of several parts', async () => {
    const { id, size, sha1 } = await blobs.put(Readable.from(chunks(20)));
    expect(size).toBe(20 << 20);
    expect((await buffer(await blobs.get(id, { digest: sha1 }))).length).toBe(size);
    await blobs.delete(id);
  });

  it('says 100002 for what is absent, and deletes it without complaint', async () => {
    const id = randomUUID();
    await expect(blobs.get(id)).rejects.toMatchObject({ code: 100002 });
    await expect(blobs.read(id)).rejects.toMatchObject({ code: 100002 });
    expect(await blobs.size(id)).toBeUndefined();
    expect(await blobs.exists(id)).toBe(false);
    await blobs.delete(id);
  });

  it('deletes', async () => {
    const { id } = await blobs.put(Buffer.from('x'));
    await blobs.delete(id);
    expect(await blobs.exists(id)).toBe(false);
  });

  it.each(['../secret', '/etc/passwd', '', 'a/b', `${randomUUID()}/..`, randomUUID().toUpperCase()])('takes %j for no blob', async (id) => {
    await expect(blobs.put(Buffer.from('x'), id)).rejects.toMatchObject({ code: 100001 });
    await expect(blobs.get(id)).rejects.toMatchObject({ code: 100002 });
    expect(await blobs.exists(id)).toBe(false);
    await blobs.delete(id);
  });

  it('is well', async () => {
    await blobs.check();
  });
});

describe('local blobstore', () => {
  it('keeps each blob as a plain file of that name, readable by agents', async () => {
    const blobs = await openLocal();
    const { id } = await blobs.put(Buffer.from('x'));
    expect(await readdir(join(folder, 'local'))).toContain(id);
    expect(await readdir(join(folder, 'local', '.incoming'))).toEqual([]);
    expect(blobs.signsUrls).toBe(false);
    await expect(blobs.sign(id, 'get', 60)).rejects.toThrow(/signed URLs/);
  });

  it('drops what a process that died left unfinished', async () => {
    const draft = join(folder, 'local', '.incoming', 'old');
    await writeFile(draft, 'half');
    await utimes(draft, 1, 1);
    await openLocal();
    expect(await readdir(join(folder, 'local', '.incoming'))).toEqual([]);
  });
});

describe('s3 blobstore', () => {
  it('signs URLs for reading and writing', async () => {
    const blobs = await openS3();
    expect(blobs.signsUrls).toBe(true);
    const id = randomUUID();
    const put = await fetch(await blobs.sign(id, 'put', 60), { method: 'PUT', body: 'through a URL' });
    expect(put.status).toBe(200);
    const got = await fetch(await blobs.sign(id, 'get', 60));
    expect(await got.text()).toBe('through a URL');
  });

  it('is not well when the bucket or the server is missing', async () => {
    await expect((await openS3({ bucket: 'nothing' })).check()).rejects.toThrow();
    await expect((await openS3({ endpoint: 'http://127.0.0.1:1' })).check()).rejects.toThrow();
  });
});
