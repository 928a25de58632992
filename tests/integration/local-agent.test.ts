import { randomUUID } from 'node:crypto';
import { execFileSync } from 'node:child_process';
import { existsSync, lstatSync, readlinkSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { sha1Hex, sha256Hex } from '../../server/core/digest';
import { silentLog } from '../../server/core/log';
import { Agent, type AgentParts } from '../../server/local/agent/agent';
import { isAlive, readText } from '../../server/local/agent/proc';
import { packTgz, type TarEntry } from '../../server/local/samples/tarball';
import { ctl, monit, script } from '../support/job-sources';
import { eventually, readTarEntry } from '../support/local-cloud';

const agentId = randomUUID();
const networks = { private: { type: 'manual', ip: '127.77.9.9', prefix: '32', netmask: '255.255.255.0', cloud_properties: { name: 'net-two' }, default: ['dns', 'gateway'], dns: [], gateway: '127.77.9.1' } };
let folder: string;
let base: string;
let agent: Agent;
let parts: AgentParts;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'directorate-agent-'));
  base = join(folder, 'vcap');
  await mkdir(join(folder, 'blobs'));
  await mkdir(join(base, 'bosh'), { recursive: true });
  await writeFile(join(base, 'bosh', 'env.json'), JSON.stringify({
    agent_id: agentId,
    vm: { name: 'vm-1' },
    mbus: 'nats://127.0.0.1:1',
    blobstore: { provider: 'local', options: { blobstore_path: join(folder, 'blobs') } },
    disks: { persistent: {} },
    networks,
    env: {},
  }));
  await boot();
});

afterEach(async () => {
  await call('stop').catch(() => undefined);
  await agent.stop();
  await rm(folder, { recursive: true, force: true });
});

async function boot(): Promise<void> {
  agent = new Agent({ base, settingsPath: join(base, 'bosh', 'env.json'), heartbeatIntervalMs: 30_000, log: silentLog, vmMarkerValue: `test-${agentId}`, onPowerOff: () => undefined });
  parts = await agent.boot();
}

/** One request as it comes from the bus, and its answer. */
async function send(method: string, args: unknown[] = []): Promise<{ value?: unknown; exception?: { message: string } }> {
  const reply = await parts.dispatcher.handle(JSON.stringify({ protocol: 3, method, arguments: args, reply_to: `director.d.${agentId}.r` }));
  expect(reply?.subject).toBe(`director.d.${agentId}.r`);
  return JSON.parse(reply?.payload ?? '');
}

/** A request and, for long-running actions, the polls after it; throws on an exception. */
async function call<T = unknown>(method: string, args: unknown[] = []): Promise<T> {
  let response = await send(method, args);
  for (;;) {
    if (response.exception) throw new Error(response.exception.message);
    const task = taskOf(response.value);
    if (task === undefined) return response.value as T;
    await new Promise((resolve) => {
      setTimeout(resolve, 20);
    });
    response = await send('get_task', [task]);
  }
}

function taskOf(value: unknown): string | undefined {
  return typeof value === 'object' && value !== null && 'agent_task_id' in value && typeof value.agent_task_id === 'string' ? value.agent_task_id : undefined;
}

async function putBlob(content: Buffer): Promise<string> {
  const id = randomUUID();
  await writeFile(join(folder, 'blobs', id), content);
  return id;
}

interface JobSource {
  monit?: string;
  files: TarEntry[];
}

/** A full spec whose jobs are in the blobstore. */
async function specOf(jobs: Record<string, JobSource>, over: object = {}): Promise<Record<string, unknown>> {
  const entries = Object.entries(jobs).flatMap(([name, job]) => [{ name: `${name}/monit`, content: job.monit ?? '' }, ...job.files.map((file) => ({ ...file, name: `${name}/${file.name}` }))]);
  const archive = await packTgz(entries);
  const names = Object.keys(jobs);
  return {
    deployment: 'dep',
    job: { name: 'web', template: names[0], version: 'v1', templates: names.map((name) => ({ name, version: `${name}-v1`, sha1: 'x', blobstore_id: 'y', logs: [] })) },
    index: 1,
    name: 'web',
    id: 'b2f0a6c0-0000-4000-8000-000000000000',
    az: 'z2',
    networks,
    packages: {},
    persistent_disk: 0,
    configuration_hash: sha1Hex(archive),
    template_hashes: {},
    rendered_templates_archive: { blobstore_id: await putBlob(archive), sha1: sha1Hex(archive) },
    ...over,
  };
}

