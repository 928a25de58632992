import { Counter, Gauge, type Registry } from 'prom-client';
import type { FleetView, HealthCounts } from '../health/fleet-view';

/** What this node knows of agents; undefined on nodes that do not watch them. */
export type FleetSource = () => Pick<FleetView, 'synced' | 'counts' | 'heartbeats'> | undefined;

const gauges: readonly { name: string; help: string; of: keyof HealthCounts }[] = [
  { name: 'bosh_unresponsive_agents', help: 'Agents that have timed out, by deployment', of: 'unresponsive' },
  { name: 'bosh_unhealthy_agents', help: 'Agents that say running but have no processes, by deployment', of: 'unhealthy' },
  { name: 'bosh_total_available_agents', help: 'Agents, by deployment; unmanaged: those that no deployment knows', of: 'available' },
  { name: 'bosh_failing_instances', help: 'Instances whose agents say failing, by deployment', of: 'failing' },
  { name: 'bosh_stopped_instances', help: 'Instances whose agents say stopped, by deployment', of: 'stopped' },
  { name: 'bosh_unknown_instances', help: 'Instances whose agents have not said how their jobs are, by deployment', of: 'unknown' },
];

/**
 * The numbers that the Ruby metrics server asks its health monitor for, from what this node hears itself. As there, nothing is told
 * before the records were read once, and a deployment that has gone stays with 0.
 * Source: cloudfoundry/bosh src/bosh-director/lib/bosh/director/metrics_collector.rb.
 */
export function registerAgentsHealth(registry: Registry, fleet: FleetSource): () => void {
  const heartbeats = new Counter({ name: 'directorate_heartbeats_total', help: 'Heartbeats of agents that this node heard', registers: [registry] });
  const metrics = gauges.map(({ name, help, of }) => ({ of, seen: new Set<string>(), gauge: new Gauge({ name, help, labelNames: ['name'], registers: [registry] }) }));
  return () => {
    const view = fleet();
    heartbeats.reset();
    heartbeats.inc(view?.heartbeats ?? 0);
    if (!view?.synced) return;
    const counts = view.counts();
    for (const { of, seen, gauge } of metrics) {
      for (const deployment of Object.keys(counts[of])) seen.add(deployment);
      for (const deployment of seen) gauge.set({ name: deployment }, counts[of][deployment] ?? 0);
    }
  };
}
