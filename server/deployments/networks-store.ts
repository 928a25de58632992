import { and, asc, eq, inArray, sql } from 'drizzle-orm';
import type { Db, Tx } from '../../db/client';
import { deploymentNetworks, networks, subnets } from '../../db/schema/networks';
import type { ManagedSubnet } from '../configs/networks';
import { recordEvent } from '../events/store';

/** Managed networks: made and deleted through CPIs, used by deployments, orphaned when the last of these goes. */

export type SubnetRow = typeof subnets.$inferSelect;

export interface NetworkRecord {
  id: number;
  name: string;
  state: 'creating' | 'created' | 'deleting';
  orphaned: boolean;
  /** In the order in which they were begun. */
  subnets: SubnetRow[];
}

export async function findNetwork(db: Db, name: string): Promise<NetworkRecord | undefined> {
  const [row] = await db.select({ id: networks.id, name: networks.name, state: networks.state, orphaned: networks.orphaned }).from(networks).where(eq(networks.name, name));
  return row && { ...row, subnets: await db.select().from(subnets).where(eq(subnets.networkId, row.id)).orderBy(asc(subnets.id)) };
}

/** Subnets of all networks that are completely made, as planning wants them. */
export async function listManagedSubnets(db: Db): Promise<ManagedSubnet[]> {
  const rows = await db
    .select({ network: networks.name, name: subnets.name, range: subnets.range, gateway: subnets.gateway, reserved: subnets.reserved, cloudProperties: subnets.cloudProperties })
    .from(subnets)
    .innerJoin(networks, eq(networks.id, subnets.networkId))
    .where(and(eq(networks.state, 'created'), eq(subnets.state, 'created')))
    .orderBy(asc(subnets.id));
  return rows.flatMap(({ range, ...row }) => (range === null ? [] : [{ ...row, range }]));
}

/** The deployment uses the network from here on, which exists or is being made: nobody deletes it. Returns its id. */
export async function useNetwork(tx: Tx, name: string, deploymentId: number): Promise<number> {
  const [row] = await tx
    .insert(networks)
    .values({ name, type: 'manual', state: 'creating' })
    .onConflictDoUpdate({ target: networks.name, set: { orphaned: false, orphanedAt: null, state: sql`CASE networks.state WHEN 'deleting' THEN 'creating' ELSE networks.state END` } })
    .returning({ id: networks.id });
  if (!row) throw new Error(`network ${name} was not recorded`);
  await tx.insert(deploymentNetworks).values({ deploymentId, networkId: row.id }).onConflictDoNothing();
  return row.id;
}

export async function updateNetworkState(tx: Tx, id: number, state: NetworkRecord['state']): Promise<void> {
  await tx.update(networks).set({ state }).where(eq(networks.id, id));
}

/** Forgets a network, with its subnets. */
export async function deleteNetworkRecord(tx: Tx, id: number): Promise<void> {
  await tx.delete(deploymentNetworks).where(eq(deploymentNetworks.networkId, id));
  await tx.delete(networks).where(eq(networks.id, id));
}

/** Written before `create_network`. */
export async function createSubnetIntent(tx: Tx, networkId: number, subnet: { name: string; cpi: string }): Promise<number> {
  const [row] = await tx.insert(subnets).values({ networkId, ...subnet, state: 'creating' }).returning({ id: subnets.id });
  if (!row) throw new Error(`subnet ${subnet.name} was not recorded`);
  return row.id;
}

/** Written after it. */
export async function completeSubnet(tx: Tx, id: number, made: { cid: string; range: string; gateway: string | null; reserved: string[]; cloudProperties: Record<string, unknown> }): Promise<void> {
  await tx.update(subnets).set({ ...made, state: 'created' }).where(eq(subnets.id, id));
}

/** Written before `delete_network`. */
export async function markSubnetDeleting(tx: Tx, id: number): Promise<void> {
  await tx.update(subnets).set({ state: 'deleting' }).where(eq(subnets.id, id));
}

export async function deleteSubnetRecord(tx: Tx, id: number): Promise<void> {
  await tx.delete(subnets).where(eq(subnets.id, id));
}

/** The deployment uses no managed networks but those named; what nobody uses any more is orphaned. Returns the names of these. */
export async function releaseNetworks(tx: Tx, deploymentId: number, release: { keep: readonly string[]; user: string; taskId: number; deployment: string }): Promise<string[]> {
  const used = await tx.select({ id: networks.id, name: networks.name }).from(networks).innerJoin(deploymentNetworks, eq(deploymentNetworks.networkId, networks.id)).where(eq(deploymentNetworks.deploymentId, deploymentId));
  const left = used.filter(({ name }) => !release.keep.includes(name)).map(({ id }) => id);
  if (left.length === 0) return [];
  // Whoever begins to use one of them meanwhile comes before or after: the next statement sees all that came before.
  await tx.select({ id: networks.id }).from(networks).where(inArray(networks.id, left)).orderBy(asc(networks.id)).for('update');
  await tx.delete(deploymentNetworks).where(and(eq(deploymentNetworks.deploymentId, deploymentId), inArray(deploymentNetworks.networkId, left)));
  const orphaned = await tx
    .update(networks)
    .set({ orphaned: true, orphanedAt: sql`now()` })
    .where(and(inArray(networks.id, left), eq(networks.orphaned, false), sql`NOT EXISTS (SELECT FROM deployment_networks u WHERE u.network_id = ${networks.id})`))
    .returning({ name: networks.name });
  for (const { name } of orphaned) await recordEvent(tx, { user: release.user, action: 'orphan', objectType: 'network', objectName: name, taskId: release.taskId, deployment: release.deployment });
  return orphaned.map(({ name }) => name);
}

export interface OrphanedNetwork {
  name: string;
  type: string;
  createdAt: Date;
  orphanedAt: Date;
}

/** Networks that nobody uses, those of at least `minAgeDays` only, the oldest first. */
export async function listOrphanedNetworks(db: Db, minAgeDays = 0): Promise<OrphanedNetwork[]> {
  const rows = await db
    .select({ name: networks.name, type: networks.type, createdAt: networks.createdAt, orphanedAt: networks.orphanedAt })
    .from(networks)
    .where(and(eq(networks.orphaned, true), sql`${networks.orphanedAt} <= now() - make_interval(secs => ${minAgeDays * 86_400})`))
    .orderBy(asc(networks.orphanedAt), asc(networks.id));
  return rows.flatMap(({ orphanedAt, ...row }) => (orphanedAt ? [{ ...row, orphanedAt }] : []));
}
