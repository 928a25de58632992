import { bigint, boolean, index, integer, jsonb, pgTable, primaryKey, serial, text, uniqueIndex, uuid } from 'drizzle-orm/pg-core';
import { instant } from './columns';
import { configs } from './configs';
import { releaseVersions } from './releases';
import { stemcells } from './stemcells';

export const deployments = pgTable('deployments', {
  id: serial('id').primaryKey(),
  name: text('name').notNull().unique(),
  canonicalName: text('canonical_name').notNull().unique(),
  teams: text('teams').array().notNull().default([]),
  /** The resolved manifest of the last successful deploy; null until the first. */
  manifest: jsonb('manifest').$type<Record<string, unknown>>(),
  /** Its text as uploaded. */
  manifestText: text('manifest_text'),
  tags: jsonb('tags').$type<Record<string, string>>().notNull().default({}),
  linksSerialId: integer('links_serial_id').notNull().default(0),
  createdAt: instant('created_at').notNull().defaultNow(),
});

/** The configs that the last successful deploy used. */
export const deploymentConfigs = pgTable(
  'deployment_configs',
  {
    id: serial('id').primaryKey(),
    deploymentId: integer('deployment_id').notNull().references(() => deployments.id, { onDelete: 'cascade' }),
    configId: integer('config_id').notNull().references(() => configs.id),
  },
  (t) => [uniqueIndex('deployment_configs_unique').on(t.deploymentId, t.configId)],
);

export const deploymentReleaseVersions = pgTable(
  'deployment_release_versions',
  {
    deploymentId: integer('deployment_id').notNull().references(() => deployments.id, { onDelete: 'cascade' }),
    releaseVersionId: integer('release_version_id').notNull().references(() => releaseVersions.id),
  },
  (t) => [primaryKey({ columns: [t.deploymentId, t.releaseVersionId] })],
);

export const deploymentStemcells = pgTable(
  'deployment_stemcells',
  {
    deploymentId: integer('deployment_id').notNull().references(() => deployments.id, { onDelete: 'cascade' }),
    stemcellId: integer('stemcell_id').notNull().references(() => stemcells.id),
  },
  (t) => [primaryKey({ columns: [t.deploymentId, t.stemcellId] })],
);

export const instances = pgTable(
  'instances',
  {
    id: serial('id').primaryKey(),
    uuid: uuid('uuid').notNull().unique(),
    deploymentId: integer('deployment_id').notNull().references(() => deployments.id),
    /** Instance group. */
    job: text('job').notNull(),
    index: integer('index').notNull(),
    az: text('az'),
    state: text('state').$type<'started' | 'stopped' | 'detached'>().notNull().default('started'),
    bootstrap: boolean('bootstrap').notNull().default(false),
    ignore: boolean('ignore').notNull().default(false),
    compilation: boolean('compilation').notNull().default(false),
    /** False while an update is unfinished: the next deploy converges the instance. */
    updateCompleted: boolean('update_completed').notNull().default(false),
    /** Full spec of the last applied update. */
    spec: jsonb('spec').$type<Record<string, unknown>>(),
    /** Cloud properties that the VM was made with. */
    cloudProperties: jsonb('cloud_properties').$type<Record<string, unknown>>(),
    /** What DNS says of it beside its addresses, as of its last update; null: what is recorded here. */
    dns: jsonb('dns').$type<{ group: string; az: string | null; links: string[] }>(),
    /** Why the last update was made: names of changes, e.g. ["configuration"]. */
    lastChanges: jsonb('last_changes').$type<string[]>().notNull().default([]),
    /** Versions of variables that were applied last; row of variable_sets. */
    variableSetId: bigint('variable_set_id', { mode: 'number' }),
    updatedAt: instant('updated_at').notNull().defaultNow(),
  },
  (t) => [index('instances_deployment').on(t.deploymentId, t.job)],
);

/** What a VM was made of, placeholders included. */
export interface VmIngredients {
  stemcell: { name: string; version: string };
  env: Record<string, unknown>;
  cloudProperties: Record<string, unknown>;
}

