import { sql, type SQL } from 'drizzle-orm';
import type { Db, Tx } from '../../db/client';
import { finishMoves } from './bus-move-store';

/** What `bus-mover` reads and writes. Every change is conditional, so that each may be repeated. */

export interface DueAgent {
  moveId: number;
  agentId: string;
  urls: string[];
  /** `<group>/<uuid> (<index>)` */
  name: string;
  cid: string | undefined;
  /** Its bootstrap certificate counts no more. */
  permanent: boolean;
  /** Named disks of its instance, which it must not forget. */
  diskAssociations: { name: string; cid: string }[];
}

/** True while any move has something left to do. */
export async function hasUnfinishedMoves(db: Db): Promise<boolean> {
  const { rows } = await db.execute(sql`SELECT 1 FROM bus_moves WHERE finished_at IS NULL AND superseded_by IS NULL LIMIT 1`);
  return rows.length > 0;
}

/**
 * What must be done before agents are chosen: agents without a VM are gone, moves without pending agents are finished, moves for
 * another CA are marked. Returns the moves finished now.
 */
export async function tidyMoves(tx: Tx, own: { caSha1: string; problem: string }): Promise<number[]> {
  await tx.execute(sql`
    UPDATE bus_move_agents a SET state = 'gone', error = NULL, updated_at = now()
    WHERE a.state = 'pending' AND NOT EXISTS (SELECT 1 FROM vms v WHERE v.agent_id = a.agent_id)`);
  await tx.execute(sql`
    UPDATE bus_moves SET problem = CASE WHEN ca_sha1 = ${own.caSha1} THEN NULL ELSE ${own.problem} END
    WHERE finished_at IS NULL AND superseded_by IS NULL AND problem IS DISTINCT FROM CASE WHEN ca_sha1 = ${own.caSha1} THEN NULL ELSE ${own.problem} END`);
  return finishMoves(tx);
}

/** The agent's deployment is being changed; a task that waits for another node goes on with what the agent is doing. */
const locked: SQL = sql`EXISTS (
  SELECT 1 FROM locks l JOIN tasks t ON t.id = l.task_id WHERE l.name = 'lock:deployment:' || d.name AND t.state IN ('queued', 'processing', 'cancelling'))`;

/**
 * Agents to be told now: their time has come, or they made a new connection since they were tried. Those that were never tried, or are back, come
 * before those that were away, and then whoever waits longest.
 * Those at work for a deploy are left out: they would lose what they are doing; and all but the first while it is not back (see `claimSend`).
 */
export async function listDueAgents(db: Db, query: { caSha1: string; except: readonly string[]; limit: number }): Promise<DueAgent[]> {
  const { rows } = await db.execute<{ move_id: number; agent_id: string; urls: string[]; name: string | null; cid: string | null; permanent: boolean; disks: { name: string; cid: string }[] | null }>(sql`
    WITH moves AS MATERIALIZED (
      SELECT m.id, m.urls,
        EXISTS (SELECT 1 FROM bus_move_agents o WHERE o.move_id = m.id AND o.state = 'told') AS proven,
        (SELECT o.agent_id FROM bus_move_agents o WHERE o.move_id = m.id AND o.state = 'pending' AND o.sent_at IS NOT NULL LIMIT 1) AS first
      FROM bus_moves m WHERE m.finished_at IS NULL AND m.superseded_by IS NULL AND m.ca_sha1 = ${query.caSha1})
    SELECT a.move_id, a.agent_id, m.urls, v.cid, v.permanent_nats_credentials AS permanent, i.job || '/' || i.uuid || ' (' || i.index || ')' AS name,
      (SELECT json_agg(json_build_object('name', p.name, 'cid', p.cid) ORDER BY p.name) FROM persistent_disks p WHERE p.instance_id = i.id AND p.active AND p.name <> '' AND p.cid IS NOT NULL) AS disks
    FROM bus_move_agents a
    JOIN moves m ON m.id = a.move_id AND (m.proven OR m.first IS NULL OR m.first = a.agent_id)
    JOIN vms v ON v.agent_id = a.agent_id
    LEFT JOIN instances i ON i.id = v.instance_id
    LEFT JOIN deployments d ON d.id = i.deployment_id
    LEFT JOIN agent_paths p ON p.agent_id = a.agent_id::text
    WHERE a.state = 'pending' AND (a.next_attempt_at <= now() OR p.since > a.updated_at)
      AND NOT coalesce(i.compilation, false) AND NOT ${locked}
      AND a.agent_id <> ALL (${sql.param([...query.except])}::uuid[])
    ORDER BY a.attempts = 0 OR coalesce(p.since > a.updated_at, false) DESC, a.next_attempt_at LIMIT ${query.limit}`);
  return rows.map((row) => ({
    moveId: row.move_id, agentId: row.agent_id, urls: row.urls, name: row.name ?? `VM of agent ${row.agent_id}`, cid: row.cid ?? undefined, permanent: row.permanent, diskAssociations: row.disks ?? [],
  }));
}

