import { desc, eq, sql } from 'drizzle-orm';
import type { Db, Tx } from '../../db/client';
import { localDnsBlobs, localDnsEncodedNames, localDnsRecords } from '../../db/schema/dns';
import { findAliasesVersion } from './aliases-store';
import type { DnsRecord, NameIds } from './records';

/** A version of all records. */
export interface DnsBlob {
  version: number;
  blobId: string;
  /** BOSH multi-digest; empty until the blob is stored. */
  digest: string;
  stored: boolean;
}

export interface Reconciliation {
  domain: string;
  /** Blob of a version that has to be made; the same when the transaction is repeated. */
  blobId: string;
  /** Whether a version that is not stored yet is being stored by the caller; anyone else's is replaced by a new one. */
  isOwn: (blobId: string) => boolean;
}

/**
 * Makes the records those of the instances that have a VM, and a new version when that or the aliases changed. Returns the newest version;
 * undefined when there has never been a record. One statement compares, so that what it sees is of one moment. An instance between two VMs
 * keeps its records for as long as the addresses are its own.
 */
export async function recordChanges(tx: Tx, { domain, blobId, isOwn }: Reconciliation): Promise<DnsBlob | undefined> {
  const { rows } = await tx.execute<{ came: number; gone: number }>(sql`
    WITH wanted AS MATERIALIZED (
      SELECT i.id AS instance_id, i.uuid::text AS instance_uuid, i.index AS instance_index, coalesce(i.dns->>'group', i.job) AS instance_group,
        CASE WHEN i.dns IS NULL THEN i.az ELSE i.dns->>'az' END AS az, n.key AS network, d.name AS deployment,
        n.value->>'ip' AS ip, v.agent_id::text AS agent_id, ${domain}::text AS domain,
        ARRAY(SELECT jsonb_array_elements_text(i.dns->'links')) AS links
      FROM vms v JOIN instances i ON i.id = v.instance_id JOIN deployments d ON d.id = i.deployment_id CROSS JOIN LATERAL jsonb_each(v.networks) n
      WHERE v.active AND v.cid IS NOT NULL AND NOT i.compilation AND n.value->>'ip' <> ''
    ), gone AS (
      DELETE FROM local_dns_records r WHERE NOT r.tombstone AND NOT EXISTS (SELECT FROM wanted w WHERE ${sameRecord}) AND NOT ${isBetweenVms}
      RETURNING 1
    ), came AS (
      INSERT INTO local_dns_records (instance_id, instance_uuid, instance_index, instance_group, az, network, deployment, ip, agent_id, domain, links)
      SELECT w.* FROM wanted w WHERE NOT EXISTS (SELECT FROM local_dns_records r WHERE NOT r.tombstone AND ${sameRecord}) ORDER BY w.instance_id, w.network
      RETURNING 1
    )
    SELECT (SELECT count(*) FROM came) AS came, (SELECT count(*) FROM gone) AS gone`);
  const [{ came, gone } = { came: 0, gone: 0 }] = rows;
  if (came > 0) await encodeNewNames(tx);
  else if (gone > 0) await insertTombstone(tx);
  const newest = await findNewest(tx);
  const [{ last } = { last: null }] = (await tx.execute<{ last: number | null }>(sql`SELECT max(id) AS last FROM local_dns_records`)).rows;
  const aliasesId = await findAliasesVersion(tx);
  const changed = (last !== null && last > (newest?.recordsId ?? 0)) || aliasesId > (newest?.aliasesId ?? 0);
  const abandoned = newest !== undefined && !newest.stored && !isOwn(newest.blobId);
  if (!changed && !abandoned) return newest;
  const [made] = await tx.insert(localDnsBlobs).values({ recordsId: last ?? newest?.recordsId ?? 0, aliasesId, blobstoreId: blobId }).returning({ version: localDnsBlobs.id });
  return made && { version: made.version, blobId, digest: '', stored: false };
}

const sameRecord = sql`w.instance_uuid = r.instance_uuid AND w.network = r.network AND w.ip = r.ip AND w.agent_id = r.agent_id AND w.domain = r.domain AND w.deployment = r.deployment
  AND w.instance_group = r.instance_group AND w.instance_index = r.instance_index AND w.az IS NOT DISTINCT FROM r.az AND w.links = r.links`;

