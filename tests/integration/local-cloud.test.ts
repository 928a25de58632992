import { randomUUID } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { get } from 'node:http';
import { join } from 'node:path';
import { json } from 'node:stream/consumers';
import { parse } from 'yaml';
import { z } from 'zod';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { sleep } from '../../server/core/clock';
import { sha1Hex } from '../../server/core/digest';
import { findVmProcesses } from '../../server/local/cpi/processes';
import { haltVms, bootVms } from '../../server/local/cpi/power';
import { findVm } from '../../server/local/cpi/records';
import { buildHelloRelease } from '../../server/local/samples/release';
import { createAgentIssuer } from '../../server/nats/credentials';
import { createArchive } from '../../server/templates/archive';
import { archiveEntries } from '../../server/templates/instance';
import { jobSources, readJobArchive } from '../../server/templates/job-archive';
import { noDnsIds } from '../../server/templates/render-job';
import { Renderer } from '../../server/templates/renderer';
import { openAgentRpc, type AgentRpc } from '../support/agent-rpc';
import { bundleProgram } from '../support/bundle';
import { eventually, readTarEntry, startLocalCloud, type TestCloud } from '../support/local-cloud';
import { startNats, type TestNats } from '../support/nats';
import { templateSpec } from '../support/render-job';

let nats: TestNats;
let cloud: TestCloud;
let rpc: AgentRpc;
let renderer: Renderer;
let stemcell: string;

beforeAll(async () => {
  nats = await startNats({ servers: 1 });
  [cloud, rpc] = await Promise.all([startLocalCloud({ natsUrls: nats.urls, heartbeatIntervalMs: 500 }), openAgentRpc(nats)]);
  renderer = new Renderer({ workerPath: await bundleProgram('server/templates/worker.ts') });
  stemcell = await cloud.uploadStemcell();
});
afterAll(async () => {
  await renderer.stop();
  await rpc.stop();
  await cloud.stop();
  await nats.stop();
});

const networkOf = (ip: string) => ({ default: { type: 'manual', ip, prefix: '32', netmask: '255.255.255.0', gateway: '127.78.1.1', default: ['dns', 'gateway'], dns: [], cloud_properties: {} } });
const issuer = () => createAgentIssuer(nats.ca, nats.caKey);

async function createVm(ip: string): Promise<{ agentId: string; cid: string; ip: string }> {
  const agentId = randomUUID();
  await nats.authorise([agentId]);
  await cloud.call('create_vm', [agentId, stemcell, {}, networkOf(ip), [], { bosh: { mbus: { cert: await issuer().bootstrap(agentId) } } }]);
  await rpc.waitFor(agentId);
  return { agentId, cid: `vm-${agentId}`, ip };
}

async function putBlob(content: Buffer): Promise<string> {
  const id = randomUUID();
  await writeFile(join(cloud.blobstore, id), content);
  return id;
}

interface Compiled {
  name: string;
  version: string;
  sha1: string;
  blobstore_id: string;
}

/** Compiles the sample release's packages on a VM, in the order of their dependencies. */
async function compileHello(agentId: string, tarball: Buffer): Promise<Compiled[]> {
  const manifest: { packages: { name: string; version: string; sha1: string; dependencies: string[] }[] } = parse((await readTarEntry(tarball, './release.MF')).toString());
  const compiled: Compiled[] = [];
  for (const { name, version, sha1, dependencies } of manifest.packages) {
    const source = await putBlob(await readTarEntry(tarball, `./packages/${name}.tgz`));
    const deps = Object.fromEntries(compiled.filter((each) => dependencies.includes(each.name)).map((each) => [each.name, each]));
    const { result } = await rpc.call<{ result: { blobstore_id: string; sha1: string } }>(agentId, 'compile_package', [source, sha1, name, `${version}.1`, deps]);
    compiled.push({ name, version: `${version}.1`, ...result });
  }
  return compiled;
}

