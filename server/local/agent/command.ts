import { constants } from 'node:os';
import { spawn, type ChildProcess } from 'node:child_process';
import { exactEnvironment } from './environment';

export interface CommandOptions {
  cwd?: string;
  env: Record<string, string>;
  /** Ends the command and everything that it started in its process group; see `whenAborted`. */
  signal?: AbortSignal;
  /** `reject` (default): kill and reject. `terminate`: SIGTERM, after 10 s SIGKILL, and resolve with the output so far. */
  whenAborted?: 'reject' | 'terminate';
  timeoutMs?: number;
}

export interface CommandResult {
  stdout: string;
  stderr: string;
  /** Exit status; 128 + signal number when a signal ended the command. */
  status: number;
}

const terminateGraceMs = 10_000;

export const minimalPath = '/usr/sbin:/usr/bin:/sbin:/bin';

/** Runs a command to its end, in a process group of its own, and keeps its output. Rejects when it cannot be started or is aborted. */
export async function runCommand(command: string[], options: CommandOptions): Promise<CommandResult> {
  const [program, ...args] = command;
  if (program === undefined) throw new Error('There is no command to run');
  options.signal?.throwIfAborted();
  const child = spawn(program, args, { cwd: options.cwd, env: exactEnvironment(options.env), detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
  const stdout: Buffer[] = [];
  const stderr: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => stdout.push(chunk));
  child.stderr.on('data', (chunk: Buffer) => stderr.push(chunk));
  const end = endings(child, options);
  try {
    const status = await end;
    return { stdout: Buffer.concat(stdout).toString(), stderr: Buffer.concat(stderr).toString(), status };
  } catch (error) {
    throw new Error(`Running command: '${command.join(' ')}': ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  }
}

/**
 * The exit status. Ends when the command itself ends: a daemon that it left behind may keep the pipes open for ever.
 */
function endings(child: ChildProcess, options: CommandOptions): Promise<number> {
  return new Promise((resolve, reject) => {
    const stop = (reason: Error) => {
      signalGroup(child.pid, 'SIGKILL');
      reject(reason);
    };
    const onAbort = () => {
      if (options.whenAborted !== 'terminate') return stop(options.signal?.reason instanceof Error ? options.signal.reason : new Error('aborted'));
      signalGroup(child.pid, 'SIGTERM');
      killTimer = setTimeout(() => signalGroup(child.pid, 'SIGKILL'), terminateGraceMs);
      return undefined;
    };
    let killTimer: NodeJS.Timeout | undefined;
    const timer = options.timeoutMs === undefined ? undefined : setTimeout(() => stop(new Error(`no end within ${(options.timeoutMs ?? 0) / 1000} seconds`)), options.timeoutMs);
    options.signal?.addEventListener('abort', onAbort, { once: true });
    const clean = () => {
      clearTimeout(timer);
      clearTimeout(killTimer);
      options.signal?.removeEventListener('abort', onAbort);
    };
    child.once('error', (error) => {
      clean();
      reject(error);
    });
    child.once('exit', (status, signal) => {
      clean();
      const result = status ?? 128 + (signal === null ? 0 : constants.signals[signal]);
      // What was written before the exit may still be in the pipes: `close` follows at once unless a daemon holds them.
      const graceTimer = setTimeout(() => {
        child.stdout?.destroy();
        child.stderr?.destroy();
        resolve(result);
      }, 300);
      child.once('close', () => {
        clearTimeout(graceTimer);
        resolve(result);
      });
    });
  });
}

function signalGroup(pid: number | undefined, signal: NodeJS.Signals): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, signal);
  } catch {
    // The group is gone, which is what was wanted.
  }
}
