import { bigint, bigserial, boolean, integer, jsonb, pgTable, primaryKey, real, smallint, text } from 'drizzle-orm/pg-core';
import { instant } from './columns';
import { instances } from './deployments';

/** What operators are told: once stored, delivered to every plugin at least once. */
export const alerts = pgTable('alerts', {
  seq: bigserial('seq', { mode: 'number' }).primaryKey(),
  /** The event's id as plugins get it; not unique, since agents choose their own. */
  id: text('id').notNull(),
  /** The same occurrence, heard by whomever, has the same key. */
  dedupKey: text('dedup_key').notNull().unique(),
  origin: text('origin').$type<'health_monitor' | 'resurrector' | 'agent' | 'director'>().notNull(),
  category: text('category').$type<'vm_health' | 'deployment_health'>(),
  severity: integer('severity').notNull(),
  title: text('title').notNull(),
  summary: text('summary').notNull(),
  source: text('source').notNull(),
  deployment: text('deployment'),
  job: text('job'),
  instanceId: text('instance_id'),
  agentId: text('agent_id'),
  incidentId: bigint('incident_id', { mode: 'number' }),
  jobsToInstanceIds: jsonb('jobs_to_instance_ids').$type<Record<string, string[]>>(),
  createdAt: instant('created_at').notNull(),
  storedAt: instant('stored_at').notNull().defaultNow(),
  /** Its deliveries exist. */
  dispatched: boolean('dispatched').notNull().default(false),
});

/** One alert on its way to one plugin. */
export const alertDeliveries = pgTable(
  'alert_deliveries',
  {
    alertSeq: bigint('alert_seq', { mode: 'number' }).notNull().references(() => alerts.seq, { onDelete: 'cascade' }),
    plugin: text('plugin').notNull(),
    attempts: integer('attempts').notNull().default(0),
    nextAttemptAt: instant('next_attempt_at').notNull().defaultNow(),
    deliveredAt: instant('delivered_at'),
    givenUpAt: instant('given_up_at'),
    error: text('error'),
  },
  (t) => [primaryKey({ columns: [t.alertSeq, t.plugin] })],
);

export type IncidentKind = 'agent_timeout' | 'missing_vm' | 'deaf_agent' | 'rogue_agent' | 'unmanaged_timeout';

/** A condition from its beginning to its end; at most one is open per kind and subject. */
export const incidents = pgTable('incidents', {
  id: bigserial('id', { mode: 'number' }).primaryKey(),
  kind: text('kind').$type<IncidentKind>().notNull(),
  /** Agent id; instance uuid for `missing_vm`. */
  subject: text('subject').notNull(),
  /** 1 for the first of its kind and subject: makes the alert's id. */
  number: integer('number').notNull(),
  deployment: text('deployment'),
  job: text('job'),
  instanceId: text('instance_id'),
  agentId: text('agent_id'),
  openedAt: instant('opened_at').notNull().defaultNow(),
  endedAt: instant('ended_at'),
  endReason: text('end_reason'),
  /** Newest scan-and-fix task for it. */
  scanTaskId: bigint('scan_task_id', { mode: 'number' }),
  scans: integer('scans').notNull().default(0),
});

/** Counters of the health monitor that outlive whoever counts. */
export const healthCounters = pgTable('health_counters', {
  name: text('name').primaryKey(),
  value: bigint('value', { mode: 'number' }).notNull().default(0),
});

/** Means of the heartbeats' vitals in a ring of 288 five-minute slots per instance; the order of `values` is `vitalNames`. */
export const instanceVitals = pgTable(
  'instance_vitals',
  {
    instanceId: integer('instance_id').notNull().references(() => instances.id, { onDelete: 'cascade' }),
    slot: smallint('slot').notNull(),
    at: instant('at').notNull(),
    samples: integer('samples').notNull(),
    values: real('values').array().notNull(),
  },
  (t) => [primaryKey({ columns: [t.instanceId, t.slot] })],
);

/** The NATS server that an agent was last connected to. */
export const agentPaths = pgTable('agent_paths', {
  agentId: text('agent_id').primaryKey(),
  serverName: text('server_name').notNull(),
  since: instant('since').notNull().defaultNow(),
});
