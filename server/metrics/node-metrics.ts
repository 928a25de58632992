import { collectDefaultMetrics, Counter, Gauge, Histogram, type Registry } from 'prom-client';
import type { AgentRpc } from '../agents/request';
import type { CpisOptions } from '../cpi/client';
import type { BusStatus } from '../nats/connection';
import { flag, registerFamilies } from './family';

type CpiCall = Parameters<NonNullable<CpisOptions['onCall']>>[0];

/** What this process knows of itself. */
export interface NodeSource {
  /** `NodeRegistration` fits. */
  node: { readonly id: string; readonly name: string };
  version: string;
  /** `pg.Pool` fits. */
  pool: { readonly totalCount: number; readonly idleCount: number; readonly waitingCount: number };
  /** Connections to NATS by name, e.g. `director`. */
  buses: Record<string, () => BusStatus>;
}

export interface NodeMetrics {
  onRpc: (rpc: AgentRpc) => void;
  onCpiCall: (call: CpiCall) => void;
  /** A task was taken from a lost node by this one. */
  onTakeover: (type: string) => void;
  /** Brings what is read, not counted, up to date. `taskTypes` have takeovers from then on, 0 at first: growth from nothing is not seen. */
  refresh: (taskTypes: readonly string[]) => void;
}

const rpcBuckets = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];
const cpiBuckets = [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1_800];

/** Metrics of this process: memory, event loop and the like, its database pool, NATS connections, calls to agents and the cloud. */
export function registerNode(registry: Registry, source: NodeSource): NodeMetrics {
  collectDefaultMetrics({ register: registry });
  // Gauges that are named like counters; `nodejs_active_resources` and its like, by type, tell the same.
  for (const what of ['handles', 'requests', 'resources']) registry.removeSingleMetric(`nodejs_active_${what}_total`);
  const registers = [registry];
  const rpcs = new Histogram({ name: 'directorate_agent_rpc_duration_seconds', help: 'Requests of this node to agents, until their answer or until nobody waited any more', labelNames: ['method', 'outcome'], buckets: rpcBuckets, registers });
  const calls = new Histogram({ name: 'directorate_cpi_call_duration_seconds', help: 'CPI calls of this node', labelNames: ['method', 'outcome'], buckets: cpiBuckets, registers });
  const takeovers = new Counter({ name: 'directorate_task_takeovers_total', help: 'Tasks that this node took from lost nodes, for any node to go on with', labelNames: ['type'], registers });
  new Gauge({ name: 'directorate_node_info', help: 'This node', labelNames: ['node', 'node_name', 'version'], registers }).set({ node: source.node.id, node_name: source.node.name, version: source.version }, 1);
  const apply = registerFamilies<NodeSource>(registry, [
    { name: 'directorate_database_pool_connections', type: 'gauge', labels: ['state'], help: 'Connections of the database pool of this node',
      samples: ({ pool }) => [{ labels: { state: 'idle' }, value: pool.idleCount }, { labels: { state: 'used' }, value: pool.totalCount - pool.idleCount }] },
    { name: 'directorate_database_pool_waiting', type: 'gauge', help: 'Who waits for a connection of the pool', samples: ({ pool }) => [{ value: pool.waitingCount }] },
    { name: 'directorate_nats_connected', type: 'gauge', labels: ['connection'], help: 'Whether a connection of this node to NATS stands: 1 yes, 0 no',
      samples: ({ buses }) => ofBuses(buses, ({ connected }) => flag(connected)) },
    { name: 'directorate_nats_connects_total', type: 'counter', labels: ['connection'], help: 'How often the connection was made', samples: ({ buses }) => ofBuses(buses, ({ connects }) => connects) },
    { name: 'directorate_nats_connection_info', type: 'gauge', labels: ['connection', 'server'], help: 'The NATS server at the other end of a connection of this node',
      samples: ({ buses }) => Object.entries(buses).flatMap(([connection, read]) => {
        const { server } = read();
        return server === undefined ? [] : [{ labels: { connection, server }, value: 1 }];
      }) },
  ]);
  return {
    onRpc: ({ method, outcome, ms }) => rpcs.observe({ method, outcome }, ms / 1_000),
    onCpiCall: ({ method, outcome, ms }) => calls.observe({ method, outcome }, ms / 1_000),
    onTakeover: (type) => takeovers.inc({ type }),
    refresh: (taskTypes) => {
      for (const type of taskTypes) takeovers.inc({ type }, 0);
      apply(source);
    },
  };
}

function ofBuses(buses: NodeSource['buses'], value: (status: BusStatus) => number): { labels: { connection: string }; value: number }[] {
  return Object.entries(buses).map(([connection, read]) => ({ labels: { connection }, value: value(read()) }));
}
