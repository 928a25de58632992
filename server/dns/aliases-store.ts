import { eq, isNotNull, sql } from 'drizzle-orm';
import type { Db, Tx } from '../../db/client';
import { localDnsAliases } from '../../db/schema/dns';
import type { AliasTarget } from './records';

/** Names under which all providers of a link are found, as deployments last published them. */

export interface RecordedAlias {
  domain: string;
  /** Id of the link's group. */
  groupId: number;
  healthFilter: string | null;
  initialHealthCheck: string | null;
  placeholderType: string | null;
}

const columns = {
  domain: localDnsAliases.domain, groupId: localDnsAliases.groupId, healthFilter: localDnsAliases.healthFilter, initialHealthCheck: localDnsAliases.initialHealthCheck, placeholderType: localDnsAliases.placeholderType,
};

const keyOf = (alias: Record<keyof RecordedAlias, string | number | null>) => JSON.stringify([alias.domain, alias.groupId, alias.healthFilter, alias.initialHealthCheck, alias.placeholderType]);

/** Makes the aliases of a deployment these. Returns whether that changed anything. Wants the deployment's lock to be held. */
export async function updateAliases(tx: Tx, deploymentId: number, wanted: readonly RecordedAlias[]): Promise<boolean> {
  const present = await tx.select({ id: localDnsAliases.id, ...columns }).from(localDnsAliases).where(eq(localDnsAliases.deploymentId, deploymentId));
  const wantedKeys = new Set(wanted.map(keyOf));
  const presentKeys = new Set(present.map(keyOf));
  const gone = present.filter((alias) => !wantedKeys.has(keyOf(alias))).map(({ id }) => id);
  const came = wanted.filter((alias, i) => !presentKeys.has(keyOf(alias)) && wanted.findIndex((one) => keyOf(one) === keyOf(alias)) === i);
  if (gone.length === 0 && came.length === 0) return false;
  await numberInOrderOfCommit(tx);
  if (gone.length > 0) await tx.execute(sql`DELETE FROM local_dns_aliases WHERE id = ANY(${sql.param(gone)}::bigint[])`);
  if (came.length > 0) await tx.insert(localDnsAliases).values(came.map((alias) => ({ ...alias, deploymentId })));
  else await insertTombstone(tx);
  return true;
}

/** Versions are compared by the highest id: none may be committed after a higher one. */
async function numberInOrderOfCommit(tx: Tx): Promise<void> {
  await tx.execute(sql`LOCK TABLE local_dns_aliases IN SHARE ROW EXCLUSIVE MODE`);
}

/** A mere deletion needs a higher id too. */
async function insertTombstone(tx: Tx): Promise<void> {
  await tx.execute(sql`INSERT INTO local_dns_aliases (domain) VALUES (gen_random_uuid() || '-tombstone')`);
}

/** Highest id that ever was; 0 before the first. */
export async function findAliasesVersion(db: Db): Promise<number> {
  const { rows } = await db.execute<{ last: number | null }>(sql`SELECT max(id) AS last FROM local_dns_aliases`);
  return rows[0]?.last ?? 0;
}

/** All aliases as the blob has them: domain to targets, in the order in which they were made. */
export async function listAliases(db: Db, rootDomain: string): Promise<Record<string, AliasTarget[]>> {
  const rows = await db.select(columns).from(localDnsAliases).where(isNotNull(localDnsAliases.deploymentId)).orderBy(localDnsAliases.id);
  const aliases = new Map<string, AliasTarget[]>();
  for (const { domain, groupId, healthFilter, initialHealthCheck, placeholderType } of rows) {
    const targets = aliases.get(domain) ?? [];
    targets.push({ root_domain: rootDomain, group_id: String(groupId), health_filter: healthFilter, initial_health_check: initialHealthCheck, placeholder_type: placeholderType });
    aliases.set(domain, targets);
  }
  return Object.fromEntries(aliases);
}
