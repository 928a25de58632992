import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { copyFile, mkdir, mkdtemp, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client } from 'pg';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { startEmbedded, type Embedded } from '../../server/local/embedded';
import { claimSupervisor, endStaleProcesses, entryOf, readProcessList, writeProcessList, type ProcessEntry } from '../../server/local/process-list';
import { identify } from '../../server/local/process-table';
import { findNatsServer } from '../../server/local/nats-binary';
import { bundleProgram } from '../support/bundle';

/** A director node reduced to what the supervisor and the front door see of one. */
const fakeNode = `
const { readFileSync } = require('node:fs');
const { dirname, join } = require('node:path');
const certs = join(dirname(process.env.DIRECTORATE_CONFIG), 'certs');
const name = process.env.DIRECTORATE_NODE_NAME;
const server = require('node:https').createServer({ cert: readFileSync(join(certs, 'director.crt')), key: readFileSync(join(certs, 'director.key')) }, (req, res) => res.end(name));
server.listen(Number(process.env.DIRECTORATE_LISTEN_PORT), '127.0.0.1');
process.on('SIGTERM', () => process.exit(0));
`;

let root: string;
let supervisorProgram: string;
let dataDir: string;
let port: number;
const cleanups: (() => Promise<unknown>)[] = [];

beforeAll(async () => {
  process.env.NATS_SERVER_BIN = await findNatsServer({ env: process.env, cacheDir: join(process.cwd(), 'node_modules', '.cache', 'nats-server') });
  root = await mkdtemp(join(tmpdir(), 'directorate-root-'));
  await mkdir(join(root, 'dist'));
  await symlink(join(process.cwd(), 'node_modules'), join(root, 'node_modules'));
  await writeFile(join(root, 'dist', 'node.cjs'), fakeNode);
  await copyFile(await bundleProgram('server/local/front-door.ts'), join(root, 'dist', 'front-door.cjs'));
  supervisorProgram = await bundleProgram('server/local/supervisor.ts');
});

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

afterAll(() => rm(root, { recursive: true, force: true }));

async function newInstallation(): Promise<void> {
  dataDir = await mkdtemp(join(tmpdir(), 'directorate-data-'));
  cleanups.push(() => rm(dataDir, { recursive: true, force: true }));
  port = 21_000 + Math.floor(Math.random() * 40) * 100;
}

async function start(): Promise<Embedded> {
  const embedded = await startEmbedded({ root, dataDir, port, fsync: false, restartDelayMs: 300 });
  cleanups.push(() => embedded.stopAll());
  return embedded;
}

