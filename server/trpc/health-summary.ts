import type { HealthCounts } from '../health/fleet-view';

/** How the agents of one deployment are. */
export interface DeploymentHealth {
  name: string;
  agents: number;
  unresponsive: number;
  unhealthy: number;
  failing: number;
  stopped: number;
  unknown: number;
  missingVms: number;
  /** Open ones. */
  incidents: number;
}

interface OpenIncidents {
  deployment: string | undefined;
  kind: string;
  count: number;
}

/** Deployments with trouble, the worst first, then the others when `all` of them are wanted; what is left out as a sum. */
export function summariseDeployments(names: readonly string[], from: { counts: HealthCounts; incidents: readonly OpenIncidents[] }, all: boolean): { deployments: DeploymentHealth[]; quiet: { deployments: number; agents: number } } {
  const { counts, incidents } = from;
  const rows = names.map((name): DeploymentHealth => {
    const own = incidents.filter((one) => one.deployment === name);
    return {
      name, agents: counts.available[name] ?? 0, unresponsive: counts.unresponsive[name] ?? 0, unhealthy: counts.unhealthy[name] ?? 0, failing: counts.failing[name] ?? 0,
      stopped: counts.stopped[name] ?? 0, unknown: counts.unknown[name] ?? 0, missingVms: sum(own.filter((one) => one.kind === 'missing_vm')), incidents: sum(own),
    };
  });
  const troubled = rows.filter((row) => weight(row) > 0).toSorted((a, b) => weight(b) - weight(a));
  const calm = rows.filter((row) => weight(row) === 0);
  if (all) return { deployments: [...troubled, ...calm], quiet: { deployments: 0, agents: 0 } };
  return { deployments: troubled, quiet: { deployments: calm.length, agents: calm.reduce((total, row) => total + row.agents, 0) } };
}

function sum(incidents: readonly OpenIncidents[]): number {
  return incidents.reduce((total, one) => total + one.count, 0);
}

/** What an agent that was not heard of yet or is stopped on purpose says is no trouble. */
function weight(row: DeploymentHealth): number {
  return row.incidents * 4 + row.unresponsive * 2 + row.failing + row.unhealthy;
}
