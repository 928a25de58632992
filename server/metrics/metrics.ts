import { Gauge, Registry } from 'prom-client';
import type { Connections } from '../../db/client';
import type { Log } from '../core/log';
import { registerAgentsHealth, type FleetSource } from './agents-health';
import { boshFamilies, type BoshState } from './bosh-families';
import { clusterFamilies } from './cluster-families';
import { ClusterReader } from './cluster-reader';
import type { ClusterState } from './cluster-state';
import { registerFamilies } from './family';
import { registerHttp, type HttpMetrics } from './http';
import { dynamicNetworks, type DynamicNetwork } from './networks';
import { registerNode, type NodeMetrics, type NodeSource } from './node-metrics';
import type { KnownPaths } from './path-template';

export interface MetricsDeps extends Omit<NodeSource, 'pool'> {
  connections: Pick<Connections, 'dedicated' | 'pool'>;
  fleet: FleetSource;
  paths: KnownPaths;
  /** Addresses of the director's machines, which no instance gets. */
  ownAddresses: () => Promise<readonly string[]>;
  log: Log;
  /** How long a reading of the database is told again, ms; 5 s unless given. */
  holdMs?: number | undefined;
  /** How long a scrape waits for the database, ms; 2 s unless given. */
  patienceMs?: number | undefined;
}

/** Metrics of one node: hooks to be told by, and the page that Prometheus reads. */
export interface Metrics extends HttpMetrics, Omit<NodeMetrics, 'refresh'> {
  readonly contentType: string;
  /** The page. It answers within `patienceMs` though the database is away: then without what only the database knows. */
  render(): Promise<string>;
  /** Gives up the connection to the database. */
  stop(): Promise<void>;
}

/** Makes the metrics of a node, in a registry of their own. Nothing is read before the first scrape. */
export function createMetrics(deps: MetricsDeps): Metrics {
  const registry = new Registry();
  const reader = new ClusterReader(deps);
  const http = registerHttp(registry, deps.paths);
  const node = registerNode(registry, { ...deps, pool: deps.connections.pool });
  const health = registerAgentsHealth(registry, deps.fleet);
  const applyBosh = registerFamilies(registry, boshFamilies);
  const applyCluster = registerFamilies(registry, clusterFamilies);
  const up = new Gauge({ name: 'directorate_database_up', help: 'Whether the database answered this scrape: 1 yes, 0 no', registers: [registry] });
  const took = new Gauge({ name: 'directorate_database_read_seconds', help: 'How long reading the database for metrics took', registers: [registry] });
  const networksOf = rememberNetworks(deps.ownAddresses);
  return {
    contentType: registry.contentType,
    observeHttp: http.observeHttp,
    onException: http.onException,
    onRpc: node.onRpc,
    onCpiCall: node.onCpiCall,
    onTakeover: node.onTakeover,
    render: async () => {
      const { state, seconds } = await reader.read();
      const bosh: BoshState | undefined = state && { ...state, networks: await networksOf(state) };
      up.set(state ? 1 : 0);
      took.set(seconds);
      applyBosh(bosh);
      applyCluster(state);
      node.refresh(state?.tasks.types ?? []);
      health();
      // The lag of an event loop that was not measured since the last scrape.
      return (await registry.metrics()).replaceAll(/ Nan$/gm, ' NaN');
    },
    stop: () => reader.stop(),
  };
}

/** Parsing a large cloud config takes longer than everything else, so it is done once per version. */
function rememberNetworks(ownAddresses: () => Promise<readonly string[]>): (state: ClusterState) => Promise<readonly DynamicNetwork[]> {
  let last: { key: string; networks: readonly DynamicNetwork[] } | undefined;
  return async ({ cloudConfigs }) => {
    const own = await ownAddresses();
    const key = JSON.stringify([cloudConfigs.map(({ id }) => id), own]);
    if (last?.key !== key) last = { key, networks: dynamicNetworks(cloudConfigs.map(({ content }) => content), own) };
    return last.networks;
  };
}
