import { abortReason } from '../core/clock';
import type { Bus, BusMessage } from '../nats/connection';
import type { Detours } from '../nats/detours';
import type { Inbox } from '../nats/inbox';
import type { AgentCaller, AgentTarget } from './agent';
import { ruleOf, type Method, type Repeat } from './protocol';
import { encodeRequest, redactReply, redactRequest } from './wire';

export interface ExchangeDeps {
  bus: Pick<Bus, 'publish' | 'onConnect'>;
  inbox: Pick<Inbox, 'open'>;
  /** Ways to agents that the bus' server does not know of; without them such agents count as absent. */
  detours?: Pick<Detours, 'urls' | 'publish'> | undefined;
}

export interface Request {
  target: AgentTarget;
  caller: AgentCaller;
  method: Method;
  args: readonly unknown[];
  /** Whole patience, ms; default: the method's. */
  patienceMs?: number | undefined;
  /** Ends the exchange when a server says that nobody listens, instead of trying again for as long as the patience lasts. */
  failWhenAbsent?: boolean;
  /** Only by this server. */
  via?: string | undefined;
}

/** First repeat of a `cheap` request, and the longest step between repeats. */
const firstRepeatMs = 1_500;
const longestRepeatMs = 5_000;
/** While nobody listens at the agent's subject: it is booting, restarting or looking for another NATS server. */
const absentMs = { first: 50, longest: 500 };
/** After so long other servers are asked for the agent, each search lasts so long, and another begins after a pause. */
const search = { afterMs: 400, forMs: 2_500, pauseMs: 5_000 };
/** A `safe` request without an answer is followed by a ping after this time; see `#probe`. */
const probe = { firstMs: 2_000, longestMs: 16_000, graceMs: 500 };

export type Outcome = { kind: 'reply'; text: string } | { kind: 'timeout' } | { kind: 'absent' };

/**
 * One question and the waiting for its answer. The reply subject stays the same through every repeat, so the first answer
 * to any of them counts. Repeats happen
 * - when a server says that nobody listens (nothing was delivered): soon, for every method; when that lasts, a ping is sent by way of
 *   each other server, and the request follows by the one that finds the agent;
 * - when our own connection was made anew: at once, unless the method is `once` and may have been delivered;
 * - without a sign: for `cheap` methods by time, for `safe` ones when a ping sent later is answered first (messages to an agent
 *   keep their order, so the earlier one or its answer is lost).
 *
 * The right to act is checked right before each message. A process that is stopped between the two sends it when it wakes, and
 * agents know no epochs: the message then comes before or after, but not in the middle of, a long action of the new owner.
 */
export class Exchange {
  readonly #deps: ExchangeDeps;
  readonly #input: Request;
  readonly #repeat: Repeat;
  readonly #subject: string;
  readonly #payload: Buffer;
  readonly #replyTo: string;
  readonly #close: () => void;
  readonly #done: Promise<Outcome>;
  readonly #finish: (outcome: Outcome) => void;
  readonly #fail: (error: unknown) => void;
  /** Ends with the exchange, and so with the caller's signal. */
  #probing: AbortController | undefined;
  #finished = false;
  #timer: NodeJS.Timeout | undefined;
  #repeatMs = firstRepeatMs;
  #absentMs = absentMs.first;
  #probeMs = probe.firstMs;
  /** The message may have reached the agent. */
  #mayBeDelivered = false;
  #logged = false;
  /** The server by which the agent was found; undefined: the bus'. */
  #via: string | undefined;
  /** Monotonic ms: when nobody listened for the first time, and when the last search began. */
  #absentSince: number | undefined;
  #searchedAt = Number.NEGATIVE_INFINITY;

