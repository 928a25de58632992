/** The cluster's time constants, ms. Expiry is judged by the database clock; holders stop earlier by their own. */
export const timing = {
  /** How often a node renews its registration, its tasks' leases and its components' leases. */
  beatMs: 500,
  /** A beat that takes longer has failed. */
  beatTimeoutMs: 1_500,
  /** A node without a beat for this long is lost. */
  nodeLostMs: 3_000,
  /** A task not renewed for this long may be taken over. */
  taskLeaseMs: 3_000,
  /** A component not renewed for this long may be taken over. */
  componentLeaseMs: 2_000,
  /** How often a node looks for free or expired component leases. */
  standbyPollMs: 200,
  /** How often a node with many leases looks for one with few. */
  shareOutMs: 10_000,
  /** A holder whose duty has made no progress for this long steps down. */
  progressLimitMs: 30_000,
  /** A holder stops this much before the database would let others in. */
  safetyMs: 250,
  /** How often lost tasks are looked for. */
  reapMs: 250,
} as const;
