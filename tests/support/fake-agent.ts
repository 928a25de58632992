import { randomUUID } from 'node:crypto';
import { connect, type NatsConnection } from '@nats-io/transport-node';
import { z } from 'zod';
import { createAgentIssuer } from '../../server/nats/credentials';
import type { TestNats } from './nats';

/** What an agent answers: a value, or what it throws as an exception. `undefined` from `silent`: nothing at all. */
export type Answer = (args: unknown[], agent: FakeAgent) => unknown;

/** Returned by an Answer that gives none. */
export const silent = Symbol('no answer');

const requestShape = z.object({ method: z.string(), arguments: z.array(z.unknown()), reply_to: z.string() });

export interface FakeAgent {
  id: string;
  /** Every request that arrived, in order. */
  received: { method: string; args: unknown[] }[];
  /** How often a method was asked for. */
  count(method: string): number;
  /** Long actions by agent task id: set `done` to end one. */
  actions: Map<string, { method: string; done?: { value: unknown } | { exception: string }; cancelled?: boolean }>;
  /** Loses all actions, as a restart does. */
  forget(): void;
  connection: NatsConnection;
  stop(): Promise<void>;
}

/** Begins a long action; the answer for which `get_task` is then asked. It ends after `ms`, or never without `ms`. */
export function longAction(method: string, outcome: { value: unknown } | { exception: string }, ms?: number): Answer {
  return (_args, agent) => {
    const id = randomUUID();
    agent.actions.set(id, { method });
    if (ms !== undefined) setTimeout(() => Object.assign(agent.actions.get(id) ?? {}, { done: outcome }), ms);
    return { agent_task_id: id, state: 'running' };
  };
}

/**
 * An agent that exists only on NATS, over real TLS with its own certificate. `servers` picks the URLs it knows, first one first.
 * Without an answer for a method it says `unknown message`, as agents do.
 */
export async function startFakeAgent(options: { nats: TestNats; id?: string; servers?: readonly string[]; answers?: Record<string, Answer> }): Promise<FakeAgent> {
  const id = options.id ?? randomUUID();
  const { certificate, private_key: key } = await createAgentIssuer(options.nats.ca, options.nats.caKey).permanent(id);
  const connection = await connect({
    servers: [...(options.servers ?? options.nats.urls)], noRandomize: true, ignoreClusterUpdates: true, maxReconnectAttempts: -1, reconnectTimeWait: 100, timeout: 1_500, tls: { ca: options.nats.ca, cert: certificate, key },
  });
  const agent: FakeAgent = {
    id, received: [], actions: new Map(), connection,
    count: (method) => agent.received.filter((one) => one.method === method).length,
    forget: () => agent.actions.clear(),
    stop: () => connection.close(),
  };
  const answers: Record<string, Answer> = { ping: () => 'pong', get_task: ([taskId]) => getTask(agent, String(taskId)), cancel_task: ([taskId]) => cancelTask(agent, String(taskId)), ...options.answers };
  connection.subscribe(`agent.${id}`, {
    callback: (_error, message) => {
      const { method, arguments: args, reply_to: replyTo } = requestShape.parse(message.json());
      agent.received.push({ method, args });
      const value = answer(agent, answers, method, args);
      if (value !== silent) connection.publish(replyTo, JSON.stringify(value));
    },
  });
  await connection.flush();
  return agent;
}

function answer(agent: FakeAgent, answers: Record<string, Answer>, method: string, args: unknown[]): unknown {
  try {
    const found = answers[method];
    if (!found) throw new Error(`unknown message ${method}`);
    const value = found(args, agent);
    return value === silent ? silent : { value };
  } catch (error) {
    return { exception: { message: error instanceof Error ? error.message : String(error) } };
  }
}

function getTask(agent: FakeAgent, id: string): unknown {
  const action = agent.actions.get(id);
  if (!action) throw new Error(`Action Failed get_task: Task with id ${id} could not be found`);
  if (!action.done) return { agent_task_id: id, state: 'running' };
  if ('exception' in action.done) throw new Error(`Action Failed get_task: Task ${id} result: ${action.done.exception}`);
  return action.done.value;
}

function cancelTask(agent: FakeAgent, id: string): unknown {
  const action = agent.actions.get(id);
  if (!action) throw new Error(`Task with id ${id} could not be found`);
  action.cancelled = true;
  action.done ??= { value: { stdout: 'half', stderr: '', exit_code: 143 } };
  return 'canceled';
}