  constructor(deps: ExchangeDeps, input: Request) {
    this.#deps = deps;
    this.#input = input;
    this.#repeat = ruleOf(input.method).repeat;
    this.#subject = `agent.${input.target.id}`;
    this.#via = input.via;
    let finish: ((outcome: Outcome) => void) | undefined;
    let fail: ((error: unknown) => void) | undefined;
    this.#done = new Promise((resolve, reject) => {
      finish = resolve;
      fail = reject;
    });
    this.#finish = (outcome) => finish?.(outcome);
    this.#fail = (error) => fail?.(error);
    const opened = deps.inbox.open(input.target.id, (message) => this.#hear(message));
    this.#replyTo = opened.replyTo;
    this.#close = opened.close;
    this.#payload = Buffer.from(encodeRequest(input.method, input.args, opened.replyTo));
  }

  async run(): Promise<Outcome> {
    const { caller, patienceMs, method } = this.#input;
    const rule = ruleOf(method);
    const onAbort = () => this.#fail(abortReason(caller.signal));
    caller.signal.addEventListener('abort', onAbort, { once: true });
    const forget = this.#deps.bus.onConnect(() => this.#reconnected());
    const patience = setTimeout(() => this.#finish({ kind: 'timeout' }), patienceMs ?? rule.tryMs * rule.tries);
    try {
      if (caller.signal.aborted) onAbort();
      else this.#send();
      const outcome = await this.#done;
      // After a pause of this process its timers fire before its mail is read: a lost right tells more than a timeout.
      if (outcome.kind === 'timeout') await caller.fence();
      return outcome;
    } finally {
      this.#finished = true;
      clearTimeout(patience);
      clearTimeout(this.#timer);
      this.#probing?.abort(new Error('answered'));
      forget();
      caller.signal.removeEventListener('abort', onAbort);
      this.#close();
    }
  }

  #send(): void {
    clearTimeout(this.#timer);
    this.#input.caller.fence().then(
      () => this.#publish(),
      (error: unknown) => this.#fail(error),
    );
  }

  #publish(): void {
    if (this.#finished) return;
    try {
      if (!this.#handOut()) return;
    } catch (error) {
      return this.#fail(error);
    }
    this.#mayBeDelivered = true;
    this.#logSent();
    if (this.#repeat === 'cheap') {
      this.#sendAfter(this.#repeatMs);
      this.#repeatMs = Math.min(this.#repeatMs * 2, longestRepeatMs);
    } else if (this.#repeat === 'safe') {
      this.#after(this.#probeMs, () => this.#probe());
      this.#probeMs = Math.min(this.#probeMs * 2, probe.longestMs);
    }
  }

  /** False when nothing was sent; a detour that is only being made is tried again soon. */
  #handOut(): boolean {
    if (this.#via === undefined) return this.#deps.bus.publish(this.#subject, this.#payload, this.#replyTo);
    if (this.#deps.detours?.publish(this.#via, this.#subject, this.#payload)) return true;
    if (this.#input.via === undefined) this.#via = undefined;
    this.#sendAfter(absentMs.first);
    return false;
  }

  #hear(message: BusMessage): void {
    if (this.#finished) return;
    if (message.noResponders) {
      // It was sent another way meanwhile.
      if (this.#via !== undefined) return;
      this.#mayBeDelivered = false;
      if (this.#input.failWhenAbsent) return this.#searchOnce();
      this.#absentSince ??= performance.now();
      if (performance.now() - this.#absentSince >= search.afterMs) this.#search();
      this.#sendAfter(this.#absentMs);
      this.#absentMs = Math.min(this.#absentMs * 2, absentMs.longest);
      return;
    }
    const text = Buffer.from(message.data).toString('utf8');
    if (!ruleOf(this.#input.method).quiet) this.#input.caller.log.debug(`RECEIVED: ${message.subject} ${redactReply(text)}`);
    this.#finish({ kind: 'reply', text });
  }

  #reconnected(): void {
    if (this.#finished || (this.#repeat === 'once' && this.#mayBeDelivered)) return;
    this.#repeatMs = firstRepeatMs;
    this.#send();
  }

  /** Looks for the agent at every server; goes on by the first that finds it. */
  #search(): void {
    if (performance.now() - this.#searchedAt < search.forMs + search.pauseMs) return;
    this.#searchedAt = performance.now();
    this.#ask(search.forMs).then(
      (via) => {
        if (via === undefined || this.#finished || this.#via !== undefined) return;
        this.#via = via;
        this.#input.caller.log.debug(`Agent ${this.#input.target.id} is found at ${via} only: the NATS servers do not know of it from each other`);
        this.#send();
      },
      () => undefined,
    );
  }

  /** For callers that would rather not wait: absent unless another server finds the agent at once. */
  #searchOnce(): void {
    this.#ask(search.afterMs).then(
      (via) => {
        if (this.#finished) return;
        if (via === undefined) return this.#finish({ kind: 'absent' });
        this.#via = via;
        this.#send();
      },
      (error: unknown) => this.#fail(error),
    );
  }

  /** The first server by which the agent answers a ping; undefined when none does in time. */
  async #ask(patienceMs: number): Promise<string | undefined> {
    const { detours } = this.#deps;
    if (!detours || this.#input.via !== undefined) return undefined;
    this.#probing ??= new AbortController();
    const caller = withSignal(this.#input.caller, this.#probing.signal);
    const asked = detours.urls.map(async (via) => {
      const { kind } = await new Exchange(this.#deps, { target: this.#input.target, caller, method: 'ping', args: [], patienceMs, via }).run();
      if (kind !== 'reply') throw new Error(`no agent ${this.#input.target.id} at ${via}`);
      return via;
    });
    return Promise.any(asked).catch(() => undefined);
  }

  /** Is the agent there, and has it (or the network) forgotten the request? */
  #probe(): void {
    this.#probing ??= new AbortController();
    const caller = withSignal(this.#input.caller, this.#probing.signal);
    new Exchange(this.#deps, { target: this.#input.target, caller, method: 'ping', args: [], patienceMs: 2 ** 30 }).run().then(
      () => this.#sendAfter(probe.graceMs),
      () => undefined,
    );
  }

  #sendAfter(ms: number): void {
    this.#after(ms, () => this.#send());
  }

  #after(ms: number, work: () => void): void {
    clearTimeout(this.#timer);
    if (!this.#finished) this.#timer = setTimeout(work, ms);
  }

  /** Once for as long as the agent is absent: while a VM boots the same message goes out many times. */
  #logSent(): void {
    const { method, args, caller } = this.#input;
    if (ruleOf(method).quiet || (this.#logged && this.#absentMs > absentMs.first)) return;
    this.#logged = true;
    caller.log.debug(`SENT: ${this.#subject} ${redactRequest(method, args, this.#replyTo)}`);
  }
}

function withSignal(caller: AgentCaller, signal: AbortSignal): AgentCaller {
  return {
    signal,
    log: caller.log,
    fence: () => caller.fence(),
    remembered: (key) => caller.remembered(key),
    remember: (key, value) => caller.remember(key, value),
    uncancellable: () => caller.uncancellable(),
  };
}
