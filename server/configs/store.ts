import { and, desc, eq, inArray, sql } from 'drizzle-orm';
import type { Db, Tx } from '../../db/client';
import { configs } from '../../db/schema/configs';

/** Configs: versions are only added; the newest one of a type and name that is not deleted counts. */
export interface StoredConfig {
  id: number;
  type: string;
  name: string;
  /** YAML as uploaded. */
  content: string;
  team: string | undefined;
  createdAt: Date;
}

const columns = { id: configs.id, type: configs.type, name: configs.name, content: configs.content, team: configs.team, createdAt: configs.createdAt };

interface Row {
  id: number;
  type: string;
  name: string;
  content: string;
  team: string | null;
  createdAt: Date;
}

const toConfig = (row: Row): StoredConfig => ({ ...row, team: row.team ?? undefined });

export interface ConfigFilter {
  type?: string | undefined;
  name?: string | undefined;
  /** Versions per type and name, newest first; undefined: all. */
  versions?: number | undefined;
}

/** Configs that are not deleted, by type, `default` first, then name, newest first; `current` marks those that count. */
export async function listConfigs(db: Db, filter: ConfigFilter): Promise<(StoredConfig & { current: boolean })[]> {
  const ranked = db
    .select({ ...columns, rank: sql<number>`row_number() OVER (PARTITION BY ${configs.type}, ${configs.name} ORDER BY ${configs.id} DESC)::int`.as('rank') })
    .from(configs)
    .where(and(eq(configs.deleted, false), filter.type === undefined ? undefined : eq(configs.type, filter.type), filter.name === undefined ? undefined : eq(configs.name, filter.name)))
    .as('ranked');
  const rows = await db
    .select()
    .from(ranked)
    .where(filter.versions === undefined ? undefined : sql`${ranked.rank} <= ${filter.versions}`)
    .orderBy(ranked.type, sql`${ranked.name} <> 'default'`, ranked.name, desc(ranked.id));
  return rows.map(({ rank, ...row }) => ({ ...toConfig(row), current: rank === 1 }));
}

/** Newest versions of one config, newest first. */
export async function listVersions(db: Db, config: { type: string; name: string; limit: number }): Promise<StoredConfig[]> {
  const rows = await db
    .select(columns)
    .from(configs)
    .where(and(eq(configs.type, config.type), eq(configs.name, config.name), eq(configs.deleted, false)))
    .orderBy(desc(configs.id))
    .limit(config.limit);
  return rows.map(toConfig);
}

/** A version that is not deleted. */
export async function findConfig(db: Db, id: number): Promise<(StoredConfig & { current: boolean }) | undefined> {
  const [row] = await db
    .select({ ...columns, current: sql<boolean>`NOT EXISTS (SELECT 1 FROM configs n WHERE n.type = ${configs.type} AND n.name = ${configs.name} AND n.id > ${configs.id} AND NOT n.deleted)` })
    .from(configs)
    .where(and(eq(configs.id, id), eq(configs.deleted, false)));
  return row && { ...toConfig(row), current: row.current };
}

/** The version that counts. */
export async function findCurrentConfig(db: Db, type: string, name: string): Promise<StoredConfig | undefined> {
  const [config] = await listVersions(db, { type, name, limit: 1 });
  return config;
}

/** As `findCurrentConfig`; until the transaction ends nobody else changes this config through it. */
export async function lockCurrentConfig(tx: Tx, type: string, name: string): Promise<StoredConfig | undefined> {
  await tx.execute(sql`SELECT pg_advisory_xact_lock(hashtextextended(${JSON.stringify(['config', type, name])}, 7))`);
  return findCurrentConfig(tx, type, name);
}

/** Adds a version, which then counts. */
export async function createConfig(tx: Tx, config: { type: string; name: string; content: string; team: string | undefined }): Promise<StoredConfig> {
  const [row] = await tx.insert(configs).values({ ...config, team: config.team ?? null }).returning(columns);
  if (!row) throw new Error('the config was not stored');
  return toConfig(row);
}

/** Deletes one version. */
export async function deleteConfig(tx: Tx, id: number): Promise<void> {
  await tx.update(configs).set({ deleted: true }).where(eq(configs.id, id));
}

/** Deletes every version; returns how many there were. */
export async function deleteAllVersions(tx: Tx, type: string, name: string): Promise<number> {
  const rows = await tx.update(configs).set({ deleted: true }).where(and(eq(configs.type, type), eq(configs.name, name), eq(configs.deleted, false))).returning({ id: configs.id });
  return rows.length;
}

/** What applies to a deployment of these teams: per name the newest version among those without a team and those of its teams, by name. */
export async function listApplicable(db: Db, type: string, teams: readonly string[]): Promise<StoredConfig[]> {
  const rows = await db
    .selectDistinctOn([configs.name], columns)
    .from(configs)
    .where(and(eq(configs.type, type), eq(configs.deleted, false), sql`(${configs.team} IS NULL OR ${configs.team} = ANY(${sql.param([...teams])}::text[]))`))
    .orderBy(configs.name, desc(configs.id));
  return rows.map(toConfig);
}

/** Versions by id, deleted ones included: a deployment keeps those it was made with. Ordered by id. */
export async function listConfigsById(db: Db, ids: readonly number[]): Promise<(StoredConfig & { deleted: boolean })[]> {
  if (ids.length === 0) return [];
  const rows = await db.select({ ...columns, deleted: configs.deleted }).from(configs).where(inArray(configs.id, [...ids])).orderBy(configs.id);
  return rows.map((row) => ({ ...toConfig(row), deleted: row.deleted }));
}
