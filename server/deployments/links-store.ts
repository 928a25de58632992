import { and, eq, ne, sql } from 'drizzle-orm';
import type { Db, Tx } from '../../db/client';
import { deployments } from '../../db/schema/deployments';
import { linkConsumerIntents, linkConsumers, linkProviderIntents, linkProviders, links } from '../../db/schema/links';

/**
 * Links as they are recorded: who provides what, who wants what, and what was made of it.
 * Shapes: cloudfoundry/bosh src/bosh-director/lib/bosh/director/links/links_manager.rb; a deploy's rows carry its serial.
 */

type Json = Record<string, unknown>;

export interface ProviderToRecord {
  group: string;
  job: string;
  originalName: string;
  name: string;
  type: string;
  shared: boolean;
  consumable: boolean;
  content: Json | undefined;
  metadata: Json;
  /** Of a named disk; `job` is the group's name. */
  disk?: true | undefined;
}

export interface ConsumerToRecord {
  group: string;
  job: string;
  originalName: string;
  name: string;
  type: string;
  optional: boolean;
  blocked: boolean;
  metadata: Json;
  /** What it gets; `manual`: from the manifest. */
  link: { content: Json; provider: { deployment: string; group: string; job: string; originalName: string; disk?: true | undefined } | 'manual' } | undefined;
}

export interface LinksToRecord {
  providers: readonly ProviderToRecord[];
  consumers: readonly ConsumerToRecord[];
  /** Instance groups that were taken over: what they provide and consume keeps its ids under the new group's name. */
  moved?: readonly { from: string; to: string }[];
}

/** Records the links of a deploy under a new serial; rows of the deploy before stay until `deleteOldLinks`. Safe to repeat. */
export async function recordLinks(tx: Tx, deploymentId: number, recorded: LinksToRecord): Promise<void> {
  for (const one of recorded.moved ?? []) await moveLinks(tx, deploymentId, one);
  const [row] = await tx.update(deployments).set({ linksSerialId: sql`${deployments.linksSerialId} + 1` }).where(eq(deployments.id, deploymentId)).returning({ serial: deployments.linksSerialId });
  const serial = row?.serial ?? 0;
  for (const provider of recorded.providers) await recordProvider(tx, { deploymentId, serial, kind: provider.disk ? 'disk' : 'job' }, provider);
  for (const consumer of recorded.consumers) await recordConsumer(tx, { deploymentId, serial }, consumer);
}

async function moveLinks(tx: Tx, deploymentId: number, { from, to }: { from: string; to: string }): Promise<void> {
  for (const table of [sql`link_providers`, sql`link_consumers`]) {
    await tx.execute(sql`
      UPDATE ${table} r SET instance_group = ${to} WHERE r.deployment_id = ${deploymentId} AND r.instance_group = ${from}
        AND NOT EXISTS (SELECT FROM ${table} o WHERE o.deployment_id = r.deployment_id AND o.instance_group = ${to} AND o.name = r.name AND o.type = r.type)`);
  }
}

async function recordProvider(tx: Tx, owner: { deploymentId: number; serial: number; kind: 'job' | 'manual' | 'disk' }, provider: ProviderToRecord): Promise<number> {
  const { deploymentId, serial: serialId, kind } = owner;
  const { group: instanceGroup, job, content, disk: _disk, ...rest } = provider;
  const [found] = await tx
    .insert(linkProviders)
    .values({ deploymentId, instanceGroup, name: job, type: kind, serialId })
    .onConflictDoUpdate({ target: [linkProviders.deploymentId, linkProviders.instanceGroup, linkProviders.name, linkProviders.type], set: { serialId } })
    .returning({ id: linkProviders.id });
  const intent = { ...rest, content: content ?? null, linkProviderId: found?.id ?? 0, serialId };
  const [made] = await tx
    .insert(linkProviderIntents)
    .values(intent)
    .onConflictDoUpdate({ target: [linkProviderIntents.linkProviderId, linkProviderIntents.originalName], set: intent })
    .returning({ id: linkProviderIntents.id });
  return made?.id ?? 0;
}

async function recordConsumer(tx: Tx, owner: { deploymentId: number; serial: number }, consumer: ConsumerToRecord): Promise<void> {
  const { deploymentId, serial: serialId } = owner;
  const { group: instanceGroup, job, link, ...rest } = consumer;
  const [found] = await tx
    .insert(linkConsumers)
    .values({ deploymentId, instanceGroup, name: job, type: 'job', serialId })
    .onConflictDoUpdate({ target: [linkConsumers.deploymentId, linkConsumers.instanceGroup, linkConsumers.name, linkConsumers.type], set: { serialId } })
    .returning({ id: linkConsumers.id });
  const intent = { ...rest, linkConsumerId: found?.id ?? 0, serialId };
  const [made] = await tx
    .insert(linkConsumerIntents)
    .values(intent)
    .onConflictDoUpdate({ target: [linkConsumerIntents.linkConsumerId, linkConsumerIntents.originalName], set: { ...intent, targetLinkId: null } })
    .returning({ id: linkConsumerIntents.id });
  if (!link || !made) return;
  const providerIntentId = link.provider === 'manual' ? await recordProvider(tx, { ...owner, kind: 'manual' }, manualProvider(consumer, link.content)) : await findProviderIntent(tx, link.provider);
  const linkId = await findOrCreateLink(tx, { name: consumer.originalName, linkProviderIntentId: providerIntentId, linkConsumerIntentId: made.id, content: link.content });
  await tx.update(linkConsumerIntents).set({ targetLinkId: linkId }).where(eq(linkConsumerIntents.id, made.id));
}

