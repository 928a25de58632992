import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { sleep } from '../../server/core/clock';
import type { SwarmAgent } from '../../server/local/simulator/swarm';
import { openAgentRpc, type AgentRpc } from '../support/agent-rpc';
import { bundleProgram } from '../support/bundle';
import { startNats, type TestNats } from '../support/nats';
import { SwarmProcess } from '../support/swarm-process';

const agents: SwarmAgent[] = Array.from({ length: 50 }, (_, index) => ({ id: randomUUID(), deployment: 'dep', job: 'web', index, instanceId: randomUUID() }));
const [first, second, third] = agents.map((agent) => agent.id);
if (!first || !second || !third) throw new Error('no agents');

let nats: TestNats;
let rpc: AgentRpc;
let swarm: SwarmProcess;

beforeAll(async () => {
  nats = await startNats({ agentsOpen: true });
  rpc = await openAgentRpc(nats);
  swarm = await SwarmProcess.start(await bundleProgram('server/local/simulator/main.ts'), {
    urls: nats.urls, ca: nats.ca, certificate: nats.hmCreds.certificate, private_key: nats.hmCreds.private_key, connections: 2, agents,
  });
});
afterAll(async () => {
  await swarm?.stop();
  await rpc?.stop();
  await nats?.stop();
});

test('each agent answers for itself', async () => {
  expect(await rpc.send(first, 'ping')).toBe('pong');
  expect(await rpc.send(second, 'get_state', ['full'])).toMatchObject({ agent_id: second, deployment: 'dep', job_state: 'running', vitals: { cpu: {} } });
  expect(await rpc.send(first, 'sync_dns', ['blob', 'digest', 4])).toBe('synced');
  expect(await rpc.send(second, 'sync_dns_with_signed_url', [{ signed_url: 'u', multi_digest: 'd', version: 3 }])).toBe('synced');
  expect(await rpc.call(first, 'update_settings', [{ mbus: {} }])).toBe('ok');
  await expect(rpc.send(first, 'nonsense')).rejects.toThrow('unknown message nonsense');
  expect(await swarm.order({ stats: true })).toMatchObject({ answered: { ping: 1, update_settings: 1 }, dnsVersions: { 0: 48, 3: 1, 4: 1 }, dnsStepsBack: 0 });
});

test('an older version after a newer one is counted', async () => {
  expect(await rpc.send(first, 'sync_dns', ['blob', 'digest', 3])).toBe('synced');
  expect(await swarm.order({ stats: true })).toMatchObject({ dnsVersions: { 4: 1 }, dnsStepsBack: 1 });
});

test('agents beat at the wanted rate, each in its turn; silent and absent ones neither beat nor answer', async () => {
  await swarm.order({ silent: [second] });
  await swarm.order({ absent: [third] });
  await swarm.order({ job_state: 'failing', of: [first] });
  const before = await swarm.order({ heartbeats_per_second: 400 });
  await sleep(1_000);
  const after = await swarm.order({ heartbeats_per_second: 0 });
  expect(after.heartbeats - before.heartbeats).toBeGreaterThan(300);
  expect(after.heartbeats - before.heartbeats).toBeLessThan(500);
  await expect.poll(() => rpc.heard.length).toBe(after.heartbeats);
  const beats = new Map(rpc.heard.toReversed().map((one) => [one.subject.replace('hm.agent.heartbeat.', ''), one.data]));
  expect(beats.size).toBe(48);
  expect(beats.get(first)).toMatchObject({ deployment: 'dep', job: 'web', index: 0, job_state: 'failing', node_id: agents[0]?.instanceId, number_of_processes: 3, vitals: { load: ['0.10', '0.08', '0.02'] } });
  await expect(rpc.send(second, 'ping', [], 200)).rejects.toThrow();
  await expect(rpc.send(third, 'ping', [], 200)).rejects.toThrow();
  await swarm.order({ silent: [second], on: false });
  await swarm.order({ absent: [third], on: false });
  expect(await rpc.send(second, 'ping')).toBe('pong');
  expect(await rpc.send(third, 'ping')).toBe('pong');
});