/** The apply spec of an instance that runs the job `hello`, its templates rendered by real Ruby. */
async function helloSpec(vm: { ip: string }, tarball: Buffer, packages: Compiled[], greeting: string): Promise<Record<string, unknown>> {
  const archive = await readJobArchive(await readTarEntry(tarball, './jobs/hello.tgz'), { jobName: 'hello', parseYaml: parse });
  const properties = { port: 8080, greeting, node: process.execPath, drain_seconds: 1 };
  const spec = { deployment: 'hello', name: 'hello', index: 1, az: 'z2', id: randomUUID(), ip: vm.ip, networks: networkOf(vm.ip), properties };
  const rendered = await renderer.render({ ...jobSources(archive), context: templateSpec(spec), dns: noDnsIds }, 'test');
  const templates = await createArchive(archiveEntries([rendered]));
  return {
    deployment: spec.deployment, name: spec.name, index: spec.index, id: spec.id, az: spec.az, networks: spec.networks,
    job: { name: 'hello', template: 'hello', version: 'v1', templates: [{ name: 'hello', version: 'v1', sha1: 'x', blobstore_id: 'x', logs: [] }] },
    packages: Object.fromEntries(packages.map((each) => [each.name, each])),
    configuration_hash: sha1Hex(greeting),
    rendered_templates_archive: { blobstore_id: await putBlob(templates.bytes), sha1: templates.sha1 },
    persistent_disk: 0,
  };
}

/** A job whose process runs may not listen yet. */
async function fetchJson(url: string): Promise<unknown> {
  for (const deadline = performance.now() + 10_000; ; await sleep(100)) {
    try {
      return await new Promise((resolve, reject) => {
        get(url, (response) => resolve(json(response))).once('error', reject);
      });
    } catch (error) {
      if (performance.now() > deadline) throw error;
    }
  }
}

async function fetchServer(ip: string): Promise<{ pid: number }> {
  return z.object({ pid: z.number() }).parse(await fetchJson(`http://${ip}:8080/`));
}

const jobState = async (agentId: string) => (await rpc.call<{ job_state: string }>(agentId, 'get_state')).job_state;

describe('an instance of the sample release', () => {
  it('is compiled, rendered, started on its own address, updated with a drain, restarted with its VM and deleted', async () => {
    const { tarball } = await buildHelloRelease();
    const vm = await createVm('127.78.1.10');
    const { agentId, cid, ip } = vm;
    await rpc.call(agentId, 'update_settings', [{ trusted_certs: '', disk_associations: [] }]);
    await rpc.call(agentId, 'apply', [{ deployment: 'hello', job: { name: 'hello' }, index: 1, id: 'i', networks: networkOf(ip) }]);
    const packages = await compileHello(agentId, tarball);
    const update = async (greeting: string) => {
      const spec = await helloSpec(vm, tarball, packages, greeting);
      await rpc.call(agentId, 'prepare', [spec]);
      await rpc.call(agentId, 'run_script', ['pre-stop', {}]);
      expect(await rpc.call(agentId, 'drain', ['update', spec])).toBe(0);
      await rpc.call(agentId, 'stop');
      await rpc.call(agentId, 'apply', [spec]);
      await rpc.call(agentId, 'run_script', ['pre-start', {}]);
      expect(await rpc.call(agentId, 'start')).toBe('started');
      await eventually(async () => (await jobState(agentId)) === 'running', 'the job runs');
      await rpc.call(agentId, 'run_script', ['post-start', {}]);
      await rpc.call(agentId, 'run_script', ['post-deploy', {}]);
    };
    await update('first');
    const expected = { ip, port: 8080, deployment: 'hello', instance_group: 'hello', index: 1, az: 'z2', networks: { default: ip }, word: expect.any(String) };
    expect(await fetchJson(`http://${ip}:8080/`)).toMatchObject({ greeting: 'first', ...expected });
    await update('second');
    expect(await fetchJson(`http://${ip}:8080/`)).toMatchObject({ greeting: 'second', ...expected });

    const { blobstore_id } = await rpc.call<{ blobstore_id: string }>(agentId, 'fetch_logs', ['job', []]);
    const log = (await readTarEntry(await readFile(join(cloud.blobstore, blobstore_id)), 'hello/hello.stdout.log')).toString();
    expect(log.split('\n')).toEqual([`listening on ${ip}:8080`, 'draining', 'stopping', `listening on ${ip}:8080`, '']);

    const beat = () => rpc.heard.findLast((message) => message.subject === `hm.agent.heartbeat.${agentId}`)?.data;
    await eventually(() => JSON.stringify(beat() ?? '').includes('"job_state":"running"'), 'a heartbeat tells that it runs again');
    expect(beat()).toMatchObject({ deployment: 'hello', job: 'hello', index: 1, node_id: expect.any(String), number_of_processes: 1, vitals: { load: expect.any(Array) } });

    const { pid } = await fetchServer(ip);
    process.kill(pid, 'SIGKILL');
    await eventually(async () => (await fetchServer(ip).catch(() => ({ pid }))).pid !== pid, 'the killed server runs again');
    expect(rpc.heard.find((message) => message.subject === `hm.agent.alert.${agentId}`)?.data).toEqual({
      id: expect.any(String), severity: 1, title: `hello (${ip}) - does not exist - restart`, summary: 'process is not running', created_at: expect.any(Number),
    });

    await haltVms(cloud.config);
    await expect(fetchJson(`http://${ip}:8080/`)).rejects.toThrow();
    await bootVms(cloud.config);
    await rpc.waitFor(agentId);
    await eventually(async () => (await jobState(agentId)) === 'running', 'the job runs again after the boot');
    expect(await fetchJson(`http://${ip}:8080/`)).toMatchObject({ greeting: 'second' });

    await cloud.call('delete_vm', [cid]);
    expect(findVmProcesses({ cid, group: undefined })).toEqual([]);
    await expect(fetchJson(`http://${ip}:8080/`)).rejects.toThrow();
  });
});

