import { and, asc, eq, sql } from 'drizzle-orm';
import type { Db, Tx } from '../../db/client';
import { deployments } from '../../db/schema/deployments';
import { linkConsumerIntents, linkConsumers, linkProviderIntents, linkProviders, links } from '../../db/schema/links';

/** Links as programs outside see and make them. */

type Json = Record<string, unknown>;

export interface ListedProvider {
  /** Row of the intent. */
  id: number;
  name: string;
  originalName: string;
  type: string;
  shared: boolean;
  owner: { type: string; name: string; instanceGroup: string };
}

const providerColumns = {
  id: linkProviderIntents.id, name: linkProviderIntents.name, originalName: linkProviderIntents.originalName, type: linkProviderIntents.type, shared: linkProviderIntents.shared,
  owner: { type: linkProviders.type, name: linkProviders.name, instanceGroup: linkProviders.instanceGroup },
};

export async function listLinkProviders(db: Db, deploymentId: number): Promise<ListedProvider[]> {
  return db
    .select(providerColumns)
    .from(linkProviderIntents)
    .innerJoin(linkProviders, eq(linkProviders.id, linkProviderIntents.linkProviderId))
    .where(eq(linkProviders.deploymentId, deploymentId))
    .orderBy(asc(linkProviderIntents.id));
}

export interface ListedConsumer {
  id: number;
  name: string;
  originalName: string;
  type: string;
  optional: boolean;
  owner: { type: string; name: string; instanceGroup: string };
}

export async function listLinkConsumers(db: Db, deploymentId: number): Promise<ListedConsumer[]> {
  return db
    .select({
      id: linkConsumerIntents.id, name: linkConsumerIntents.name, originalName: linkConsumerIntents.originalName, type: linkConsumerIntents.type, optional: linkConsumerIntents.optional,
      owner: { type: linkConsumers.type, name: linkConsumers.name, instanceGroup: linkConsumers.instanceGroup },
    })
    .from(linkConsumerIntents)
    .innerJoin(linkConsumers, eq(linkConsumers.id, linkConsumerIntents.linkConsumerId))
    .where(eq(linkConsumers.deploymentId, deploymentId))
    .orderBy(asc(linkConsumerIntents.id));
}

export interface ListedLink {
  id: number;
  name: string;
  consumerIntentId: number;
  providerIntentId: number | null;
  createdAt: Date;
}

const linkColumns = { id: links.id, name: links.name, consumerIntentId: links.linkConsumerIntentId, providerIntentId: links.linkProviderIntentId, createdAt: links.createdAt };

export async function listLinks(db: Db, deploymentId: number): Promise<ListedLink[]> {
  return db
    .select(linkColumns)
    .from(links)
    .innerJoin(linkConsumerIntents, eq(linkConsumerIntents.id, links.linkConsumerIntentId))
    .innerJoin(linkConsumers, eq(linkConsumers.id, linkConsumerIntents.linkConsumerId))
    .where(eq(linkConsumers.deploymentId, deploymentId))
    .orderBy(asc(links.linkConsumerIntentId), asc(links.id));
}

/** Ids in URLs and bodies are texts: one that is no number names nothing. */
function numeric(id: string): number | undefined {
  return /^\d{1,9}$/.test(id) ? Number(id) : undefined;
}

export interface OfferedProvider {
  id: number;
  deploymentId: number;
  serial: number;
  originalName: string;
  name: string;
  type: string;
  shared: boolean;
  content: Json | null;
  /** Teams of its deployment. */
  teams: string[];
}

/** A provider's intent by its id. */
export async function findProviderIntent(db: Db, id: string): Promise<OfferedProvider | undefined> {
  const wanted = numeric(id);
  if (wanted === undefined) return undefined;
  const [row] = await db
    .select({ ...providerColumns, content: linkProviderIntents.content, serial: linkProviderIntents.serialId, deploymentId: linkProviders.deploymentId, teams: deployments.teams })
    .from(linkProviderIntents)
    .innerJoin(linkProviders, eq(linkProviders.id, linkProviderIntents.linkProviderId))
    .innerJoin(deployments, eq(deployments.id, linkProviders.deploymentId))
    .where(eq(linkProviderIntents.id, wanted));
  return row;
}

