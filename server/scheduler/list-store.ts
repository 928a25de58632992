import { sql } from 'drizzle-orm';
import type { Db } from '../../db/client';
import type { TaskState } from '../tasks/task';

/** Reads of the schedule for people: entries with what became of their last due times. */

export interface SlotRow {
  slotAt: Date;
  decidedAt: Date;
  outcome: 'fired' | 'no work' | 'missed' | 'paused';
  /** The task that it enqueued. */
  task: { id: number; state: TaskState } | undefined;
  /** Of the scheduler's lease. */
  epoch: number;
}

export interface ScheduleRow {
  name: string;
  command: string;
  /** Cron, with optional leading seconds, UTC. */
  schedule: string;
  params: unknown[];
  missed: 'skip' | 'run_once';
  paused: boolean;
  lastSlotAt: Date | undefined;
  nextSlotAt: Date | undefined;
  /** Newest first. */
  slots: SlotRow[];
}

interface SlotSql extends Record<string, unknown> {
  slot_at: string;
  decided_at: string;
  outcome: SlotRow['outcome'];
  task_id: number | null;
  task_state: TaskState | null;
  epoch: number;
}

interface ScheduleSql extends Record<string, unknown> {
  name: string;
  command: string;
  schedule: string;
  params: unknown[];
  missed: ScheduleRow['missed'];
  paused: boolean;
  last_slot_at: string | null;
  next_slot_at: string | null;
  slots: SlotSql[];
}

function toSlot(row: SlotSql): SlotRow {
  return {
    slotAt: new Date(row.slot_at), decidedAt: new Date(row.decided_at), outcome: row.outcome, epoch: row.epoch,
    task: row.task_id === null || row.task_state === null ? undefined : { id: row.task_id, state: row.task_state },
  };
}

/** Entries in the order of the configuration, each with up to `slots` of its last slots; with `name` only that one. */
export async function listSchedulesWithSlots(db: Db, options: { slots: number; name?: string | undefined }): Promise<ScheduleRow[]> {
  const where = options.name === undefined ? sql`` : sql`WHERE s.name = ${options.name}`;
  const { rows } = await db.execute<ScheduleSql>(sql`
    SELECT s.name, s.command, s.schedule, s.params, s.missed, s.paused, s.last_slot_at, s.next_slot_at, COALESCE((
      SELECT json_agg(json_build_object('slot_at', x.slot_at, 'decided_at', x.decided_at, 'outcome', x.outcome, 'task_id', x.task_id, 'task_state', t.state, 'epoch', x.epoch) ORDER BY x.slot_at DESC)
      FROM (SELECT * FROM schedule_slots x WHERE x.schedule = s.name ORDER BY x.slot_at DESC LIMIT ${options.slots}) x LEFT JOIN tasks t ON t.id = x.task_id), '[]') AS slots
    FROM schedules s ${where} ORDER BY s.position, s.name`);
  return rows.map((row) => ({
    name: row.name, command: row.command, schedule: row.schedule, params: row.params, missed: row.missed, paused: row.paused,
    lastSlotAt: row.last_slot_at === null ? undefined : new Date(row.last_slot_at), nextSlotAt: row.next_slot_at === null ? undefined : new Date(row.next_slot_at), slots: row.slots.map(toSlot),
  }));
}
