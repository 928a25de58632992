import { and, desc, eq, sql } from 'drizzle-orm';
import type { Db } from '../../db/client';
import { variables, variableSets, variableValues } from '../../db/schema/variables';

/** Rows of the built-in store and of variable sets. */

export interface StoredVersion {
  id: string;
  type: string;
  parameters: Record<string, unknown>;
  sealed: Buffer;
}

const columns = { id: variableValues.id, type: variableValues.type, parameters: variableValues.parameters, sealed: variableValues.sealed };

export async function findLatestVersion(db: Db, name: string): Promise<StoredVersion | undefined> {
  const [row] = await db.select(columns).from(variableValues).where(eq(variableValues.name, name)).orderBy(desc(variableValues.seq)).limit(1);
  return row;
}

export async function findVersion(db: Db, id: string): Promise<StoredVersion | undefined> {
  // Ids of other config servers need not be UUIDs.
  if (!/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(id)) return undefined;
  const [row] = await db.select(columns).from(variableValues).where(eq(variableValues.id, id));
  return row;
}

/** Lets nobody else decide about this name until the transaction ends. */
export async function lockName(tx: Db, name: string): Promise<void> {
  await tx.execute(sql`SELECT pg_advisory_xact_lock(hashtextextended(${name}, 11))`);
}

export async function insertVersion(tx: Db, version: StoredVersion & { name: string }): Promise<void> {
  await tx.insert(variableValues).values(version);
}

/** Versions that were sealed with another key than this one, oldest first. */
export async function listVersionsUnderOtherKeys(db: Db, keyId: Buffer, limit: number): Promise<{ id: string; sealed: Buffer }[]> {
  return db.select({ id: variableValues.id, sealed: variableValues.sealed }).from(variableValues).where(sql`substring(${variableValues.sealed} from 2 for 8) <> ${keyId}`).orderBy(variableValues.seq).limit(limit);
}

/** Replaces the sealed bytes if they are still the given ones. */
export async function replaceSealed(db: Db, id: string, from: Buffer, to: Buffer): Promise<void> {
  await db.update(variableValues).set({ sealed: to }).where(and(eq(variableValues.id, id), eq(variableValues.sealed, from)));
}

export interface VariableSet {
  id: number;
  writable: boolean;
}

/** A new set, writable until it is closed. */
export async function createVariableSet(tx: Db, deploymentId: number): Promise<VariableSet> {
  const [row] = await tx.insert(variableSets).values({ deploymentId, writable: true }).returning({ id: variableSets.id, writable: variableSets.writable });
  if (!row) throw new Error('the variable set was not stored');
  return row;
}

export async function findVariableSet(db: Db, id: number): Promise<VariableSet | undefined> {
  const [row] = await db.select({ id: variableSets.id, writable: variableSets.writable }).from(variableSets).where(eq(variableSets.id, id));
  return row;
}

/** The set of the last deploy that succeeded. */
export async function findSuccessfulSet(db: Db, deploymentId: number): Promise<VariableSet | undefined> {
  const [row] = await db
    .select({ id: variableSets.id, writable: variableSets.writable })
    .from(variableSets)
    .where(and(eq(variableSets.deploymentId, deploymentId), eq(variableSets.deployedSuccessfully, true)))
    .orderBy(desc(variableSets.id))
    .limit(1);
  return row;
}

/** No more names are added to it. */
export async function closeVariableSet(tx: Db, id: number, deployedSuccessfully: boolean): Promise<void> {
  await tx.update(variableSets).set({ writable: false, ...(deployedSuccessfully ? { deployedSuccessfully } : {}) }).where(eq(variableSets.id, id));
}

/** Forgets sets that no instance uses, but for the given ones. */
export async function deleteUnusedSets(tx: Db, deploymentId: number, keep: readonly number[]): Promise<void> {
  await tx.execute(sql`
    DELETE FROM variable_sets s WHERE s.deployment_id = ${deploymentId} AND NOT s.id = ANY(${sql.param([...keep])}::bigint[])
      AND NOT EXISTS (SELECT 1 FROM instances i WHERE i.variable_set_id = s.id)`);
}

/** Name → id of the version, of all names of a set that are its deployment's own. */
export async function listSetVersions(db: Db, setId: number): Promise<Map<string, string>> {
  const rows = await db.select({ name: variables.name, id: variables.variableId }).from(variables).where(and(eq(variables.variableSetId, setId), eq(variables.isLocal, true)));
  return new Map(rows.map((row) => [row.name, row.id]));
}

/** Fixes the version of a name in a set, unless it is fixed already. Returns the fixed one's id. */
export async function fixVersion(tx: Db, setId: number, name: string, id: string): Promise<string> {
  await tx.insert(variables).values({ variableSetId: setId, name, variableId: id }).onConflictDoNothing();
  const [row] = await tx.select({ id: variables.variableId }).from(variables).where(and(eq(variables.variableSetId, setId), eq(variables.name, name), eq(variables.providerDeployment, '')));
  return row?.id ?? id;
}