const isBetweenVms = sql`EXISTS (
  SELECT FROM ip_addresses a JOIN instances i ON i.id = a.instance_id
  WHERE a.instance_id = r.instance_id AND a.network_name = r.network AND split_part(a.address, '/', 1) = r.ip AND i.spec->>'lifecycle' IS DISTINCT FROM 'errand'
    AND NOT EXISTS (SELECT FROM vms v WHERE v.instance_id = r.instance_id AND v.active AND v.cid IS NOT NULL))`;

/** Versions are compared by the highest record: a mere deletion needs a record too. */
async function insertTombstone(tx: Tx): Promise<void> {
  await tx.execute(sql`
    INSERT INTO local_dns_records (instance_uuid, instance_index, instance_group, network, deployment, ip, domain, tombstone)
    SELECT id, 0, '', '', '', id || '-tombstone', '', true FROM (SELECT gen_random_uuid()::text AS id) one`);
}

async function encodeNewNames(tx: Tx): Promise<void> {
  await tx.execute(sql`
    INSERT INTO local_dns_encoded_names (kind, name, deployment)
    SELECT kind, name, deployment FROM (
      SELECT DISTINCT 'az' AS kind, az AS name, '' AS deployment FROM local_dns_records WHERE az IS NOT NULL
      UNION SELECT DISTINCT 'network', network, '' FROM local_dns_records WHERE NOT tombstone
      UNION SELECT DISTINCT 'group', instance_group, deployment FROM local_dns_records WHERE NOT tombstone
      UNION SELECT DISTINCT 'link', unnest(links), deployment FROM local_dns_records
    ) used
    WHERE NOT EXISTS (SELECT FROM local_dns_encoded_names e WHERE e.kind = used.kind AND e.name = used.name AND e.deployment = used.deployment)
    ORDER BY kind, deployment, name
    ON CONFLICT DO NOTHING`);
}

const blobColumns = { version: localDnsBlobs.id, blobId: localDnsBlobs.blobstoreId, digest: localDnsBlobs.digest, stored: localDnsBlobs.stored };

async function findNewest(db: Db): Promise<(DnsBlob & { recordsId: number; aliasesId: number }) | undefined> {
  const [row] = await db.select({ ...blobColumns, recordsId: localDnsBlobs.recordsId, aliasesId: localDnsBlobs.aliasesId }).from(localDnsBlobs).orderBy(desc(localDnsBlobs.id)).limit(1);
  return row;
}

/** The newest version that agents may be told. */
export async function findStored(db: Db): Promise<DnsBlob | undefined> {
  const [row] = await db.select(blobColumns).from(localDnsBlobs).where(eq(localDnsBlobs.stored, true)).orderBy(desc(localDnsBlobs.id)).limit(1);
  return row;
}

/** The blob is there: from now on agents are told. */
export async function markStored(tx: Tx, version: number, digest: string): Promise<void> {
  await tx.update(localDnsBlobs).set({ stored: true, digest }).where(eq(localDnsBlobs.id, version));
}

/** All records as the newest version has them, by instance and network. */
export async function listRecords(db: Db): Promise<DnsRecord[]> {
  const { rows } = await db.execute<DnsRecord & Record<string, unknown>>(sql`
    SELECT instance_id AS "instanceId", instance_uuid AS "instanceUuid", instance_index AS "instanceIndex", instance_group AS "group", az, network, deployment, ip, agent_id AS "agentId", domain, links
    FROM local_dns_records WHERE NOT tombstone ORDER BY instance_id, network, id`);
  return rows;
}

/** Ids of all names that were ever in a record. */
export async function readNameIds(db: Db): Promise<NameIds> {
  const rows = await db.select().from(localDnsEncodedNames);
  const ids = new Map(rows.map((row) => [keyOf(row.kind, row.name, row.deployment), row.id]));
  const idOf = (...name: Parameters<typeof keyOf>) => {
    const id = ids.get(keyOf(...name));
    if (id === undefined) throw new Error(`the ${name[0]} '${name[1]}' has no DNS id`);
    return id;
  };
  return {
    az: (name) => idOf('az', name, ''),
    network: (name) => idOf('network', name, ''),
    groups: ({ group, deployment, links }) => [idOf('group', group, deployment), ...links.map((link) => idOf('link', link, deployment))],
  };
}

function keyOf(kind: 'az' | 'network' | 'group' | 'link', name: string, deployment: string): string {
  // No name has a NUL: Postgres cannot store it.
  return `${kind}\0${deployment}\0${name}`;
}

/** An agent that has not confirmed a version. */
export interface AgentBehind {
  agentId: string;
  /** `<group>/<uuid>`, for error messages. */
  name: string;
  stemcellApiVersion: number | null;
}

