import { spawn, type ChildProcess } from 'node:child_process';
import { closeSync, openSync, renameSync, statSync } from 'node:fs';

/** How a program is started. */
export interface Command {
  file: string;
  args: string[];
  cwd?: string;
  /** The whole environment; default: the one of this process. */
  env?: NodeJS.ProcessEnv;
  uid?: number;
  gid?: number;
}

/** A log beyond this size is put aside as `<name>.1` when its program starts again. Bytes. */
const maxLogSize = 32 * 1024 * 1024;

/**
 * Starts a program in a session of its own, so that Ctrl-C in the terminal reaches only the supervisor, which stops
 * everything in order. Output is appended to `logFile` by the program itself: it goes on when the supervisor is gone.
 * Resolves once the program runs (so it has a pid); rejects when it cannot be started.
 */
export async function spawnDetached(command: Command, logFile: string): Promise<ChildProcess> {
  rotate(logFile);
  const log = openSync(logFile, 'a', 0o640);
  try {
    const child = spawn(command.file, command.args, {
      cwd: command.cwd,
      env: command.env ?? process.env,
      ...(command.uid === undefined ? {} : { uid: command.uid }),
      ...(command.gid === undefined ? {} : { gid: command.gid }),
      detached: true,
      stdio: ['ignore', log, log],
    });
    await new Promise<void>((resolve, reject) => {
      child.once('spawn', resolve);
      child.once('error', reject);
    });
    return child;
  } finally {
    closeSync(log);
  }
}

/** Runs a program to its end; resolves with its output, rejects with that output when it fails. */
export function runCommand(command: Command): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(command.file, command.args, {
      cwd: command.cwd,
      env: command.env ?? process.env,
      ...(command.uid === undefined ? {} : { uid: command.uid }),
      ...(command.gid === undefined ? {} : { gid: command.gid }),
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const output: Buffer[] = [];
    child.stdout.on('data', (chunk: Buffer) => output.push(chunk));
    child.stderr.on('data', (chunk: Buffer) => output.push(chunk));
    child.once('error', reject);
    child.once('close', (exitCode, signal) => {
      const text = Buffer.concat(output).toString();
      if (exitCode === 0) resolve(text);
      else reject(new Error(`${command.file} ${command.args.join(' ')} ended with ${signal ?? `exit code ${exitCode ?? '?'}`}: ${text.trim().slice(-2000)}`));
    });
  });
}

function rotate(logFile: string): void {
  const size = statSync(logFile, { throwIfNoEntry: false })?.size ?? 0;
  if (size > maxLogSize) renameSync(logFile, `${logFile}.1`);
}
