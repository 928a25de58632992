import { and, eq, inArray, or, sql } from 'drizzle-orm';
import type { Db, Tx } from '../../db/client';
import { localDnsEncodedNames } from '../../db/schema/dns';
import { groupKey, type DnsGroup, type DnsGroupKind, type DnsIds } from './names';

/** Ids that stand for names of AZs, networks and groups inside DNS names: found or made, never given to another name. */

const recordedKinds = { 'instance-group': 'group', link: 'link' } as const satisfies Record<DnsGroupKind, string>;

/** Gives every name that has none an id. Safe to repeat, and for several deploys at once. */
export async function giveDnsIds(tx: Tx, names: { azs?: readonly string[]; networks?: readonly string[]; groups?: readonly DnsGroup[] }): Promise<void> {
  const wanted = [
    ...(names.azs ?? []).map((name) => ({ kind: 'az', name, deployment: '' })),
    ...(names.networks ?? []).map((name) => ({ kind: 'network', name, deployment: '' })),
    ...(names.groups ?? []).map(({ kind, name, deployment }) => ({ kind: recordedKinds[kind], name, deployment })),
  ];
  if (wanted.length === 0) return;
  const column = (key: 'kind' | 'name' | 'deployment') => sql`${sql.param(wanted.map((one) => one[key]))}::text[]`;
  // In one order for all, so that two deploys never wait for each other.
  await tx.execute(sql`
    INSERT INTO local_dns_encoded_names (kind, name, deployment)
    SELECT kind, name, deployment FROM (SELECT min(n) AS n, kind, name, deployment FROM unnest(${column('kind')}, ${column('name')}, ${column('deployment')}) WITH ORDINALITY AS w (kind, name, deployment, n) GROUP BY 2, 3, 4) wanted
    WHERE NOT EXISTS (SELECT FROM local_dns_encoded_names e WHERE e.kind = wanted.kind AND e.name = wanted.name AND e.deployment = wanted.deployment)
    ORDER BY kind, deployment, n
    ON CONFLICT DO NOTHING`);
}

/** Ids of all AZs and networks, and of the groups of these deployments. */
export async function listDnsIds(db: Db, deployments: readonly string[]): Promise<DnsIds> {
  const rows = await db
    .select()
    .from(localDnsEncodedNames)
    .where(or(inArray(localDnsEncodedNames.kind, ['az', 'network']), and(inArray(localDnsEncodedNames.kind, ['group', 'link']), inArray(localDnsEncodedNames.deployment, [...deployments]))));
  const idsOf = (kind: string) => new Map(rows.filter((row) => row.kind === kind).map((row) => [row.name, row.id]));
  const groups = rows.flatMap((row) => (row.kind === 'group' || row.kind === 'link' ? [[groupKey({ kind: row.kind === 'link' ? 'link' : 'instance-group', name: row.name, deployment: row.deployment }), row.id] as const] : []));
  return { azs: idsOf('az'), networks: idsOf('network'), groups: new Map(groups) };
}

/** Name → id of all AZs that have one. */
export async function listAzIds(db: Db): Promise<Map<string, number>> {
  const rows = await db.select({ name: localDnsEncodedNames.name, id: localDnsEncodedNames.id }).from(localDnsEncodedNames).where(eq(localDnsEncodedNames.kind, 'az'));
  return new Map(rows.map((row) => [row.name, row.id]));
}
