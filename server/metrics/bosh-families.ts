import { canonicalName } from '../core/names';
import type { ClusterState } from './cluster-state';
import { flag, type Family, type Sample } from './family';
import type { DynamicNetwork } from './networks';

/**
 * What the Ruby director's metrics server tells from its database, under the same names.
 * Source: cloudfoundry/bosh src/bosh-director/lib/bosh/director/metrics_collector.rb.
 */

export interface BoshState extends ClusterState {
  networks: readonly DynamicNetwork[];
}

export const boshFamilies: readonly Family<BoshState>[] = [
  {
    name: 'bosh_deploy_config_enabled', type: 'gauge', help: 'Whether a config of type deploy exists: 0 no, 1 yes',
    samples: (state) => [{ value: flag(state.deployConfig) }],
  },
  {
    name: 'bosh_resurrection_enabled', type: 'gauge', help: 'Whether resurrection is on: 0 paused for everything, 1 on',
    samples: (state) => [{ value: flag(!state.resurrectionPaused) }],
  },
  { name: 'bosh_tasks_total', type: 'gauge', labels: ['state', 'type'], help: 'Tasks that are processing or queued, by type; 0 for every type that has ended tasks only', samples: taskCounts },
  {
    name: 'bosh_networks_dynamic_ips_total', type: 'gauge', labels: ['name'], help: 'Addresses of a manual network that the director may give out by itself',
    samples: (state) => networkSamples(state, (network) => network.size),
  },
  {
    name: 'bosh_networks_dynamic_free_ips_total', type: 'gauge', labels: ['name'], help: 'Those of the addresses that are free',
    samples: (state) => networkSamples(state, (network) => network.size - (state.dynamicAddresses.find((used) => used.network === network.name)?.count ?? 0)),
  },
];

const taskStates = ['processing', 'queued'] as const;

function taskCounts({ tasks }: BoshState): Sample[] {
  const types = new Set([...tasks.types, ...tasks.live.map((live) => live.type)]);
  return taskStates.flatMap((state) =>
    [...types].map((type) => ({ labels: { state, type }, value: tasks.live.filter((live) => live.type === type && live.state === state).reduce((sum, live) => sum + live.count, 0) })),
  );
}

function networkSamples(state: BoshState, value: (network: DynamicNetwork) => number): Sample[] {
  return [{ labels: { name: 'no_networks' }, value: 0 }, ...state.networks.map((network) => ({ labels: { name: networkLabel(network.name) }, value: value(network) }))];
}

/** Canonical as for DNS, then with underscores. The parser has refused names that cannot be made so, and two that become one. */
function networkLabel(name: string): string {
  return canonicalName(name).replaceAll('-', '_');
}
