import { bigint, bigserial, boolean, index, integer, pgTable, serial, text } from 'drizzle-orm/pg-core';
import { instant } from './columns';
import { deployments } from './deployments';

/** One address of an instance in one network as it is published, whatever became of the instance since; a tombstone makes a version newer after a mere deletion. */
export const localDnsRecords = pgTable('local_dns_records', {
  id: bigserial('id', { mode: 'number' }).primaryKey(),
  instanceId: integer('instance_id'),
  instanceUuid: text('instance_uuid').notNull(),
  instanceIndex: integer('instance_index').notNull(),
  instanceGroup: text('instance_group').notNull(),
  az: text('az'),
  network: text('network').notNull(),
  deployment: text('deployment').notNull(),
  ip: text('ip').notNull(),
  agentId: text('agent_id'),
  domain: text('domain').notNull(),
  /** Groups of the links that the instance provides, by name. */
  links: text('links').array().notNull().default([]),
  tombstone: boolean('tombstone').notNull().default(false),
});

/** Ids of AZs, networks and groups inside DNS names; never given to another name. */
export const localDnsEncodedNames = pgTable('local_dns_encoded_names', {
  id: serial('id').primaryKey(),
  kind: text('kind').$type<'az' | 'network' | 'group' | 'link'>().notNull(),
  name: text('name').notNull(),
  deployment: text('deployment').notNull().default(''),
});

/** A name under which all providers of a link are found; one without a deployment makes a version newer after a mere deletion. */
export const localDnsAliases = pgTable(
  'local_dns_aliases',
  {
    id: bigserial('id', { mode: 'number' }).primaryKey(),
    deploymentId: integer('deployment_id').references(() => deployments.id, { onDelete: 'cascade' }),
    domain: text('domain').notNull(),
    /** Row of the link's group in local_dns_encoded_names. */
    groupId: integer('group_id'),
    healthFilter: text('health_filter'),
    initialHealthCheck: text('initial_health_check'),
    placeholderType: text('placeholder_type'),
  },
  (t) => [index('local_dns_aliases_deployment').on(t.deploymentId)],
);

/** A published version of all records; `id` is the version. */
export const localDnsBlobs = pgTable('local_dns_blobs', {
  id: bigserial('id', { mode: 'number' }).primaryKey(),
  recordsId: bigint('records_id', { mode: 'number' }).notNull(),
  aliasesId: bigint('aliases_id', { mode: 'number' }).notNull().default(0),
  blobstoreId: text('blobstore_id').notNull(),
  /** BOSH multi-digest; empty until the blob is stored. */
  digest: text('digest').notNull().default(''),
  createdAt: instant('created_at').notNull().defaultNow(),
  /** The blob is in the blobstore: agents may be told. */
  stored: boolean('stored').notNull().default(false),
});

/** The version that each agent has confirmed. */
export const agentDnsVersions = pgTable('agent_dns_versions', {
  agentId: text('agent_id').primaryKey(),
  dnsVersion: bigint('dns_version', { mode: 'number' }).notNull(),
  updatedAt: instant('updated_at').notNull().defaultNow(),
});

/** One row: what tasks have asked the publisher for, by number, and how far it has come. */
export const localDnsRequests = pgTable('local_dns_requests', {
  only: boolean('only').primaryKey().default(true),
  requested: bigint('requested', { mode: 'number' }).notNull().default(0),
  answered: bigint('answered', { mode: 'number' }).notNull().default(0),
  answerVersion: bigint('answer_version', { mode: 'number' }),
  broadcastRequested: bigint('broadcast_requested', { mode: 'number' }).notNull().default(0),
  broadcastDone: bigint('broadcast_done', { mode: 'number' }).notNull().default(0),
});
