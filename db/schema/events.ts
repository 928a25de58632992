import { bigint, bigserial, index, jsonb, pgTable, text } from 'drizzle-orm/pg-core';
import { instant } from './columns';

/** The audit trail; append-only. */
export const events = pgTable(
  'events',
  {
    id: bigserial('id', { mode: 'number' }).primaryKey(),
    parentId: bigint('parent_id', { mode: 'number' }),
    at: instant('at').notNull().defaultNow(),
    username: text('username').notNull(),
    action: text('action').notNull(),
    objectType: text('object_type').notNull(),
    objectName: text('object_name'),
    error: text('error'),
    taskId: bigint('task_id', { mode: 'number' }),
    deployment: text('deployment'),
    instance: text('instance'),
    context: jsonb('context').$type<Record<string, unknown>>().notNull().default({}),
  },
  (t) => [index('events_deployment').on(t.deployment, t.id), index('events_task').on(t.taskId), index('events_at').on(t.at)],
);
