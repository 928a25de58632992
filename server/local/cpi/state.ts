import { spawn } from 'node:child_process';
import { createHash, randomUUID } from 'node:crypto';
import { mkdirSync, readFileSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import * as z from 'zod/mini';
import { cloudError } from './errors';

/**
 * The cloud's state: JSON files under one directory, each replaced by rename, changed under a lock.
 * Calls run in parallel, from several directors, and may be killed at any line; a file is therefore always
 * either the old or the new version, and a lock ends with the process that held it.
 */

const lockSlots = 64;
const lockWaitSeconds = 120;

/** True for what may be a name in the state directory: everything else cannot be a cid of this cloud. */
export function isSafeName(name: string): boolean {
  return /^[A-Za-z0-9][A-Za-z0-9_.-]{0,200}$/.test(name);
}

/** Replaces a JSON file in one step. */
export function writeJson(path: string, value: unknown, mode = 0o644): void {
  mkdirSync(dirname(path), { recursive: true });
  const draft = `${path}.${process.pid}.${randomUUID().slice(0, 8)}.tmp`;
  writeFileSync(draft, `${JSON.stringify(value, null, 1)}\n`, { mode });
  renameSync(draft, path);
}

/** Reads a JSON file; undefined when it does not exist. */
export function readJson<T>(path: string, schema: z.ZodMiniType<T>): T | undefined {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    if (isNoSuchFile(error)) return undefined;
    throw error;
  }
  return z.parse(schema, JSON.parse(text));
}

export function exists(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false }) !== undefined;
}

/** Names in a directory; none when it does not exist. */
export function listNames(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch (error) {
    if (isNoSuchFile(error)) return [];
    throw error;
  }
}

export function isNoSuchFile(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENOTDIR');
}

export function isAlreadyThere(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'EEXIST';
}

const litterAgeMs = 60_000;

/**
 * Removes a directory so that it is gone at once for everybody: it is renamed away first and emptied then.
 * What killed calls left in the trash is emptied too, once it is a minute old.
 */
export function discard(stateDir: string, path: string): void {
  const trash = join(stateDir, 'trash');
  mkdirSync(trash, { recursive: true });
  const doomed = join(trash, randomUUID());
  try {
    renameSync(path, doomed);
  } catch (error) {
    if (!isNoSuchFile(error)) throw error;
  }
  rmSync(doomed, { recursive: true, force: true });
  removeLitter(trash, litterAgeMs);
}

/** Removes what nobody has touched in a directory for so long that its maker must be dead. */
export function removeLitter(directory: string, ageMs: number): void {
  for (const name of listNames(directory)) {
    const changedMs = statSync(join(directory, name), { throwIfNoEntry: false })?.ctimeMs;
    if (changedMs !== undefined && Date.now() - changedMs > ageMs) rmSync(join(directory, name), { recursive: true, force: true });
  }
}

/**
 * Runs `work` while holding the lock `kind`/`name`. The lock is flock(2) held by a child that ends when this
 * process ends, so a killed call never leaves one behind. Names share 64 files per kind (bounded litter): never take two locks of one kind.
 */
export async function withLock<T>(stateDir: string, lock: { kind: 'vm' | 'disk' | 'address' | 'network'; name: string }, work: () => Promise<T> | T): Promise<T> {
  const slot = createHash('sha1').update(lock.name).digest().readUInt16BE(0) % lockSlots;
  const directory = join(stateDir, 'locks');
  mkdirSync(directory, { recursive: true });
  const release = await holdLock(join(directory, `${lock.kind}-${slot}`), `${lock.kind} '${lock.name}'`);
  try {
    return await work();
  } finally {
    await release();
  }
}

async function holdLock(path: string, what: string): Promise<() => Promise<void>> {
  const child = spawn('flock', ['-w', String(lockWaitSeconds), path, 'sh', '-c', 'echo held; exec cat'], { stdio: ['pipe', 'pipe', 'inherit'] });
  const ended = new Promise<void>((resolve) => {
    child.once('close', () => resolve());
  });
  await new Promise<void>((resolve, reject) => {
    child.once('error', (cause) => reject(new Error(`The local cloud needs the program flock (package util-linux): ${cause.message}`, { cause })));
    child.stdout.once('data', () => resolve());
    void ended.then(() => reject(cloudError(`Another call has been working on ${what} for more than ${lockWaitSeconds} seconds`)));
  });
  child.stdin.on('error', () => undefined);
  return async () => {
    child.stdin.end();
    await ended;
  };
}
