import { and, desc, eq, lt, sql } from 'drizzle-orm';
import type { Db } from '../../db/client';
import { variables, variableSets, variableValues } from '../../db/schema/variables';

/** Rows of the built-in store and of variable sets. */

export interface StoredVersion {
  id: string;
  type: string;
  /** The value and what it was generated from. */
  sealed: Buffer;
}

const columns = { id: variableValues.id, type: variableValues.type, sealed: variableValues.sealed };

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

const setColumns = { id: variableSets.id, writable: variableSets.writable };

/**
 * The set of a task: the one that an earlier attempt made, else a new one, writable until it is closed. Sets that lost tasks left
 * writable are closed.
 */
export async function openVariableSet(tx: Db, deploymentId: number, taskId: number): Promise<VariableSet> {
  const [known] = await tx.select(setColumns).from(variableSets).where(and(eq(variableSets.deploymentId, deploymentId), eq(variableSets.taskId, taskId)));
  if (known) return known;
  await tx.update(variableSets).set({ writable: false }).where(and(eq(variableSets.deploymentId, deploymentId), eq(variableSets.writable, true)));
  const [made] = await tx.insert(variableSets).values({ deploymentId, writable: true, taskId }).returning(setColumns);
  if (!made) throw new Error('the variable set was not stored');
  return made;
}

export async function findVariableSet(db: Db, id: number): Promise<VariableSet | undefined> {
  const [row] = await db.select(setColumns).from(variableSets).where(eq(variableSets.id, id));
  return row;
}

/** The newest set of a deployment that is older than the given one. */
export async function findSetBefore(db: Db, deploymentId: number, setId: number): Promise<VariableSet | undefined> {
  const [row] = await db.select(setColumns).from(variableSets).where(and(eq(variableSets.deploymentId, deploymentId), lt(variableSets.id, setId))).orderBy(desc(variableSets.id)).limit(1);
  return row;
}

/** The newest set of a deployment, successful or not. */
export async function findNewestSet(db: Db, deploymentId: number): Promise<VariableSet | undefined> {
  const [row] = await db.select(setColumns).from(variableSets).where(eq(variableSets.deploymentId, deploymentId)).orderBy(desc(variableSets.id)).limit(1);
  return row;
}

/** The set of the last deploy that succeeded. */
export async function findSuccessfulSet(db: Db, deploymentId: number): Promise<VariableSet | undefined> {
  const [row] = await db
    .select(setColumns)
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

/** Name → id of the version, of all names of a set that are its deployment's own, or were taken over from a link's provider. */
export async function listSetVersions(db: Db, setId: number, providerDeployment = ''): Promise<Map<string, string>> {
  const rows = await db.select({ name: variables.name, id: variables.variableId }).from(variables).where(and(eq(variables.variableSetId, setId), eq(variables.providerDeployment, providerDeployment)));
  return new Map(rows.map((row) => [row.name, row.id]));
}

export interface ListedVariable {
  name: string;
  id: string;
  /** The deployment that lends the value by a link; empty for the deployment's own. */
  providerDeployment: string;
}

const listed = { name: variables.name, id: variables.variableId, providerDeployment: variables.providerDeployment };

/** Every version that any set of a deployment holds, each once, by name. */
export async function listDeploymentVersions(db: Db, deploymentId: number): Promise<ListedVariable[]> {
  return db
    .selectDistinct(listed)
    .from(variables)
    .innerJoin(variableSets, eq(variableSets.id, variables.variableSetId))
    .where(eq(variableSets.deploymentId, deploymentId))
    .orderBy(variables.name, variables.variableId);
}

/** What one set holds, by name. */
export async function listSet(db: Db, setId: number): Promise<ListedVariable[]> {
  return db.select(listed).from(variables).where(eq(variables.variableSetId, setId)).orderBy(variables.name, variables.providerDeployment);
}

/** Deployments whose last successful deploy used a name, with the version; by name of the deployment. */
export async function listUsers(db: Db, name: string): Promise<{ deployment: string; teams: string[]; id: string }[]> {
  const { rows } = await db.execute<{ deployment: string; teams: string[]; id: string }>(sql`
    SELECT DISTINCT d.name AS deployment, d.teams, v.variable_id AS id FROM variables v JOIN variable_sets s ON s.id = v.variable_set_id JOIN deployments d ON d.id = s.deployment_id
    WHERE v.name = ${name} AND s.id = (SELECT max(x.id) FROM variable_sets x WHERE x.deployment_id = d.id AND x.deployed_successfully) ORDER BY d.name, v.variable_id`);
  return rows;
}

/** A name with the version that it stands for in a set; `providerDeployment` is empty for the deployment's own. */
export interface FixedName {
  name: string;
  id: string;
  providerDeployment?: string;
}

/** Fixes the version of a name in a set, unless it is fixed already. Returns the fixed one's id. */
export async function fixVersion(tx: Db, setId: number, { name, id, providerDeployment = '' }: FixedName): Promise<string> {
  await tx.insert(variables).values({ variableSetId: setId, name, variableId: id, isLocal: providerDeployment === '', providerDeployment }).onConflictDoNothing();
  const [row] = await tx.select({ id: variables.variableId }).from(variables).where(and(eq(variables.variableSetId, setId), eq(variables.name, name), eq(variables.providerDeployment, providerDeployment)));
  return row?.id ?? id;
}
