import type { Blobstore } from '../blobstore/blobstore';
import { code, DirectorError } from '../core/errors';
import { Exchange, type ExchangeDeps, type Outcome, type Request } from './exchange';
import { ruleOf, type Method } from './protocol';
import { decodeReply, encodeRequest, type AgentException } from './wire';

/** One finished request, for metrics. */
export interface AgentRpc {
  method: Method;
  ms: number;
  outcome: 'ok' | 'exception' | 'timeout' | 'absent' | 'aborted';
}

export interface RequestDeps extends ExchangeDeps {
  /** For the texts that old agents leave in the blobstore. */
  blobs?: Pick<Blobstore, 'read' | 'delete'> | undefined;
  onRpc?: ((rpc: AgentRpc) => void) | undefined;
}

const brand = Symbol.for('directorate.agent-exception');

/** What an agent answered instead of a result: code 450001 and the agent's text. */
export class AgentFailure extends DirectorError {
  readonly [brand] = true;

  constructor(message: string) {
    super(code.rpcRemoteException, message);
    this.name = 'AgentFailure';
  }
}

/** True for an agent's own refusal or failure, as opposed to silence. */
export function isAgentFailure(error: unknown): error is AgentFailure {
  return typeof error === 'object' && error !== null && brand in error;
}

const absentBrand = Symbol.for('directorate.agent-absent');

/** Nobody listens at the agent's subject: its VM is down, booting, or looking for another NATS server. */
export class AgentAbsent extends DirectorError {
  readonly [absentBrand] = true;

  constructor(message: string) {
    super(code.rpcTimeout, message);
    this.name = 'AgentAbsent';
  }
}

/** True when a request that fails for absent agents found nobody. */
export function isAgentAbsent(error: unknown): error is AgentAbsent {
  return typeof error === 'object' && error !== null && absentBrand in error;
}

/** Asks an agent and returns the raw `value` of its reply. Errors: see `Agent`. */
export async function request(deps: RequestDeps, input: Request): Promise<unknown> {
  const started = performance.now();
  const report = (outcome: AgentRpc['outcome']) => deps.onRpc?.({ method: input.method, ms: performance.now() - started, outcome });
  const exchange = new Exchange(deps, input);
  let outcome: Outcome;
  try {
    outcome = await exchange.run();
  } catch (error) {
    report('aborted');
    throw error;
  }
  if (outcome.kind === 'timeout') {
    report('timeout');
    const seconds = (input.patienceMs ?? ruleOf(input.method).tryMs) / 1_000;
    throw new DirectorError(code.rpcTimeout, `Timed out sending '${input.method}' to instance: '${input.target.name}', agent-id: '${input.target.id}' after ${seconds} seconds`);
  }
  if (outcome.kind === 'absent') {
    report('absent');
    throw new AgentAbsent(`No agent '${input.target.id}' of instance '${input.target.name}' is connected to NATS`);
  }
  const reply = decodeReply(outcome.text);
  if (reply.kind === 'value') {
    report('ok');
    return reply.value;
  }
  report('exception');
  throw new AgentFailure(await formatException(reply.exception, deps.blobs));
}

/** Sends without waiting for an answer; dropped when no NATS server is connected. */
export async function sendOnly(deps: RequestDeps, input: Request): Promise<void> {
  await input.caller.fence();
  const { replyTo, close } = deps.inbox.open(input.target.id, () => undefined);
  close();
  deps.bus.publish(`agent.${input.target.id}`, Buffer.from(encodeRequest(input.method, input.args, replyTo)));
}

/** Message, then backtrace, then the text that an old agent left in the blobstore (which is deleted, read or not). */
async function formatException(exception: AgentException, blobs: RequestDeps['blobs']): Promise<string> {
  const parts = [exception.message];
  if (exception.backtrace) parts.push(exception.backtrace);
  if (exception.blobstoreId && blobs) {
    const id = exception.blobstoreId;
    const text = await blobs.read(id).then((content) => content.toString('utf8'), () => undefined);
    if (text !== undefined) parts.push(text);
    await blobs.delete(id).catch(() => undefined);
  }
  return parts.join('\n');
}
