import { readFile } from 'node:fs/promises';

/** Most memory that one Ruby VM may use, in 64 KiB pages: 512 MiB. Above it Ruby raises NoMemoryError. */
export const maxMemoryPages = 8192;

const magic = Buffer.from([0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00]);
const memorySection = 5;

/** Where the interpreter is, as the program with this `require` finds it. */
export function rubyPath(require: NodeJS.Require): string {
  return require.resolve('@ruby/3.4-wasm-wasi/dist/ruby+stdlib.wasm');
}

/** ruby.wasm with its memory bounded. */
export async function readRuby(path: string): Promise<Uint8Array<ArrayBuffer>> {
  return boundMemory(await readFile(path), maxMemoryPages);
}

/** About 100 ms, off the main thread. */
export function compileRuby(wasm: Uint8Array<ArrayBuffer>): Promise<WebAssembly.Module> {
  return WebAssembly.compile(wasm);
}

/**
 * Gives the module's only memory a maximum. Limits of worker threads do not cover WebAssembly memory, and ruby.wasm
 * is built without one. Format: https://webassembly.github.io/spec/core/binary/modules.html#memory-section.
 * Throws when the module is not as expected.
 */
export function boundMemory(wasm: Uint8Array, maxPages: number): Uint8Array<ArrayBuffer> {
  if (!Buffer.from(wasm.subarray(0, 8)).equals(magic)) throw new Error('not a WebAssembly module');
  let at = 8;
  while (at < wasm.length) {
    const length = readUnsigned(wasm, at + 1);
    const end = length.end + length.value;
    if (wasm[at] === memorySection) {
      const body = boundedSection(wasm.subarray(length.end, end), maxPages);
      return concat([wasm.subarray(0, at), Uint8Array.of(memorySection, ...unsigned(body.length)), body, wasm.subarray(end)]);
    }
    at = end;
  }
  throw new Error('the WebAssembly module has no memory of its own');
}

function boundedSection(body: Uint8Array, maxPages: number): Uint8Array {
  const withMaximum = 1;
  if (body[0] !== 1 || body[1] !== 0) throw new Error('expected one WebAssembly memory without a maximum');
  const minimum = readUnsigned(body, 2).value;
  return Uint8Array.of(1, withMaximum, ...unsigned(minimum), ...unsigned(maxPages));
}

function readUnsigned(bytes: Uint8Array, start: number): { value: number; end: number } {
  let value = 0;
  for (let i = 0; i < 5; i++) {
    const byte = bytes[start + i];
    if (byte === undefined) break;
    value += (byte & 0x7f) * 2 ** (7 * i);
    if (byte < 0x80) return { value, end: start + i + 1 };
  }
  throw new Error('broken WebAssembly module');
}

function unsigned(value: number): number[] {
  return value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...unsigned(Math.floor(value / 0x80))];
}

function concat(parts: Uint8Array[]): Uint8Array<ArrayBuffer> {
  const joined = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    joined.set(part, at);
    at += part.length;
  }
  return joined;
}
