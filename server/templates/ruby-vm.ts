import { sandboxImports } from './ruby-wasi';

/**
 * A Ruby interpreter in WebAssembly memory, driven through the few exports of ruby.wasm's ABI that are needed.
 * Its JavaScript bridge (`require "js"`) is not connected to anything.
 *
 * Booting Ruby and loading the libraries takes seconds. It is done once, by the build: a snapshot keeps the 64 KiB pages that
 * booting changed (about 10 MB), and every further VM is a new instance of the module with those pages copied in (about 20 ms).
 * That works because nothing of the interpreter lives outside its linear memory while no call is running.
 */

/** A page of WebAssembly memory. */
export const pageBytes = 65_536;

/** Memory of a booted VM as the difference to a new instance; in shared memory, so that workers can share one. */
export interface VmSnapshot {
  /** Size of the memory when the snapshot was taken, bytes. */
  memoryBytes: number;
  /** Page numbers; `data` holds their contents in the same order. */
  pages: Uint32Array;
  data: Uint8Array;
}

/** The interpreter is not usable any more: it hit a wall of the sandbox, trapped, or failed outside of any template. */
export class VmFailure extends Error {
  constructor(message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = 'VmFailure';
  }
}

export interface RubyVm {
  /** Evaluates code whose value is a String and returns its bytes. Throws VmFailure, after which the VM must be dropped. */
  evaluate(code: string): Uint8Array;
  memoryBytes(): number;
  snapshot(): VmSnapshot;
}

/** Boots an interpreter from scratch and evaluates `prelude` in it; 1 to 2 s. */
export function bootVm(module: WebAssembly.Module, prelude: string): RubyVm {
  const guest = instantiate(module);
  guest.call('_initialize');
  const args = ['ruby.wasm', '-EUTF-8', '-e_=0'].map((arg) => guest.write(`${arg}\0`));
  const vector = guest.call('cabi_realloc', 0, 0, 4, args.length * 8);
  args.flat().forEach((word, i) => guest.view().setUint32(vector + 4 * i, word, true));
  guest.call('ruby-init: func(args: list<string>) -> ()', vector, args.length);
  const vm = createVm(module, guest);
  vm.evaluate(`${prelude}\nProcess.warmup; ''`);
  return vm;
}

/** A VM in the state in which the snapshot was taken; about 20 ms. */
export function restoreVm(module: WebAssembly.Module, snapshot: VmSnapshot): RubyVm {
  const guest = instantiate(module);
  const missing = snapshot.memoryBytes - guest.memory.buffer.byteLength;
  if (missing > 0) guest.memory.grow(missing / pageBytes);
  const memory = new Uint8Array(guest.memory.buffer);
  snapshot.pages.forEach((page, i) => memory.set(snapshot.data.subarray(i * pageBytes, (i + 1) * pageBytes), page * pageBytes));
  return createVm(module, guest);
}

interface Guest {
  memory: WebAssembly.Memory;
  /** Ruby objects that were handed out: handle to the guest's own number. */
  handles: Map<number, number>;
  view(): DataView;
  call(name: string, ...args: number[]): number;
  /** Copies a string into the guest: address and length in bytes. */
  write(text: string): [number, number];
}

function createVm(module: WebAssembly.Module, guest: Guest): RubyVm {
  return {
    evaluate: (code) => {
      try {
        return evaluate(guest, code);
      } catch (cause) {
        if (cause instanceof VmFailure) throw cause;
        throw new VmFailure(cause instanceof Error ? cause.message : String(cause), { cause });
      }
    },
    memoryBytes: () => guest.memory.buffer.byteLength,
    snapshot: () => takeSnapshot(module, guest.memory),
  };
}

function evaluate(guest: Guest, code: string): Uint8Array {
  const result = guest.call('rb-eval-string-protect: func(str: string) -> tuple<handle<rb-abi-value>, s32>', ...guest.write(code));
  const handle = guest.view().getInt32(result, true);
  const state = guest.view().getInt32(result + 4, true);
  if (state !== 0) throw new VmFailure('Ruby failed outside of any template');
  const area = guest.call('rstring-ptr: func(value: handle<rb-abi-value>) -> string', handle);
  const start = guest.view().getUint32(area, true);
  const length = guest.view().getUint32(area + 4, true);
  const bytes = new Uint8Array(guest.memory.buffer, start, length).slice();
  guest.call('cabi_post_rstring-ptr', area);
  guest.call('canonical_abi_drop_rb-abi-value', guest.handles.get(handle) ?? 0);
  guest.handles.delete(handle);
  return bytes;
}

function instantiate(module: WebAssembly.Module): Guest {
  const handles = new Map<number, number>();
  let lastHandle = 0;
  const instance: WebAssembly.Instance = new WebAssembly.Instance(module, sandboxImports(module, () => memoryOf(instance).buffer, {
    'resource_new_rb-abi-value': (value) => {
      handles.set(++lastHandle, Number(value));
      return lastHandle;
    },
    'resource_get_rb-abi-value': (handle) => handles.get(Number(handle)) ?? 0,
  }));
  const memory = memoryOf(instance);
  const call = (name: string, ...args: number[]): number => {
    const exported = instance.exports[name];
    if (typeof exported !== 'function') throw new VmFailure(`the Ruby module does not export '${name}'`);
    const result: unknown = Reflect.apply(exported, undefined, args);
    return typeof result === 'number' ? result : 0;
  };
  const write = (text: string): [number, number] => {
    const bytes = Buffer.from(text);
    const address = call('cabi_realloc', 0, 0, 1, Math.max(1, bytes.length));
    new Uint8Array(memory.buffer, address, bytes.length).set(bytes);
    return [address, bytes.length];
  };
  return { memory, handles, view: () => new DataView(memory.buffer), call, write };
}

function memoryOf({ exports }: WebAssembly.Instance): WebAssembly.Memory {
  if (!(exports.memory instanceof WebAssembly.Memory)) throw new VmFailure('the Ruby module exports no memory');
  return exports.memory;
}

function takeSnapshot(module: WebAssembly.Module, memory: WebAssembly.Memory): VmSnapshot {
  const booted = Buffer.from(memory.buffer);
  const initial = Buffer.from(instantiate(module).memory.buffer);
  const zeros = Buffer.alloc(pageBytes);
  const pages: number[] = [];
  for (let start = 0; start < booted.length; start += pageBytes) {
    const before = start < initial.length ? initial.subarray(start, start + pageBytes) : zeros;
    if (!booted.subarray(start, start + pageBytes).equals(before)) pages.push(start / pageBytes);
  }
  const data = new Uint8Array(new SharedArrayBuffer(pages.length * pageBytes));
  pages.forEach((page, i) => data.set(booted.subarray(page * pageBytes, (page + 1) * pageBytes), i * pageBytes));
  return { memoryBytes: booted.length, pages: Uint32Array.from(pages), data };
}
