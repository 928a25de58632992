import { readFileSync } from 'node:fs';
import { setTimeout as wait } from 'node:timers/promises';
import { isAlive, readStat, readText } from './agent/proc';

/** What tells one process from every other, also after its pid was used again. */
export interface ProcessIdentity {
  pid: number;
  /** Clock ticks after boot when it started. */
  startTicks: number;
  /** The kernel's boot id: ticks count from there. */
  bootId: string;
  /** Command line, arguments separated by spaces. */
  command: string;
}

/** Identity of a running process; undefined when there is none with this pid. */
export function identify(pid: number): ProcessIdentity | undefined {
  const stat = readStat(pid);
  if (stat === undefined || stat.state === 'Z' || stat.state === 'X') return undefined;
  return { pid, startTicks: stat.startTicks, bootId: bootId(), command: commandLine(pid) };
}

/** True while exactly this process runs: same pid, start time, boot and command line. */
export function stillRuns(known: ProcessIdentity): boolean {
  const now = identify(known.pid);
  return now !== undefined && now.startTicks === known.startTicks && now.bootId === known.bootId && now.command === known.command;
}

/** Command line of a process, arguments separated by spaces; empty when it is gone. */
export function commandLine(pid: number): string {
  return (readText(`/proc/${pid}/cmdline`) ?? '').split('\0').join(' ').trim();
}

/** Sends a signal; false when the process is gone. */
export function signalProcess(pid: number, signal: NodeJS.Signals): boolean {
  try {
    process.kill(pid, signal);
    return true;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ESRCH') return false;
    throw error;
  }
}

/**
 * Ends exactly this process (by pid and start time): the signal first, SIGKILL after `timeoutMs`. True when it ran.
 * A stopped process (SIGSTOP) is continued so that it can act on the signal.
 */
export async function endProcess(known: ProcessIdentity, options: { signal: NodeJS.Signals; timeoutMs: number }): Promise<boolean> {
  if (!isAlive(known.pid, known.startTicks)) return false;
  signalProcess(known.pid, options.signal);
  signalProcess(known.pid, 'SIGCONT');
  if (!(await goneWithin(known, options.timeoutMs))) {
    signalProcess(known.pid, 'SIGKILL');
    await goneWithin(known, 2_000);
  }
  return true;
}

async function goneWithin(known: ProcessIdentity, timeoutMs: number): Promise<boolean> {
  const deadline = performance.now() + timeoutMs;
  while (isAlive(known.pid, known.startTicks)) {
    if (performance.now() > deadline) return false;
    await wait(20);
  }
  return true;
}

let boot: string | undefined;
function bootId(): string {
  boot ??= readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  return boot;
}
