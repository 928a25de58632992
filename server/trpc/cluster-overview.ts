import { z } from 'zod';
import { listLeaseHistory, listLeases } from '../cluster/leases';
import { listNodes, type NodeInfo } from '../cluster/nodes';
import { queueFigures } from '../tasks/store';
import type { NatsServerStatus, TrpcDeps } from './context';
import { createNodeFaces, nodeFace, type NodeFace } from './node-faces';
import { listNatsAppliers, listNodeNames, probeDatabase, type NatsApplier } from './store';

/** The whole cluster at one moment; what the console's strip shows. */
export const clusterOverview = z.object({
  /** Time of the database. */
  at: z.date(),
  /** The node that answered. */
  servedBy: nodeFace,
  director: z.object({ name: z.string(), uuid: z.string(), version: z.string(), cpi: z.string() }),
  nodes: z.array(
    nodeFace.extend({
      host: z.string(),
      url: z.string(),
      roles: z.array(z.string()),
      version: z.string(),
      pid: z.int(),
      state: z.enum(['starting', 'ready', 'draining', 'stopped', 'lost']),
      startedAt: z.date(),
      beatAgeMs: z.number(),
      rssMb: z.number().optional(),
      tasks: z.number().optional(),
      leases: z.int(),
    }),
  ),
  leases: z.array(
    z.object({
      name: z.string(),
      holder: nodeFace.optional(),
      epoch: z.int(),
      acquiredAt: z.date().optional(),
      lastProgressAt: z.date().optional(),
      expiresInMs: z.number().optional(),
      /** How long nobody has held it, ms; undefined while held or when it never was. */
      freeForMs: z.number().optional(),
      paused: z.boolean(),
      wantedHolder: nodeFace.optional(),
    }),
  ),
  nats: z.array(
    z.object({
      name: z.string(),
      url: z.string(),
      state: z.enum(['connected', 'up', 'lost', 'unknown']),
      /** Revisions of the agents' users that the server has not applied yet. */
      behind: z.int(),
      /** How long this node has seen it behind, ms. */
      behindForMs: z.number(),
      beatAgeMs: z.number().optional(),
    }),
  ),
  postgres: z.object({ version: z.string(), latencyMs: z.number() }),
  blobstore: z.object({ ok: z.boolean(), latencyMs: z.number().optional(), error: z.string().optional() }),
  queue: z.object({ queued: z.int(), running: z.int(), oldestQueuedS: z.number().optional() }),
});
export type ClusterOverview = z.infer<typeof clusterOverview>;

/** A server whose applier has been silent for longer than this is lost, ms. */
const natsLostMs = 5_000;
/** Stopped or lost nodes stay in the picture this long, ms. */
const goneNodesMs = 15 * 60_000;

/** Since when (monotonic ms) servers have been behind, by URL. */
export type NatsLag = Map<string, number>;

export async function readOverview(deps: TrpcDeps, lag: NatsLag): Promise<ClusterOverview> {
  const { db } = deps.connections;
  const startedAt = performance.now();
  const probe = await probeDatabase(db);
  const latencyMs = performance.now() - startedAt;
  const [nodes, leases, names, appliers, queue, history, blobstore] = await Promise.all([
    listNodes(db, goneNodesMs), listLeases(db), listNodeNames(db), listNatsAppliers(db), queueFigures(db), listLeaseHistory(db, goneNodesMs), checkBlobstore(deps),
  ]);
  const faceOf = createNodeFaces(names);
  const shown = newestIncarnations(nodes);
  const holds = (lease: (typeof leases)[number]) => lease.holder !== undefined && (lease.expiresInMs ?? 0) > 0;
  return {
    at: probe.now,
    servedBy: faceOf(deps.node.id),
    director: deps.director,
    nodes: shown
      .map((node) => ({
        ...faceOf(node.id), host: node.host, url: node.url, roles: node.roles, version: node.version, pid: node.pid, state: node.state, startedAt: node.startedAt, beatAgeMs: node.beatAgeMs,
        rssMb: node.vitals.rssMb, tasks: node.vitals.tasks, leases: leases.filter((lease) => holds(lease) && lease.holder === node.id).length,
      }))
      .toSorted((a, b) => a.letter.localeCompare(b.letter)),
    leases: leases.map((lease) => ({
      name: lease.name, holder: holds(lease) && lease.holder !== undefined ? faceOf(lease.holder) : undefined, epoch: lease.epoch, acquiredAt: lease.acquiredAt, lastProgressAt: lease.lastProgressAt,
      expiresInMs: lease.expiresInMs, paused: lease.paused, wantedHolder: lease.wantedHolder === undefined ? undefined : faceOf(lease.wantedHolder),
      freeForMs: holds(lease) ? undefined : freeFor(probe.now, lease.expiresInMs, history.find((entry) => entry.name === lease.name)?.endedAt),
    })),
    nats: natsServers(deps.natsStatus().servers, appliers).map((server) => ({ ...server, behindForMs: behindFor(server, lag) })),
    postgres: { version: probe.version, latencyMs },
    blobstore,
    queue,
  };
}

