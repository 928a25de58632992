import { bigint, boolean, integer, jsonb, pgTable, primaryKey, text } from 'drizzle-orm/pg-core';
import { instant } from './columns';

/** Entries of the schedule, as the configuration has them. */
export const schedules = pgTable('schedules', {
  name: text('name').primaryKey(),
  command: text('command').notNull(),
  /** Cron, with optional leading seconds. */
  schedule: text('schedule').notNull(),
  /** At most one hash. */
  params: jsonb('params').$type<Record<string, unknown>[]>().notNull().default([]),
  /** What becomes of slots that nobody was there for. */
  missed: text('missed').$type<'skip' | 'run_once'>().notNull(),
  position: integer('position').notNull(),
  paused: boolean('paused').notNull().default(false),
  lastSlotAt: instant('last_slot_at'),
  /** The first slot that is not decided. */
  nextSlotAt: instant('next_slot_at'),
  /** Slots before this came while the entry was paused. */
  resumedAt: instant('resumed_at'),
  updatedAt: instant('updated_at').notNull().defaultNow(),
});

/** One due time of an entry and what became of it. */
export const scheduleSlots = pgTable(
  'schedule_slots',
  {
    schedule: text('schedule').notNull(),
    slotAt: instant('slot_at').notNull(),
    decidedAt: instant('decided_at').notNull().defaultNow(),
    outcome: text('outcome').$type<'fired' | 'no work' | 'missed' | 'paused'>().notNull(),
    taskId: bigint('task_id', { mode: 'number' }),
    epoch: bigint('epoch', { mode: 'number' }).notNull(),
  },
  (t) => [primaryKey({ columns: [t.schedule, t.slotAt] })],
);
