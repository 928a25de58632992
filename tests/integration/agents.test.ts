import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import type { AgentCaller } from '../../server/agents/agent';
import { AgentClient } from '../../server/agents/client';
import type { AgentRpc } from '../../server/agents/request';
import { sleep } from '../../server/core/clock';
import { silentLog } from '../../server/core/log';
import { Bus } from '../../server/nats/connection';
import { longAction, silent, startFakeAgent, type Answer, type FakeAgent } from '../support/fake-agent';
import { startNats, type TestNats } from '../support/nats';

let nats: TestNats;
const ends: (() => unknown)[] = [];

beforeAll(async () => {
  // As in production: everybody may do what BOSH's users file says.
  nats = await startNats({ servers: 3 });
});
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});
afterAll(() => nats?.stop());

function openBus(urls: readonly string[] = nats.urls): Bus {
  const bus = new Bus({ name: 'test', urls, ca: nats.ca, certificate: nats.directorCreds.certificate, privateKey: nats.directorCreds.private_key, log: silentLog });
  bus.start();
  ends.push(() => bus.stop());
  return bus;
}

/** A node's client, with the metrics of its requests. */
async function openClient(bus = openBus()): Promise<{ client: AgentClient; bus: Bus; rpcs: AgentRpc[] }> {
  const rpcs: AgentRpc[] = [];
  const client = new AgentClient({ bus, nodeId: randomUUID(), onRpc: (rpc) => rpcs.push(rpc) });
  client.start();
  ends.push(() => client.stop());
  await expect.poll(() => bus.isConnected(), { timeout: 5_000 }).toBe(true);
  return { client, bus, rpcs };
}

const authorised: string[] = [];

/** An agent with the permissions that agents have, and no others. */
async function openAgent(answers: Record<string, Answer> = {}, options: { id?: string; servers?: readonly string[] } = {}): Promise<FakeAgent> {
  const id = options.id ?? randomUUID();
  authorised.push(id);
  await nats.authorise(authorised);
  const agent = await startFakeAgent({ nats, answers, ...options, id });
  ends.push(() => agent.stop());
  return agent;
}

/** A task as agents see it; `memory` outlives its attempts. */
function openTask(memory = new Map<string, unknown>()) {
  const lost = new AbortController();
  const cancelled = new AbortController();
  const lines: string[] = [];
  let fences = 0;
  const make = (signal: AbortSignal): AgentCaller => ({
    signal,
    log: { debug: (text) => void lines.push(text) },
    fence: async () => {
      fences += 1;
      signal.throwIfAborted();
    },
    remembered: (key) => memory.get(key),
    remember: async (key, value) => {
      lost.signal.throwIfAborted();
      if (value === undefined) memory.delete(key);
      else memory.set(key, value);
    },
    uncancellable: () => make(lost.signal),
  });
  return { caller: make(AbortSignal.any([lost.signal, cancelled.signal])), memory, lines, lose: () => lost.abort(new Error('lost')), cancel: () => cancelled.abort(new Error('cancelled')), fences: () => fences };
}

const target = (agent: { id: string }) => ({ id: agent.id, name: 'web/uuid', cid: 'vm-1' });

test('a request is answered, written to the debug log and counted', async () => {
  const { client, rpcs } = await openClient();
  const agent = await openAgent({ get_state: () => ({ job_state: 'running', processes: [] }) });
  const task = openTask();
  expect(await client.agentFor(target(agent), task.caller).getState({ full: true })).toMatchObject({ job_state: 'running' });
  expect(agent.received).toEqual([{ method: 'get_state', args: ['full'] }]);
  expect(task.lines[0]).toMatch(new RegExp(`^SENT: agent\\.${agent.id} {"protocol":3,"method":"get_state","arguments":\\["full"\\],"reply_to":"director\\.[-0-9a-f]+\\.${agent.id}\\.[-0-9a-f]+"}$`));
  expect(task.lines[1]).toMatch(/^RECEIVED: director\.\S+ {"value":{"job_state":"running","processes":\[\]}}$/);
  expect(rpcs).toEqual([{ method: 'get_state', ms: expect.any(Number), outcome: 'ok' }]);
  expect(task.fences()).toBe(1);
});

