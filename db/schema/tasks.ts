import { bigint, bigserial, boolean, index, integer, jsonb, pgTable, primaryKey, text, uuid } from 'drizzle-orm/pg-core';
import { bytea, instant } from './columns';

/** Units of director work; further, partial indexes are in the migration. `owner` null with a live state means: to be claimed. */
export const tasks = pgTable(
  'tasks',
  {
    id: bigserial('id', { mode: 'number' }).primaryKey(),
    type: text('type').notNull(),
    lane: text('lane').$type<'normal' | 'urgent'>().notNull(),
    state: text('state').$type<'queued' | 'processing' | 'cancelling' | 'cancelled' | 'done' | 'error' | 'timeout'>().notNull(),
    description: text('description').notNull(),
    result: text('result'),
    username: text('username').notNull(),
    deployment: text('deployment'),
    contextId: text('context_id').notNull().default(''),
    teams: text('teams').array().notNull().default([]),
    payload: jsonb('payload').notNull(),
    createdAt: instant('created_at').notNull().defaultNow(),
    startedAt: instant('started_at'),
    finishedAt: instant('finished_at'),
    /** Right to act: every write of an attempt is conditional on it. */
    epoch: bigint('epoch', { mode: 'number' }).notNull().default(0),
    attempt: integer('attempt').notNull().default(0),
    ownerNode: uuid('owner_node'),
    owner: text('owner'),
    leaseExpiresAt: instant('lease_expires_at'),
    cancelRequestedAt: instant('cancel_requested_at'),
    /** Facts that a later attempt needs, e.g. running agent tasks; written by the owner only. */
    checkpoint: jsonb('checkpoint').$type<Record<string, unknown>>().notNull().default({}),
    outputPacked: boolean('output_packed').notNull().default(false),
  },
  (t) => [
    index('tasks_deployment').on(t.deployment, t.id),
    index('tasks_type').on(t.type, t.id),
  ],
);

/** Who worked on a task when: one row per claim. */
export const taskAttempts = pgTable(
  'task_attempts',
  {
    taskId: bigint('task_id', { mode: 'number' }).notNull().references(() => tasks.id, { onDelete: 'cascade' }),
    epoch: bigint('epoch', { mode: 'number' }).notNull(),
    attempt: integer('attempt').notNull(),
    nodeId: uuid('node_id').notNull(),
    worker: text('worker').notNull(),
    startedAt: instant('started_at').notNull().defaultNow(),
    endedAt: instant('ended_at'),
    outcome: text('outcome').$type<'done' | 'error' | 'cancelled' | 'lost' | 'handed over'>(),
  },
  (t) => [primaryKey({ columns: [t.taskId, t.epoch] })],
);

/** Length of each output stream, and where it lies once packed. */
export const taskStreams = pgTable(
  'task_streams',
  {
    taskId: bigint('task_id', { mode: 'number' }).notNull().references(() => tasks.id, { onDelete: 'cascade' }),
    stream: text('stream').$type<'event' | 'result' | 'debug' | 'cpi'>().notNull(),
    size: bigint('size', { mode: 'number' }).notNull().default(0),
    blobId: text('blob_id'),
    /** Offsets of the separately compressed frames in the blob: `[{at, start, length}]`, bytes. */
    frames: jsonb('frames').$type<{ at: number; size: number; start: number; length: number }[]>(),
  },
  (t) => [primaryKey({ columns: [t.taskId, t.stream] })],
);

/** Output of running tasks, appended by offset. */
export const taskOutput = pgTable(
  'task_output',
  {
    taskId: bigint('task_id', { mode: 'number' }).notNull().references(() => tasks.id, { onDelete: 'cascade' }),
    stream: text('stream').$type<'event' | 'result' | 'debug' | 'cpi'>().notNull(),
    at: bigint('at', { mode: 'number' }).notNull(),
    epoch: bigint('epoch', { mode: 'number' }).notNull(),
    bytes: bytea('bytes').notNull(),
  },
  (t) => [primaryKey({ columns: [t.taskId, t.stream, t.at] })],
);

/** Requests whose answer may have been lost: a repeat of an unanswered one gets the same task. */
export const acceptedRequests = pgTable(
  'accepted_requests',
  {
    id: uuid('id').primaryKey(),
    fingerprint: text('fingerprint').notNull(),
    taskId: bigint('task_id', { mode: 'number' }).notNull().references(() => tasks.id, { onDelete: 'cascade' }),
    acceptedAt: instant('accepted_at').notNull().defaultNow(),
    answeredAt: instant('answered_at'),
  },
  (t) => [index('accepted_requests_fingerprint').on(t.fingerprint, t.acceptedAt), index('accepted_requests_task').on(t.taskId)],
);
