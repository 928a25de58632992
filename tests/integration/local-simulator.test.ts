import { randomUUID } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { sha1Hex } from '../../server/core/digest';
import { silentLog } from '../../server/core/log';
import { buildSettings } from '../../server/local/cpi/agent-settings';
import { findVm, simulatedPath } from '../../server/local/cpi/records';
import { writeJson } from '../../server/local/cpi/state';
import { Simulator } from '../../server/local/simulator/simulator';
import { createAgentIssuer } from '../../server/nats/credentials';
import { openAgentRpc, type AgentRpc } from '../support/agent-rpc';
import { eventually, startLocalCloud, type TestCloud } from '../support/local-cloud';
import { startNats, type TestNats } from '../support/nats';

let nats: TestNats;
let cloud: TestCloud;
let rpc: AgentRpc;
let simulator: Simulator;

beforeAll(async () => {
  nats = await startNats({ servers: 1, agentsOpen: true });
  [cloud, rpc] = await Promise.all([startLocalCloud({ natsUrls: nats.urls, agentProgram: ['/bin/false'] }), openAgentRpc(nats)]);
  simulator = new Simulator({ stateDir: cloud.stateDir, heartbeatIntervalMs: 200, log: silentLog });
  simulator.start();
});
afterAll(async () => {
  await simulator.stop();
  await rpc.stop();
  await cloud.stop();
  await nats.stop();
});

const networks = (ip: string) => ({ default: { type: 'manual', ip, cloud_properties: {} } });
const env = async (agentId: string) => ({ bosh: { mbus: { cert: await createAgentIssuer(nats.ca, nats.caKey).bootstrap(agentId) } } });
const heartbeats = (agentId: string) => rpc.heard.filter((message) => message.subject === `hm.agent.heartbeat.${agentId}`);
const setFaults = (faults: object) => writeFile(join(cloud.stateDir, 'simulator.json'), JSON.stringify(faults));

describe('simulated VMs', () => {
  it('are made by the CPI, deployed to like others, and gone when they are deleted', async () => {
    const stemcell = await cloud.uploadStemcell({ agent: { agent: 'simulated' } });
    const agentId = randomUUID();
    const cid = `vm-${agentId}`;
    expect(await cloud.call('create_vm', [agentId, stemcell, {}, networks('127.79.1.2'), [], await env(agentId)])).toEqual([cid, networks('127.79.1.2')]);
    expect(findVm(cloud.stateDir, cid)).toMatchObject({ agent: 'simulated', state: 'running', pid: null });
    await rpc.waitFor(agentId);
    const { result } = await rpc.call<{ result: { blobstore_id: string; sha1: string } }>(agentId, 'compile_package', ['x', 'y', 'p', '1', {}]);
    expect(sha1Hex(await readFile(join(cloud.blobstore, result.blobstore_id)))).toBe(result.sha1);
    const spec = { deployment: 'd', name: 'web', index: 3, id: 'i', configuration_hash: 'c', job: { name: 'web', templates: [{ name: 'one', version: '1' }, { name: 'two', version: '1' }] }, networks: networks('127.79.1.2') };
    expect(await rpc.call(agentId, 'apply', [spec])).toBe('applied');
    expect(await rpc.call(agentId, 'stop')).toBe('stopped');
    expect(await rpc.call(agentId, 'get_state')).toMatchObject({ deployment: 'd', index: 3, configuration_hash: 'c', job_state: 'stopped' });
    expect(await rpc.call(agentId, 'start')).toBe('started');
    expect(await rpc.call(agentId, 'get_state', ['full'])).toMatchObject({ job_state: 'running', processes: [{ name: 'one' }, { name: 'two' }], vitals: { load: expect.any(Array) } });
    const disk = await cloud.call('create_disk', [10, {}, cid]);
    await cloud.call('attach_disk', [cid, disk]);
    await rpc.call(agentId, 'mount_disk', [disk]);
    expect(await rpc.call(agentId, 'list_disk')).toEqual([disk]);
    await cloud.call('delete_vm', [cid]);
    await eventually(() => simulator.size === 0, 'the simulator lets it go');
    await expect(rpc.send(agentId, 'ping', [], 300)).rejects.toThrow('no answer');
  });

  it('come by the hundred in one process', async () => {
    const ids = Array.from({ length: 100 }, () => randomUUID());
    await Promise.all(
      ids.map(async (agentId) => writeJson(simulatedPath(cloud.stateDir, `vm-${agentId}`), buildSettings(cloud.config, { agentId, cid: `vm-${agentId}`, networks: {}, env: await env(agentId) }))),
    );
    await Promise.all(ids.map((agentId) => rpc.waitFor(agentId, 20_000)));
    expect(await Promise.all(ids.map((agentId) => rpc.call(agentId, 'prepare', [{}])))).toEqual(ids.map(() => 'prepared'));
    expect(simulator.size).toBe(100);
  });

  it('misbehave as they are told', async () => {
    const [slow, lost, sick] = [randomUUID(), randomUUID(), randomUUID()];
    for (const agentId of [slow, lost, sick]) {
      writeJson(simulatedPath(cloud.stateDir, `vm-${agentId}`), buildSettings(cloud.config, { agentId, cid: `vm-${agentId}`, networks: {}, env: await env(agentId) }));
      await rpc.waitFor(agentId);
    }
    await setFaults({
      methods: { run_script: { latency_ms: 300 } },
      agents: { [lost]: { silent: true }, [sick]: { job_state: 'failing', methods: { start: { fail: 'no way' } } } },
    });
    await eventually(async () => (await rpc.send(lost, 'ping', [], 100).catch(() => 'silent')) === 'silent', 'the lost one is silent');
    const startedAt = Date.now();
    await rpc.call(slow, 'run_script', ['pre-start', {}]);
    expect(Date.now() - startedAt).toBeGreaterThanOrEqual(300);
    await expect(rpc.call(sick, 'start')).rejects.toThrow('Action Failed start: no way');
    expect(await rpc.call(sick, 'get_state')).toMatchObject({ job_state: 'failing' });
    const before = heartbeats(lost).length;
    await eventually(() => heartbeats(sick).length > before + 4, 'others beat on');
    expect(heartbeats(lost)).toHaveLength(before);
    await setFaults({});
    await rpc.waitFor(lost);
  });
});
