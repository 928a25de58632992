import { sleep } from '../../core/clock';
import type { Log } from '../../core/log';
import { buildHeartbeat } from '../agent/actions/apply';
import { AsyncTasks } from '../agent/async-tasks';
import { AgentConnection } from '../agent/connection';
import { Dispatcher } from '../agent/dispatcher';
import type { Action, Actions } from '../agent/protocol';
import { effectiveConnection, type BootSettings } from '../agent/settings';
import { faultOf, type Faults } from './faults';
import { newState, simulatedActions, simulatedProcesses, simulatedVitals, type SimulatedState } from './simulated-actions';

const moveTimeoutMs = 60_000;

export interface SimulatedAgentOptions {
  boot: BootSettings;
  heartbeatIntervalMs: number;
  log: Log;
  faults: () => Faults;
  reload: () => Promise<BootSettings>;
}

/** One simulated VM: a connection of its own and the protocol's answers, with the faults that are asked for. */
export class SimulatedAgent {
  readonly #connection: AgentConnection;
  readonly #state: SimulatedState;
  readonly #stopped = new AbortController();

  constructor(options: SimulatedAgentOptions) {
    const state = newState(options.boot);
    const agentId = options.boot.agent_id;
    const jobState = () => (state.started ? (options.faults().agents[agentId]?.job_state ?? 'running') : 'stopped');
    const reload = async () => (state.boot = await options.reload());
    const reconnect = () => this.#connection.move(effectiveConnection(state.boot, state.update), moveTimeoutMs);
    const actions = simulatedActions({ state, jobState, reload, reconnect });
    const dispatcher = new Dispatcher({ actions: this.#withFaults(actions, agentId, options.faults), tasks: new AsyncTasks(), log: options.log });
    const report = { specs: { current: () => state.spec }, jobs: { jobState, processes: () => simulatedProcesses(state, jobState()) } };
    this.#state = state;
    this.#connection = new AgentConnection({
      agentId,
      dispatcher,
      log: options.log,
      heartbeat: async () => (options.faults().agents[agentId]?.silent === true ? undefined : buildHeartbeat(report, simulatedVitals)),
      heartbeatIntervalMs: options.heartbeatIntervalMs,
      accepts: (method) => !faultOf(options.faults(), agentId, method).drop,
    });
  }

  start(): void {
    this.#connection.start(effectiveConnection(this.#state.boot, this.#state.update));
  }

  async stop(): Promise<void> {
    this.#stopped.abort(new Error('the simulated VM was deleted'));
    await this.#connection.stop();
  }

  #withFaults(actions: Actions, agentId: string, faults: () => Faults): Actions {
    const wrap = (method: string, action: Action): Action => ({
      ...action,
      run: async (call) => {
        const fault = faultOf(faults(), agentId, method);
        if (fault.latencyMs >= 1) await sleep(fault.latencyMs, AbortSignal.any([call.signal, this.#stopped.signal]));
        if (fault.fail !== undefined) throw new Error(fault.fail);
        return action.run(call);
      },
    });
    return Object.fromEntries(Object.entries(actions).map(([method, action]) => [method, wrap(method, action)]));
  }
}
