import type { Log } from '../../core/log';
import { SerialQueue } from '../../core/concurrency';
import type { AsyncTasks } from './async-tasks';
import { exceptionResponse, parseRequest, valueResponse, type Action, type ActionCall, type Actions, type AgentRequest } from './protocol';

export interface Reply {
  subject: string;
  payload: string;
}

const neverAborted = new AbortController().signal;

/**
 * Turns requests into replies, one at a time in the order of arrival: a synchronous action holds up everything behind it,
 * as in the stock agent. Adds `get_task` and `cancel_task` to the given actions.
 */
export class Dispatcher {
  readonly #actions: Actions;
  readonly #tasks: AsyncTasks;
  readonly #log: Log;
  readonly #queue = new SerialQueue();

  constructor(deps: { actions: Actions; tasks: AsyncTasks; log: Log }) {
    this.#tasks = deps.tasks;
    this.#log = deps.log;
    this.#actions = {
      ...deps.actions,
      get_task: { mode: 'sync', required: 1, run: async (call) => this.#getTask(taskId(call)) },
      cancel_task: {
        mode: 'sync',
        required: 1,
        run: async (call) => {
          deps.tasks.cancel(taskId(call));
          return 'canceled';
        },
      },
    };
  }

  /** Answers a message; undefined when it is no request that could be answered. */
  handle(payload: string): Promise<Reply | undefined> {
    return this.#queue.run(async () => {
      const request = parseRequest(payload);
      if (request === undefined) {
        this.#log.warn('request-unreadable', { bytes: payload.length });
        return undefined;
      }
      return { subject: request.reply_to, payload: await this.#answer(request) };
    });
  }

  async #answer(request: AgentRequest): Promise<string> {
    const action = Object.hasOwn(this.#actions, request.method) ? this.#actions[request.method] : undefined;
    if (action === undefined) return exceptionResponse(`unknown message ${request.method}`);
    try {
      const required = action.required ?? 0;
      if (request.arguments.length < required) throw new Error(`Not enough arguments, expected ${required}, got ${request.arguments.length}`);
      return valueResponse(await this.#perform(action, request));
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      this.#log.warn('action-failed', { method: request.method, message });
      return exceptionResponse(`Action Failed ${request.method}: ${message}`);
    }
  }

  async #perform(action: Action, request: AgentRequest): Promise<unknown> {
    const call = { args: request.arguments, protocol: request.protocol };
    if (action.mode === 'sync' || request.protocol < (action.asyncFromProtocol ?? 0)) return action.run({ ...call, signal: neverAborted });
    const id = await this.#tasks.start((signal, taskId) => this.#logged(request.method, action.run({ ...call, signal, taskId })), { cancellable: action.cancellable === true });
    return { agent_task_id: id, state: 'running' };
  }

  async #logged(method: string, work: Promise<unknown>): Promise<unknown> {
    const startedAt = Date.now();
    try {
      const value = await work;
      this.#log.info('action-done', { method, ms: Date.now() - startedAt });
      return value;
    } catch (error) {
      this.#log.warn('action-failed', { method, ms: Date.now() - startedAt, message: error instanceof Error ? error.message : String(error) });
      throw error;
    }
  }

  async #getTask(id: string): Promise<unknown> {
    const outcome = this.#tasks.find(id);
    if (outcome === undefined) throw new Error(`Task with id ${id} could not be found`);
    if (outcome.state === 'running') return { agent_task_id: id, state: 'running' };
    if (outcome.state === 'failed') throw new Error(`Task ${id} result: ${outcome.message}`);
    return outcome.value;
  }
}

function taskId(call: ActionCall): string {
  const [id] = call.args;
  if (typeof id !== 'string') throw new Error('The task id must be a string');
  return id;
}