/** The supervisor in a process of its own, as `npm start` runs it. */
async function startSupervisor(): Promise<ChildProcess> {
  const child = spawn(process.execPath, [supervisorProgram], {
    env: { ...process.env, DIRECTORATE_ROOT: root, DIRECTORATE_DATA: dataDir, DIRECTORATE_PORT: String(port), DIRECTORATE_SAMPLES: 'off' },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  cleanups.push(async () => child.kill('SIGKILL'));
  let text = '';
  await new Promise<void>((resolve, reject) => {
    child.stdout.on('data', (part: Buffer) => {
      text += part.toString();
      if (text.includes('BOSH_CLIENT_SECRET')) resolve();
    });
    child.once('exit', () => reject(new Error(`the supervisor ended: ${text}`)));
  });
  return child;
}

function ask(at: Embedded): Promise<string> {
  return new Promise((resolve, reject) => {
    const asking = request(at.url, { ca: at.installation.ca, agent: false }, (response) => {
      let text = '';
      response.on('data', (part: Buffer) => (text += part.toString()));
      response.on('end', () => resolve(text));
    });
    asking.once('error', reject);
    asking.end();
  });
}

const namesOf = (entries: ProcessEntry[]) => entries.map((entry) => entry.name).sort();
const everything = ['A', 'B', 'C', 'front-door', 'nats-1', 'nats-2', 'nats-3', 'postgres', 'supervisor'];
const pidOf = (entries: ProcessEntry[], name: string) => entries.find((entry) => entry.name === name)?.pid;
const runs = (entry: ProcessEntry) => identify(entry.pid)?.startTicks === entry.start_ticks;

test('processes that die come back, the list of processes is kept current, and the state survives', { timeout: 60_000 }, async () => {
  await newInstallation();
  const embedded = await start();
  const before = readProcessList(embedded.layout.run);
  expect(namesOf(before)).toEqual(everything);
  expect(before.every(runs)).toBe(true);
  expect((await stat(embedded.layout.creds)).mode & 0o777).toBe(0o600);

  for (const name of ['A', 'nats-2', 'front-door', 'postgres']) {
    embedded.kill(name);
    await expect.poll(() => pidOf(readProcessList(embedded.layout.run), name), { timeout: 15_000 }).not.toBe(pidOf(before, name));
    await expect.poll(() => namesOf(readProcessList(embedded.layout.run)), { timeout: 15_000 }).toEqual(everything);
  }
  await expect.poll(() => ask(embedded).catch(() => ''), { timeout: 10_000 }).toMatch(/^[ABC]$/);

  const secret = embedded.installation.clientSecret;
  await onDatabase(embedded, async (sql) => {
    await sql.query('CREATE TABLE kept (value text)');
    await sql.query(`INSERT INTO kept VALUES ('yes')`);
  });
  const atTheEnd = readProcessList(embedded.layout.run).filter((entry) => entry.role !== 'supervisor');
  await embedded.stopAll();
  expect(atTheEnd.filter(runs)).toEqual([]);

  const again = await start();
  expect(again.installation.clientSecret).toBe(secret);
  await onDatabase(again, async (sql) => expect((await sql.query<{ value: string }>('SELECT value FROM kept')).rows).toEqual([{ value: 'yes' }]));
});

async function onDatabase(embedded: Embedded, work: (sql: Client) => Promise<void>): Promise<void> {
  const sql = new Client({ connectionString: embedded.databaseUrl });
  sql.on('error', () => undefined);
  await expect.poll(() => sql.connect().then(() => true)).toBe(true);
  await work(sql);
  await sql.end();
}

test('what a killed supervisor left behind is ended by the next start; an interrupt leaves nothing', { timeout: 60_000 }, async () => {
  await newInstallation();
  const killed = await startSupervisor();
  const runFolder = join(dataDir, 'run');
  await expect(start()).rejects.toThrow(/runs already/);
  const left = readProcessList(runFolder).filter((entry) => entry.role !== 'supervisor');
  killed.kill('SIGKILL');
  await once(killed, 'exit');
  expect(left.filter(runs)).toHaveLength(8);

  const next = await startSupervisor();
  expect(left.filter(runs)).toEqual([]);
  const running = readProcessList(runFolder);
  expect(namesOf(running)).toEqual(everything);
  next.kill('SIGINT');
  const [exitCode] = (await once(next, 'exit')) as [number | null];
  expect(exitCode).toBe(0);
  expect(running.filter(runs)).toEqual([]);
});

test('an interrupt while starting leaves nothing', { timeout: 30_000 }, async () => {
  await newInstallation();
  const child = spawn(process.execPath, [supervisorProgram], {
    env: { ...process.env, DIRECTORATE_ROOT: root, DIRECTORATE_DATA: dataDir, DIRECTORATE_PORT: String(port), DIRECTORATE_SAMPLES: 'off' },
    stdio: 'ignore',
  });
  const runFolder = join(dataDir, 'run');
  await expect.poll(() => readProcessList(runFolder).some((entry) => entry.role === 'nats'), { timeout: 15_000, interval: 5 }).toBe(true);
  const seen = readProcessList(runFolder);
  child.kill('SIGTERM');
  await once(child, 'exit');
  expect([...seen, ...readProcessList(runFolder)].filter(runs)).toEqual([]);
});

test('only the very process that was recorded is ended', async () => {
  await newInstallation();
  const bystander = spawn('sleep', ['60'], { stdio: 'ignore' });
  cleanups.push(async () => bystander.kill('SIGKILL'));
  await once(bystander, 'spawn');
  const identity = identify(bystander.pid ?? 0);
  if (identity === undefined) throw new Error('sleep does not run');
  const entry = (changes: Partial<ProcessEntry>): ProcessEntry => ({ ...entryOf({ name: 'A', role: 'node', ports: {} }, identity, new Date()), ...changes });
  const others = [entry({ start_ticks: identity.startTicks + 1 }), entry({ command: 'node dist/node.cjs' }), entry({ boot_id: 'another' })];
  writeProcessList(dataDir, others);
  expect(await endStaleProcesses(dataDir)).toEqual([]);
  expect(bystander.exitCode).toBeNull();
  writeProcessList(dataDir, [entry({})]);
  expect(await endStaleProcesses(dataDir)).toEqual(['A']);
});

test('one supervisor at a time; the claim of a dead one is taken over', async () => {
  await newInstallation();
  const release = claimSupervisor(dataDir);
  expect(() => claimSupervisor(dataDir)).toThrow(/runs already/);
  release();
  await writeFile(join(dataDir, 'supervisor.lock'), JSON.stringify({ pid: 1, startTicks: 1, bootId: 'before', command: 'x' }));
  claimSupervisor(dataDir)();
});

test('a taken port is named, and nothing is left running', async () => {
  await newInstallation();
  const { createServer } = await import('node:net');
  const server = createServer().listen(port + 2, '127.0.0.1');
  cleanups.push(async () => server.close());
  await once(server, 'listening');
  await expect(start()).rejects.toThrow(`${port + 2} (node B)`);
  expect(readProcessList(join(dataDir, 'run'))).toEqual([]);
});

test('an installation keeps its ports', async () => {
  await newInstallation();
  await writeFile(join(dataDir, 'installation.json'), JSON.stringify({ port: 20_000 }));
  await expect(start()).rejects.toThrow(/has the port 20000.*DIRECTORATE_PORT=20000/);
});

test('a program that does not start says why, with the end of its log', { timeout: 30_000 }, async () => {
  await newInstallation();
  const broken = await mkdtemp(join(tmpdir(), 'directorate-root-'));
  cleanups.push(() => rm(broken, { recursive: true, force: true }));
  await mkdir(join(broken, 'dist'));
  await symlink(join(process.cwd(), 'node_modules'), join(broken, 'node_modules'));
  await copyFile(join(root, 'dist', 'front-door.cjs'), join(broken, 'dist', 'front-door.cjs'));
  await writeFile(join(broken, 'dist', 'node.cjs'), `console.error('config.yml: workers.normal: too big'); process.exit(1);`);
  await expect(startEmbedded({ root: broken, dataDir, port, nodes: 1, fsync: false })).rejects.toThrow(/A did not start: A ended with exit code 1\s+config\.yml: workers\.normal: too big/);
  expect(await readFile(join(dataDir, 'run', 'processes.json'), 'utf8')).toBe('[]\n');
});