/** What the pidfile says; undefined while there is none. */
function pidOf(name: string): number | undefined {
  const text = readText(join(base, 'sys', 'run', name, `${name}.pid`));
  return text === undefined ? undefined : Number(text);
}

/** The pidfile's process, which must be there. */
function livePid(name: string): number {
  const pid = pidOf(name);
  if (pid === undefined || !isAlive(pid)) throw new Error(`${name} does not run`);
  return pid;
}

const isRestarted = async (name: string, before: number) => pidOf(name) !== before && (await jobState()) === 'running';
const jobState = async () => (await call<{ job_state: string }>('get_state')).job_state;

describe('the protocol', () => {
  it('answers synchronous actions at once and refuses what it does not know', async () => {
    expect(await send('ping')).toEqual({ value: 'pong' });
    expect(await send('info')).toEqual({ value: { api_version: 1 } });
    expect(await send('delete_arp_entries', [{ ips: ['10.0.0.1'] }])).toEqual({ value: {} });
    expect(await send('no_such_thing')).toEqual({ exception: { message: 'unknown message no_such_thing' } });
    expect(await send('get_task')).toEqual({ exception: { message: 'Action Failed get_task: Not enough arguments, expected 1, got 0' } });
    expect(await send('get_task', ['nothing'])).toEqual({ exception: { message: 'Action Failed get_task: Task with id nothing could not be found' } });
    expect((await send('ssh', ['setup', {}])).exception?.message).toContain('no SSH server');
    expect(await parts.dispatcher.handle('{broken')).toBeUndefined();
  });

  it('is empty before the first apply and known after an initial one', async () => {
    expect(await call('get_state')).toMatchObject({ agent_id: agentId, job: { name: null }, index: null, networks: {}, job_state: 'running', vm: { name: 'vm-1' } });
    const initial = { deployment: 'lab', job: { name: 'web' }, index: 1, id: 'i-1', networks };
    expect(await call('apply', [initial])).toBe('applied');
    // What the stock agent answers, field by field (the networks exactly as they were sent).
    expect(await call('get_state')).toEqual({
      properties: { logging: { max_log_file_size: '' } },
      job: { name: 'web', release: '', template: '', version: '', templates: null },
      packages: {}, configuration_hash: '', networks, resource_pool: {}, deployment: 'lab', name: '', index: 1, id: 'i-1', az: '', persistent_disk: 0,
      rendered_templates_archive: null, agent_id: agentId, job_state: 'running', vm: { name: 'vm-1' },
    });
    expect(await readFile(join(base, 'instance', 'id'), 'utf8')).toBe('i-1');
  });

  it('reports vitals as strings', async () => {
    const number = expect.stringMatching(/^\d+(\.\d+)?$/);
    expect(await call('get_state', ['full'])).toMatchObject({
      vitals: { load: [number, number, number], cpu: { user: number, sys: number, wait: number }, mem: { percent: number, kb: number }, swap: { percent: number }, uptime: { secs: expect.any(Number) }, disk: { system: { percent: number, inode_percent: number }, ephemeral: { percent: number } } },
    });
  });

  it('refuses a spec with a network that the VM does not have', async () => {
    await expect(call('apply', [{ networks: { other: {} } }])).rejects.toThrow("Network 'other' is not found in settings");
  });
});

