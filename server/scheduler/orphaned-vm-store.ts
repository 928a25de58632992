import { eq, sql } from 'drizzle-orm';
import type { Db, Tx } from '../../db/client';
import { ipAddresses, orphanedVms } from '../../db/schema/deployments';
import { findEvent, listEvents, recordEvent, type AuditEvent } from '../events/store';

/** A VM that no instance has any more; its addresses stay reserved until it is deleted. */
export interface DoomedVm {
  id: number;
  cid: string;
  /** Name of the CPI that made it; '' is the director's own. */
  cpi: string;
  stemcellApiVersion: number | null;
  deployment: string;
  instance: string;
}

const columns = { id: orphanedVms.id, cid: orphanedVms.cid, cpi: orphanedVms.cpi, stemcellApiVersion: orphanedVms.stemcellApiVersion, deployment: orphanedVms.deploymentName, instance: orphanedVms.instanceName };

export async function hasOrphanedVms(db: Db): Promise<boolean> {
  return (await db.select({ one: sql`1` }).from(orphanedVms).limit(1)).length > 0;
}

/** All of them, oldest first. */
export async function listDoomedVms(db: Db): Promise<DoomedVm[]> {
  return db.select(columns).from(orphanedVms).orderBy(orphanedVms.id);
}

export async function findDoomedVm(db: Db, id: number): Promise<DoomedVm | undefined> {
  const [row] = await db.select(columns).from(orphanedVms).where(eq(orphanedVms.id, id));
  return row;
}

/** The VM is gone: its addresses are free. False when another task was quicker. */
export async function forgetOrphanedVm(tx: Tx, id: number): Promise<boolean> {
  await tx.delete(ipAddresses).where(eq(ipAddresses.orphanedVmId, id));
  return (await tx.delete(orphanedVms).where(eq(orphanedVms.id, id)).returning({ id: orphanedVms.id })).length > 0;
}

/** The event with which a task begins to delete the VM: that of an earlier attempt, when it has not been ended. */
export async function beginVmDeletion(tx: Tx, vm: DoomedVm, task: { id: number; user: string }): Promise<AuditEvent> {
  const what = { taskId: task.id, action: 'delete', objectType: 'vm', objectName: vm.cid };
  const [begun] = await listEvents(tx, { ...what, limit: 1 });
  if (begun && begun.parentId === undefined) return begun;
  const made = await findEvent(tx, await recordEvent(tx, { ...what, user: task.user, deployment: vm.deployment, instance: vm.instance }));
  if (!made) throw new Error('the audit event was not stored');
  return made;
}