/** Agents of running instances that have not confirmed `version`: new ones first, then those that were told last. */
export async function listAgentsBehind(db: Db, version: number): Promise<AgentBehind[]> {
  const { rows } = await db.execute<{ agent_id: string; name: string; api: number | null }>(sql`
    SELECT v.agent_id, i.job || '/' || i.uuid AS name, v.stemcell_api_version AS api
    FROM vms v JOIN instances i ON i.id = v.instance_id LEFT JOIN agent_dns_versions a ON a.agent_id = v.agent_id::text
    WHERE v.active AND v.cid IS NOT NULL AND NOT i.compilation AND coalesce(a.dns_version, 0) < ${version}
    ORDER BY a.dns_version DESC NULLS FIRST, v.id`);
  return rows.map((row) => ({ agentId: row.agent_id, name: row.name, stemcellApiVersion: row.api }));
}

/** Notes what agents have confirmed; never a lower version than before. */
export async function confirmVersions(tx: Tx, confirmed: ReadonlyMap<string, number>): Promise<void> {
  await tx.execute(sql`
    INSERT INTO agent_dns_versions AS a (agent_id, dns_version)
    SELECT * FROM unnest(${sql.param([...confirmed.keys()])}::text[], ${sql.param([...confirmed.values()])}::bigint[])
    ON CONFLICT (agent_id) DO UPDATE SET dns_version = excluded.dns_version, updated_at = now() WHERE a.dns_version < excluded.dns_version`);
}

/** Drops the versions of agents that are no more. */
export async function forgetVanishedAgents(tx: Tx): Promise<void> {
  await tx.execute(sql`DELETE FROM agent_dns_versions a WHERE NOT EXISTS (SELECT FROM vms v WHERE v.agent_id::text = a.agent_id)`);
}

/** How far the records have come, for the console and metrics. */
export interface DnsState {
  /** The newest version; undefined before the first. */
  newest: { version: number; stored: boolean; createdAt: Date } | undefined;
  /** Addresses in the newest version. */
  records: number;
  /** The newest version that agents are told. */
  told: number | undefined;
  /** Agents that should have it, and those of them that have not confirmed it. */
  agents: number;
  agentsBehind: number;
  /** Whoever has waited longest, and for how long (s), by the database clock. */
  oldestBehind: { agentId: string; instance: string; deployment: string; version: number | undefined; forS: number } | undefined;
}

export async function listDnsState(db: Db): Promise<DnsState> {
  const [newest] = await db.select({ version: localDnsBlobs.id, stored: localDnsBlobs.stored, createdAt: localDnsBlobs.createdAt }).from(localDnsBlobs).orderBy(desc(localDnsBlobs.id)).limit(1);
  const records = await db.$count(localDnsRecords, eq(localDnsRecords.tombstone, false));
  const told = (await findStored(db))?.version;
  const { rows } = await db.execute<{ agents: number; behind: number; agent_id: string | null; instance: string; deployment: string; version: number | null; for_s: number }>(sql`
    WITH fleet AS (
      SELECT v.agent_id, i.job || '/' || i.uuid AS instance, d.name AS deployment, a.dns_version AS version, coalesce(a.dns_version, 0) < ${told ?? 0} AS behind,
        greatest(v.created_at, (SELECT b.created_at FROM local_dns_blobs b WHERE b.stored AND b.id > coalesce(a.dns_version, 0) ORDER BY b.id LIMIT 1)) AS since
      FROM vms v JOIN instances i ON i.id = v.instance_id JOIN deployments d ON d.id = i.deployment_id LEFT JOIN agent_dns_versions a ON a.agent_id = v.agent_id::text
      WHERE v.active AND v.cid IS NOT NULL AND NOT i.compilation
    )
    SELECT (SELECT count(*) FROM fleet) AS agents, (SELECT count(*) FROM fleet WHERE behind) AS behind, o.agent_id, o.instance, o.deployment, o.version, extract(epoch FROM now() - o.since)::float8 AS for_s
    FROM (SELECT 1) one LEFT JOIN LATERAL (SELECT * FROM fleet WHERE behind ORDER BY since, agent_id LIMIT 1) o ON true`);
  const [row] = rows;
  return {
    newest, records, told, agents: row?.agents ?? 0, agentsBehind: row?.behind ?? 0,
    oldestBehind: row?.agent_id ? { agentId: row.agent_id, instance: row.instance, deployment: row.deployment, version: row.version ?? undefined, forS: row.for_s } : undefined,
  };
}
