import { bigint, bigserial, boolean, index, integer, jsonb, pgTable, text, uuid } from 'drizzle-orm/pg-core';
import { instant } from './columns';

/** Facts of the whole installation: director uuid, switches. */
export const directorSettings = pgTable('director_settings', {
  key: text('key').primaryKey(),
  value: jsonb('value').notNull(),
});

/** One row per process incarnation of a node. */
export const directorNodes = pgTable('director_nodes', {
  id: uuid('id').primaryKey(),
  name: text('name').notNull(),
  host: text('host').notNull(),
  url: text('url').notNull(),
  roles: text('roles').array().notNull(),
  version: text('version').notNull(),
  pid: integer('pid').notNull(),
  state: text('state').$type<'starting' | 'ready' | 'draining' | 'stopped' | 'lost'>().notNull(),
  startedAt: instant('started_at').notNull().defaultNow(),
  heartbeatAt: instant('heartbeat_at').notNull().defaultNow(),
  stoppedAt: instant('stopped_at'),
  /** Of its machine, without loopback and link-local ones. */
  addresses: jsonb('addresses').$type<string[]>().notNull().default([]),
  vitals: jsonb('vitals').$type<Record<string, unknown>>().notNull().default({}),
});

/** A component's lease: at most one holder per epoch; the epoch only grows. */
export const leases = pgTable('leases', {
  name: text('name').primaryKey(),
  holder: uuid('holder'),
  epoch: bigint('epoch', { mode: 'number' }).notNull().default(0),
  acquiredAt: instant('acquired_at'),
  expiresAt: instant('expires_at'),
  lastProgressAt: instant('last_progress_at'),
  paused: boolean('paused').notNull().default(false),
  /** A node that an operator wants to hold the lease; others leave it alone while that node lives. */
  wantedHolder: uuid('wanted_holder'),
});

/** Who held a lease when: one row per epoch. */
export const leaseHistory = pgTable(
  'lease_history',
  {
    id: bigserial('id', { mode: 'number' }).primaryKey(),
    name: text('name').notNull(),
    epoch: bigint('epoch', { mode: 'number' }).notNull(),
    holder: uuid('holder').notNull(),
    acquiredAt: instant('acquired_at').notNull().defaultNow(),
    endedAt: instant('ended_at'),
    reason: text('reason'),
  },
  (t) => [index('lease_history_name_epoch').on(t.name, t.epoch)],
);

/** Named locks, owned by one epoch of a task. */
export const locks = pgTable('locks', {
  name: text('name').primaryKey(),
  uid: uuid('uid').notNull(),
  taskId: bigint('task_id', { mode: 'number' }).notNull(),
  epoch: bigint('epoch', { mode: 'number' }).notNull(),
  acquiredAt: instant('acquired_at').notNull().defaultNow(),
});

/** Revision of the agents' NATS identities; bumped in the transaction that changes `vms`. */
export const natsUsersRevision = pgTable('nats_users_revision', {
  id: integer('id').primaryKey().default(1),
  revision: bigint('revision', { mode: 'number' }).notNull().default(0),
});

/** What each NATS server has applied. */
export const natsAuthAppliers = pgTable('nats_auth_appliers', {
  serverName: text('server_name').primaryKey(),
  appliedRevision: bigint('applied_revision', { mode: 'number' }).notNull().default(0),
  heartbeatAt: instant('heartbeat_at').notNull().defaultNow(),
  address: text('address').notNull().default(''),
});
