import { expect, test } from 'vitest';
import { boundMemory } from './ruby-module';

/** A module with one memory of `pages` and an export of it. */
function moduleWithMemory(memory: number[]): Uint8Array {
  const exported = [7, 5, 1, 1, 0x6d, 2, 0];
  return Uint8Array.from([0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, 5, memory.length, ...memory, ...exported]);
}

test('a memory without a maximum gets one', async () => {
  const { instance } = await WebAssembly.instantiate(boundMemory(moduleWithMemory([1, 0, 0x81, 0x01]), 130));
  const memory = instance.exports.m;
  if (!(memory instanceof WebAssembly.Memory)) throw new Error('no memory');
  expect(memory.buffer.byteLength).toBe(129 * 65_536);
  memory.grow(1);
  expect(() => memory.grow(1)).toThrow(RangeError);
});

test('a module of another shape is refused', () => {
  expect(() => boundMemory(Uint8Array.from([1, 2, 3]), 10)).toThrow('not a WebAssembly module');
  expect(() => boundMemory(moduleWithMemory([1, 1, 1, 2]), 10)).toThrow('without a maximum');
  expect(() => boundMemory(Uint8Array.from([0, 0x61, 0x73, 0x6d, 1, 0, 0, 0]), 10)).toThrow('no memory of its own');
});
