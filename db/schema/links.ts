import { boolean, integer, jsonb, pgTable, serial, text } from 'drizzle-orm/pg-core';
import { instant } from './columns';
import { deployments } from './deployments';

type Json = Record<string, unknown>;
const ofDeployment = () => integer('deployment_id').notNull().references(() => deployments.id, { onDelete: 'cascade' });

/** A job (`job`) or a text in a manifest (`manual`) that provides links. */
export const linkProviders = pgTable('link_providers', {
  id: serial('id').primaryKey(),
  deploymentId: ofDeployment(),
  instanceGroup: text('instance_group').notNull(),
  name: text('name').notNull(),
  type: text('type').$type<'job' | 'manual' | 'disk'>().notNull(),
  serialId: integer('serial_id').notNull(),
});

/** One link that it provides. */
export const linkProviderIntents = pgTable('link_provider_intents', {
  id: serial('id').primaryKey(),
  linkProviderId: integer('link_provider_id').notNull().references(() => linkProviders.id, { onDelete: 'cascade' }),
  originalName: text('original_name').notNull(),
  type: text('type').notNull(),
  name: text('name').notNull(),
  shared: boolean('shared').notNull(),
  consumable: boolean('consumable').notNull(),
  content: jsonb('content').$type<Json>(),
  metadata: jsonb('metadata').$type<Json>().notNull(),
  serialId: integer('serial_id').notNull(),
});

/** A job that consumes links, or a program outside (`external`). */
export const linkConsumers = pgTable('link_consumers', {
  id: serial('id').primaryKey(),
  deploymentId: ofDeployment(),
  instanceGroup: text('instance_group').notNull().default(''),
  name: text('name').notNull(),
  type: text('type').$type<'job' | 'variable' | 'external'>().notNull(),
  serialId: integer('serial_id').notNull(),
});

/** One link that it wants. */
export const linkConsumerIntents = pgTable('link_consumer_intents', {
  id: serial('id').primaryKey(),
  linkConsumerId: integer('link_consumer_id').notNull().references(() => linkConsumers.id, { onDelete: 'cascade' }),
  originalName: text('original_name').notNull(),
  type: text('type').notNull(),
  name: text('name').notNull(),
  optional: boolean('optional').notNull(),
  blocked: boolean('blocked').notNull(),
  metadata: jsonb('metadata').$type<Json>().notNull(),
  /** Row of links that was made last. */
  targetLinkId: integer('target_link_id'),
  serialId: integer('serial_id').notNull(),
});

/** A link that was made: what a consumer gets. */
export const links = pgTable('links', {
  id: serial('id').primaryKey(),
  name: text('name').notNull(),
  linkProviderIntentId: integer('link_provider_intent_id').references(() => linkProviderIntents.id, { onDelete: 'set null' }),
  linkConsumerIntentId: integer('link_consumer_intent_id').notNull().references(() => linkConsumerIntents.id, { onDelete: 'cascade' }),
  content: jsonb('content').$type<Json>().notNull(),
  createdAt: instant('created_at').notNull().defaultNow(),
});