describe('the agent on the bus', () => {
  it('is heard as soon as it is connected', async () => {
    const { agentId, cid } = await createVm('127.78.1.11');
    await eventually(() => rpc.heard.some((message) => message.subject === `hm.agent.heartbeat.${agentId}`), 'a heartbeat', 1000);
    await cloud.call('delete_vm', [cid]);
  });

  it('takes permanent credentials without missing a request, and needs the bootstrap ones no more', async () => {
    const { agentId, cid } = await createVm('127.78.1.12');
    const mbus = { cert: await issuer().permanent(agentId) };
    expect(await rpc.call(agentId, 'update_settings', [{ trusted_certs: '', disk_associations: [], mbus }])).toBe('ok');
    await nats.authorise([{ agentId, bootstrap: false }]);
    await rpc.waitFor(agentId);
    await cloud.call('reboot_vm', [cid]);
    await rpc.waitFor(agentId);
    await cloud.call('delete_vm', [cid]);
  });

  it('comes when it is authorised later than it booted', async () => {
    const agentId = randomUUID();
    await nats.authorise([]);
    await cloud.call('create_vm', [agentId, stemcell, {}, networkOf('127.78.1.13'), [], { bosh: { mbus: { cert: await issuer().bootstrap(agentId) } } }]);
    await expect(rpc.waitFor(agentId, 1500)).rejects.toThrow('no answer');
    await nats.authorise([agentId]);
    await rpc.waitFor(agentId);
    await cloud.call('delete_vm', [`vm-${agentId}`]);
  });

  it('is started again when it dies, but not when it was told to power its VM off', async () => {
    const { agentId, cid } = await createVm('127.78.1.14');
    const supervisor = findVm(cloud.stateDir, cid)?.pid;
    const agentPid = findVmProcesses({ cid, group: undefined }).find((pid) => pid !== supervisor);
    process.kill(agentPid ?? 0, 'SIGKILL');
    await rpc.waitFor(agentId);
    expect(findVm(cloud.stateDir, cid)?.pid).toBe(supervisor);
    await rpc.send(agentId, 'shutdown');
    await eventually(() => findVmProcesses({ cid, group: undefined }).length === 0, 'the VM is off');
    await cloud.call('delete_vm', [cid]);
  });
});
