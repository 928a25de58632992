import { and, asc, eq, inArray, isNotNull, isNull, sql } from 'drizzle-orm';
import type { Db, Tx } from '../../db/client';
import { deployments, deploymentStemcells } from '../../db/schema/deployments';
import { stemcells, stemcellUploads } from '../../db/schema/stemcells';
import { groupBy } from '../core/collections';

/** A stemcell as one CPI knows it. */
export interface StemcellRecord {
  id: number;
  name: string;
  os: string;
  version: string;
  apiVersion: number | null;
  /** Empty for the director's own CPI. */
  cpi: string;
  cid: string;
}

export interface ListedStemcell extends StemcellRecord {
  /** Names of the deployments that use it. */
  deployments: string[];
}

const columns = {
  id: stemcells.id, name: stemcells.name, os: stemcells.operatingSystem, version: stemcells.version, apiVersion: stemcells.apiVersion, cpi: stemcells.cpi,
  cid: sql<string>`${stemcells.cid}`,
};

/** Every stemcell that is in the cloud, by name; what is still being created is left out. */
export async function loadStemcells(db: Db): Promise<StemcellRecord[]> {
  return db.select(columns).from(stemcells).where(isNotNull(stemcells.cid)).orderBy(asc(stemcells.name), asc(stemcells.id));
}

/** As `loadStemcells`, with the deployments that use them. */
export async function listStemcells(db: Db): Promise<ListedStemcell[]> {
  const all = await loadStemcells(db);
  const users = groupBy(await listUsers(db, all.map((stemcell) => stemcell.id)), (user) => user.stemcellId);
  return all.map((stemcell) => ({ ...stemcell, deployments: (users.get(stemcell.id) ?? []).map((user) => user.deployment) }));
}

/** Deployments that use stemcells, by name. */
export async function listUsers(db: Db, stemcellIds: readonly number[]): Promise<{ stemcellId: number; deployment: string }[]> {
  if (stemcellIds.length === 0) return [];
  return db
    .select({ stemcellId: deploymentStemcells.stemcellId, deployment: deployments.name })
    .from(deploymentStemcells)
    .innerJoin(deployments, eq(deployments.id, deploymentStemcells.deploymentId))
    .where(inArray(deploymentStemcells.stemcellId, [...stemcellIds]))
    .orderBy(asc(deployments.name));
}

/** A row as uploads and deletions see it: `cid` is null while the image is being created. */
export interface StemcellRow extends Omit<StemcellRecord, 'cid'> {
  cid: string | null;
  /** The task that is creating an image for this row, or died while it did. */
  taskId: number | null;
}

/** All rows of one stemcell, one per CPI. */
export async function listStemcellRows(db: Db, stemcell: { name: string; version: string }): Promise<StemcellRow[]> {
  return db
    .select({ ...columns, cid: stemcells.cid, taskId: stemcells.taskId })
    .from(stemcells)
    .where(and(eq(stemcells.name, stemcell.name), eq(stemcells.version, stemcell.version)))
    .orderBy(asc(stemcells.id));
}

export interface NewStemcell {
  name: string;
  os: string;
  version: string;
  apiVersion: number | null;
  sha1: string;
  cpi: string;
}

/** Records that a task is about to create the image; a stemcell that exists keeps its cid until `completeStemcell`. */
export async function beginStemcell(tx: Tx, stemcell: NewStemcell, taskId: number): Promise<void> {
  const { os, ...row } = stemcell;
  await tx
    .insert(stemcells)
    .values({ ...row, operatingSystem: os, taskId })
    .onConflictDoUpdate({ target: [stemcells.name, stemcells.version, stemcells.cpi], set: { taskId } });
}

/** Records the image that was created. */
export async function completeStemcell(tx: Tx, stemcell: NewStemcell, cid: string): Promise<void> {
  const { os, ...row } = stemcell;
  const known = { ...row, operatingSystem: os, cid, taskId: null };
  await tx.insert(stemcells).values(known).onConflictDoUpdate({ target: [stemcells.name, stemcells.version, stemcells.cpi], set: known });
}

/** Takes back what `beginStemcell` of this task recorded and nothing completed. */
export async function abandonStemcells(tx: Tx, taskId: number): Promise<void> {
  await tx.delete(stemcells).where(and(eq(stemcells.taskId, taskId), isNull(stemcells.cid)));
  await tx.update(stemcells).set({ taskId: null }).where(eq(stemcells.taskId, taskId));
}

/** Waits for deploys that are binding the rows, so that whoever uses them is known; deploys that come later wait for this transaction. */
export async function lockStemcellRows(tx: Tx, ids: readonly number[]): Promise<void> {
  if (ids.length > 0) await tx.select({ id: stemcells.id }).from(stemcells).where(inArray(stemcells.id, [...ids])).orderBy(asc(stemcells.id)).for('update');
}

export async function deleteStemcellRow(tx: Tx, id: number): Promise<void> {
  await tx.delete(stemcells).where(eq(stemcells.id, id));
}

/** Remembers that a CPI was offered a stemcell, whether it took it or not. */
export async function recordStemcellUpload(tx: Tx, upload: { name: string; version: string; cpi: string }): Promise<void> {
  await tx.insert(stemcellUploads).values(upload).onConflictDoNothing();
}

export async function forgetStemcellUploads(tx: Tx, stemcell: { name: string; version: string }): Promise<void> {
  await tx.delete(stemcellUploads).where(and(eq(stemcellUploads.name, stemcell.name), eq(stemcellUploads.version, stemcell.version)));
}

/** CPIs that were offered a stemcell. */
export async function listOfferedCpis(db: Db, stemcell: { name: string; version: string }): Promise<string[]> {
  const rows = await db
    .select({ cpi: stemcellUploads.cpi })
    .from(stemcellUploads)
    .where(and(eq(stemcellUploads.name, stemcell.name), eq(stemcellUploads.version, stemcell.version)));
  return rows.map((row) => row.cpi);
}

/** Whether an upload would do anything: some CPI (given with its aliases) was not offered the stemcell yet. */
export async function isUploadNeeded(db: Db, stemcell: { name: string; version: string }, cpis: readonly { aliases: readonly string[] }[]): Promise<boolean> {
  const offered = await listOfferedCpis(db, stemcell);
  return cpis.some((cpi) => !cpi.aliases.some((alias) => offered.includes(alias)));
}
