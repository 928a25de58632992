import { boolean, integer, jsonb, pgTable, primaryKey, serial, text, uniqueIndex } from 'drizzle-orm/pg-core';
import { instant } from './columns';
import { deployments } from './deployments';

/** Networks that the director makes and deletes through CPIs; a row is committed before the first subnet is asked for. */
export const networks = pgTable('networks', {
  id: serial('id').primaryKey(),
  name: text('name').notNull().unique(),
  type: text('type').notNull(),
  /** creating: not all of its subnets are made; deleting: not all of them are deleted. */
  state: text('state').$type<'creating' | 'created' | 'deleting'>().notNull(),
  orphaned: boolean('orphaned').notNull().default(false),
  orphanedAt: instant('orphaned_at'),
  createdAt: instant('created_at').notNull().defaultNow(),
});

/** Subnets of managed networks; a row is committed before `create_network` and completed after it. */
export const subnets = pgTable(
  'subnets',
  {
    id: serial('id').primaryKey(),
    networkId: integer('network_id').notNull().references(() => networks.id, { onDelete: 'cascade' }),
    name: text('name').notNull(),
    state: text('state').$type<'creating' | 'created' | 'deleting'>().notNull(),
    cpi: text('cpi').notNull().default(''),
    cid: text('cid'),
    range: text('range'),
    gateway: text('gateway'),
    /** Addresses, blocks or `first-last` that the cloud keeps for itself. */
    reserved: jsonb('reserved').$type<string[]>().notNull().default([]),
    /** As the CPI returned them. */
    cloudProperties: jsonb('cloud_properties').$type<Record<string, unknown>>().notNull().default({}),
  },
  (t) => [uniqueIndex('subnets_unique').on(t.networkId, t.name)],
);

/** Deployments that use a managed network; it is orphaned when the last one goes. */
export const deploymentNetworks = pgTable(
  'deployment_networks',
  {
    deploymentId: integer('deployment_id').notNull().references(() => deployments.id, { onDelete: 'cascade' }),
    networkId: integer('network_id').notNull().references(() => networks.id),
  },
  (t) => [primaryKey({ columns: [t.deploymentId, t.networkId] })],
);