describe('jobs', () => {
  it('are installed, started in the order of their dependencies, supervised, drained and stopped', async () => {
    const spec = await specOf({
      front: { monit: monit('front', 'depends on store'), files: [script('bin/ctl', ctl('front'))] },
      store: { monit: monit('store'), files: [script('bin/ctl', ctl('store')), script('bin/drain', 'echo "$@" >> /var/vcap/sys/log/drain.log; [ "$1" = job_check_status ] && echo 0 || echo -1')] },
    });
    expect(await call('prepare', [spec])).toBe('prepared');
    expect(existsSync(join(base, 'jobs', 'store'))).toBe(false);
    expect(await call('apply', [spec])).toBe('applied');
    expect(lstatSync(join(base, 'jobs', 'store')).isSymbolicLink()).toBe(true);
    expect(await call('start')).toBe('started');
    await eventually(async () => (await jobState()) === 'running', 'both run');
    expect((await readFile(join(base, 'sys', 'log', 'order.log'), 'utf8')).trim().split('\n').sort()).toEqual(['start-front', 'start-store']);
    const state = await call<{ processes: unknown[] }>('get_state');
    expect(state.processes).toEqual(['store', 'front'].map((name) => ({ name, state: 'running', uptime: { secs: expect.any(Number) }, mem: { kb: expect.any(Number), percent: expect.any(Number) }, cpu: { total: expect.any(Number) } })));

    const before = livePid('front');
    process.kill(before, 'SIGKILL');
    await eventually(() => isRestarted('front', before), 'the killed process was started again');

    const next = { ...spec, configuration_hash: 'other', job: { ...(spec.job as object), version: 'v2' }, packages: {} };
    expect(await call('drain', ['update', next])).toBe(0);
    expect((await readFile(join(base, 'sys', 'log', 'drain.log'), 'utf8')).split('\n')).toEqual(['job_changed hash_changed', 'job_check_status hash_unchanged', '']);
    expect(await jobState()).toBe('failing');
    const pids = [livePid('front'), livePid('store')];
    expect(await call('stop')).toBe('stopped');
    expect(pids.map((pid) => isAlive(pid))).toEqual([false, false]);
    expect(await jobState()).toBe('stopped');
    expect((await readFile(join(base, 'sys', 'log', 'order.log'), 'utf8')).trim().split('\n').slice(-2)).toEqual(['stop-front', 'stop-store']);
  });

  it('go on while the agent is restarted, which takes them up again', async () => {
    await call('apply', [await specOf({ solo: { monit: monit('solo'), files: [script('bin/ctl', ctl('solo'))] } })]);
    await call('start');
    await eventually(async () => (await jobState()) === 'running', 'it runs');
    const pid = livePid('solo');
    await agent.stop();
    await boot();
    expect(await jobState()).toBe('running');
    expect(pidOf('solo')).toBe(pid);
    process.kill(pid, 'SIGKILL');
    await eventually(() => isRestarted('solo', pid), 'it is still supervised');
  });

  it('are failing when their process does not come up, and starting meanwhile', async () => {
    await call('apply', [await specOf({ broken: { monit: monit('broken'), files: [script('bin/ctl', 'exit 1')] } })]);
    await call('start');
    expect(await jobState()).toBe('starting');
    await eventually(async () => (await jobState()) === 'failing', 'it is given up');
  });

  it('are replaced by the next spec, and only what changed is fetched', async () => {
    const first = await specOf({ one: { files: [] }, two: { files: [] } });
    await call('apply', [first]);
    await rm(join(folder, 'blobs'), { recursive: true });
    await call('apply', [first]);
    await mkdir(join(folder, 'blobs'));
    await call('apply', [await specOf({ two: { files: [] } })]);
    expect(await readdir(join(base, 'jobs'))).toEqual(['two']);
    expect(await readdir(join(base, 'data', 'jobs'))).toEqual(['two']);
  });

  it('are not installed from an archive with a wrong digest', async () => {
    const spec = await specOf({ one: { files: [] } });
    const archive = { ...(spec.rendered_templates_archive as object), sha1: `sha256:${sha256Hex('other')}` };
    await expect(call('apply', [{ ...spec, rendered_templates_archive: archive }])).rejects.toThrow('expected sha256 digest');
    expect(await readdir(join(base, 'jobs'))).toEqual([]);
  });

  it('come from an uploaded archive, which is gone after the apply', async () => {
    const archive = await packTgz([{ name: 'one/monit', content: '' }]);
    const id = randomUUID();
    const payload = archive.toString('base64').replaceAll(/(.{60})/g, '$1\n');
    await expect(call('upload_blob', [{ blob_id: id, checksum: sha1Hex('other'), payload }])).rejects.toThrow('does not have the digest');
    expect(await call('upload_blob', [{ blob_id: id, checksum: sha1Hex(archive), payload }])).toBe(id);
    const spec = await specOf({ one: { files: [] } });
    await call('apply', [{ ...spec, rendered_templates_archive: { blobstore_id: id, sha1: sha1Hex(archive) } }]);
    expect(await readdir(join(base, 'jobs'))).toEqual(['one']);
    expect(await readdir(join(base, 'data', 'sensitive_blobs'))).toEqual([]);
  });
});

