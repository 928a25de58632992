import { and, desc, eq, gte, isNull, lt, ne, sql, type SQL } from 'drizzle-orm';
import type { Db } from '../../db/client';
import { events } from '../../db/schema/events';

/** The audit trail. Rows are only added; each change of the director's state is one, in the transaction that makes the change. */

/** A line of the audit trail. Vocabulary: `GET /events` of the BOSH API (action `update` of object type `deployment`, …). */
export interface AuditEvent {
  id: number;
  /** The event that this one ends: operations have one at their start and one at their end. */
  parentId: number | undefined;
  at: Date;
  user: string;
  action: string;
  objectType: string;
  objectName: string | undefined;
  error: string | undefined;
  taskId: number | undefined;
  deployment: string | undefined;
  instance: string | undefined;
  context: Record<string, unknown>;
}

export type NewAuditEvent = Pick<AuditEvent, 'user' | 'action' | 'objectType'> &
  Partial<Omit<AuditEvent, 'id' | 'user' | 'action' | 'objectType'>>;

/** Adds an event; `at` is the database's now unless given. Returns its id. */
export async function recordEvent(db: Db, event: NewAuditEvent): Promise<number> {
  const [row] = await db
    .insert(events)
    .values({
      parentId: event.parentId ?? null, ...(event.at ? { at: event.at } : {}), username: event.user, action: event.action, objectType: event.objectType,
      objectName: event.objectName ?? null, error: event.error ?? null, taskId: event.taskId ?? null, deployment: event.deployment ?? null,
      instance: event.instance ?? null, context: event.context ?? {},
    })
    .returning({ id: events.id });
  if (!row) throw new Error('the audit event was not stored');
  return row.id;
}

/** The event that was written with a task. Undefined for tasks that change nothing. */
export async function findStartEvent(db: Db, taskId: number): Promise<AuditEvent | undefined> {
  const [row] = await db.select().from(events).where(and(eq(events.taskId, taskId), isNull(events.parentId), ne(events.objectType, 'task'))).orderBy(events.id).limit(1);
  return row && toEvent(row);
}

/** Adds the end of what `start` began: same user, action, object and task. */
export async function recordEndEvent(db: Db, start: AuditEvent, end: { error?: string | undefined; objectName?: string | undefined; context?: Record<string, unknown> }): Promise<number> {
  return recordEvent(db, {
    parentId: start.id, user: start.user, action: start.action, objectType: start.objectType, objectName: end.objectName ?? start.objectName, error: end.error,
    taskId: start.taskId, deployment: start.deployment, instance: start.instance, context: end.context ?? {},
  });
}

export interface EventFilter {
  beforeId?: number | undefined;
  /** Strictly earlier. */
  before?: Date | undefined;
  /** At this instant or later. */
  from?: Date | undefined;
  taskId?: number | undefined;
  deployment?: string | undefined;
  instance?: string | undefined;
  user?: string | undefined;
  action?: string | undefined;
  objectType?: string | undefined;
  objectName?: string | undefined;
  /** Rows at most. */
  limit: number;
}

/** Events, newest first. */
export async function listEvents(db: Db, filter: EventFilter): Promise<AuditEvent[]> {
  const rows = await db.select().from(events).where(and(...conditions(filter))).orderBy(desc(events.id)).limit(filter.limit);
  return rows.map(toEvent);
}

export async function findEvent(db: Db, id: number): Promise<AuditEvent | undefined> {
  const [row] = await db.select().from(events).where(eq(events.id, id));
  return row && toEvent(row);
}

function conditions(filter: EventFilter): SQL[] {
  const equal = [
    [events.taskId, filter.taskId],
    [events.deployment, filter.deployment],
    [events.instance, filter.instance],
    [events.username, filter.user],
    [events.action, filter.action],
    [events.objectType, filter.objectType],
    [events.objectName, filter.objectName],
  ] as const;
  return [
    ...equal.flatMap(([column, value]) => (value === undefined ? [] : [sql`${column} = ${value}`])),
    ...(filter.beforeId === undefined ? [] : [lt(events.id, filter.beforeId)]),
    ...(filter.before === undefined ? [] : [lt(events.at, filter.before)]),
    ...(filter.from === undefined ? [] : [gte(events.at, filter.from)]),
  ];
}

function toEvent(row: typeof events.$inferSelect): AuditEvent {
  return {
    id: row.id, parentId: row.parentId ?? undefined, at: row.at, user: row.username, action: row.action, objectType: row.objectType, objectName: row.objectName ?? undefined,
    error: row.error ?? undefined, taskId: row.taskId ?? undefined, deployment: row.deployment ?? undefined, instance: row.instance ?? undefined, context: row.context,
  };
}
