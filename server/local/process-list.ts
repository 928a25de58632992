import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { endProcess, identify, stillRuns, type ProcessIdentity } from './process-table';

/**
 * `run/processes.json`: an array with every process of the installation, for operators and for the next start, which
 * ends what an unclean end left behind.
 */
const entrySchema = z.object({
  name: z.string(),
  role: z.enum(['supervisor', 'postgres', 'nats', 'node', 'front-door']),
  pid: z.number(),
  /** Purpose -> port on 127.0.0.1. */
  ports: z.record(z.string(), z.number()),
  started_at: z.string(),
  /** With the boot id and the command line this identifies the process: pids are used again. Clock ticks after boot. */
  start_ticks: z.number(),
  boot_id: z.string(),
  command: z.string(),
});

export type ProcessEntry = z.infer<typeof entrySchema>;

/** The entry of a running process. */
export function entryOf(what: Pick<ProcessEntry, 'name' | 'role' | 'ports'>, identity: ProcessIdentity, startedAt: Date): ProcessEntry {
  return { ...what, pid: identity.pid, started_at: startedAt.toISOString(), start_ticks: identity.startTicks, boot_id: identity.bootId, command: identity.command };
}

const fileIn = (runFolder: string) => join(runFolder, 'processes.json');

/** Replaces the list at once. */
export function writeProcessList(runFolder: string, entries: ProcessEntry[]): void {
  const file = fileIn(runFolder);
  writeFileSync(`${file}.new`, JSON.stringify(entries, null, 2) + '\n', { mode: 0o644 });
  renameSync(`${file}.new`, file);
}

/** The list that was written last; empty when there is none or it cannot be read. */
export function readProcessList(runFolder: string): ProcessEntry[] {
  try {
    return z.array(entrySchema).parse(JSON.parse(readFileSync(fileIn(runFolder), 'utf8')));
  } catch {
    return [];
  }
}

const lockSchema = z.object({ pid: z.number(), startTicks: z.number(), bootId: z.string(), command: z.string() });

/** Makes this process the only supervisor of a data folder; returns what gives it up. Throws while another one runs. */
export function claimSupervisor(runFolder: string): () => void {
  const file = join(runFolder, 'supervisor.lock');
  const self = identify(process.pid);
  if (self === undefined) throw new Error('/proc cannot be read: it is needed to keep track of processes');
  mkdirSync(runFolder, { recursive: true, mode: 0o755 });
  for (;;) {
    try {
      writeFileSync(file, JSON.stringify(self), { flag: 'wx', mode: 0o644 });
      return once(() => rmSync(file, { force: true }));
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error;
    }
    const holder = readLock(file);
    if (holder !== undefined && stillRuns(holder)) {
      throw new Error(`this installation runs already (process ${holder.pid}): stop that one first, or use another folder with DIRECTORATE_DATA`);
    }
    rmSync(file, { force: true });
  }
}

function once(work: () => void): () => void {
  let done = false;
  return () => {
    if (!done) work();
    done = true;
  };
}

function readLock(file: string): ProcessIdentity | undefined {
  try {
    return lockSchema.parse(JSON.parse(readFileSync(file, 'utf8')));
  } catch {
    return undefined;
  }
}

const endOrder: ProcessEntry['role'][] = ['front-door', 'node', 'nats', 'postgres'];

/**
 * Ends processes that an earlier supervisor started and could not end. Only those that are certainly the recorded ones:
 * same pid, start time, boot and command line. Returns their names.
 */
export async function endStaleProcesses(runFolder: string): Promise<string[]> {
  const entries = readProcessList(runFolder);
  const ended: string[] = [];
  for (const role of endOrder) {
    const found = entries.filter((entry) => entry.role === role && entry.pid !== process.pid);
    await Promise.all(
      found.map(async (entry) => {
        const identity = { pid: entry.pid, startTicks: entry.start_ticks, bootId: entry.boot_id, command: entry.command };
        if (!stillRuns(identity)) return;
        await endProcess(identity, { signal: role === 'postgres' ? 'SIGINT' : 'SIGTERM', timeoutMs: 10_000 });
        ended.push(entry.name);
      }),
    );
  }
  return ended;
}