test('an exception is an error with the words of the agent; unknown methods are tolerated where agents may lack them', async () => {
  const { client } = await openClient();
  const agent = await openAgent({ start: () => { throw new Error('Action Failed start: no monit'); } });
  const { caller } = openTask();
  const to = client.agentFor(target(agent), caller);
  await expect(to.start()).rejects.toMatchObject({ code: 450001, message: 'Action Failed start: no monit' });
  await expect(to.apply({})).rejects.toMatchObject({ code: 450001, message: 'unknown message apply' });
  await to.runScript('pre-start');
  await to.updateSettings({ trusted_certs: '', disk_associations: [] });
  expect(await to.info()).toEqual({ api_version: 0 });
  expect(await to.uploadBlob({ blobId: 'b', digest: 'd', content: Buffer.from('x') })).toBe(false);
  const windows = await openAgent({ upload_blob: () => { throw new Error('Opening blob store file: open \\var\\vcap\\data\\blobs\\b: The system cannot find the path specified.'); } });
  expect(await client.agentFor(target(windows), caller).uploadBlob({ blobId: 'b', digest: 'd', content: Buffer.from('x') })).toBe(false);
  const taking = await openAgent({ upload_blob: () => 'd' });
  expect(await client.agentFor(target(taking), caller).uploadBlob({ blobId: 'b', digest: 'd', content: Buffer.alloc(46) })).toBe(true);
  // Lines of 60 characters, as a Ruby director sends them.
  expect(taking.received.at(-1)).toEqual({ method: 'upload_blob', args: [{ blob_id: 'b', checksum: 'd', payload: `${'A'.repeat(60)}\nAA==\n` }] });
  expect(await to.uploadBlob({ blobId: 'b', digest: 'd', content: Buffer.alloc(1 << 20) })).toBe(false);
});

test('silence ends in BOSH\'s timeout, absence too', async () => {
  const { client } = await openClient();
  const agent = await openAgent({ get_state: () => silent });
  const { caller } = openTask();
  await expect(client.agentFor(target(agent), caller).getState({ timeoutMs: 300 })).rejects.toMatchObject({
    code: 450002, message: `Timed out sending 'get_state' to instance: 'web/uuid', agent-id: '${agent.id}' after 0.3 seconds`,
  });
  const nobody = randomUUID();
  await expect(client.waitUntilReady({ id: nobody, name: 'web/uuid', cid: 'vm-1' }, 500, caller)).rejects.toMatchObject({
    code: 450002, message: `Timed out pinging VM 'vm-1' with agent '${nobody}' after 0.5 seconds`,
  });
});

test('an agent that appears is noticed at once', async () => {
  const { client } = await openClient();
  const { caller } = openTask();
  const id = randomUUID();
  const ready = client.waitUntilReady({ id, name: 'web/uuid', cid: 'vm-1' }, 10_000, caller).then(() => performance.now());
  await sleep(300);
  await openAgent({}, { id });
  const appeared = performance.now();
  expect((await ready) - appeared).toBeLessThan(1_000);
});

test('a long action is polled to its end, its id is remembered meanwhile and forgotten afterwards', async () => {
  const { client } = await openClient();
  const agent = await openAgent({ apply: longAction('apply', { value: 'applied' }, 150), compile_package: longAction('compile_package', { exception: 'Compiling package rotten: exit 9' }, 10) });
  const task = openTask();
  const to = client.agentFor(target(agent), task.caller);
  const applying = to.apply({ deployment: 'd' });
  await expect.poll(() => task.memory.size, { interval: 5 }).toBe(1);
  expect([...task.memory]).toEqual([[`agent/${agent.id}`, { method: 'apply', of: expect.any(String), agentTaskId: [...agent.actions.keys()][0] }]]);
  await applying;
  expect(agent.count('apply')).toBe(1);
  expect(task.memory.size).toBe(0);
  await expect(to.compilePackage({ blobstoreId: 'b', digest: 'd', name: 'rotten', version: '1.1', dependencies: {} })).rejects.toThrow(/result: Compiling package rotten: exit 9$/);
  expect(task.memory.size).toBe(0);
});

