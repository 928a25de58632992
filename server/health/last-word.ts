import { callerWithoutTask, type Agents } from '../agents/agent';
import { isAgentFailure } from '../agents/request';
import { firstToAbort, type Clock } from '../core/clock';

export interface LastWordDeps {
  agents: Pick<Agents, 'agentFor'>;
  /** False while this node cannot speak to agents. */
  canAsk: () => boolean;
  clock: Clock;
}

/** So long before its time is over an agent is asked, and so long it has to answer, ms. */
export const lastWordMs = { before: 2_500, patience: 2_000 };
const concurrency = 64;
/** An answer counts for so long. */
const freshMs = 10_000;
/** An agent that is spared and goes on being silent is judged the next time. */
const spareAgainMs = 600_000;

/**
 * A silent agent is asked before it is judged. One that answers is alive, and it is we who do not hear: the NATS servers may have lost the
 * notice that this node listens to heartbeats. Then hearing is begun anew, and only an agent that is silent after that, too, is judged.
 */
export class LastWord {
  readonly #deps: LastWordDeps;
  readonly #askedAt = new Map<string, number>();
  readonly #answeredAt = new Map<string, number>();
  readonly #sparedAt = new Map<string, number>();
  #asking = 0;

  constructor(deps: LastWordDeps) {
    this.#deps = deps;
  }

  /** Asks those of the agents that were not asked lately, in the background. */
  ask(agentIds: readonly string[], signal: AbortSignal): void {
    const now = this.#deps.clock.monotonic();
    for (const [id, at] of this.#askedAt) if (now - at > freshMs) this.#askedAt.delete(id);
    for (const id of agentIds) {
      if (this.#asking >= concurrency || !this.#deps.canAsk()) return;
      if (this.#askedAt.has(id)) continue;
      this.#askedAt.set(id, now);
      void this.#askOne(id, signal);
    }
  }

  /** Whether the agent is to be spared: it has just answered, and was not spared before. Counts as sparing it. */
  spares(agentId: string): boolean {
    const now = this.#deps.clock.monotonic();
    for (const known of [this.#answeredAt, this.#sparedAt]) for (const [id, at] of known) if (now - at > spareAgainMs) known.delete(id);
    if (now - (this.#answeredAt.get(agentId) ?? Number.NEGATIVE_INFINITY) > freshMs) return false;
    const sparedAt = this.#sparedAt.get(agentId);
    if (sparedAt === undefined) this.#sparedAt.set(agentId, now);
    return sparedAt === undefined || now - sparedAt < freshMs;
  }

  async #askOne(agentId: string, signal: AbortSignal): Promise<void> {
    this.#asking++;
    const ends = firstToAbort(signal, AbortSignal.timeout(lastWordMs.patience));
    try {
      await this.#deps.agents.agentFor({ id: agentId, name: agentId }, callerWithoutTask(ends.signal)).ping();
      this.#answeredAt.set(agentId, this.#deps.clock.monotonic());
    } catch (error) {
      // An agent that refuses has answered.
      if (isAgentFailure(error)) this.#answeredAt.set(agentId, this.#deps.clock.monotonic());
    } finally {
      ends.release();
      this.#asking--;
    }
  }
}