describe('scripts', () => {
  it('run in all jobs that have them with the given environment; failures are named', async () => {
    await call('apply', [await specOf({
      good: { files: [script('bin/pre-start', 'echo "$GREETING"; echo oops >&2')] },
      bad: { files: [script('bin/pre-start', 'exit 3')] },
      none: { files: [] },
    })]);
    expect(await call('run_script', ['post-start', {}])).toEqual({});
    await expect(call('run_script', ['pre-start', { env: { GREETING: 'hi' } }])).rejects.toThrow(/^Action Failed get_task: Task \S+ result: 1 of 2 pre-start scripts failed\. Failed Jobs: bad\. Successful Jobs: good\.$/);
    expect(await readFile(join(base, 'sys', 'log', 'good', 'pre-start.stdout.log'), 'utf8')).toBe('hi\n');
    expect(await readFile(join(base, 'sys', 'log', 'good', 'pre-start.stderr.log'), 'utf8')).toBe('oops\n');
  });

  it('errands answer with their output and status, and can be cancelled', async () => {
    await call('apply', [await specOf({ smoke: { files: [script('bin/run', '[ -e /var/vcap/data/slow ] && { trap "echo caught; exit 9" TERM; echo begun; sleep 30 & wait; }; echo fine; echo hm >&2; exit 2')] } })]);
    expect(await call('run_errand', ['smoke'])).toEqual({ stdout: 'fine\n', stderr: 'hm\n', exit_code: 2 });
    expect(await call('run_errand')).toMatchObject({ exit_code: 2 });
    await expect(call('run_errand', ['other'])).rejects.toThrow('Could not find errand other');
    await writeFile(join(base, 'data', 'slow'), '');
    const task = taskOf((await send('run_errand', ['smoke'])).value);
    await new Promise((resolve) => {
      setTimeout(resolve, 200);
    });
    expect(await send('cancel_task', [task])).toEqual({ value: 'canceled' });
    await eventually(async () => taskOf((await send('get_task', [task])).value) === undefined, 'it ends');
    expect((await send('get_task', [task])).value).toEqual({ stdout: 'begun\ncaught\n', stderr: '', exit_code: 9 });
  });
});

