import { z } from 'zod';
import { sleep } from '../core/clock';
import { sha1Hex } from '../core/digest';
import type { AgentCaller, AgentTarget } from './agent';
import { ruleOf, type Method } from './protocol';
import { AgentFailure, isAgentFailure, request, type RequestDeps } from './request';
import { actionStateOf, type ActionState } from './wire';

/**
 * Long actions: the agent answers with a task id and is asked for the result until there is one.
 *
 * While an action runs, its agent task id is remembered under one key per agent, together with what was asked. When this process dies,
 * the task's next owner repeats its steps: if the repeated call is the one that is running, it only goes on waiting; if it is
 * another one, it first waits for the running one to end, so that two steps never overlap in one agent. A process that dies between
 * the agent's answer and the note leaves an action that nobody waits for; it ends before the next long action begins,
 * because agents run them one at a time. Nothing is remembered of actions that have ended.
 */

export interface LongCall {
  target: AgentTarget;
  caller: AgentCaller;
  method: Method;
  args: readonly unknown[];
  /** Where the running action is remembered; default: one key per agent. */
  stepKey?: string | undefined;
  /** What a cancel of the caller does: `leave` the action to itself, cancel it and `give up`, or cancel it and wait for its `result`. */
  onCancel?: 'leave' | 'give up' | 'result';
  /** After this time the action is left to itself and the call returns `undefined` for a value, ms. */
  longestMs?: number | undefined;
}

/** Pauses before polls: quick at first because most actions take moments, then as the Ruby director does. */
const pollsMs = [50, 100, 200, 250, 250, 250, 250, 250, 500, 500, 500, 500];
const pollMs = 1_000;
/** An agent that keeps losing its task (it restarts) is given up. */
const longestRestarts = 3;

const rememberedShape = z.object({ method: z.string(), of: z.string(), agentTaskId: z.string() });
type Remembered = z.infer<typeof rememberedShape>;

/** Runs a long action to its end and returns its raw result. Errors: see `Agent`. */
export async function runLong(deps: RequestDeps, call: LongCall): Promise<unknown> {
  const key = call.stepKey ?? `agent/${call.target.id}`;
  const of = sha1Hex(JSON.stringify(call.args));
  const earlier = rememberedShape.safeParse(call.caller.remembered(key));
  let state: ActionState | undefined;
  if (earlier.success) state = await resume(deps, call, { ...earlier.data, wanted: earlier.data.method === call.method && earlier.data.of === of });
  try {
    for (let restarts = 0; ; restarts++) {
      state ??= actionStateOf(await request(deps, call));
      if (!state.running) return await settled(call.caller, key, state.value);
      await call.caller.remember(key, { method: call.method, of, agentTaskId: state.agentTaskId } satisfies Remembered);
      const ended = await follow(deps, call, state.agentTaskId);
      if (ended.known) return await settled(call.caller, key, ended.value);
      if (ruleOf(call.method).repeat === 'once' || restarts >= longestRestarts) throw forgotten(call, state.agentTaskId);
      call.caller.log.debug(`Agent ${call.target.id} has lost ${call.method} (it restarted); asking again`);
      state = undefined;
    }
  } catch (error) {
    // The agent's own failure is an end; a timeout, a cancel or a lost right is not.
    if (isAgentFailure(error)) await settled(call.caller, key, undefined);
    throw error;
  }
}

/** Takes up what an earlier attempt left running; undefined when the action has to be sent. */
async function resume(deps: RequestDeps, call: LongCall, earlier: Remembered & { wanted: boolean }): Promise<ActionState | undefined> {
  if (earlier.wanted) {
    call.caller.log.debug(`Agent ${call.target.id} is running ${call.method} already (agent task ${earlier.agentTaskId})`);
    return { running: true, agentTaskId: earlier.agentTaskId };
  }
  call.caller.log.debug(`Agent ${call.target.id} is still running ${earlier.method} (agent task ${earlier.agentTaskId}); waiting for its end`);
  await follow(deps, { ...call, onCancel: 'leave', longestMs: undefined }, earlier.agentTaskId).catch((error: unknown) => {
    if (!isAgentFailure(error)) throw error;
  });
  return undefined;
}

type Ended = { known: true; value: unknown } | { known: false };

async function follow(deps: RequestDeps, call: LongCall, agentTaskId: string): Promise<Ended> {
  const deadline = call.longestMs === undefined ? Infinity : performance.now() + call.longestMs;
  let { caller } = call;
  for (let poll = 0; ; poll++) {
    try {
      await sleep(pollsMs[poll] ?? pollMs, caller.signal);
      const state = await pollOnce(deps, { target: call.target, caller }, agentTaskId);
      if (!state) return { known: false };
      if (!state.running) return { known: true, value: state.value };
    } catch (error) {
      const cancelled = call.caller.signal.aborted && !call.caller.uncancellable().signal.aborted;
      if (!cancelled || isAgentFailure(error) || caller !== call.caller || !call.onCancel || call.onCancel === 'leave') throw error;
      caller = call.caller.uncancellable();
      await cancelAction(deps, { target: call.target, caller }, agentTaskId);
      if (call.onCancel === 'give up') throw error;
    }
    if (performance.now() >= deadline) return { known: true, value: undefined };
  }
}

interface Speaker {
  target: AgentTarget;
  caller: AgentCaller;
}

/** State of an action; undefined when the agent does not know it (any more). */
export async function pollOnce(deps: RequestDeps, speaker: Speaker, agentTaskId: string): Promise<ActionState | undefined> {
  try {
    return actionStateOf(await request(deps, { ...speaker, method: 'get_task', args: [agentTaskId] }));
  } catch (error) {
    if (isAgentFailure(error) && error.message.includes(`${agentTaskId} could not be found`)) return undefined;
    throw error;
  }
}

/** Short patience: the operator is waiting for the cancel. An agent that cannot cancel goes on with its action. */
async function cancelAction(deps: RequestDeps, speaker: Speaker, agentTaskId: string): Promise<void> {
  try {
    await request(deps, { ...speaker, method: 'cancel_task', args: [agentTaskId], patienceMs: 5_000 });
  } catch (error) {
    speaker.caller.log.debug(`Agent ${speaker.target.id} did not cancel agent task ${agentTaskId}: ${error instanceof Error ? error.message : String(error)}`);
  }
}

/** Forgets the action, also when the caller is being cancelled: the next attempt must not take a finished action for a running one. */
async function settled(caller: AgentCaller, key: string, value: unknown): Promise<unknown> {
  if (caller.remembered(key) !== undefined) await caller.uncancellable().remember(key, undefined);
  return value;
}

function forgotten(call: LongCall, agentTaskId: string): AgentFailure {
  return new AgentFailure(
    `The agent of '${call.target.name}' does not know its task ${agentTaskId} (${call.method}) any more, probably because it restarted; it is not repeated automatically. Check the instance and run the operation again`,
  );
}
