import { systemClock, type Clock } from '../core/clock';

/** How an agent took a version. */
export type Answer = 'synced' | 'refused' | 'silent' | 'absent';

export interface FanOutDeps<T extends { agentId: string }, V extends { version: number }> {
  /** Tells one agent; rejects only when there is no right to tell agents any more. */
  tell: (agent: T, blob: V) => Promise<Answer>;
  /** False while nothing can be sent. */
  canSend: () => boolean;
  /** Agents told at a time. */
  limit: number;
  signal: AbortSignal;
  clock?: Clock;
}

/** An agent that has not answered after this time makes room for another one, ms: those that are silent hold up nobody. */
const makesRoomAfterMs = 500;
/** Messages in a row before other work of this process gets its turn. */
const sentAtOnce = 50;
/** Pauses before an agent is told again. Nobody at its subject costs next to nothing; it may be booting. */
const pauses = { absent: { firstMs: 250, longestMs: 10_000 }, other: { firstMs: 2_000, longestMs: 30_000 } };

interface Waiting<T> {
  agent: T;
  state: 'ready' | 'telling' | 'paused';
  /** Of the present or next pause, ms. */
  pauseMs: number;
  /** Monotonic ms. */
  pausedUntil: number;
  /** It is told once whatever it answers: it may know the version already. */
  once: boolean;
}

/**
 * Tells agents the newest version, each on its own: `ready` agents wait for their turn in the order in which they came, `telling`
 * ones for their answer, `paused` ones for their next try. An agent is asked by one message at a time, so an older version never
 * follows a newer one; whoever confirms a version that is not the newest any more goes to the end of the line. All in memory: what is
 * lost with it is told again.
 */
export class FanOut<T extends { agentId: string }, V extends { version: number }> {
  readonly #deps: FanOutDeps<T, V>;
  readonly #clock: Clock;
  readonly #agents = new Map<string, Waiting<T>>();
  readonly #confirmed = new Map<string, number>();
  #line: Waiting<T>[] = [];
  #blob: V | undefined;
  #telling = 0;
  #filling = false;

  constructor(deps: FanOutDeps<T, V>) {
    this.#deps = deps;
    this.#clock = deps.clock ?? systemClock;
  }

  /** Agents that have not had their turn. */
  get queued(): number {
    return this.#line.length;
  }

  /** Agents that have not confirmed the newest version. */
  get behind(): number {
    return this.#agents.size;
  }

  /** Agents that are told what they may know already and have not answered yet. */
  get repeating(): number {
    let count = 0;
    for (const { once } of this.#agents.values()) if (once) count++;
    return count;
  }

  /** Tells these agents the newest version once more; who does not answer is not asked again for that. Pauses end: who did not answer before may be there now. */
  repeat(agents: readonly T[]): void {
    if (!this.#blob) return;
    for (const agent of agents) {
      const known = this.#agents.get(agent.agentId);
      if (!known) this.#queue({ agent, state: 'ready', pauseMs: 0, pausedUntil: 0, once: true });
      else if (known.state === 'paused') this.#queue(known);
    }
  }

  /** From now on `blob` is told, to `behind` and nobody else. */
  aim(blob: V, behind: readonly T[]): void {
    this.#blob = blob;
    const wanted = new Set<string>();
    for (const agent of behind) {
      wanted.add(agent.agentId);
      const known = this.#agents.get(agent.agentId);
      if (known) Object.assign(known, { agent, once: false });
      else if ((this.#confirmed.get(agent.agentId) ?? 0) < blob.version) this.#queue({ agent, state: 'ready', pauseMs: 0, pausedUntil: 0, once: false });
    }
    for (const [agentId, { state, once }] of this.#agents) if (state !== 'telling' && !once && !wanted.has(agentId)) this.#agents.delete(agentId);
    this.#line = this.#line.filter((waiting) => this.#agents.get(waiting.agent.agentId) === waiting);
  }

  /** Ends pauses that are over and tells whoever can be told now; to be called often. */
  pump(): void {
    const now = this.#clock.monotonic();
    for (const waiting of this.#agents.values()) if (waiting.state === 'paused' && waiting.pausedUntil <= now) this.#queue(waiting);
    this.#fill();
  }

  /** What was confirmed and not yet noted; the caller says with `noted` what it has noted. */
  get confirmed(): ReadonlyMap<string, number> {
    return this.#confirmed;
  }

  noted(confirmed: ReadonlyMap<string, number>): void {
    for (const [agentId, version] of confirmed) if (this.#confirmed.get(agentId) === version) this.#confirmed.delete(agentId);
  }

  #queue(waiting: Waiting<T>): void {
    waiting.state = 'ready';
    this.#agents.set(waiting.agent.agentId, waiting);
    this.#line.push(waiting);
  }

  #fill(): void {
    this.#filling = false;
    for (let sent = 0; this.#telling < this.#deps.limit && this.#blob && !this.#deps.signal.aborted && this.#deps.canSend(); sent++) {
      if (sent >= sentAtOnce) return this.#fillSoon();
      const waiting = this.#line.shift();
      if (!waiting) return;
      void this.#tell(waiting, this.#blob);
    }
  }

  #fillSoon(): void {
    if (this.#filling || this.#line.length === 0) return;
    this.#filling = true;
    setImmediate(() => this.#fill());
  }

  async #tell(waiting: Waiting<T>, blob: V): Promise<void> {
    waiting.state = 'telling';
    this.#telling += 1;
    let counted = true;
    const makeRoom = () => {
      if (!counted) return;
      counted = false;
      this.#telling -= 1;
      this.#fillSoon();
    };
    const timer = setTimeout(makeRoom, makesRoomAfterMs);
    try {
      this.#heard(waiting, blob, await this.#deps.tell(waiting.agent, blob));
    } catch {
      // Without the right to act there is nothing left to do; whoever has it now begins anew.
      this.#pause(waiting, 'other');
    } finally {
      clearTimeout(timer);
      makeRoom();
    }
  }

  #heard(waiting: Waiting<T>, blob: V, answer: Answer): void {
    const { agentId } = waiting.agent;
    if (answer !== 'synced') return this.#pause(waiting, answer === 'absent' ? 'absent' : 'other');
    this.#confirmed.set(agentId, blob.version);
    waiting.pauseMs = 0;
    if (blob.version < (this.#blob?.version ?? 0)) this.#queue(waiting);
    else this.#agents.delete(agentId);
  }

  #pause(waiting: Waiting<T>, kind: keyof typeof pauses): void {
    if (waiting.once) {
      this.#agents.delete(waiting.agent.agentId);
      return;
    }
    const { firstMs, longestMs } = pauses[kind];
    waiting.state = 'paused';
    waiting.pauseMs = Math.min(Math.max(firstMs, waiting.pauseMs * 2), longestMs);
    waiting.pausedUntil = this.#clock.monotonic() + waiting.pauseMs * (0.9 + Math.random() * 0.2);
  }
}