describe('packages', () => {
  it('are compiled by their packaging script with their dependencies in place', async () => {
    const common = await packTgz([{ name: 'packaging', content: 'echo common > $BOSH_INSTALL_TARGET/word' }]);
    const compiled = await call<{ result: { blobstore_id: string; sha1: string } }>('compile_package', [await putBlob(common), sha1Hex(common), 'common', '1.1', {}]);
    const content = await readFile(join(folder, 'blobs', compiled.result.blobstore_id));
    expect(compiled.result.sha1).toBe(sha1Hex(content));
    expect((await readTarEntry(content, './word')).toString()).toBe('common\n');

    const app = await packTgz([{ name: 'packaging', content: 'cat $(dirname $BOSH_INSTALL_TARGET)/common/word > $BOSH_INSTALL_TARGET/said; echo $BOSH_PACKAGE_NAME/$BOSH_PACKAGE_VERSION >> $BOSH_INSTALL_TARGET/said' }]);
    const deps = { common: { name: 'common', version: '1.1', sha1: compiled.result.sha1, blobstore_id: compiled.result.blobstore_id } };
    const whole = await call<{ result: { blobstore_id: string; sha1: string } }>('compile_package', [await putBlob(app), `${sha1Hex(app)};sha256:${sha256Hex(app)}`, 'app', '2.1', deps]);
    expect((await readTarEntry(await readFile(join(folder, 'blobs', whole.result.blobstore_id)), './said')).toString()).toBe('common\napp/2.1\n');
    expect(await readdir(join(base, 'packages'))).toEqual([]);

    await call('apply', [await specOf({ one: { files: [] } }, { packages: { app: { name: 'app', version: '2.1', sha1: whole.result.sha1, blobstore_id: whole.result.blobstore_id } } })]);
    expect(await readFile(join(base, 'jobs', 'one', 'packages', 'app', 'said'), 'utf8')).toContain('app/2.1');
    expect(await readFile(join(base, 'packages', 'app', 'said'), 'utf8')).toContain('common');
  });

  it('report what a failing packaging script said', async () => {
    const source = await packTgz([{ name: 'packaging', content: 'echo complaint\nexit 9\n' }]);
    await expect(call('compile_package', [await putBlob(source), sha1Hex(source), 'rotten', '1.1', {}])).rejects.toThrow(
      'Compiling package rotten: Running packaging script: Command exited with 9; Stdout: complaint\n, Stderr: + echo complaint\n+ exit 9\n',
    );
  });

  it('go over signed URLs without a blobstore of the agent', async () => {
    const blobs = new Map<string, Buffer>();
    const server = createServer((request, response) => {
      const path = (request.url ?? '').replace(/\?.*/, '');
      if (request.headers['x-key'] !== 'k') return void response.writeHead(403).end();
      if (request.method === 'GET') return void response.writeHead(blobs.has(path) ? 200 : 404).end(blobs.get(path));
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk)).on('end', () => {
        blobs.set(path, Buffer.concat(chunks));
        response.writeHead(201).end();
      });
      return undefined;
    });
    await new Promise<void>((resolve) => {
      server.listen(0, '127.0.0.1', resolve);
    });
    const address = server.address();
    const url = `http://127.0.0.1:${typeof address === 'object' && address !== null ? address.port : 0}`;
    try {
      const source = await packTgz([{ name: 'packaging', content: 'echo x > $BOSH_INSTALL_TARGET/x' }]);
      blobs.set('/source', source);
      const request = { package_get_signed_url: `${url}/source?sig=1`, upload_signed_url: `${url}/result?sig=2`, blobstore_headers: { 'x-key': 'k' }, digest: sha1Hex(source), name: 'x', version: '1.1', deps: {} };
      const { result } = await call<{ result: { sha1: string } }>('compile_package_with_signed_url', [request]);
      expect(result.sha1).toMatch(new RegExp(`^${sha1Hex(blobs.get('/result') ?? '')};sha512:[0-9a-f]{128}$`));
      await mkdir(join(base, 'sys', 'log', 'one'), { recursive: true });
      await writeFile(join(base, 'sys', 'log', 'one', 'a.log'), 'line\n');
      await call('fetch_logs_with_signed_url', [{ signed_url: `${url}/logs`, log_type: 'job', filters: null, blobstore_headers: { 'x-key': 'k' } }]);
      expect((await readTarEntry(blobs.get('/logs') ?? Buffer.alloc(0), 'one/a.log')).toString()).toBe('line\n');
    } finally {
      server.close();
    }
  });
});