test('the next owner of a task goes on waiting for the running action instead of starting it again', async () => {
  const agent = await openAgent({ apply: longAction('apply', { value: 'applied' }), stop: longAction('stop', { value: 'stopped' }, 0) });
  const first = openTask();
  const { client } = await openClient();
  const interrupted = client.agentFor(target(agent), first.caller).apply({ deployment: 'd' });
  await expect.poll(() => first.memory.size).toBe(1);
  first.lose();
  await expect(interrupted).rejects.toThrow('lost');
  expect(agent.count('cancel_task')).toBe(0);

  const second = openTask(first.memory);
  const { client: other } = await openClient();
  const resumed = other.agentFor(target(agent), second.caller).apply({ deployment: 'd' });
  setTimeout(() => Object.assign([...agent.actions.values()][0] ?? {}, { done: { value: 'applied' } }), 100);
  await resumed;
  expect(agent.count('apply')).toBe(1);
  expect(second.memory.size).toBe(0);
});

test('an owner that does something else first waits for what an earlier one left running', async () => {
  const agent = await openAgent({ apply: longAction('apply', { value: 'applied' }), stop: longAction('stop', { value: 'stopped' }, 0) });
  const first = openTask();
  const { client } = await openClient();
  const interrupted = client.agentFor(target(agent), first.caller).apply({ deployment: 'd' });
  await expect.poll(() => first.memory.size).toBe(1);
  first.lose();
  await expect(interrupted).rejects.toThrow('lost');
  const stopping = client.agentFor(target(agent), openTask(first.memory).caller).stop();
  await sleep(400);
  expect(agent.count('stop')).toBe(0);
  Object.assign([...agent.actions.values()][0] ?? {}, { done: { exception: 'whatever' } });
  await stopping;
  expect(agent.count('stop')).toBe(1);
});

test('an agent that lost its action is asked again, unless the action must not run twice', async () => {
  const { client } = await openClient();
  const agent = await openAgent({ prepare: longAction('prepare', { value: 'prepared' }, 300), run_errand: longAction('run_errand', { value: {} }) });
  const to = client.agentFor(target(agent), openTask().caller);
  const preparing = to.prepare({});
  await expect.poll(() => agent.actions.size).toBe(1);
  agent.forget();
  await preparing;
  expect(agent.count('prepare')).toBe(2);
  const running = to.runErrand('smoke');
  running.catch(() => undefined);
  await expect.poll(() => agent.actions.size).toBe(2);
  agent.forget();
  await expect(running).rejects.toMatchObject({ code: 450001, message: expect.stringMatching(/does not know its task .* \(run_errand\) any more/) });
  expect(agent.count('run_errand')).toBe(1);
});

test('a cancel ends waiting at once, reaches a drain, and lets an errand give its output', async () => {
  const { client } = await openClient();
  const agent = await openAgent({ get_state: () => silent, drain: longAction('drain', { value: 0 }), run_errand: longAction('run_errand', { value: {} }) });
  const asking = openTask();
  const waiting = client.agentFor(target(agent), asking.caller).getState();
  setTimeout(() => asking.cancel(), 50);
  const before = performance.now();
  await expect(waiting).rejects.toThrow('cancelled');
  expect(performance.now() - before).toBeLessThan(1_000);

  const draining = openTask();
  const drain = client.agentFor(target(agent), draining.caller).drain('shutdown');
  await expect.poll(() => draining.memory.size).toBe(1);
  draining.cancel();
  await expect(drain).rejects.toThrow('cancelled');
  expect(agent.count('cancel_task')).toBe(1);

  const errand = openTask();
  const running = client.agentFor(target(agent), errand.caller).runErrand();
  await expect.poll(() => errand.memory.size).toBe(1);
  errand.cancel();
  expect(await running).toEqual({ stdout: 'half', stderr: '', exit_code: 143 });
  expect(errand.memory.size).toBe(0);
});

