import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startBusMove } from '../../server/agents/bus-move-store';
import { Notifications } from '../../server/cluster/notifications';
import { silentLog } from '../../server/core/log';
import { startTestNode, testStore, type TestNode, type TestStore } from '../support/director-parts';
import { bundleProgram } from '../support/bundle';
import { startNats, type TestNats } from '../support/nats';
import { startTrpcServers, type TrpcServers } from '../support/trpc-server';

const run = promisify(execFile);
let folder: string;
let store: TestStore;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'directorate-commands-'));
  store = await testStore();
});

afterAll(async () => {
  await store?.close();
  await rm(folder, { recursive: true, force: true });
});

test.each(['nats-auth', 'nats-ca', 'move-bus'])('directorate %s --help tells how it is used', async (name) => {
  const { stdout } = await run(process.execPath, [await bundleProgram(`server/local/${name}.ts`), '--help']);
  expect(stdout).toMatch(new RegExp(`^Usage: directorate ${name} `));
});

describe('directorate nats-ca', () => {
  let program: string;
  const natsCa = (...args: string[]) => run(process.execPath, [program, ...args], { cwd: folder });

  beforeAll(async () => {
    program = await bundleProgram('server/local/nats-ca.ts');
  });

  test('makes a CA and what servers, directors and health monitors need of it', async () => {
    await natsCa('ca', '--out', 'ca');
    const ca = new X509Certificate(await readFile(join(folder, 'ca.crt')));
    expect(ca.ca).toBe(true);
    expect((await stat(join(folder, 'ca.key'))).mode & 0o777).toBe(0o600);
    const signed = ['--ca', 'ca.crt', '--ca-key', 'ca.key'];
    const server = new X509Certificate((await natsCa('server', ...signed, '--name', 'nats-1.example.com', '--name', '10.0.0.7')).stdout);
    expect(server.subjectAltName).toBe('DNS:default.nats.bosh-internal, DNS:nats-1.example.com, IP Address:10.0.0.7');
    for (const [kind, name] of [['director', 'director'], ['health-monitor', 'hm']] as const) {
      const { stdout } = await natsCa(kind, ...signed, '--days', '30');
      const certificate = new X509Certificate(stdout);
      expect(certificate.subject).toBe(`C=USA\nO=Cloud Foundry\nCN=default.${name}.bosh-internal`);
      expect(certificate.verify(ca.publicKey)).toBe(true);
      expect(stdout).toContain('-----BEGIN PRIVATE KEY-----');
    }
  });

  test('does not overwrite a CA, nor sign with a key of another', async () => {
    await expect(natsCa('ca', '--out', 'ca')).rejects.toThrow(/EEXIST/);
    await natsCa('ca', '--out', 'other');
    await expect(natsCa('director', '--ca', 'ca.crt', '--ca-key', 'other.key')).rejects.toThrow(/fits no certificate/);
    await writeFile(join(folder, 'both.crt'), (await readFile(join(folder, 'ca.crt'), 'utf8')) + (await readFile(join(folder, 'other.crt'), 'utf8')));
    const { stdout } = await natsCa('director', '--ca', 'both.crt', '--ca-key', 'other.key');
    expect(new X509Certificate(stdout).verify(new X509Certificate(await readFile(join(folder, 'other.crt'))).publicKey)).toBe(true);
  });

  test.each([[[]], [['server']], [['server', '--ca', 'ca.crt', '--ca-key', 'ca.key']], [['ca', '--days', 'x']], [['nonsense']]])('tells how it is used: %j', async (args) => {
    await expect(natsCa(...args)).rejects.toThrow(/Usage: directorate nats-ca|is not a number of days/);
  });
});

