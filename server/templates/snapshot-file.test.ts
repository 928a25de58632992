import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { readSnapshot, snapshotKey, writeSnapshot } from './snapshot-file';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'snapshot-'));
});
afterAll(() => rm(folder, { recursive: true }));

const key = snapshotKey(Uint8Array.of(1, 2, 3), 'prelude');
const snapshot = { memoryBytes: 5 * 65_536, pages: Uint32Array.of(1, 4), data: new Uint8Array(2 * 65_536).map((_, i) => i % 251) };

test('a snapshot is read as it was written', async () => {
  const path = join(folder, 'whole');
  await writeSnapshot(path, key, snapshot);
  expect(await readSnapshot(path, key)).toEqual({ ...snapshot, data: expect.anything() });
  expect(Buffer.from((await readSnapshot(path, key))?.data ?? []).equals(snapshot.data)).toBe(true);
  expect(await readdir(folder)).toEqual(['whole']);
});

test('what is absent, damaged or booted from something else is not used', async () => {
  const path = join(folder, 'damaged');
  expect(await readSnapshot(path, key)).toBeUndefined();
  await writeSnapshot(path, key, snapshot);
  for (const other of [snapshotKey(Uint8Array.of(1, 2, 4), 'prelude'), snapshotKey(Uint8Array.of(1, 2, 3), 'prelude!')]) expect(await readSnapshot(path, other)).toBeUndefined();
  const whole = await readFile(path);
  for (const length of [0, 31, 32, 39, 44, 48, whole.length - 1]) {
    await writeFile(path, whole.subarray(0, length));
    expect(await readSnapshot(path, key)).toBeUndefined();
  }
});
