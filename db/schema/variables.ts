import { bigint, bigserial, boolean, integer, pgTable, text, uuid } from 'drizzle-orm/pg-core';
import { bytea, instant } from './columns';
import { deployments } from './deployments';

/** One version of a variable in the built-in store. */
export const variableValues = pgTable('variable_values', {
  id: uuid('id').primaryKey(),
  seq: bigserial('seq', { mode: 'number' }).notNull(),
  name: text('name').notNull(),
  type: text('type').notNull(),
  /** The value and what it was generated from, encrypted. */
  sealed: bytea('sealed').notNull(),
  createdAt: instant('created_at').notNull().defaultNow(),
});

/** The versions that one deploy uses; writable while it runs. */
export const variableSets = pgTable('variable_sets', {
  id: bigserial('id', { mode: 'number' }).primaryKey(),
  deploymentId: integer('deployment_id').notNull().references(() => deployments.id, { onDelete: 'cascade' }),
  createdAt: instant('created_at').notNull().defaultNow(),
  deployedSuccessfully: boolean('deployed_successfully').notNull().default(false),
  writable: boolean('writable').notNull().default(false),
  /** The task that it was made by. */
  taskId: bigint('task_id', { mode: 'number' }).unique(),
});

/** A name in a set and the version that it stands for. */
export const variables = pgTable('variables', {
  id: bigserial('id', { mode: 'number' }).primaryKey(),
  variableSetId: bigint('variable_set_id', { mode: 'number' }).notNull().references(() => variableSets.id, { onDelete: 'cascade' }),
  name: text('name').notNull(),
  /** Id in the config server. */
  variableId: text('variable_id').notNull(),
  /** False for those of a link's provider. */
  isLocal: boolean('is_local').notNull().default(true),
  providerDeployment: text('provider_deployment').notNull().default(''),
});