function manualProvider({ group, job, originalName, type }: ConsumerToRecord, content: Json): ProviderToRecord {
  return { group, job, originalName, name: originalName, type, shared: false, consumable: true, content, metadata: {} };
}

async function findProviderIntent(tx: Tx, provider: { deployment: string; group: string; job: string; originalName: string; disk?: true | undefined }): Promise<number | null> {
  const [row] = await tx
    .select({ id: linkProviderIntents.id })
    .from(linkProviderIntents)
    .innerJoin(linkProviders, eq(linkProviders.id, linkProviderIntents.linkProviderId))
    .innerJoin(deployments, eq(deployments.id, linkProviders.deploymentId))
    .where(and(eq(deployments.name, provider.deployment), eq(linkProviders.instanceGroup, provider.group), eq(linkProviders.name, provider.job), eq(linkProviders.type, provider.disk ? 'disk' : 'job'), eq(linkProviderIntents.originalName, provider.originalName)));
  return row?.id ?? null;
}

/** A link with equal content is used again. */
async function findOrCreateLink(tx: Tx, link: { name: string; linkProviderIntentId: number | null; linkConsumerIntentId: number; content: Json }): Promise<number> {
  const provider = link.linkProviderIntentId === null ? sql`${links.linkProviderIntentId} IS NULL` : eq(links.linkProviderIntentId, link.linkProviderIntentId);
  const [same] = await tx.select({ id: links.id }).from(links).where(and(provider, eq(links.linkConsumerIntentId, link.linkConsumerIntentId), sql`${links.content} = ${JSON.stringify(link.content)}::jsonb`)).limit(1);
  if (same) return same.id;
  const [made] = await tx.insert(links).values(link).returning({ id: links.id });
  return made?.id ?? 0;
}

/** After a deploy that succeeded: forgets what only earlier ones had. Programs outside keep what they were given. */
export async function deleteOldLinks(tx: Tx, deploymentId: number): Promise<void> {
  const current = sql`(SELECT links_serial_id FROM deployments WHERE id = ${deploymentId})`;
  await tx.execute(sql`DELETE FROM link_providers WHERE deployment_id = ${deploymentId} AND serial_id <> ${current}`);
  await tx.execute(sql`DELETE FROM link_provider_intents i USING link_providers p WHERE i.link_provider_id = p.id AND p.deployment_id = ${deploymentId} AND i.serial_id <> ${current}`);
  await tx.execute(sql`DELETE FROM link_consumers WHERE deployment_id = ${deploymentId} AND type <> 'external' AND serial_id <> ${current}`);
  await tx.execute(sql`DELETE FROM link_consumer_intents i USING link_consumers c WHERE i.link_consumer_id = c.id AND c.deployment_id = ${deploymentId} AND c.type <> 'external' AND i.serial_id <> ${current}`);
  await tx.execute(sql`
    DELETE FROM links l USING link_consumer_intents i, link_consumers c
    WHERE l.link_consumer_intent_id = i.id AND i.link_consumer_id = c.id AND c.deployment_id = ${deploymentId} AND c.type <> 'external' AND i.target_link_id IS DISTINCT FROM l.id`);
}

export interface ForeignProvider {
  deployment: string;
  group: string;
  job: string;
  originalName: string;
  name: string;
  type: string;
  shared: boolean;
  consumable: boolean;
  content?: Json | undefined;
}

/** Links that other deployments share. */
export async function listSharedProviders(db: Db, exceptDeploymentId: number): Promise<ForeignProvider[]> {
  const rows = await db
    .select({
      deployment: deployments.name, group: linkProviders.instanceGroup, job: linkProviders.name, originalName: linkProviderIntents.originalName, name: linkProviderIntents.name,
      type: linkProviderIntents.type, shared: linkProviderIntents.shared, consumable: linkProviderIntents.consumable, content: linkProviderIntents.content,
    })
    .from(linkProviderIntents)
    .innerJoin(linkProviders, eq(linkProviders.id, linkProviderIntents.linkProviderId))
    .innerJoin(deployments, and(eq(deployments.id, linkProviders.deploymentId), eq(deployments.linksSerialId, linkProviderIntents.serialId)))
    .where(and(ne(deployments.id, exceptDeploymentId), eq(linkProviderIntents.shared, true), eq(linkProviders.type, 'job')))
    .orderBy(linkProviderIntents.id);
  return rows.map(({ content, ...row }) => ({ ...row, ...(content ? { content } : {}) }));
}

/** Names of all deployments. */
export async function listDeploymentNames(db: Db): Promise<string[]> {
  return (await db.select({ name: deployments.name }).from(deployments).orderBy(deployments.name)).map((row) => row.name);
}
