import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { readFile, rename, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { Client } from 'pg';
import { z } from 'zod';
import { spawnDetached } from '../../server/local/command';
import { newPassword, postgresUrl, preparePostgres, waitForPostgres } from '../../server/local/postgres';
import { identify } from '../../server/local/process-table';

/** A database of its own for one test or file. */
export interface TestDatabase {
  /** `postgres://…` */
  url: string;
  /** Ends its connections and removes it. */
  drop(): Promise<void>;
}

const readySchema = z.union([z.object({ port: z.number(), password: z.string() }), z.object({ error: z.string() })]);
type Server = { port: number; password: string };

let server: Promise<Server> | undefined;

/**
 * Makes an empty database. All test files of one vitest run share one embedded Postgres, started by whoever comes
 * first; it ends, and its files go, as soon as that run's main process is gone.
 */
export async function testDatabase(): Promise<TestDatabase> {
  server ??= findOrStartServer();
  const found = await server;
  const name = `test_${randomBytes(6).toString('hex')}`;
  await onServer(found, (admin) => admin.query(`CREATE DATABASE ${name}`));
  return {
    url: postgresUrl(found, name),
    drop: () => onServer(found, (admin) => admin.query(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`)),
  };
}

async function onServer(found: Server, work: (admin: Client) => Promise<unknown>): Promise<void> {
  const admin = new Client({ connectionString: postgresUrl(found, 'postgres') });
  await admin.connect();
  try {
    await work(admin);
  } finally {
    await admin.end();
  }
}

/** Vitest runs each test file in a child process of one main process: that one owns the server. */
async function findOrStartServer(): Promise<Server> {
  const owner = identify(process.env.VITEST === undefined ? process.pid : process.ppid);
  if (owner === undefined) throw new Error('the process that runs the tests is gone');
  const folder = join(tmpdir(), `directorate-tests-${owner.pid}-${owner.startTicks}`);
  const readyFile = join(folder, 'ready.json');
  if (claim(folder)) await startServer(folder, owner.pid).then((made) => publish(readyFile, made), (error: unknown) => publish(readyFile, { error: String(error) }));
  const deadline = performance.now() + 60_000;
  for (;;) {
    const text = await readFile(readyFile, 'utf8').catch(() => undefined);
    if (text !== undefined) {
      const ready = readySchema.parse(JSON.parse(text));
      if ('error' in ready) throw new Error(`the Postgres of the tests did not start: ${ready.error}`);
      return ready;
    }
    if (performance.now() > deadline) throw new Error(`the Postgres of the tests is not ready after 60 s, see ${folder}`);
    await wait(20);
  }
}

function claim(folder: string): boolean {
  try {
    mkdirSync(folder, { mode: 0o755 });
    return true;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') return false;
    throw error;
  }
}

async function publish(readyFile: string, content: Server | { error: string }): Promise<void> {
  await writeFile(`${readyFile}.new`, JSON.stringify(content), { mode: 0o600 });
  await rename(`${readyFile}.new`, readyFile);
}

async function startServer(folder: string, ownerPid: number): Promise<Server> {
  const made = { port: await freePort(), password: newPassword() };
  const command = await preparePostgres({
    ...made,
    dataDir: join(folder, 'postgres'),
    nodeModules: join(process.cwd(), 'node_modules'),
    fsync: false,
    settings: { synchronous_commit: 'off', autovacuum: 'off' },
  });
  const postgres = await spawnDetached(command, join(folder, 'postgres.log'));
  postgres.unref();
  spawn(process.execPath, ['-e', keeper, String(ownerPid), String(postgres.pid), folder], { detached: true, stdio: 'ignore' }).unref();
  await waitForPostgres(made, AbortSignal.timeout(30_000));
  return made;
}

/** Outlives the tests however they end; ends the server with SIGINT (fast shutdown) and removes its folder. */
const keeper = `
const [owner, server, folder] = process.argv.slice(1);
const runs = (pid) => { try { process.kill(Number(pid), 0); return true; } catch { return false; } };
const timer = setInterval(() => {
  if (runs(owner) && runs(server)) return;
  clearInterval(timer);
  try { process.kill(Number(server), 'SIGINT'); } catch {}
  const end = setInterval(() => {
    if (runs(server)) return;
    clearInterval(end);
    require('node:fs').rmSync(folder, { recursive: true, force: true });
  }, 50);
}, 250);
`;

/** A TCP port on 127.0.0.1 that nobody listens on at the moment. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once('error', reject);
    probe.listen(0, '127.0.0.1', () => {
      const address = probe.address();
      probe.close(() => (address !== null && typeof address === 'object' ? resolve(address.port) : reject(new Error('no port'))));
    });
  });
}
