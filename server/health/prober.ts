import { callerWithoutTask, type Agents } from '../agents/agent';
import { isAgentFailure } from '../agents/request';
import { firstToAbort, type Clock } from '../core/clock';
import type { Log } from '../core/log';
import type { Fleet, ManagedAgent } from './fleet';
import { isCalm, type Scene } from './paths';

/** What the prober needs while its node acts. */
export interface ProberDeps {
  agents: Pick<Agents, 'agentFor'>;
  fleet: Pick<Fleet, 'managed'>;
  scene: () => Scene;
  /** False while this node cannot speak to agents: nothing is asked then, and silence means nothing. */
  canAsk: () => boolean;
  /** Deployments that a task works on: their agents may be busy. */
  lockedDeployments: () => Promise<ReadonlySet<string>>;
  /** False as soon as this node must not act. */
  holds: () => boolean;
  clock: Clock;
  log: Log;
}

export interface ProberOptions {
  /** Each agent is asked about so often, ms. */
  everyMs: number;
  /** After a failure it is asked again so much later, ms. */
  retryMs: number;
  /** Patience with one answer, ms. */
  patienceMs: number;
  /** Silence for longer is not deafness but a timeout, ms. */
  agentTimeoutMs: number;
}

/** So many questions in a row without an answer make an agent deaf. */
const failuresToDeafness = 3;
const concurrency = 64;
const roundMs = 500;

interface Probed {
  dueAt: number;
  failures: number;
  answeredAt: number | undefined;
  asking: boolean;
}

/**
 * Asks agents that beat whether they also answer: an agent whose heartbeats go on while it takes no requests is of no use. Only what
 * happens while nothing else is at fault counts: the agent beats, the bus is calm, no task keeps the agent busy. Asking changes
 * nothing, so it does no harm when two nodes do it for a moment.
 */
export class Prober {
  readonly #deps: ProberDeps;
  readonly #options: ProberOptions;
  readonly #probed = new Map<string, Probed>();
  readonly #deaf = new Set<string>();
  readonly #running = new Set<Promise<void>>();
  #loop: Promise<void> | undefined;

  constructor(deps: ProberDeps, options: ProberOptions) {
    this.#deps = deps;
    this.#options = options;
  }

  /** Asks until `signal` aborts. */
  start(signal: AbortSignal): void {
    this.#loop ??= this.#run(signal);
  }

  /** Resolves when nothing is asked any more. */
  async ended(): Promise<void> {
    await this.#loop;
    await Promise.all(this.#running);
  }

  /** Agents that beat but do not answer. */
  get deaf(): ReadonlySet<string> {
    return this.#deaf;
  }

  /** Monotonic ms of the last answer. */
  answeredAt(agentId: string): number | undefined {
    return this.#probed.get(agentId)?.answeredAt;
  }

  async #run(signal: AbortSignal): Promise<void> {
    const { clock, log } = this.#deps;
    while (!signal.aborted) {
      try {
        if (this.#deps.holds() && this.#deps.canAsk()) this.#round(signal);
      } catch (error) {
        log.warn('probing-failed', { error });
      }
      await clock.sleep(roundMs, signal).catch(() => undefined);
    }
  }

  #round(signal: AbortSignal): void {
    const now = this.#deps.clock.monotonic();
    const { managed } = this.#deps.fleet;
    for (const agentId of this.#probed.keys()) {
      if (managed.has(agentId)) continue;
      this.#probed.delete(agentId);
      this.#deaf.delete(agentId);
    }
    const due: { agent: ManagedAgent; probed: Probed }[] = [];
    for (const agent of managed.values()) {
      const probed = this.#probed.get(agent.agentId) ?? this.#begin(agent.agentId, now);
      if (probed.asking || now < probed.dueAt || agent.compilation || !this.#beats(agent, now)) continue;
      due.push({ agent, probed });
    }
    // Whoever waits longest comes first: in a fleet of which not all can be asked in time, everybody gets a turn.
    due.sort((a, b) => a.probed.dueAt - b.probed.dueAt);
    for (const { agent, probed } of due.slice(0, concurrency - this.#running.size)) {
      const asking = this.#ask(agent, probed, signal).finally(() => this.#running.delete(asking));
      this.#running.add(asking);
    }
  }

  /** The first questions are spread over the interval. */
  #begin(agentId: string, now: number): Probed {
    const probed: Probed = { dueAt: now + Math.random() * this.#options.everyMs, failures: 0, answeredAt: undefined, asking: false };
    this.#probed.set(agentId, probed);
    return probed;
  }

  #beats(agent: ManagedAgent, now: number): boolean {
    return now - agent.beatAt <= this.#options.agentTimeoutMs;
  }

  async #ask(agent: ManagedAgent, probed: Probed, signal: AbortSignal): Promise<void> {
    const { agents, clock } = this.#deps;
    const { everyMs, retryMs, patienceMs } = this.#options;
    probed.asking = true;
    const startedAt = clock.monotonic();
    const ends = firstToAbort(signal, AbortSignal.timeout(patienceMs));
    try {
      const target = { id: agent.agentId, name: `${agent.group}/${agent.instanceUuid}` };
      await agents.agentFor(target, callerWithoutTask(ends.signal)).ping();
      this.#hearAnswer(agent, probed, startedAt + everyMs);
    } catch (error) {
      // An agent that refuses has answered.
      if (isAgentFailure(error)) return this.#hearAnswer(agent, probed, startedAt + everyMs);
      probed.dueAt = startedAt + retryMs;
      if (!signal.aborted) await this.#missAnswer(agent, probed, startedAt);
    } finally {
      ends.release();
      probed.asking = false;
    }
  }

  #hearAnswer(agent: ManagedAgent, probed: Probed, dueAt: number): void {
    probed.failures = 0;
    probed.answeredAt = this.#deps.clock.monotonic();
    probed.dueAt = dueAt;
    this.#deaf.delete(agent.agentId);
  }

  async #missAnswer(agent: ManagedAgent, probed: Probed, startedAt: number): Promise<void> {
    if (!(await this.#isItsFault(agent, startedAt).catch(() => false))) {
      probed.failures = 0;
      return;
    }
    probed.failures++;
    if (probed.failures >= failuresToDeafness) this.#deaf.add(agent.agentId);
  }

  /** It has beaten since it was asked or shortly before, and nothing else explains its not answering. */
  async #isItsFault(agent: ManagedAgent, startedAt: number): Promise<boolean> {
    const { fleet, clock, holds, canAsk, lockedDeployments } = this.#deps;
    const scene = this.#deps.scene();
    const calm = isCalm(scene) && scene.grace < startedAt && canAsk() && holds();
    if (!calm || fleet.managed.get(agent.agentId) !== agent || !this.#beats(agent, clock.monotonic())) return false;
    return !(await lockedDeployments()).has(agent.deployment);
  }
}
