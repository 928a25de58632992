import { randomUUID } from 'node:crypto';
import { connect, type NatsConnection } from '@nats-io/transport-node';
import type { TestNats } from './nats';

/** What a director does on the bus, by hand: requests to agents, and what agents say by themselves. */
export interface AgentRpc {
  /** One request; rejects after `timeoutMs` or with the agent's exception. */
  send(agentId: string, method: string, args?: unknown[], timeoutMs?: number): Promise<unknown>;
  /** A request and, for long-running actions, the polls after it. */
  call<T = unknown>(agentId: string, method: string, args?: unknown[]): Promise<T>;
  /** Pings until the agent answers. */
  waitFor(agentId: string, timeoutMs?: number): Promise<void>;
  /** Messages of agents to the health monitor, in the order of arrival. */
  heard: { subject: string; data: unknown }[];
  stop(): Promise<void>;
}

export async function openAgentRpc(nats: TestNats): Promise<AgentRpc> {
  const options = (creds: { certificate: string; private_key: string }) => ({ servers: nats.urls, tls: { ca: nats.ca, cert: creds.certificate, key: creds.private_key }, timeout: 2000, maxReconnectAttempts: -1 });
  const [director, monitor] = await Promise.all([connect(options(nats.directorCreds)), connect(options(nats.hmCreds))]);
  const inbox = randomUUID();
  const waiting = new Map<string, (payload: string) => void>();
  director.subscribe(`director.${inbox}.>`, { callback: (_error, message) => waiting.get(message.subject.split('.').at(-1) ?? '')?.(message.string()) });
  const heard: AgentRpc['heard'] = [];
  for (const kind of ['heartbeat', 'alert', 'shutdown']) {
    monitor.subscribe(`hm.agent.${kind}.*`, { callback: (_error, message) => void heard.push({ subject: message.subject, data: message.json() }) });
  }
  await Promise.all([director.flush(), monitor.flush()]);
  const send = (agentId: string, method: string, args: unknown[] = [], timeoutMs = 5000) => request({ director, waiting, inbox, agentId, method, args, timeoutMs });
  return {
    send,
    heard,
    call: async <T>(agentId: string, method: string, args: unknown[] = []) => {
      let value = await send(agentId, method, args);
      while (isRunning(value)) {
        await new Promise((resolve) => {
          setTimeout(resolve, 30);
        });
        value = await send(agentId, 'get_task', [value.agent_task_id]);
      }
      return value as T;
    },
    waitFor: async (agentId, timeoutMs = 10_000) => {
      for (const deadline = Date.now() + timeoutMs; ; ) {
        try {
          await send(agentId, 'ping', [], 300);
          return;
        } catch (error) {
          if (Date.now() > deadline) throw error;
        }
      }
    },
    stop: async () => {
      await Promise.all([director.close(), monitor.close()]);
    },
  };
}

function request(input: { director: NatsConnection; waiting: Map<string, (payload: string) => void>; inbox: string; agentId: string; method: string; args: unknown[]; timeoutMs: number }): Promise<unknown> {
  const id = randomUUID();
  const done = new Promise<unknown>((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`no answer to ${input.method} from ${input.agentId} within ${input.timeoutMs} ms`)), input.timeoutMs);
    input.waiting.set(id, (payload) => {
      clearTimeout(timer);
      const response: { value?: unknown; exception?: { message: string } } = JSON.parse(payload);
      if (response.exception) reject(new Error(response.exception.message));
      else resolve(response.value);
    });
  });
  const reply_to = `director.${input.inbox}.${input.agentId}.${id}`;
  input.director.publish(`agent.${input.agentId}`, JSON.stringify({ protocol: 3, method: input.method, arguments: input.args, reply_to }));
  return done.finally(() => void input.waiting.delete(id));
}

function isRunning(value: unknown): value is { agent_task_id: string } {
  return typeof value === 'object' && value !== null && 'agent_task_id' in value && 'state' in value && value.state === 'running';
}