describe('directorate move-bus', () => {
  let program: string;
  let node: TestNode;
  let notifications: Notifications;
  let servers: TrpcServers;
  const environment = (client: string) => ({ ...process.env, BOSH_ENVIRONMENT: servers.urls[0], BOSH_CA_CERT: servers.ca, BOSH_CLIENT: client, BOSH_CLIENT_SECRET: 'secret' });
  const moveBus = (args: string[], client = 'admin') => run(process.execPath, [program, ...args], { env: environment(client) });
  const sql = (text: string) => store.connections.pool.query(text);

  beforeAll(async () => {
    program = await bundleProgram('server/local/move-bus.ts');
    node = await startTestNode({ store, name: 'A', perform: async () => '' });
    notifications = new Notifications(store.connections, silentLog);
    servers = await startTrpcServers({ store, node, notifications, names: ['A'], deps: { agentState: () => Promise.reject(new Error('silent')) } });
    await sql(`INSERT INTO vms (agent_id, cid, state, az) VALUES (gen_random_uuid(), 'vm-1', 'created', 'z1'), (gen_random_uuid(), 'vm-2', 'created', 'z2')`);
  });

  afterAll(async () => {
    servers?.close();
    await notifications?.stop();
    await node?.stop();
  });

  test('starts a move', async () => {
    const { stdout } = await moveBus(['--urls', 'nats://10.0.0.7:4222,nats://10.0.0.8:4222', '--az', 'z1']);
    expect(stdout).toMatch(/^Move \d+ of AZ z1 to nats:\/\/10\.0\.0\.7:4222, nats:\/\/10\.0\.0\.8:4222: 0 told, 1 waiting\n$/);
  });

  test('follows it to its end', async () => {
    const following = moveBus(['--urls', 'nats://10.0.0.9:4222', '--follow']);
    await expect.poll(async () => (await sql(`SELECT 1 FROM bus_moves WHERE az IS NULL`)).rows.length, { timeout: 10_000 }).toBe(1);
    await new Promise((resolve) => setTimeout(resolve, 1_200));
    await sql(`UPDATE bus_move_agents SET state = 'told' WHERE state = 'pending'; UPDATE bus_moves SET finished_at = now() WHERE superseded_by IS NULL`);
    const { stdout } = await following;
    expect(stdout.trim().split('\n').map((line) => line.replace(/^Move \d+/, 'Move N'))).toEqual(['Move N of all VMs to nats://10.0.0.9:4222: 0 told, 2 waiting', 'Move N of all VMs to nats://10.0.0.9:4222: 2 told, 0 waiting, finished']);
  });

  test('says by its exit code that another move took over', async () => {
    const first = await startBusMove(store.connections.db, { urls: ['nats://a:1'], user: 'admin', caSha1: 'x' });
    const second = await startBusMove(store.connections.db, { urls: ['nats://b:1'], user: 'admin', caSha1: 'x' });
    const failure: unknown = await moveBus(['--id', String(first), '--follow']).catch((error: unknown) => error);
    expect(failure).toMatchObject({ code: 1, stdout: expect.stringContaining(`ended by move ${second}`) });
  });

  test.each([
    [['--urls', 'nats://a:1', '--az', 'z9'], 'admin', /No VM is in availability zone 'z9': VMs are in z1, z2/],
    [['--urls', 'a:1'], 'admin', /expected nats:\/\/host:port/],
    [['--urls', 'nats://a:1'], 'reader', /./],
    [['--id', '999'], 'admin', /no bus move 999/i],
    [['--id', '1', '--urls', 'nats://a:1'], 'admin', /Usage/],
    [[], 'admin', /Usage/],
  ])('is refused with a reason: %j by %s', async (args, client, reason) => {
    const moves = async () => (await sql('SELECT 1 FROM bus_moves')).rows.length;
    const before = await moves();
    const failure: unknown = await moveBus(args, client).catch((error: unknown) => error);
    expect(failure).toMatchObject({ code: 1, stdout: '', stderr: expect.stringMatching(reason) });
    expect(await moves()).toBe(before);
  });
});

describe('directorate nats-auth', () => {
  let nats: TestNats;
  let program: string;
  let child: ChildProcess | undefined;

  beforeAll(async () => {
    [nats, program] = await Promise.all([startNats(), bundleProgram('server/local/nats-auth.ts')]);
  });

  afterAll(async () => {
    child?.kill('SIGKILL');
    await nats?.stop();
  });

  async function writeConfig(): Promise<string> {
    const credentials = (one: { certificate: string; private_key: string }) => ({ certificate: one.certificate, private_key: one.private_key });
    const path = join(folder, 'config.yml');
    await writeFile(path, JSON.stringify({
      listen: { certificate: 'x', private_key: 'x' }, database: { url: store.url }, blobstore: { provider: 'local', path: folder }, cpi: { path: '/bin/false' },
      auth: { users: [{ name: 'admin', password_hash: 'x' }] },
      nats: { urls: nats.urls, ca: nats.ca, ca_private_key: nats.caKey, director: credentials(nats.directorCreds), health_monitor: credentials(nats.hmCreds) },
    }));
    return path;
  }

  test('keeps the users of a server of its own, finds it by its pid file, and ends with SIGTERM', async () => {
    const [server] = nats.servers;
    if (!server) throw new Error('a server expected');
    const users = () => readFile(server.usersFile, 'utf8');
    await writeFile(server.usersFile, '');
    child = spawn(process.execPath, [program, '--config', await writeConfig(), '--server-name', 'own', '--users-file', server.usersFile, '--pid-file', join(dirname(server.usersFile), 'nats.pid'), '--monitor-url', server.monitorUrl], { stdio: 'ignore' });
    await expect.poll(users, { timeout: 10_000 }).toContain('default.director.bosh-internal');
    const loaded = async () => (await (await fetch(new URL('/varz', server.monitorUrl))).json() as { config_load_time: string }).config_load_time;
    const before = await loaded();
    await store.connections.pool.query(`INSERT INTO vms (agent_id, state) VALUES ('6dca3c1c-0000-4000-8000-000000000001', 'creating')`);
    await expect.poll(users, { timeout: 5_000 }).toContain('6dca3c1c-0000-4000-8000-000000000001.bootstrap');
    await expect.poll(loaded, { timeout: 5_000 }).not.toBe(before);
    await expect.poll(async () => (await store.connections.pool.query(`SELECT 1 FROM nats_auth_appliers WHERE server_name = 'own' AND applied_revision = (SELECT revision FROM nats_users_revision)`)).rows.length, { timeout: 5_000 }).toBe(1);
    const ended = new Promise((resolve) => child?.once('exit', resolve));
    child.kill('SIGTERM');
    expect(await ended).toBe(0);
  });
});
