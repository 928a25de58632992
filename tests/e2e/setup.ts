import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

/** The installation of the tests has its own ports and folder. */
const port = 27_500;
const startsWithinMs = 240_000;
const stopsWithinMs = 30_000;

/**
 * Names the installation that is tested in DIRECTORATE_E2E_CREDS: the given one, or an embedded default of its own that
 * runs until the tests are over. Lost nodes stay away long enough to be seen.
 */
export default async function setUp(): Promise<() => Promise<void>> {
  if (process.env.DIRECTORATE_E2E_CREDS !== undefined) return async () => undefined;
  const root = resolve(__dirname, '../..');
  const data = mkdtempSync(join(tmpdir(), 'directorate-e2e-'));
  const supervisor = spawn(process.execPath, [join(root, 'dist', 'supervisor.cjs')], {
    cwd: root,
    env: { ...process.env, DIRECTORATE_ROOT: root, DIRECTORATE_DATA: data, DIRECTORATE_PORT: String(port), DIRECTORATE_RESTART_DELAY_MS: '6000', NODE_ENV: 'production' },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const tearDown = async () => {
    await end(supervisor);
    rmSync(data, { recursive: true, force: true });
  };
  try {
    await ready(supervisor);
  } catch (error) {
    await tearDown();
    throw error;
  }
  process.env.DIRECTORATE_E2E_CREDS = join(data, 'creds.json');
  return tearDown;
}

/** Resolves when the supervisor tells how to log in; rejects with what it said when it ends or takes too long. */
function ready(supervisor: ChildProcess): Promise<void> {
  return new Promise((resolvePromise, reject) => {
    let said = '';
    const timer = setTimeout(() => reject(new Error(`the installation was not ready within ${startsWithinMs / 1000} s:\n${said}`)), startsWithinMs);
    const hear = (text: Buffer) => {
      said += text.toString();
      if (!said.includes('Ready in')) return;
      clearTimeout(timer);
      resolvePromise();
    };
    supervisor.stdout?.on('data', hear);
    supervisor.stderr?.on('data', hear);
    supervisor.once('exit', (code) => {
      clearTimeout(timer);
      reject(new Error(`the installation ended with ${code}:\n${said}`));
    });
  });
}

async function end(supervisor: ChildProcess): Promise<void> {
  if (supervisor.exitCode !== null) return;
  const exited = new Promise((resolvePromise) => supervisor.once('exit', resolvePromise));
  supervisor.kill('SIGTERM');
  await Promise.race([exited, new Promise((resolvePromise) => setTimeout(resolvePromise, stopsWithinMs))]);
  supervisor.kill('SIGKILL');
}
