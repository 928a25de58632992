import { sql } from 'drizzle-orm';
import type { Tx } from '../../db/client';
import { enqueueTask } from '../tasks/queue';

/** Enqueues a snapshot of every deployment, once however often its task is repeated. Returns the ids of the tasks. */
export async function enqueueSnapshots(tx: Tx, byTask: number): Promise<number[]> {
  const { rows } = await tx.execute<{ name: string; teams: string[]; task_id: number | null }>(sql`
    SELECT d.name, d.teams, (SELECT t.id FROM tasks t WHERE t.type = 'snapshot_deployment' AND t.deployment = d.name AND t.id > ${byTask} AND t.context_id = ${`schedule-${byTask}`} LIMIT 1) AS task_id
    FROM deployments d ORDER BY d.name`);
  const ids: number[] = [];
  for (const { name, teams, task_id: known } of rows) {
    ids.push(known ?? (await enqueueTask(tx, { type: 'snapshot_deployment', lane: 'normal', description: 'snapshot deployment', user: 'scheduler', deployment: name, teams, payload: { deployment: name }, contextId: `schedule-${byTask}` })).id);
  }
  return ids;
}
