import { and, eq, isNull, sql } from 'drizzle-orm';
import type { Db, Tx } from '../../db/client';
import { deployments, instances } from '../../db/schema/deployments';
import { persistentDisks, possibleLeaks, snapshots } from '../../db/schema/disks';
import { recordEvent } from '../events/store';
import type { Author } from './store';

/** What the cloud may have made without anybody knowing its cid; operators look for it in the cloud, and then take it from the list. */

export type PossibleLeak = typeof possibleLeaks.$inferSelect;

export async function listPossibleLeaks(db: Db): Promise<PossibleLeak[]> {
  return db.select().from(possibleLeaks).orderBy(possibleLeaks.id);
}

/** An operator has seen to it. */
export async function dismissLeak(db: Db, id: number): Promise<void> {
  await db.delete(possibleLeaks).where(eq(possibleLeaks.id, id));
}

const instanceText = sql<string>`${instances.job} || '/' || ${instances.uuid}::text`;

/** Moves an intent without an answer to the list of possible leaks, with an audit event. Undefined when it has been moved or completed already. */
export async function noteLeak(tx: Tx, intent: { kind: 'disk' | 'snapshot'; id: number }, author: Author): Promise<PossibleLeak | undefined> {
  const found = intent.kind === 'disk' ? await findDiskIntent(tx, intent.id) : await findSnapshotIntent(tx, intent.id);
  if (!found) return undefined;
  const [leak] = await tx.insert(possibleLeaks).values({ ...found, kind: intent.kind }).returning();
  if (intent.kind === 'disk') await tx.delete(persistentDisks).where(and(eq(persistentDisks.id, intent.id), isNull(persistentDisks.cid)));
  else await tx.delete(snapshots).where(and(eq(snapshots.id, intent.id), isNull(snapshots.cid)));
  if (leak) await recordEvent(tx, { ...author, action: 'create', objectType: intent.kind, deployment: leak.deploymentName, instance: leak.instanceName, error: leakText(leak) });
  return leak;
}

type Intent = Pick<PossibleLeak, 'deploymentName' | 'instanceName' | 'size' | 'diskCid' | 'cpi' | 'begunAt'>;

async function findDiskIntent(tx: Tx, id: number): Promise<Intent | undefined> {
  const [row] = await tx
    .select({ deploymentName: deployments.name, instanceName: instanceText, size: persistentDisks.size, cpi: persistentDisks.cpi, begunAt: persistentDisks.createdAt })
    .from(persistentDisks)
    .innerJoin(instances, eq(instances.id, persistentDisks.instanceId))
    .innerJoin(deployments, eq(deployments.id, instances.deploymentId))
    .where(and(eq(persistentDisks.id, id), isNull(persistentDisks.cid)));
  return row && { ...row, diskCid: null };
}

async function findSnapshotIntent(tx: Tx, id: number): Promise<Intent | undefined> {
  const [row] = await tx
    .select({ deploymentName: deployments.name, instanceName: instanceText, size: persistentDisks.size, diskCid: persistentDisks.cid, cpi: persistentDisks.cpi, begunAt: snapshots.createdAt })
    .from(snapshots)
    .innerJoin(persistentDisks, eq(persistentDisks.id, snapshots.diskId))
    .innerJoin(instances, eq(instances.id, persistentDisks.instanceId))
    .innerJoin(deployments, eq(deployments.id, instances.deploymentId))
    .where(and(eq(snapshots.id, id), isNull(snapshots.cid)));
  return row;
}

/** What an operator has to know of it. */
export function leakText(leak: PossibleLeak): string {
  const at = leak.begunAt.toISOString().replace(/\.\d+Z$/, 'Z');
  const what = leak.kind === 'disk' ? `a disk of ${leak.size} MB for '${leak.instanceName}'` : `a snapshot of disk '${leak.diskCid ?? ''}' of '${leak.instanceName}'`;
  return `At ${at} the cloud was asked for ${what} and nobody heard the answer; should the cloud have made it, delete it there by hand`;
}
