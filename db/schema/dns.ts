import { bigint, bigserial, boolean, integer, pgTable, serial, text } from 'drizzle-orm/pg-core';
import { instant } from './columns';

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
  tombstone: boolean('tombstone').notNull().default(false),
});

/** Ids of AZs, networks and groups inside DNS names; never given to another name. */
export const localDnsEncodedNames = pgTable('local_dns_encoded_names', {
  id: serial('id').primaryKey(),
  kind: text('kind').$type<'az' | 'network' | 'group' | 'link'>().notNull(),
  name: text('name').notNull(),
  deployment: text('deployment').notNull().default(''),
});

/** A published version of all records; `id` is the version. */
export const localDnsBlobs = pgTable('local_dns_blobs', {
  id: bigserial('id', { mode: 'number' }).primaryKey(),
  recordsId: bigint('records_id', { mode: 'number' }).notNull(),
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
