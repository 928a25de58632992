import { randomUUID } from 'node:crypto';
import { getEventListeners } from 'node:events';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { callerWithoutTask } from '../../server/agents/agent';
import { AgentClient } from '../../server/agents/client';
import { sleep } from '../../server/core/clock';
import { silentLog } from '../../server/core/log';
import { Bus } from '../../server/nats/connection';
import { Detours } from '../../server/nats/detours';
import { startFakeAgent, type FakeAgent } from '../support/fake-agent';
import { startNats, type TestNats } from '../support/nats';

/** Servers that do not tell each other which agents listen to them, as happens when such a notice is lost. */

let nats: TestNats;
let bus: Bus;
let detours: Detours;
let client: AgentClient;
let withoutDetours: AgentClient;
const agents: FakeAgent[] = [];
const ids = [randomUUID(), randomUUID(), randomUUID()];
const runs: string[] = [];

beforeAll(async () => {
  nats = await startNats({ servers: 3, hiddenSubjects: ['agent.*'] });
  const credentials = { name: 'test', urls: nats.urls, ca: nats.ca, certificate: nats.directorCreds.certificate, privateKey: nats.directorCreds.private_key };
  bus = new Bus({ ...credentials, log: silentLog });
  bus.start();
  detours = new Detours(credentials, silentLog);
  client = new AgentClient({ bus, detours, nodeId: randomUUID() });
  client.start();
  withoutDetours = new AgentClient({ bus, nodeId: randomUUID() });
  withoutDetours.start();
  await nats.authorise(ids);
  for (const [i, id] of ids.entries()) {
    const noted = (value: unknown) => () => {
      runs.push(id);
      return value;
    };
    const answers = { ping: () => 'pong', get_state: () => ({ job_state: 'running' }), run_errand: noted({ stdout: 'x', stderr: '', exit_code: 0 }), stop: noted('stopped') };
    agents.push(await startFakeAgent({ nats, answers, id, servers: [nats.urls[i] ?? ''] }));
  }
  while (!bus.isConnected()) await sleep(20);
});
afterAll(async () => {
  for (const agent of agents) await agent.stop();
  await detours.stop();
  await bus.stop();
  await nats.stop();
});

const agentFor = (of: AgentClient, id: string) => of.agentFor({ id, name: id }, callerWithoutTask(AbortSignal.timeout(20_000)));

describe('agents that our server does not know of', () => {
  it('cannot be reached by it', async () => {
    const answers = await Promise.allSettled(ids.map((id) => agentFor(withoutDetours, id).getState({ timeoutMs: 2_000 })));
    expect(answers.filter((one) => one.status === 'rejected')).toHaveLength(2);
  });

  it('are found at their own server, soon', async () => {
    const since = performance.now();
    const states = await Promise.all(ids.map((id) => agentFor(client, id).getState({ timeoutMs: 5_000 })));
    expect(states.map((state) => state.job_state)).toEqual(['running', 'running', 'running']);
    expect(performance.now() - since).toBeLessThan(3_500);
  });

  it('are not given twice what must not run twice', async () => {
    runs.splice(0);
    await Promise.all(ids.map((id) => agentFor(client, id).runErrand()));
    await Promise.all(ids.map((id) => agentFor(client, id).stop()));
    expect(runs.toSorted()).toEqual([...ids, ...ids].toSorted());
  });

  it('are found for callers that do not wait for absent ones, who still learn soon that nobody is there', async () => {
    await Promise.all(ids.map((id) => agentFor(client, id).ping({ absent: 'fail' })));
    const since = performance.now();
    await expect(agentFor(client, randomUUID()).ping({ absent: 'fail' })).rejects.toMatchObject({ code: 450002 });
    expect(performance.now() - since).toBeLessThan(1_500);
  });

  it('leave nothing behind at the signal of a caller that asks for ever', async () => {
    const { signal } = new AbortController();
    await expect(client.agentFor({ id: randomUUID(), name: 'absent' }, callerWithoutTask(signal)).ping({ absent: 'fail' })).rejects.toMatchObject({ code: 450002 });
    expect(getEventListeners(signal, 'abort')).toEqual([]);
    // Where Node keeps what `AbortSignal.any` made of a signal.
    expect(Object.getOwnPropertySymbols(signal).filter((symbol) => symbol.description === 'kDependantSignals')).toEqual([]);
  });
});
