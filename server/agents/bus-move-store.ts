import { and, asc, desc, eq, gt, isNull, sql, type SQL } from 'drizzle-orm';
import type { Db, Tx } from '../../db/client';
import { busMoveAgents, busMoves, busTargets } from '../../db/schema/bus';
import { vms } from '../../db/schema/deployments';
import { events } from '../../db/schema/events';
import { code, DirectorError } from '../core/errors';
import { checkBusUrls } from './bus-urls';

/**
 * Moves of the bus: the NATS servers that VMs shall use, and how far the agents are with them.
 *
 * A move is unfinished until every agent of it is `told`, `gone` or `superseded`. A newer move of the same AZ, or of all, ends it at
 * once (`supersededBy`); one of another scope only takes the agents over that both have.
 */

export type BusMoveAgentState = (typeof busMoveAgents.$inferSelect)['state'];

export interface NewBusMove {
  /** Undefined: every VM. */
  az?: string | undefined;
  /** `nats://host:port`, at least one. */
  urls: readonly string[];
  /** Who ordered it. */
  user: string;
  /** `natsConfigSha1` of the node that takes the order: only nodes with the same CA bundle and signing certificate may carry it out. */
  caSha1: string;
}

export interface BusMove {
  id: number;
  /** Undefined: every VM. */
  az: string | undefined;
  urls: string[];
  caSha1: string;
  user: string;
  createdAt: Date;
  finishedAt: Date | undefined;
  /** The newer move that ended this one. */
  supersededBy: number | undefined;
  /** Agents by state. */
  told: number;
  pending: number;
  gone: number;
  superseded: number;
  /** Why it does not get on: the newest reason why an agent could not be told yet, or what keeps the whole move back. */
  error: string | undefined;
}

export interface BusMoveAgent {
  agentId: string;
  state: BusMoveAgentState;
  attempts: number;
  /** Of the next attempt, when pending. */
  nextAttemptAt: Date;
  sentAt: Date | undefined;
  error: string | undefined;
  updatedAt: Date;
  /** Undefined when its VM is gone, or belongs to no instance. */
  deployment: string | undefined;
  /** `<group>/<uuid>` */
  instance: string | undefined;
  az: string | undefined;
  cid: string | undefined;
}

/**
 * Orders a move: from its commit on, new VMs get the list, and `bus-mover` tells it to all others. No VM can slip between the two,
 * because whoever records a VM waits until the move is recorded, and reads the list after that. The same list again is allowed: it
 * renews the agents' certificates. Throws DirectorError 40005 for bad URLs and for an AZ without VMs.
 * Returns the id. Safe to be cut short: it is one transaction.
 */
export async function startBusMove(db: Db, input: NewBusMove): Promise<number> {
  const urls = checkBusUrls(input.urls);
  return db.transaction(async (tx) => {
    await tx.execute(sql`LOCK TABLE vms IN SHARE ROW EXCLUSIVE MODE`);
    // Before their agents, as the mover does.
    await tx.execute(sql`SELECT 1 FROM bus_moves WHERE finished_at IS NULL AND superseded_by IS NULL ORDER BY id FOR UPDATE`);
    const { az } = input;
    if (az !== undefined) await requireVms(tx, az);
    const [move] = await tx.insert(busMoves).values({ az: az ?? null, urls, caSha1: input.caSha1, username: input.user }).returning({ id: busMoves.id });
    if (!move) throw new Error('the move was not stored');
    await setTarget(tx, { az, urls, moveId: move.id });
    await tx.execute(sql`INSERT INTO bus_move_agents (move_id, agent_id) SELECT ${move.id}, agent_id FROM vms WHERE ${az === undefined ? sql`true` : sql`az = ${az}`}`);
    await supersede(tx, move.id, az);
    await finishMoves(tx);
    await forgetOldMoves(tx);
    await tx.insert(events).values({ username: input.user, action: 'update', objectType: 'bus', objectName: az ?? 'all', context: { move: move.id, urls } });
    await tx.execute(sql`SELECT pg_notify('bus_moves', ${String(move.id)})`);
    return move.id;
  });
}

async function requireVms(tx: Tx, az: string): Promise<void> {
  const known = await tx.selectDistinct({ az: vms.az }).from(vms);
  if (known.some((one) => one.az === az)) return;
  const names = known.flatMap((one) => one.az ?? []).sort();
  throw new DirectorError(code.validationInvalidValue, `No VM is in availability zone '${az}': ${names.length === 0 ? 'no VM is in any' : `VMs are in ${names.join(', ')}`}`);
}

async function setTarget(tx: Tx, { az, urls, moveId }: { az: string | undefined; urls: string[]; moveId: number }): Promise<void> {
  if (az === undefined) await tx.delete(busTargets);
  await tx
    .insert(busTargets)
    .values({ az: az ?? '', urls, moveId })
    .onConflictDoUpdate({ target: busTargets.az, set: { urls, moveId, updatedAt: sql`now()` } });
}