/** Records what a program outside gets; the same again gives the same link. */
export async function createExternalLink(tx: Tx, order: { provider: OfferedProvider; consumer: string; network: string | undefined; content: Json }): Promise<ListedLink> {
  const { provider, network } = order;
  const owner = { deploymentId: provider.deploymentId, instanceGroup: '', name: order.consumer, type: 'external' as const, serialId: provider.serial };
  const [consumer] = await tx
    .insert(linkConsumers)
    .values(owner)
    .onConflictDoUpdate({ target: [linkConsumers.deploymentId, linkConsumers.instanceGroup, linkConsumers.name, linkConsumers.type], set: { serialId: provider.serial } })
    .returning({ id: linkConsumers.id });
  const intent = {
    linkConsumerId: consumer?.id ?? 0, originalName: provider.originalName, type: provider.type, name: provider.name, optional: false, blocked: false,
    metadata: network === undefined ? {} : { network }, serialId: provider.serial,
  };
  const [made] = await tx
    .insert(linkConsumerIntents)
    .values(intent)
    .onConflictDoUpdate({ target: [linkConsumerIntents.linkConsumerId, linkConsumerIntents.originalName], set: intent })
    .returning({ id: linkConsumerIntents.id });
  const consumerIntentId = made?.id ?? 0;
  const [same] = await tx
    .select(linkColumns)
    .from(links)
    .where(and(eq(links.linkConsumerIntentId, consumerIntentId), eq(links.linkProviderIntentId, provider.id), sql`${links.content} = ${JSON.stringify(order.content)}::jsonb`));
  const [link] = same ? [same] : await tx.insert(links).values({ name: provider.originalName, linkProviderIntentId: provider.id, linkConsumerIntentId: consumerIntentId, content: order.content }).returning(linkColumns);
  if (!link) throw new Error('the link was not stored');
  await tx.update(linkConsumerIntents).set({ targetLinkId: link.id }).where(eq(linkConsumerIntents.id, consumerIntentId));
  return link;
}

export interface FoundLink {
  id: number;
  content: Json;
  /** Undefined when its provider has gone. */
  providerType: string | null;
  consumer: { id: number; intentId: number; type: string };
  /** Teams of the consumer's deployment. */
  teams: string[];
}

export async function findLink(db: Db, id: string): Promise<FoundLink | undefined> {
  const wanted = numeric(id);
  if (wanted === undefined) return undefined;
  const [row] = await db
    .select({
      id: links.id, content: links.content, providerType: linkProviders.type, consumer: { id: linkConsumers.id, intentId: linkConsumerIntents.id, type: linkConsumers.type }, teams: deployments.teams,
    })
    .from(links)
    .innerJoin(linkConsumerIntents, eq(linkConsumerIntents.id, links.linkConsumerIntentId))
    .innerJoin(linkConsumers, eq(linkConsumers.id, linkConsumerIntents.linkConsumerId))
    .innerJoin(deployments, eq(deployments.id, linkConsumers.deploymentId))
    .leftJoin(linkProviderIntents, eq(linkProviderIntents.id, links.linkProviderIntentId))
    .leftJoin(linkProviders, eq(linkProviders.id, linkProviderIntents.linkProviderId))
    .where(eq(links.id, wanted));
  return row;
}

/** Forgets a link, and its consumer with its last link. */
export async function deleteLink(tx: Tx, link: FoundLink): Promise<void> {
  await tx.delete(links).where(eq(links.id, link.id));
  await tx.execute(sql`DELETE FROM link_consumer_intents i WHERE i.id = ${link.consumer.intentId} AND NOT EXISTS (SELECT FROM links l WHERE l.link_consumer_intent_id = i.id)`);
  await tx.execute(sql`DELETE FROM link_consumers c WHERE c.id = ${link.consumer.id} AND NOT EXISTS (SELECT FROM link_consumer_intents i WHERE i.link_consumer_id = c.id)`);
}
