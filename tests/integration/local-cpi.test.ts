import { randomUUID } from 'node:crypto';
import { existsSync, readFileSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { findVmProcesses } from '../../server/local/cpi/processes';
import { bootVms, haltVms } from '../../server/local/cpi/power';
import { commandLine } from '../../server/local/process-table';
import { findVm, getVm, listVms, saveVm } from '../../server/local/cpi/records';
import { eventually, startLocalCloud, type TestCloud } from '../support/local-cloud';

let cloud: TestCloud;
let stemcell: string;
let host = 10;

beforeAll(async () => {
  cloud = await startLocalCloud({ agentProgram: ['/bin/bash', '-c', 'sleep 1000 & wait'] });
  stemcell = await cloud.uploadStemcell();
});
afterAll(() => cloud.stop());

const newAddress = () => `127.77.1.${host++}`;
const network = (ip: string) => ({ default: { type: 'manual', ip, netmask: '255.255.255.0', gateway: '127.77.1.1', default: ['dns', 'gateway'], dns: [], cloud_properties: {} } });
const createArguments = (agentId: string, ip: string) => [agentId, stemcell, {}, network(ip), [], { bosh: { group: 'd-x-y', mbus: { cert: { ca: 'C', certificate: 'X', private_key: 'SECRET' } } } }];
const processesOf = (cid: string) => findVmProcesses({ cid, group: undefined });
const addressFile = (ip: string) => join(cloud.stateDir, 'addresses', ip);

async function createVm(ip = newAddress()): Promise<{ agentId: string; cid: string; ip: string }> {
  const agentId = randomUUID();
  const result = await cloud.call('create_vm', createArguments(agentId, ip));
  expect(result).toEqual([`vm-${agentId}`, network(ip)]);
  return { agentId, cid: `vm-${agentId}`, ip };
}

describe('the CPI contract', () => {
  it('tells its version and formats', async () => {
    expect(await cloud.start('info', []).reply).toMatchObject({ result: { api_version: 2, stemcell_formats: ['directorate-local'] }, error: null, log: expect.any(String) });
  });

  it('answers what it does not have with NotImplemented and bad arguments with CloudError', async () => {
    expect((await cloud.start('current_vm_id', []).reply).error).toEqual({ type: 'Bosh::Clouds::NotImplemented', message: "The local cloud does not implement 'current_vm_id'", ok_to_retry: false });
    expect((await cloud.start('constructor', []).reply).error?.type).toBe('Bosh::Clouds::NotImplemented');
    expect((await cloud.start('delete_vm', []).reply).error).toMatchObject({ type: 'Bosh::Clouds::CloudError', message: expect.stringContaining('Argument') });
    expect((await cloud.start('delete_vm', ['../../etc']).reply).error?.type).toBe('Bosh::Clouds::VMNotFound');
  });

  it('makes networks with a given range or one of its own, and deletes them once', async () => {
    const given = await cloud.call('create_network', [{ type: 'manual', cloud_properties: { a: 1 }, range: '127.9.0.0/24', gateway: '127.9.0.1' }]);
    expect(given).toEqual([expect.stringMatching(/^net-/), { range: '127.9.0.0/24', gateway: '127.9.0.1', reserved: [] }, { a: 1, name: expect.stringMatching(/^net-/) }]);
    const ranges = await Promise.all([1, 2, 3].map(async () => JSON.stringify(await cloud.call('create_network', [{ type: 'manual', cloud_properties: {}, netmask_bits: 18 }])).match(/"range":"([^"]+)"/)?.[1]));
    expect(new Set(ranges).size).toBe(3);
    for (const range of ranges) expect(range).toMatch(/^127\.210\.\d+\.0\/18$/);
    expect((await cloud.start('create_network', [{ type: 'manual', cloud_properties: {} }]).reply).error).toMatchObject({ type: 'Bosh::Clouds::CloudError', message: expect.stringContaining('netmask_bits') });
    const [cid] = Array.isArray(given) ? given : [];
    await cloud.call('delete_network', [cid]);
    expect((await cloud.start('delete_network', [cid]).reply).error).toMatchObject({ type: 'Bosh::Clouds::NetworkNotFound' });
  });

  it('gives VMs addresses on dynamic networks, each its own, and takes VIPs as they are', async () => {
    const agentId = randomUUID();
    const networks = (ip: string) => ({ ...network(ip), free: { type: 'dynamic', cloud_properties: {} }, more: { type: 'dynamic', cloud_properties: {} }, vip: { type: 'vip', ip: '8.8.4.4', cloud_properties: {} } });
    const ip = newAddress();
    const made = await cloud.call('create_vm', [agentId, stemcell, {}, networks(ip), [], {}]);
    expect(made).toMatchObject([`vm-${agentId}`, { default: { ip }, free: { type: 'dynamic', ip: expect.stringMatching(/^127\.200\./), netmask: '255.0.0.0', gateway: '127.0.0.1' }, vip: { ip: '8.8.4.4' } }]);
    const { ips } = getVm(cloud.stateDir, `vm-${agentId}`);
    expect(new Set(ips).size).toBe(3);
    expect(ips).not.toContain('8.8.4.4');
    expect(ips.every((one) => existsSync(addressFile(one)))).toBe(true);
    expect(await cloud.call('create_vm', [agentId, stemcell, {}, networks(ip), [], {}])).toEqual(made);
    await cloud.call('delete_vm', [`vm-${agentId}`]);
    expect(ips.some((one) => existsSync(addressFile(one)))).toBe(false);
  });

  it('calculates VM properties', async () => {
    expect(await cloud.call('calculate_vm_cloud_properties', [{ ram: 512, cpu: 2, ephemeral_disk_size: 1000 }])).toEqual({ instance_type: 'local', cpu: 2, ram: 512, ephemeral_disk: { size: 1000 } });
  });

  it('refuses an image that is not for this cloud', async () => {
    expect((await cloud.start('create_stemcell', [cloud.configPath, {}]).reply).error?.message).toContain('not a gzipped tar archive');
    const missing = cloud.uploadStemcell({ agent: { agent: 'exec', path: 'bin/bosh-agent' } });
    await expect(missing).rejects.toThrow("no executable 'bin/bosh-agent'");
  });
});

describe('a VM', () => {
  it('is a supervised process with its own /var/vcap, known by its agent id', async () => {
    const { cid, agentId, ip } = await createVm();
    const vm = findVm(cloud.stateDir, cid);
    expect(vm).toMatchObject({ agent_id: agentId, ips: [ip], state: 'running', namespace: expect.stringMatching(/^(root|user)$/) });
    await eventually(() => processesOf(cid).length >= 3, 'supervisor, agent and its child run');
    const settings: unknown = JSON.parse(readFileSync(`/proc/${vm?.pid}/root/var/vcap/bosh/env.json`, 'utf8'));
    expect(settings).toMatchObject({
      agent_id: agentId,
      vm: { name: cid },
      mbus: 'nats://127.0.0.1:1',
      disks: { persistent: {} },
      networks: network(ip),
      blobstore: { provider: 'local' },
      env: { bosh: { group: 'd-x-y', mbus: { cert: { private_key: 'SECRET' } } } },
    });
    expect(existsSync('/var/vcap/bosh/env.json')).toBe(false);
    expect(await cloud.call('has_vm', [cid])).toBe(true);
    await cloud.call('delete_vm', [cid]);
    expect(processesOf(cid)).toEqual([]);
    expect(await cloud.call('has_vm', [cid])).toBe(false);
    expect(existsSync(addressFile(ip))).toBe(false);
    expect((await cloud.start('delete_vm', [cid]).reply).error?.type).toBe('Bosh::Clouds::VMNotFound');
  });

  it('keeps metadata, survives a reboot, and is made once for one agent id', async () => {
    const { cid, agentId, ip } = await createVm();
    const pid = findVm(cloud.stateDir, cid)?.pid;
    expect(await cloud.call('create_vm', createArguments(agentId, ip))).toEqual([cid, network(ip)]);
    expect(findVm(cloud.stateDir, cid)?.pid).toBe(pid);
    await cloud.call('set_vm_metadata', [cid, { deployment: 'd', name: 'web/1' }]);
    await cloud.call('set_vm_metadata', [cid, { name: 'web/2' }]);
    await cloud.call('reboot_vm', [cid]);
    expect(findVm(cloud.stateDir, cid)).toMatchObject({ metadata: { deployment: 'd', name: 'web/2' }, state: 'running' });
    expect(findVm(cloud.stateDir, cid)?.pid).not.toBe(pid);
    await cloud.call('delete_vm', [cid]);
  });

  it('is halted and booted with the installation', async () => {
    const { cid } = await createVm();
    await haltVms(cloud.config);
    expect(processesOf(cid)).toEqual([]);
    expect(await cloud.call('has_vm', [cid])).toBe(true);
    await bootVms(cloud.config);
    await eventually(() => processesOf(cid).length >= 2, 'it runs again');
    const pid = findVm(cloud.stateDir, cid)?.pid;
    await bootVms(cloud.config);
    expect(findVm(cloud.stateDir, cid)?.pid).toBe(pid);
    await cloud.call('delete_vm', [cid]);
  });

  it('has an address that no other VM gets, also when many ask at once', async () => {
    const ip = newAddress();
    const replies = await Promise.all(Array.from({ length: 6 }, () => cloud.start('create_vm', createArguments(randomUUID(), ip)).reply));
    const made = replies.filter((reply) => reply.error === null);
    expect(made).toHaveLength(1);
    expect(replies.find((reply) => reply.error !== null)?.error).toMatchObject({ type: 'Bosh::Clouds::VMCreationFailed', message: expect.stringContaining(`${ip} is in use by VM`) });
    const owners = listVms(cloud.stateDir).filter((vm) => vm.ips.includes(ip));
    expect(owners).toHaveLength(1);
    for (const { cid } of owners) await cloud.call('delete_vm', [cid]);
  });

  it('logs every call with its private keys left out', async () => {
    const { cid } = await createVm();
    await cloud.call('delete_vm', [cid]);
    const log = readFileSync(join(cloud.stateDir, 'requests.jsonl'), 'utf8');
    expect(log).not.toContain('SECRET');
    const lines = log.trim().split('\n').map((line) => JSON.parse(line));
    expect(lines.at(-1)).toMatchObject({ method: 'delete_vm', arguments: [cid], result: null, request_id: expect.stringMatching(/^cpi-/) });
    expect(lines.at(-2)).toMatchObject({ method: 'create_vm', arguments: [expect.any(String), stemcell, {}, expect.any(Object), [], { bosh: { group: 'd-x-y', redacted: true } }] });
  });
});

describe('without namespaces', () => {
  it('VMs have a base directory instead of /var/vcap, and are deleted as completely', async () => {
    const bare = await startLocalCloud({ namespace: 'none', agentProgram: ['/bin/bash', '-c', 'echo "$@" > args; setsid sleep 1000 & wait', 'agent'] });
    try {
      const agentId = randomUUID();
      const cid = `vm-${agentId}`;
      const image = await bare.uploadStemcell();
      await bare.call('create_vm', [agentId, image, {}, network('127.77.2.2'), [], {}]);
      const base = join(bare.stateDir, 'vms', cid, 'vcap');
      await eventually(() => existsSync(join(base, 'args')) && processesOf(cid).length >= 3, 'the agent runs');
      expect(readFileSync(join(base, 'args'), 'utf8')).toBe(`-b ${base} -C ${base}/agent.json\n`);
      await bare.call('delete_vm', [cid]);
      expect(processesOf(cid)).toEqual([]);
      expect(existsSync(base)).toBe(false);
    } finally {
      await bare.stop();
    }
  });
});

describe('a director that dies in mid-call', () => {
  it('finds a VM whose create_vm was killed before the reply', async () => {
    const agentId = randomUUID();
    const ip = newAddress();
    await cloud.hook('create_vm.after.delay_ms', { ms: 60_000, once: true, match: agentId });
    const call = cloud.start('create_vm', createArguments(agentId, ip));
    await eventually(() => findVm(cloud.stateDir, `vm-${agentId}`)?.state === 'running', 'the VM exists');
    await cloud.reached('create_vm.after.delay_ms');
    call.kill();
    expect(await cloud.call('has_vm', [`vm-${agentId}`])).toBe(true);
    await cloud.call('delete_vm', [`vm-${agentId}`]);
    expect(processesOf(`vm-${agentId}`)).toEqual([]);
    expect(existsSync(addressFile(ip))).toBe(false);
  });

  it('can forbid a VM whose create_vm is still on its way', async () => {
    const agentId = randomUUID();
    const ip = newAddress();
    await cloud.hook('create_vm.before.delay_ms', { ms: 1500, once: true, match: agentId });
    const orphan = cloud.start('create_vm', createArguments(agentId, ip));
    await cloud.reached('create_vm.before.delay_ms');
    expect(await cloud.call('has_vm', [`vm-${agentId}`])).toBe(false);
    expect((await cloud.start('delete_vm', [`vm-${agentId}`]).reply).error?.type).toBe('Bosh::Clouds::VMNotFound');
    const { cid } = await createVm(ip);
    expect((await orphan.reply).error?.message).toContain('was deleted before it was made');
    expect(findVm(cloud.stateDir, `vm-${agentId}`)).toBeUndefined();
    await cloud.call('delete_vm', [cid]);
  });

  it('is never blocked by what a killed call left, whenever it was killed', async () => {
    const ip = newAddress();
    for (let delayMs = 45; delayMs <= 110; delayMs += 5) {
      const agentId = randomUUID();
      const call = cloud.start('create_vm', createArguments(agentId, ip));
      await new Promise((resolve) => {
        setTimeout(resolve, delayMs);
      });
      call.kill();
      await cloud.start('delete_vm', [`vm-${agentId}`]).reply;
      expect(processesOf(`vm-${agentId}`)).toEqual([]);
      expect(findVm(cloud.stateDir, `vm-${agentId}`)).toBeUndefined();
    }
    const { cid } = await createVm(ip);
    const deletion = cloud.start('delete_vm', [cid]);
    await new Promise((resolve) => {
      setTimeout(resolve, 60);
    });
    deletion.kill();
    await cloud.start('delete_vm', [cid]).reply;
    expect(processesOf(cid)).toEqual([]);
    expect(existsSync(addressFile(ip))).toBe(false);
    expect(readdirSync(join(cloud.stateDir, 'vms'))).not.toContain(cid);
  });

  it('makes a half-made VM anew under the same agent id', async () => {
    const { cid, agentId, ip } = await createVm();
    const vm = getVm(cloud.stateDir, cid);
    // As if the call had been killed between starting the supervisor and recording it.
    saveVm(cloud.stateDir, { ...vm, state: 'creating', pid: null, process: null });
    await cloud.call('create_vm', createArguments(agentId, ip));
    expect(findVm(cloud.stateDir, cid)?.state).toBe('running');
    await eventually(() => processesOf(cid).filter((pid) => commandLine(pid).includes('supervise.sh')).length === 1, 'one supervisor runs');
    await cloud.call('delete_vm', [cid]);
  });

  it('forces errors by hooks, once or always', async () => {
    await cloud.hook('has_vm.fail', { type: 'Bosh::Clouds::CpiError', message: 'out of order', ok_to_retry: true, once: true });
    expect((await cloud.start('has_vm', ['x']).reply).error).toEqual({ type: 'Bosh::Clouds::CpiError', message: 'out of order', ok_to_retry: true });
    expect((await cloud.start('has_vm', ['x']).reply).result).toBe(false);
  });
});

describe('a disk', () => {
  it('is made, attached to one VM, shown in its settings, snapshotted, resized, detached and deleted', async () => {
    const [one, two] = await Promise.all([createVm(), createVm()]);
    const disk = String(await cloud.call('create_disk', [100, {}, one.cid]));
    expect(await cloud.call('has_disk', [disk])).toBe(true);
    const hint = String(await cloud.call('attach_disk', [one.cid, disk]));
    expect(statSync(hint).isDirectory()).toBe(true);
    expect(await cloud.call('attach_disk', [one.cid, disk])).toBe(hint);
    expect(await cloud.call('get_disks', [one.cid])).toEqual([disk]);
    const settings = () => JSON.parse(readFileSync(join(cloud.stateDir, 'vms', one.cid, 'vcap', 'bosh', 'env.json'), 'utf8')).disks.persistent;
    expect(settings()).toEqual({ [disk]: hint });
    expect((await cloud.start('attach_disk', [two.cid, disk]).reply).error?.message).toContain(`is attached to VM '${one.cid}'`);
    expect((await cloud.start('detach_disk', [two.cid, disk]).reply).error?.type).toBe('Bosh::Clouds::DiskNotAttached');
    expect((await cloud.start('delete_disk', [disk]).reply).error?.message).toContain('detach it first');
    await cloud.call('set_disk_metadata', [disk, { deployment: 'd' }]);
    await cloud.call('resize_disk', [disk, 200]);
    expect(await cloud.call('update_disk', [disk, 300, { type: 'ssd' }])).toBeNull();
    const snapshot = String(await cloud.call('snapshot_disk', [disk, { index: 0 }]));
    expect(existsSync(join(cloud.stateDir, 'snapshots', snapshot, 'data'))).toBe(true);
    await cloud.call('delete_snapshot', [snapshot]);
    await cloud.call('detach_disk', [one.cid, disk]);
    expect(settings()).toEqual({});
    await cloud.call('attach_disk', [two.cid, disk]);
    await cloud.call('delete_vm', [two.cid]);
    await cloud.call('delete_disk', [disk]);
    expect((await cloud.start('delete_disk', [disk]).reply).error?.type).toBe('Bosh::Clouds::DiskNotFound');
    await cloud.call('delete_vm', [one.cid]);
  });
});