describe('logs, DNS, settings and disks', () => {
  it('bundles the logs that the filters choose', async () => {
    await mkdir(join(base, 'sys', 'log', 'one', 'deep'), { recursive: true });
    for (const name of ['one/a.log', 'one/a.txt', 'one/deep/b.log']) await writeFile(join(base, 'sys', 'log', name), name);
    const names = async (filters: string[] | null) => {
      const { blobstore_id, sha1 } = await call<{ blobstore_id: string; sha1: string }>('fetch_logs', ['job', filters]);
      const path = join(folder, 'blobs', blobstore_id);
      expect(sha1).toBe(sha1Hex(await readFile(path)));
      return execFileSync('tar', ['-tzf', path], { encoding: 'utf8' }).trim().split('\n').filter((name) => name !== './');
    };
    expect(await names(null)).toEqual(['one/a.log', 'one/a.txt', 'one/deep/b.log']);
    expect(await names(['**/*.log'])).toEqual(['one/a.log', 'one/deep/b.log']);
    expect(await names(['one/*.log'])).toEqual(['one/a.log']);
    expect(await names(['nothing'])).toEqual(['']);
    await expect(call('fetch_logs', ['other', null])).rejects.toThrow('Invalid log type');
  });

  it('takes newer DNS records only', async () => {
    const records = (version: number) => Buffer.from(JSON.stringify({ records: [['10.0.0.1', 'a.b.c.bosh']], version, record_keys: [], record_infos: [], aliases: {} }));
    expect(await call('sync_dns', [await putBlob(records(3)), sha1Hex(records(3)), 3])).toBe('synced');
    expect(await readFile(join(base, 'bosh', 'etc_hosts'), 'utf8')).toContain('10.0.0.1 a.b.c.bosh');
    expect(await call('sync_dns', ['not-there', 'x', 2])).toBe('synced');
    expect(JSON.parse(await readFile(join(base, 'instance', 'dns', 'records.json'), 'utf8')).version).toBe(3);
    await expect(call('sync_dns', [await putBlob(records(5)), sha1Hex(records(5)), 4])).rejects.toThrow('has version 5, not 4');
  });

  it('stores settings: certificates replace, the bus stays until another is given', async () => {
    const stored = async () => JSON.parse(await readFile(join(base, 'bosh', 'update_settings.json'), 'utf8'));
    expect(await call('update_settings', [{ trusted_certs: 'PEM', disk_associations: [], mbus: { cert: { ca: 'A', certificate: 'B', private_key: 'C' } } }])).toBe('ok');
    expect(await call('update_settings', [{ trusted_certs: '', disk_associations: [] }])).toBe('ok');
    expect(await stored()).toMatchObject({ trusted_certs: '', mbus: { cert: { ca: 'A', certificate: 'B', private_key: 'C' } } });
  });

  it('mounts, migrates and unmounts disks', async () => {
    const [old, next] = [join(folder, 'disk-old'), join(folder, 'disk-new')];
    await mkdir(old);
    await mkdir(next);
    await writeFile(join(old, 'precious'), 'data');
    await call('add_persistent_disk', ['d-old', old]);
    expect(await call('mount_disk', ['d-old'])).toEqual({});
    expect(readlinkSync(join(base, 'store'))).toBe(old);
    expect(await call('list_disk')).toEqual(['d-old']);
    await call('add_persistent_disk', ['d-new', { path: next }]);
    await call('mount_disk', ['d-new']);
    expect(await call<string[]>('list_disk')).toEqual(['d-old', 'd-new']);
    expect(await call('migrate_disk', ['d-old', 'd-new'])).toEqual({});
    expect(await readFile(join(base, 'store', 'precious'), 'utf8')).toBe('data');
    expect(await call('list_disk')).toEqual(['d-new']);
    expect(await call('unmount_disk', ['d-old'])).toEqual({ message: "Partition of disk 'd-old' is not mounted" });
    await call('remove_persistent_disk', ['d-old']);
    await expect(call('mount_disk', ['d-old'])).rejects.toThrow("'d-old' could not be found");
    expect(await call('unmount_disk', ['d-new'])).toEqual({ message: "Unmounted partition of disk 'd-new'" });
    expect(await call('list_disk')).toEqual([]);
  });
});