type AgentKey = Pick<DueAgent, 'moveId' | 'agentId'>;

/**
 * The right to send: true when the agent is still to be told by this move, is not at work, and either some agent of the move has come
 * back already or no other is under way. Notes that it is being sent. Moves are asked one after the other, so one is the first.
 */
export async function claimSend(tx: Tx, { moveId, agentId }: AgentKey): Promise<boolean> {
  await tx.execute(sql`SELECT 1 FROM bus_moves WHERE id = ${moveId} FOR UPDATE`);
  const { rows } = await tx.execute(sql`
    UPDATE bus_move_agents a SET sent_at = now()
    FROM bus_moves m, vms v LEFT JOIN instances i ON i.id = v.instance_id LEFT JOIN deployments d ON d.id = i.deployment_id
    WHERE a.move_id = ${moveId} AND a.agent_id = ${agentId} AND a.state = 'pending' AND m.id = a.move_id AND m.superseded_by IS NULL AND v.agent_id = a.agent_id
      AND NOT ${locked}
      AND (EXISTS (SELECT 1 FROM bus_move_agents o WHERE o.move_id = a.move_id AND o.state = 'told')
        OR NOT EXISTS (SELECT 1 FROM bus_move_agents o WHERE o.move_id = a.move_id AND o.state = 'pending' AND o.sent_at IS NOT NULL AND o.agent_id <> a.agent_id))
    RETURNING a.agent_id`);
  return rows.length > 0;
}

/** Looks at the agent again in a second: another one goes first, or it is at work. */
export async function putOff(tx: Tx, { moveId, agentId }: AgentKey): Promise<void> {
  await tx.execute(sql`UPDATE bus_move_agents SET next_attempt_at = now() + interval '1 second', error = NULL, updated_at = now() WHERE move_id = ${moveId} AND agent_id = ${agentId} AND state = 'pending'`);
}

/** The agent has the list and its permanent certificate. The VM's record first, as everywhere: see `startBusMove`. Returns the moves finished now. */
export async function markTold(tx: Tx, agent: DueAgent, caSha1: string): Promise<number[]> {
  // Naming the column tells every NATS server that its users changed.
  const permanent = agent.permanent ? sql`` : sql`, permanent_nats_credentials = true`;
  await tx.execute(sql`UPDATE vms SET nats_config_sha1 = ${caSha1}${permanent} WHERE agent_id = ${agent.agentId}`);
  await tx.execute(sql`
    UPDATE bus_move_agents SET state = 'told', attempts = attempts + 1, error = NULL, updated_at = now()
    WHERE move_id = ${agent.moveId} AND agent_id = ${agent.agentId} AND state = 'pending'`);
  return finishMoves(tx);
}

/** The next attempt comes after 1, 2, 4 … 60 s. */
export async function markFailed(tx: Tx, { moveId, agentId }: AgentKey, error: string): Promise<void> {
  await tx.execute(sql`
    UPDATE bus_move_agents 
    SET attempts = attempts + 1, error = CASE WHEN sent_at IS NULL THEN ${error} ELSE 'It was sent the settings, without success yet: ' || ${error} END, updated_at = now(),
        next_attempt_at = now() + make_interval(secs => least(60, 2 ^ least(attempts, 6)))
    WHERE move_id = ${moveId} AND agent_id = ${agentId} AND state = 'pending'`);
}
