import { createHash, randomUUID } from 'node:crypto';
import { readFile, rename, writeFile } from 'node:fs/promises';
import { endianness } from 'node:os';
import { maxMemoryPages } from './ruby-module';
import { pageBytes, type VmSnapshot } from './ruby-vm';

/**
 * The booted Ruby VM as a file: made once by the build, so that no node has to boot Ruby before its first render (2 to 5 s of one core).
 * Whatever does not fit is as good as absent: Ruby boots then.
 *
 * Layout: key (32 bytes) | memoryBytes (uint32) | number of pages (uint32) | page numbers (uint32 each) | their contents.
 */

const keyBytes = 32;

/** Identifies what a snapshot was booted from: interpreter, prelude, and how the memory is laid out and read. */
export function snapshotKey(wasm: Uint8Array, prelude: string): Buffer {
  return createHash('sha256').update(`${endianness()} ${maxMemoryPages} ${prelude.length}\n${prelude}`).update(wasm).digest();
}

/** Replaces the file at once; who reads at that moment has the old one or the new one. */
export async function writeSnapshot(path: string, key: Uint8Array, { memoryBytes, pages, data }: VmSnapshot): Promise<void> {
  const fresh = `${path}.${randomUUID()}`;
  await writeFile(fresh, Buffer.concat([key, bytesOf(Uint32Array.of(memoryBytes, pages.length)), bytesOf(pages), data]));
  await rename(fresh, path);
}

/** The snapshot with this key; undefined when the file is absent, damaged or of something else. */
export async function readSnapshot(path: string, key: Uint8Array): Promise<VmSnapshot | undefined> {
  const file = await readFile(path).catch(() => undefined);
  const numbersAt = keyBytes + 8;
  if (!file || file.length < numbersAt || !file.subarray(0, keyBytes).equals(key)) return undefined;
  const [memoryBytes = 0, count = 0] = wordsOf(file.subarray(keyBytes, numbersAt));
  const dataAt = numbersAt + 4 * count;
  if (file.length !== dataAt + count * pageBytes) return undefined;
  const data = new Uint8Array(new SharedArrayBuffer(count * pageBytes));
  data.set(file.subarray(dataAt));
  return { memoryBytes, pages: wordsOf(file.subarray(numbersAt, dataAt)), data };
}

function bytesOf(words: Uint32Array): Uint8Array {
  return new Uint8Array(words.buffer, words.byteOffset, words.byteLength);
}

function wordsOf(bytes: Uint8Array): Uint32Array {
  return new Uint32Array(Uint8Array.from(bytes).buffer);
}