/**
 * VMs. A row is written (state `creating`) before `create_vm` is called and completed after it, so that a VM
 * that exists in the cloud is always known here. `retiring`: another one has taken its place; it is about to be orphaned.
 */
export const vms = pgTable(
  'vms',
  {
    id: serial('id').primaryKey(),
    instanceId: integer('instance_id').references(() => instances.id),
    agentId: uuid('agent_id').notNull().unique(),
    cid: text('cid').unique(),
    state: text('state').$type<'creating' | 'created' | 'retiring' | 'deleting'>().notNull(),
    active: boolean('active').notNull().default(false),
    cpi: text('cpi').notNull().default(''),
    az: text('az'),
    stemcellApiVersion: integer('stemcell_api_version'),
    /** Networks as given to the CPI and the agent: name → settings. */
    networks: jsonb('networks').$type<Record<string, unknown>>().notNull().default({}),
    trustedCertsSha1: text('trusted_certs_sha1'),
    natsConfigSha1: text('nats_config_sha1'),
    blobstoreConfigSha1: text('blobstore_config_sha1'),
    /** Stemcell, env and cloud properties of a VM that is made beside its instance's VM. */
    madeOf: jsonb('made_of').$type<VmIngredients>(),
    permanentNatsCredentials: boolean('permanent_nats_credentials').notNull().default(false),
    /** The task attempt that wrote the intent. */
    taskId: bigint('task_id', { mode: 'number' }),
    epoch: bigint('epoch', { mode: 'number' }),
    createdAt: instant('created_at').notNull().defaultNow(),
  },
  (t) => [index('vms_instance').on(t.instanceId), index('vms_task').on(t.taskId)],
);

/** Every allotted address of a manual or VIP network, unique over the whole director. */
export const ipAddresses = pgTable(
  'ip_addresses',
  {
    /** CIDR text, e.g. `10.0.0.5/32`. */
    address: text('address').primaryKey(),
    networkName: text('network_name').notNull(),
    static: boolean('static').notNull(),
    instanceId: integer('instance_id').references(() => instances.id),
    vmId: integer('vm_id').references(() => vms.id),
    orphanedVmId: integer('orphaned_vm_id'),
    /** Networks of one number share a network card. */
    nicGroup: integer('nic_group'),
    taskId: bigint('task_id', { mode: 'number' }),
    createdAt: instant('created_at').notNull().defaultNow(),
  },
  (t) => [index('ip_addresses_instance').on(t.instanceId), index('ip_addresses_vm').on(t.vmId)],
);

/** VMs that no instance has any more and that are still to be deleted. */
export const orphanedVms = pgTable('orphaned_vms', {
  id: serial('id').primaryKey(),
  cid: text('cid').notNull().unique(),
  agentId: uuid('agent_id').notNull(),
  cpi: text('cpi').notNull().default(''),
  az: text('az'),
  deploymentName: text('deployment_name').notNull(),
  instanceName: text('instance_name').notNull(),
  stemcellApiVersion: integer('stemcell_api_version'),
  orphanedAt: instant('orphaned_at').notNull().defaultNow(),
});

/** Rendered templates delivered to an instance. */
export const renderedTemplatesArchives = pgTable(
  'rendered_templates_archives',
  {
    id: serial('id').primaryKey(),
    instanceId: integer('instance_id').notNull().references(() => instances.id, { onDelete: 'cascade' }),
    blobstoreId: text('blobstore_id').notNull(),
    sha1: text('sha1').notNull(),
    /** The configuration hash of the content. */
    contentSha1: text('content_sha1').notNull(),
    /** SHA-256 over all that decided the content. */
    inputKey: text('input_key'),
    /** Job name to SHA-1 of its templates. */
    templateHashes: jsonb('template_hashes').$type<Record<string, string>>(),
    createdAt: instant('created_at').notNull().defaultNow(),
  },
  (t) => [index('rendered_templates_archives_instance').on(t.instanceId)],
);