async function supersede(tx: Tx, id: number, az: string | undefined): Promise<void> {
  await tx.execute(sql`
    UPDATE bus_move_agents a SET state = 'superseded', updated_at = now()
    FROM bus_move_agents n WHERE n.move_id = ${id} AND n.agent_id = a.agent_id AND a.move_id <> ${id} AND a.state = 'pending'`);
  await tx.execute(sql`
    UPDATE bus_moves SET superseded_by = ${id} WHERE id <> ${id} AND finished_at IS NULL AND superseded_by IS NULL AND ${az === undefined ? sql`true` : sql`az = ${az}`}`);
}

/** Moves that have ended stay for the record, the newest twenty of them. */
async function forgetOldMoves(tx: Tx): Promise<void> {
  await tx.execute(sql`
    DELETE FROM bus_moves WHERE id IN (SELECT id FROM bus_moves WHERE finished_at IS NOT NULL OR superseded_by IS NOT NULL ORDER BY id DESC OFFSET 20)`);
}

/** Ends the moves that have nothing left to do. */
export async function finishMoves(tx: Tx): Promise<number[]> {
  const { rows } = await tx.execute<{ id: number }>(sql`
    UPDATE bus_moves m SET finished_at = now()
    WHERE m.finished_at IS NULL AND m.superseded_by IS NULL AND NOT EXISTS (SELECT 1 FROM bus_move_agents a WHERE a.move_id = m.id AND a.state = 'pending')
    RETURNING m.id`);
  return rows.map((row) => row.id);
}

/** The NATS servers that VMs of an AZ (undefined: of none) shall use; undefined: those of the configuration. Read it after the VM is recorded. */
export async function findBusUrls(db: Db, az: string | undefined): Promise<string[] | undefined> {
  const rows = await db.select({ az: busTargets.az, urls: busTargets.urls }).from(busTargets);
  return (rows.find((row) => row.az === az) ?? rows.find((row) => row.az === ''))?.urls;
}

/** Moves, newest first. */
export async function listBusMoves(db: Db, options: { unfinished?: boolean; limit?: number } = {}): Promise<BusMove[]> {
  return readMoves(db, options.unfinished ? and(isNull(busMoves.finishedAt), isNull(busMoves.supersededBy)) : undefined, options.limit ?? 50);
}

export async function findBusMove(db: Db, id: number): Promise<BusMove | undefined> {
  return (await readMoves(db, eq(busMoves.id, id), 1))[0];
}

async function readMoves(db: Db, where: SQL | undefined, limit: number): Promise<BusMove[]> {
  const counted = (state: BusMoveAgentState) => sql<number>`(SELECT count(*)::int FROM bus_move_agents a WHERE a.move_id = ${busMoves.id} AND a.state = ${state})`;
  const rows = await db
    .select({
      move: busMoves,
      told: counted('told'), pending: counted('pending'), gone: counted('gone'), superseded: counted('superseded'),
      error: sql<string | null>`(SELECT a.error FROM bus_move_agents a WHERE a.move_id = ${busMoves.id} AND a.state = 'pending' AND a.error IS NOT NULL ORDER BY a.updated_at DESC LIMIT 1)`,
    })
    .from(busMoves)
    .where(where)
    .orderBy(desc(busMoves.id))
    .limit(limit);
  return rows.map(({ move, error, ...counts }) => ({
    id: move.id, az: move.az ?? undefined, urls: move.urls, caSha1: move.caSha1, user: move.username, createdAt: move.createdAt,
    finishedAt: move.finishedAt ?? undefined, supersededBy: move.supersededBy ?? undefined, ...counts, error: move.problem ?? error ?? undefined,
  }));
}

/** Agents of a move by agent id, `limit` (default 100) of them beginning after `after`. */
export async function listBusMoveAgents(db: Db, query: { moveId: number; state?: BusMoveAgentState | undefined; after?: string | undefined; limit?: number }): Promise<BusMoveAgent[]> {
  const rows = await db
    .select({
      agent: busMoveAgents, az: vms.az, cid: vms.cid,
      deployment: sql<string | null>`(SELECT d.name FROM deployments d JOIN instances i ON i.deployment_id = d.id WHERE i.id = ${vms.instanceId})`,
      instance: sql<string | null>`(SELECT i.job || '/' || i.uuid FROM instances i WHERE i.id = ${vms.instanceId})`,
    })
    .from(busMoveAgents)
    .leftJoin(vms, eq(vms.agentId, busMoveAgents.agentId))
    .where(and(eq(busMoveAgents.moveId, query.moveId), query.state && eq(busMoveAgents.state, query.state), query.after === undefined ? undefined : gt(busMoveAgents.agentId, query.after)))
    .orderBy(asc(busMoveAgents.agentId))
    .limit(query.limit ?? 100);
  return rows.map(({ agent, deployment, instance, az, cid }) => ({
    agentId: agent.agentId, state: agent.state, attempts: agent.attempts, nextAttemptAt: agent.nextAttemptAt, sentAt: agent.sentAt ?? undefined, error: agent.error ?? undefined,
    updatedAt: agent.updatedAt, deployment: deployment ?? undefined, instance: instance ?? undefined, az: az ?? undefined, cid: cid ?? undefined,
  }));
}
