import { listDeliveryStates, type DeliveryState } from '../alerts/delivery-store';
import { mapPool } from '../core/concurrency';
import { listDnsState, type DnsState } from '../dns/store';
import { listAgentPaths } from '../health/list-store';
import { openAgentBook, type AgentBook } from './agent-book';
import { listAgentDnsVersions } from './monitor-store';
import { readNodeBook, readOverview, type ClusterOverview, type NatsLag, type NodeBook } from './cluster-overview';
import type { AgentAnswer, TrpcDeps } from './context';

/** Reads that many open consoles ask for every second; one answer serves all of them for a moment. */
export interface SharedReads {
  overview(): Promise<ClusterOverview>;
  nodes(): Promise<NodeBook>;
  /** Every agent that this node knows, with its NATS server. */
  agents(): Promise<AgentBook>;
  /** How far the DNS records have come. */
  dns(): Promise<DnsState>;
  /** How deliveries to plugins stand. */
  deliveries(): Promise<DeliveryState[]>;
  /** What agents say now or said in the last seconds; undefined for those that do not answer. */
  agentStates(agentIds: readonly string[]): Promise<ReadonlyMap<string, AgentAnswer | undefined>>;
}

const overviewMs = 400;
const nodesMs = 2_000;
const bookMs = 1_000;
const recordsMs = 2_000;
const dnsMs = 3_000;
const deliveriesMs = 2_000;
const agentMs = 3_000;
const agentTimeoutMs = 1_500;
/** An agent that did not answer is asked again after this. */
const silentAgentMs = 6_000;
const agentsAtOnce = 64;

export function createSharedReads(deps: TrpcDeps): SharedReads {
  const agents = new Map<string, { until: number; answer: Promise<AgentAnswer | undefined> }>();
  const lag: NatsLag = new Map();
  const ask = (agentId: string) => {
    const now = performance.now();
    const known = agents.get(agentId);
    if (known && known.until > now) return known.answer;
    const entry = { until: now + agentMs, answer: deps.agentState(agentId, agentTimeoutMs).catch(() => undefined) };
    agents.set(agentId, entry);
    void entry.answer.then((answer) => {
      entry.until = performance.now() + (answer ? agentMs : silentAgentMs);
    });
    return entry.answer;
  };
  const records = remember(recordsMs, async () => {
    const { db } = deps.connections;
    const [paths, dnsVersions] = await Promise.all([listAgentPaths(db), listAgentDnsVersions(db)]);
    return { paths, dnsVersions };
  });
  return {
    overview: remember(overviewMs, () => readOverview(deps, lag)),
    nodes: remember(nodesMs, () => readNodeBook(deps)),
    agents: remember(bookMs, async () => openAgentBook(deps.fleet, await records())),
    dns: remember(dnsMs, () => listDnsState(deps.connections.db)),
    deliveries: remember(deliveriesMs, () => listDeliveryStates(deps.connections.db)),
    agentStates: async (agentIds) => {
      for (const [id, entry] of agents) if (entry.until < performance.now() - 60_000) agents.delete(id);
      return new Map(await mapPool([...agentIds], agentsAtOnce, async (id) => [id, await ask(id)] as const));
    },
  };
}

/** The answer of `load`, kept for `ms` after it arrived; callers meanwhile share it. A failure is not kept. */
function remember<T>(ms: number, load: () => Promise<T>): () => Promise<T> {
  let kept: { until: number; value: Promise<T> } | undefined;
  return () => {
    if (kept && kept.until > performance.now()) return kept.value;
    const entry = { until: Number.POSITIVE_INFINITY, value: load() };
    kept = entry;
    entry.value.then(
      () => {
        entry.until = performance.now() + ms;
      },
      () => {
        if (kept === entry) kept = undefined;
      },
    );
    return entry.value;
  };
}
