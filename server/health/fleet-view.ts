/**
 * What this node knows of agents from their own messages: warm on every node, whoever holds the health monitor's lease.
 * Metrics, the monitor's HTTP endpoints and the console read it through this view.
 */

/** The vitals of a heartbeat that are kept for charts, in the order of `instance_vitals.values`; NaN where an agent does not say. */
export const vitalNames = [
  'load_1m', 'cpu_user', 'cpu_sys', 'cpu_wait', 'mem_percent', 'mem_kb', 'swap_percent', 'swap_kb',
  'disk_system_percent', 'disk_system_inode_percent', 'disk_ephemeral_percent', 'disk_ephemeral_inode_percent', 'disk_persistent_percent', 'disk_persistent_inode_percent',
] as const;
export type VitalName = (typeof vitalNames)[number];

/** How an agent stands: what it said last of its jobs, or that it is silent. `unmanaged`: no deployment knows it. */
export type AgentStatus = 'running' | 'failing' | 'starting' | 'stopped' | 'unknown' | 'unresponsive' | 'unmanaged';

export interface AgentView {
  agentId: string;
  /** All undefined for unmanaged agents. */
  deployment: string | undefined;
  teams: readonly string[];
  group: string | undefined;
  index: number | undefined;
  instanceUuid: string | undefined;
  az: string | undefined;
  cid: string | undefined;
  /** Epoch ms of the last heartbeat, or of the discovery when there was none yet. */
  updatedAt: number;
  /** Epoch ms. */
  discoveredAt: number;
  /** Of the last heartbeat; undefined before the first. */
  jobState: string | undefined;
  processes: number | undefined;
  /** Newest values in the order of `vitalNames`; undefined before the first heartbeat. */
  vitals: readonly number[] | undefined;
  status: AgentStatus;
}

/** Numbers per deployment as the Ruby monitor's endpoints give them (placeholders of missing VMs are not counted). */
export interface HealthCounts {
  unresponsive: Record<string, number>;
  unhealthy: Record<string, number>;
  failing: Record<string, number>;
  stopped: Record<string, number>;
  unknown: Record<string, number>;
  /** With the key `unmanaged`. */
  available: Record<string, number>;
}

export interface FleetView {
  /** The records were read at least once since this process began. */
  readonly synced: boolean;
  counts(): HealthCounts;
  /** Every agent, in no order. */
  agents(): AgentView[];
  find(agentId: string): AgentView | undefined;
  /** Heartbeats heard since this process began. */
  readonly heartbeats: number;
}