test('a stop whose processes do not end is no error; a drain sleeps as long as the script says', async () => {
  const { client } = await openClient();
  const drains = [-1, 0];
  const agent = await openAgent({ stop: longAction('stop', { exception: 'Timed out waiting for service web to stop' }, 0), drain: () => drains.shift() });
  const to = client.agentFor(target(agent), openTask().caller);
  await to.stop();
  await to.drain('update', { deployment: 'd' });
  expect(agent.received.filter((one) => one.method === 'drain').map((one) => one.args)).toEqual([['update', { deployment: 'd' }], ['status']]);
});

test('a NATS server that dies with the request costs an idempotent call less than 2 s', async () => {
  const { client, bus } = await openClient(openBus([nats.urls[0] ?? '', nats.urls[1] ?? '']));
  await expect.poll(() => bus.status().connected).toBe(true);
  const server = nats.servers.find((one) => one.url.endsWith(bus.status().server?.split(':').at(-1) ?? '-'));
  if (!server) throw new Error(`no server at ${bus.status().server ?? 'nowhere'}`);
  let asked = 0;
  const agent = await openAgent({ get_state: () => ((asked += 1), asked === 1 ? silent : { job_state: 'running' }) }, { servers: [nats.urls[2] ?? ''] });
  const asking = client.agentFor(target(agent), openTask().caller).getState();
  await expect.poll(() => asked).toBe(1);
  const killed = performance.now();
  server.process.kill('SIGKILL');
  expect(await asking).toEqual({ job_state: 'running' });
  expect(performance.now() - killed).toBeLessThan(2_000);
  expect(bus.status()).toMatchObject({ connected: true, connects: 2 });
  await expect.poll(() => server.process.state, { timeout: 10_000 }).toBe('running');
});

test('an agent whose own NATS server dies with the request is asked again: cheap calls by time, actions on evidence', async () => {
  const { client } = await openClient(openBus([nats.urls[0] ?? '']));
  let asked = 0;
  let applied = 0;
  const apply = longAction('apply', { value: 'applied' }, 0);
  const agent = await openAgent({
    list_disk: () => ((asked += 1), asked === 1 ? silent : []),
    apply: (args, self) => ((applied += 1), applied === 1 ? silent : apply(args, self)),
    run_errand: () => silent,
  });
  const to = client.agentFor(target(agent), openTask().caller);
  const started = performance.now();
  expect(await Promise.all([to.listDisk(), to.apply({})])).toEqual([[], undefined]);
  expect(performance.now() - started).toBeLessThan(4_000);
  expect([asked, applied]).toEqual([2, 2]);
});

test('a bus without a server connects by itself when one appears, and stops at once', async () => {
  const server = nats.servers[2];
  if (!server) throw new Error('three servers expected');
  await server.process.stop();
  const bus = openBus([server.url]);
  const heard: string[] = [];
  bus.subscribe('director.late.>', (message) => void heard.push(message.subject));
  await sleep(300);
  expect(bus.isConnected()).toBe(false);
  expect(bus.publish('agent.x', Buffer.from('{}'))).toBe(false);
  await server.process.start();
  await expect.poll(() => bus.isConnected(), { timeout: 5_000 }).toBe(true);
  expect(bus.publish('agent.nobody', Buffer.from('{}'), 'director.late.nobody.1')).toBe(true);
  await expect.poll(() => heard).toEqual(['director.late.nobody.1']);
  const before = performance.now();
  await bus.stop();
  expect(performance.now() - before).toBeLessThan(500);
});

test('a server that is about to leave is left before it goes', async () => {
  const bus = openBus(nats.urls.slice(0, 2));
  await expect.poll(() => bus.isConnected(), { timeout: 5_000 }).toBe(true);
  const left = bus.status().server;
  const server = nats.servers.find((one) => one.url.endsWith(left?.split(':').at(-1) ?? '-'));
  if (!server) throw new Error(`no server at ${left ?? 'nowhere'}`);
  server.process.kill('SIGUSR2');
  await expect.poll(() => bus.status().connected && bus.status().server !== left, { timeout: 5_000 }).toBe(true);
  server.process.kill('SIGKILL');
});
