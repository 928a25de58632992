/**
 * How long an agent's silence may be held against it. An agent is silent for us when its VM is dead, but also when the way from it to
 * this process is broken: then the fault is the bus's, or ours. So silence counts only as far as the way was seen to work, and begins
 * anew whenever the way may have been away. All times are monotonic ms of this process.
 */

/** One NATS server as seen from this node. */
export interface ServerState {
  /** It answers: the last look at it was good, and none has been waiting for long. */
  healthy: boolean;
  /** Begin of the last good look; -Infinity: never. */
  okAt: number;
  /** Since when it is known to be lost; undefined: it is not. */
  lostAt: number | undefined;
  /** When it was last found again after it had been lost; -Infinity: never lost. */
  backAt: number;
}

/** The bus at one moment. */
export interface Scene {
  now: number;
  /** Nobody is judged by what was before: this node began to judge, (re)connected to the bus or was paused. */
  grace: number;
  /** Until when this node's own connection to the bus was seen to work. */
  provenAt: number;
  /** By name. */
  servers: ReadonlyMap<string, ServerState>;
  /** Where an agent of unknown path may be: the worst of all. */
  anywhere: ServerState;
  /** How long the agents of a lost server have to find another one, ms. */
  pathGraceMs: number;
}

/** What of an agent decides about its silence. */
export interface Silent {
  /** The last heartbeat, or the discovery. */
  heardAt: number;
  /** The last heartbeat; -Infinity: none yet. */
  beatAt: number;
  /** Name of the NATS server that it was last connected to. */
  path: string | undefined;
  /** When that connection was made; -Infinity: not known. */
  pathSince: number;
}

/** ms of silence that count; negative while the agent has had no chance to be heard. */
export function silenceMs(agent: Silent, scene: Scene): number {
  const server = serverOf(agent, scene);
  const from = Math.max(agent.heardAt, agent.pathSince, scene.grace, server.backAt);
  return Math.min(scene.provenAt, wayProvenAt(agent, server, scene)) - from;
}

function serverOf(agent: Silent, scene: Scene): ServerState {
  return (agent.path === undefined ? undefined : scene.servers.get(agent.path)) ?? scene.anywhere;
}

/**
 * Until when the agent's own way was open. Agents of a lost server wait for its return or have `pathGraceMs` to go elsewhere; one that
 * was heard since the loss is elsewhere already.
 */
function wayProvenAt(agent: Silent, server: ServerState, scene: Scene): number {
  if (server.healthy) return scene.now;
  if (server.lostAt !== undefined && (agent.beatAt > server.lostAt || scene.now - server.lostAt > scene.pathGraceMs)) return scene.now;
  return server.okAt;
}

/** Several servers of which an agent may be on any. */
export function worstOf(servers: Iterable<ServerState>): ServerState {
  const worst: ServerState = { healthy: true, okAt: Number.POSITIVE_INFINITY, lostAt: Number.NEGATIVE_INFINITY, backAt: Number.NEGATIVE_INFINITY };
  for (const server of servers) {
    worst.backAt = Math.max(worst.backAt, server.backAt);
    if (server.healthy) continue;
    worst.healthy = false;
    worst.okAt = Math.min(worst.okAt, server.okAt);
    worst.lostAt = worst.lostAt === undefined || server.lostAt === undefined ? undefined : Math.max(worst.lostAt, server.lostAt);
  }
  return worst.healthy ? { ...worst, lostAt: undefined } : worst;
}

/** No fault of the bus is going on: a ping that is not answered is the agent's fault. */
export function isCalm(scene: Scene): boolean {
  return scene.provenAt >= scene.now && scene.anywhere.healthy;
}
