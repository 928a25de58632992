import { bigint, boolean, index, integer, jsonb, pgTable, serial, text } from 'drizzle-orm/pg-core';
import { instant } from './columns';
import { instances, vms } from './deployments';

/** Persistent disks of instances. A row is written (state `creating`, no cid) before `create_disk` and completed after it. */
export const persistentDisks = pgTable(
  'persistent_disks',
  {
    id: serial('id').primaryKey(),
    instanceId: integer('instance_id').notNull().references(() => instances.id),
    cid: text('cid').unique(),
    /** Empty for the managed disk, which agents format and mount. */
    name: text('name').notNull().default(''),
    /** MB */
    size: integer('size').notNull(),
    cloudProperties: jsonb('cloud_properties').$type<Record<string, unknown>>().notNull().default({}),
    cpi: text('cpi').notNull().default(''),
    /** `updating` while the cloud changes it and may give it another cid. */
    state: text('state').$type<'creating' | 'created' | 'updating'>().notNull(),
    /** The one that has the instance's data; of one name at most one is. */
    active: boolean('active').notNull().default(false),
    /** The VM that has it or may have it: written before `attach_disk`, removed after `detach_disk` or with the VM. */
    vmId: integer('vm_id').references(() => vms.id, { onDelete: 'set null' }),
    /** The VM has it for certain, and a managed one is mounted. */
    attached: boolean('attached').notNull().default(false),
    /** Content is being, or has been, copied onto it from the active one. */
    copying: boolean('copying').notNull().default(false),
    /** The task attempt that made it. */
    taskId: bigint('task_id', { mode: 'number' }),
    epoch: bigint('epoch', { mode: 'number' }),
    createdAt: instant('created_at').notNull().defaultNow(),
  },
  (t) => [index('persistent_disks_instance').on(t.instanceId), index('persistent_disks_vm').on(t.vmId)],
);

/** Snapshots of persistent disks; without a cid while `snapshot_disk` is under way. */
export const snapshots = pgTable(
  'snapshots',
  {
    id: serial('id').primaryKey(),
    diskId: integer('disk_id').notNull().references(() => persistentDisks.id, { onDelete: 'cascade' }),
    cid: text('cid').unique(),
    /** Made while the instance was stopped. */
    clean: boolean('clean').notNull(),
    taskId: bigint('task_id', { mode: 'number' }),
    epoch: bigint('epoch', { mode: 'number' }),
    createdAt: instant('created_at').notNull().defaultNow(),
  },
  (t) => [index('snapshots_disk').on(t.diskId)],
);

/** Disks that no instance has any more, kept for a while. */
export const orphanDisks = pgTable('orphan_disks', {
  id: serial('id').primaryKey(),
  cid: text('cid').notNull().unique(),
  name: text('name').notNull().default(''),
  size: integer('size').notNull(),
  az: text('az'),
  deploymentName: text('deployment_name').notNull(),
  instanceName: text('instance_name').notNull(),
  cloudProperties: jsonb('cloud_properties').$type<Record<string, unknown>>().notNull().default({}),
  cpi: text('cpi').notNull().default(''),
  /** Its deletion has begun: it cannot be given to an instance any more. */
  deleting: boolean('deleting').notNull().default(false),
  orphanedAt: instant('orphaned_at').notNull().defaultNow(),
});

export const orphanSnapshots = pgTable(
  'orphan_snapshots',
  {
    id: serial('id').primaryKey(),
    orphanDiskId: integer('orphan_disk_id').notNull().references(() => orphanDisks.id, { onDelete: 'cascade' }),
    cid: text('cid').notNull().unique(),
    clean: boolean('clean').notNull(),
    snapshotCreatedAt: instant('snapshot_created_at').notNull(),
    orphanedAt: instant('orphaned_at').notNull().defaultNow(),
  },
  (t) => [index('orphan_snapshots_disk').on(t.orphanDiskId)],
);

/** What the cloud may have made without anybody knowing its cid: the node that had asked for it died before the answer. */
export const possibleLeaks = pgTable('possible_leaks', {
  id: serial('id').primaryKey(),
  kind: text('kind').$type<'disk' | 'snapshot'>().notNull(),
  deploymentName: text('deployment_name').notNull(),
  instanceName: text('instance_name').notNull(),
  /** MB */
  size: integer('size').notNull(),
  /** Of a snapshot: the disk that it is of. */
  diskCid: text('disk_cid'),
  cpi: text('cpi').notNull().default(''),
  begunAt: instant('begun_at').notNull(),
  noticedAt: instant('noticed_at').notNull().defaultNow(),
});