function freeFor(now: Date, expiresInMs: number | undefined, endedAt: Date | undefined): number | undefined {
  if (expiresInMs !== undefined) return -expiresInMs;
  return endedAt === undefined ? undefined : now.getTime() - endedAt.getTime();
}

/** One row per name: the newest. An incarnation that was replaced is history; one that went without a successor is shown. */
function newestIncarnations(nodes: readonly NodeInfo[]): NodeInfo[] {
  const newest = new Map<string, NodeInfo>();
  for (const node of nodes) if (!newest.has(node.name)) newest.set(node.name, node);
  return [...newest.values()];
}

type NatsServer = Omit<ClusterOverview['nats'][number], 'behindForMs'>;

function behindFor(server: NatsServer, lag: NatsLag): number {
  if (server.behind === 0) {
    lag.delete(server.url);
    return 0;
  }
  const since = lag.get(server.url) ?? performance.now();
  lag.set(server.url, since);
  return performance.now() - since;
}

function natsServers(servers: readonly NatsServerStatus[], appliers: readonly NatsApplier[]): NatsServer[] {
  const addressOf = (url: string) => url.replace(/^[a-z]+:\/\//, '');
  const known = servers.map((server, index) => {
    const applier = appliers.find((one) => addressOf(one.address) === addressOf(server.url));
    return { name: applier?.serverName ?? `${index + 1}`, url: server.url, ...natsState(server.connected, applier) };
  });
  const strangers = appliers.filter((one) => !servers.some((server) => addressOf(server.url) === addressOf(one.address)) && one.beatAgeMs < natsLostMs);
  return [...known, ...strangers.map((one) => ({ name: one.serverName, url: one.address, ...natsState(false, one) }))];
}

function natsState(connected: boolean, applier: NatsApplier | undefined): Pick<NatsServer, 'state' | 'behind' | 'beatAgeMs'> {
  const behind = applier ? Math.max(0, applier.wantedRevision - applier.appliedRevision) : 0;
  if (connected) return { state: 'connected', behind, beatAgeMs: applier?.beatAgeMs };
  if (!applier) return { state: 'unknown', behind };
  return { state: applier.beatAgeMs < natsLostMs ? 'up' : 'lost', behind, beatAgeMs: applier.beatAgeMs };
}

async function checkBlobstore(deps: TrpcDeps): Promise<ClusterOverview['blobstore']> {
  const startedAt = performance.now();
  try {
    await deps.blobstore.check();
    return { ok: true, latencyMs: performance.now() - startedAt };
  } catch (error) {
    return { ok: false, error: error instanceof Error ? error.message : String(error) };
  }
}

/** Faces and last heartbeats of all nodes heard of in the last week. */
export interface NodeBook {
  faceOf(id: string): NodeFace;
  lastBeatOf(id: string): Date | undefined;
}

export async function readNodeBook(deps: TrpcDeps): Promise<NodeBook> {
  const nodes = await listNodeNames(deps.connections.db);
  const beats = new Map(nodes.map((node) => [node.id, node.lastBeatAt]));
  return { faceOf: createNodeFaces(nodes), lastBeatOf: (id) => beats.get(id) };
}
