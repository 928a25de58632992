/** What this node has done for a plugin since its process began. */
export interface PluginStats {
  key: string;
  /** Alerts. */
  delivered: number;
  /** Calls with alerts. */
  failed: number;
  /** Heartbeats that were sent. */
  heartbeats: number;
  /** Heartbeats that were lost: the plugin was too slow, or failed. */
  droppedHeartbeats: number;
}

export function newStats(key: string): PluginStats {
  return { key, delivered: 0, failed: 0, heartbeats: 0, droppedHeartbeats: 0 };
}
