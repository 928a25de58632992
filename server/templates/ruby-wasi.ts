import { randomFillSync } from 'node:crypto';

/**
 * The system that Ruby runs on: a clock, random numbers, standard streams that lead nowhere, and nothing else.
 * There are no files, no environment, no sockets and no processes to be found; the standard library is inside the
 * WebAssembly module and is not served from here.
 * Numbers are those of WASI preview 1 (https://github.com/WebAssembly/WASI, legacy/preview1/docs.md).
 */

export type HostFunction = (...args: (number | bigint)[]) => number | undefined;

const ok = 0;
const badFile = 8;
const noEntry = 44;
const notSupported = 58;
const notSeekable = 70;
const characterDevice = 2;
const clockRealtime = 0;

/** Ended by the interpreter itself (`proc_exit`), or by a call to something that templates have no business with. */
export class SandboxViolation extends Error {
  constructor(what: string) {
    super(what);
    this.name = 'SandboxViolation';
  }
}

/** What the module may import of `wasi_snapshot_preview1`; a name that is missing here answers "not supported". */
export function systemCalls(memory: () => ArrayBuffer): Record<string, HostFunction> {
  const view = () => new DataView(memory());
  const standardStream = (fd: number | bigint) => Number(fd) <= 2;
  const missing: HostFunction = () => noEntry;
  return {
    environ_get: () => ok,
    environ_sizes_get: (count, size) => {
      view().setUint32(Number(count), 0, true);
      view().setUint32(Number(size), 0, true);
      return ok;
    },
    clock_res_get: (_clock, out) => {
      view().setBigUint64(Number(out), 1_000_000n, true);
      return ok;
    },
    clock_time_get: (clock, _precision, out) => {
      const nanoseconds = clock === clockRealtime ? BigInt(Date.now()) * 1_000_000n : BigInt(Math.round(performance.now() * 1e6));
      view().setBigUint64(Number(out), nanoseconds, true);
      return ok;
    },
    random_get: (start, length) => {
      randomFillSync(new Uint8Array(memory(), Number(start), Number(length)));
      return ok;
    },
    fd_write: (fd, vectors, count, out) => {
      if (!standardStream(fd)) return badFile;
      let written = 0;
      for (let i = 0; i < Number(count); i++) written += view().getUint32(Number(vectors) + 8 * i + 4, true);
      view().setUint32(Number(out), written, true);
      return ok;
    },
    fd_read: (fd, _vectors, _count, out) => {
      if (!standardStream(fd)) return badFile;
      view().setUint32(Number(out), 0, true);
      return ok;
    },
    fd_fdstat_get: (fd, out) => {
      if (!standardStream(fd)) return badFile;
      new Uint8Array(memory(), Number(out), 24).fill(0)[0] = characterDevice;
      view().setBigUint64(Number(out) + 8, 0x1fff_ffffn, true);
      return ok;
    },
    fd_filestat_get: (fd, out) => {
      if (!standardStream(fd)) return badFile;
      new Uint8Array(memory(), Number(out), 64).fill(0)[16] = characterDevice;
      return ok;
    },
    fd_seek: (fd) => (standardStream(fd) ? notSeekable : badFile),
    fd_tell: (fd) => (standardStream(fd) ? notSeekable : badFile),
    fd_close: () => ok,
    fd_prestat_get: () => badFile,
    fd_prestat_dir_name: () => badFile,
    // Sleeping ends at once: a template has nothing to wait for.
    poll_oneoff: (subscriptions, events, count, out) => {
      if (Number(count) < 1) return notSupported;
      const event = new Uint8Array(memory(), Number(events), 32).fill(0);
      event.set(new Uint8Array(memory(), Number(subscriptions), 8));
      view().setUint32(Number(out), 1, true);
      return ok;
    },
    proc_exit: (status) => {
      throw new SandboxViolation(`the Ruby interpreter ended itself with status ${status}`);
    },
    path_open: missing,
    path_filestat_get: missing,
    path_readlink: missing,
    path_rename: missing,
    path_unlink_file: missing,
    path_remove_directory: missing,
    path_create_directory: missing,
    path_filestat_set_times: missing,
    path_symlink: missing,
    path_link: missing,
  };
}

/** Imports for the module: the calls above, and for every other import a function that throws SandboxViolation. */
export function sandboxImports(module: WebAssembly.Module, memory: () => ArrayBuffer, values: Record<string, HostFunction>): WebAssembly.Imports {
  const calls = systemCalls(memory);
  const imports: Record<string, Record<string, HostFunction>> = {};
  for (const { module: from, name } of WebAssembly.Module.imports(module)) {
    const space = (imports[from] ??= {});
    if (from === 'wasi_snapshot_preview1') space[name] = calls[name] ?? (() => notSupported);
    else space[name] = values[name] ?? (() => { throw new SandboxViolation(`the template reached for the host (${name.split(':')[0]})`); });
  }
  return imports;
}
