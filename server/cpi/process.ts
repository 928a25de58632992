import { spawn } from 'node:child_process';
import { constants, existsSync } from 'node:fs';
import { access } from 'node:fs/promises';
import { setPriority } from 'node:os';
import { abortReason } from '../core/clock';
import { CpiError } from './errors';

export interface CpiProcess {
  /** Executable. */
  path: string;
  stdin: string;
  /** `TMPDIR` and `HOME` of the director, where set; nothing else of its environment reaches a CPI. */
  environment: { TMPDIR?: string | undefined; HOME?: string | undefined };
  /** Kills the CPI with everything that it started; the call rejects with the signal's reason. */
  kill: AbortSignal;
  /** Whole lines of stderr, each with its newline, as they come. */
  onErrorLine: (line: string) => void;
}

export interface CpiOutput {
  stdout: string;
  stderr: string;
  /** Exit code, or the signal's name. Says nothing about success. */
  exitStatus: string;
}

/** A CPI that prints more is broken, bytes. */
const longestOutput = 16 << 20;
/** Niceness of CPIs: dozens may run at once, and the leases of this node must be renewed all the same. */
const niceness = 10;
/** How long what a CPI left running may hold its output open, ms. */
const lingerMs = 5_000;

/**
 * Runs one CPI process to its end. It leads a process group of its own, so that a kill reaches its children too.
 * There is no timeout: clouds are slow. When this process is killed the kernel kills the CPI with it (where util-linux is installed); what
 * the CPI did until then, or its children still do, whoever takes the task over finds out.
 */
export async function runCpi(cpi: CpiProcess): Promise<CpiOutput> {
  try {
    await access(cpi.path, constants.X_OK);
  } catch (cause) {
    throw new CpiError('Unusable', `Failed to run cpi: '${cpi.path}' is not executable`, { cause });
  }
  if (cpi.kill.aborted) throw abortReason(cpi.kill);
  return new Promise((resolve, reject) => {
    const [file, ...args] = dyingWithUs(cpi.path);
    const child = spawn(file, args, { detached: true, stdio: ['pipe', 'pipe', 'pipe'], env: cleanEnvironment(cpi.environment) });
    yieldTheProcessor(child.pid);
    const stdout: string[] = [];
    let size = 0;
    const stderr = lineSplitter(cpi.onErrorLine);
    let linger: NodeJS.Timeout | undefined;
    let failure: Error | undefined;

    const killGroup = () => {
      try {
        if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
      } catch {
        // The whole group has ended already.
      }
    };
    const stop = (error: Error) => {
      failure ??= error;
      killGroup();
    };
    const onKill = () => stop(abortReason(cpi.kill));
    cpi.kill.addEventListener('abort', onKill, { once: true });

    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout.push(text);
      size += text.length;
      if (size > longestOutput) stop(new CpiError('Unusable', `Invalid CPI response - more than ${longestOutput} bytes`));
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => stderr.add(text));
    // A CPI may end without reading its request; its answer tells more than a broken pipe.
    child.stdin.on('error', () => undefined);
    child.stdin.end(cpi.stdin);
    child.on('error', (cause) => {
      cpi.kill.removeEventListener('abort', onKill);
      reject(new CpiError('Unusable', `Failed to run cpi: '${cpi.path}': ${cause.message}`, { cause }));
    });
    child.on('exit', () => {
      linger = setTimeout(() => {
        child.stdout.destroy();
        child.stderr.destroy();
      }, lingerMs);
    });
    child.on('close', (exitCode, signal) => {
      clearTimeout(linger);
      cpi.kill.removeEventListener('abort', onKill);
      stderr.end();
      if (failure) reject(failure);
      else resolve({ stdout: stdout.join(''), stderr: stderr.text(), exitStatus: String(exitCode ?? signal) });
    });
  });
}

function cleanEnvironment({ TMPDIR, HOME }: CpiProcess['environment']): NodeJS.ProcessEnv {
  const environment: Record<string, string> = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' };
  if (TMPDIR !== undefined) environment.TMPDIR = TMPDIR;
  if (HOME !== undefined) environment.HOME = HOME;
  // The type of Node demands a key that Next declares; a CPI must not see it.
  return environment as NodeJS.ProcessEnv;
}

/** Hands on whole lines, so that calls at the same time do not mix within a line; keeps the end of everything for the debug log. */
function lineSplitter(onLine: (line: string) => void): { add(text: string): void; end(): void; text(): string } {
  let rest = '';
  let kept = '';
  return {
    add: (text) => {
      kept = (kept + text).slice(-64 * 1024);
      const lines = (rest + text).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) onLine(line + '\n');
    },
    end: () => {
      if (rest) onLine(rest + '\n');
      rest = '';
    },
    text: () => kept,
  };
}

const setpriv = '/usr/bin/setpriv';

/** The command line that runs `path` so that the kernel kills it when this process dies. */
export function dyingWithUs(path: string): [string, ...string[]] {
  return existsSync(setpriv) ? [setpriv, '--pdeathsig', 'KILL', '--', path] : [path];
}

function yieldTheProcessor(pid: number | undefined): void {
  try {
    if (pid !== undefined) setPriority(pid, niceness);
  } catch {
    // It has ended already.
  }
}
