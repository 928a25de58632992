import type { Database, Tx } from '../../db/client';
import { abortReason, firstToAbort, sleep } from '../core/clock';
import type { Log } from '../core/log';
import type { AgentCertificate } from '../nats/credentials';
import { callerWithoutTask, type AgentCaller, type Agents } from './agent';
import { claimSend, hasUnfinishedMoves, listDueAgents, markFailed, markTold, putOff, tidyMoves, type DueAgent } from './bus-mover-store';

/**
 * Carries out moves of the bus (see `startBusMove`): every agent gets the new list of NATS servers and a new certificate, restarts, and
 * is `told` when it answers from there.
 *
 *   absent agents   are tried again after 1 … 60 s for as long as their VM exists, and as soon as they make a new connection
 *   a bad list      costs one VM: until the first agent of a move has come back, no other is told
 *   busy agents     of a deployment that is being changed, or that compile, are left until that has ended
 *   another CA      on this node than on the one that took the order: nothing is sent
 *
 * A node that dies between an agent's answer and its note tells the agent again: it gets a new certificate and restarts once more.
 */

/** Part of the component's context (`ComponentContext`, which lies above agents). */
interface Duty {
  readonly epoch: number;
  readonly signal: AbortSignal;
  readonly log: Log;
  holds(): boolean;
  progress(): void;
  write<T>(work: (tx: Tx) => Promise<T>): Promise<T>;
}

export interface BusMoverDeps {
  db: Database;
  agents: Pick<Agents, 'agentFor'>;
  /** Whether this node is connected to NATS: otherwise no agent can be told, and none is to blame. */
  isConnected(): boolean;
  permanentCertificate(agentId: string): Promise<AgentCertificate>;
  /** `natsConfigSha1` of this node. */
  caSha1: string;
  /** PEM of the CAs that VMs trust; none by default. */
  trustedCerts?: string;
  /** For messages. */
  nodeName: string;
  /** Default 2 s, 120 s and 64 agents. */
  limits?: Partial<Limits>;
}

interface Limits {
  /** Patience for the sign of life that comes first: agents that hang must not hold up the others. */
  probeMs: number;
  /** Patience until an agent that was told has restarted and answers. */
  returnMs: number;
  /** Agents at a time. */
  atATime: number;
}

/** What one holder of the lease has under way. */
interface Round {
  epoch: number;
  underWay: Map<string, Promise<void>>;
  /** By move and agent: an agent that is told again within one lease gets the same, so that it has no reason to restart. */
  certificates: Map<string, AgentCertificate>;
  tidyAt: number;
}

const tidyMs = 2_000;
/** Agents chosen at a time, and how long one round waits for one of them to be done with. */
const batch = 512;
const longestWaitMs = 500;

/** The component `bus-mover`. */
export function createBusMover(deps: BusMoverDeps) {
  const limits: Limits = { probeMs: 2_000, returnMs: 120_000, atATime: 64, ...deps.limits };
  const problem = `Node ${deps.nodeName}, which moves the bus, has another NATS CA or signing certificate in its configuration than the node that took the order. Give all nodes the same configuration, or start the move again`;
  let round: Round = newRound(0);
  return {
    name: 'bus-mover',
    intervalMs: 500,
    async tick(ctx: Duty): Promise<void> {
      if (round.epoch !== ctx.epoch) round = newRound(ctx.epoch);
      const current = round;
      if (!(await hasUnfinishedMoves(deps.db))) return;
      if (performance.now() >= current.tidyAt) {
        current.tidyAt = performance.now() + tidyMs;
        logFinished(ctx, await ctx.write((tx) => tidyMoves(tx, { caSha1: deps.caSha1, problem })));
      }
      if (!deps.isConnected()) return;
      const due = await listDueAgents(deps.db, { caSha1: deps.caSha1, except: [...current.underWay.keys()], limit: batch });
      for (const agent of due) {
        // Absent agents are done with in no time; those that restart take seconds: then the next round goes on.
        if (current.underWay.size >= limits.atATime) await Promise.race([...current.underWay.values(), sleep(longestWaitMs)]);
        if (current.underWay.size >= limits.atATime || ctx.signal.aborted) return;
        ctx.progress();
        begin(ctx, current, agent);
      }
    },
  };

  /** Works on one agent in the background. */
  function begin(ctx: Duty, { underWay, certificates }: Round, agent: DueAgent): void {
    const work = tell({ ctx, deps, limits, certificates }, agent)
      .catch((error: unknown) => {
        if (!ctx.signal.aborted) ctx.log.warn('bus-move-agent-failed', { agent: agent.agentId, error });
      })
      .finally(() => underWay.delete(agent.agentId));
    underWay.set(agent.agentId, work);
  }
}

function newRound(epoch: number): Round {
  return { epoch, underWay: new Map(), certificates: new Map(), tidyAt: 0 };
}

interface Telling {
  ctx: Duty;
  deps: BusMoverDeps;
  limits: Limits;
  certificates: Map<string, AgentCertificate>;
}

async function tell({ ctx, deps, limits, certificates }: Telling, agent: DueAgent): Promise<void> {
  const within = async <T>(patienceMs: number, ask: (asked: ReturnType<Agents['agentFor']>) => Promise<T>): Promise<T> => {
    const ends = firstToAbort(ctx.signal, AbortSignal.timeout(patienceMs + 1_000));
    return ask(deps.agents.agentFor({ id: agent.agentId, name: agent.name, cid: agent.cid }, caller(ctx, ends.signal))).finally(ends.release);
  };
  try {
    await within(limits.probeMs, (asked) => asked.ping({ timeoutMs: limits.probeMs, absent: 'fail' }));
    const key = `${agent.moveId}/${agent.agentId}`;
    const cert = certificates.get(key) ?? (await deps.permanentCertificate(agent.agentId));
    if (!(await ctx.write((tx) => claimSend(tx, agent)))) return await ctx.write((tx) => putOff(tx, agent));
    certificates.set(key, cert);
    await within(limits.returnMs, (asked) => asked.updateSettings({ trusted_certs: deps.trustedCerts ?? '', disk_associations: agent.diskAssociations, mbus: { cert, urls: agent.urls } }));
    logFinished(ctx, await ctx.write((tx) => markTold(tx, agent, deps.caSha1)));
    certificates.delete(key);
  } catch (error) {
    if (ctx.signal.aborted) return;
    await ctx.write((tx) => markFailed(tx, agent, error instanceof Error ? error.message : String(error)));
  }
}

function logFinished(ctx: Duty, moves: readonly number[]): void {
  for (const move of moves) ctx.log.info('bus-move-finished', { move });
}

/** Speaks for the holder of the lease until the signal aborts. */
function caller(ctx: Duty, signal: AbortSignal): AgentCaller {
  const speaker: AgentCaller = {
    ...callerWithoutTask(signal),
    fence: async () => {
      if (signal.aborted) throw abortReason(signal);
      if (!ctx.holds()) throw new Error('the lease of bus-mover is not held at the moment');
    },
    uncancellable: () => speaker,
  };
  return speaker;
}
