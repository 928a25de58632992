import { readFileSync, readdirSync, readlinkSync } from 'node:fs';

/** What the local cloud reads from Linux's /proc. A process that is gone is `undefined`, never an error. */

/** The fields of /proc/<pid>/stat that are used here; times in clock ticks (100 per second on Linux). */
export interface ProcessStat {
  pid: number;
  /** One letter; `Z` (zombie) and `X` count as dead. */
  state: string;
  parent: number;
  group: number;
  session: number;
  cpuTicks: number;
  /** Ticks after boot; with the pid it identifies a process although pids are used again. */
  startTicks: number;
  residentPages: number;
}

export const ticksPerSecond = 100;
export const pageKilobytes = 4;

/** Reads a process's state; undefined when there is no such process. */
export function readStat(pid: number): ProcessStat | undefined {
  const text = readText(`/proc/${pid}/stat`);
  if (text === undefined) return undefined;
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  const at = (index: number) => Number(fields[index]);
  return {
    pid,
    state: fields[0] ?? 'X',
    parent: at(1),
    group: at(2),
    session: at(3),
    cpuTicks: at(11) + at(12),
    startTicks: at(19),
    residentPages: at(21),
  };
}

/** True when the process runs (a zombie does not) and, if given, is the one that started at `startTicks`. */
export function isAlive(pid: number, startTicks?: number): boolean {
  const stat = readStat(pid);
  if (stat === undefined || stat.state === 'Z' || stat.state === 'X') return false;
  return startTicks === undefined || stat.startTicks === startTicks;
}

/** Every pid on the machine (or in this pid namespace). */
export function listPids(): number[] {
  return readdirSync('/proc').flatMap((name) => (/^\d+$/.test(name) ? [Number(name)] : []));
}

/** True when the process was started with exactly `NAME=value` in its environment. */
export function hasEnvironment(pid: number, assignment: string): boolean {
  const text = readText(`/proc/${pid}/environ`);
  return text !== undefined && `\0${text}`.includes(`\0${assignment}\0`);
}

/** Identity of a process's mount namespace, e.g. `mnt:[4026531841]`. */
export function mountNamespace(pid: number | 'self'): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/ns/mnt`);
  } catch {
    return undefined;
  }
}

/** The mounts that a process sees: where each is mounted and which directory of its file system it shows. */
export function readMounts(pid: number): { root: string; mountPoint: string }[] {
  const text = readText(`/proc/${pid}/mountinfo`);
  if (text === undefined) return [];
  return text.split('\n').flatMap((line) => {
    const fields = line.split(' ');
    const [root, mountPoint] = [fields[3], fields[4]];
    return root === undefined || mountPoint === undefined ? [] : [{ root, mountPoint }];
  });
}

/** Content of a small file; undefined when it cannot be read. */
export function readText(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}
