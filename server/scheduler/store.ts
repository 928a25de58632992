import { eq, inArray, lte, notInArray, sql } from 'drizzle-orm';
import type { Db, Tx } from '../../db/client';
import { scheduleSlots, schedules } from '../../db/schema/scheduler';
import { DirectorError, code } from '../core/errors';
import { recordEvent } from '../events/store';
import { enqueueTask } from '../tasks/queue';
import { commands, type Command } from './commands';
import type { ScheduleEntry } from './entries';

/** Who enqueues what is due. */
const schedulerUser = 'scheduler';

/** A slot that is decided later than this was missed, s. */
const missedAfterS = 30;

async function databaseNow(db: Db): Promise<Date> {
  const { rows } = await db.execute<{ ms: number }>(sql`SELECT (extract(epoch FROM now()) * 1000)::float8 AS ms`);
  return new Date(rows[0]?.ms ?? NaN);
}

/**
 * Makes the rows those of the configured entries. A new entry, and one whose cron has changed, goes on with the first slot from now;
 * slots of unchanged ones are still owed. Entries that are no longer configured go, what became of their slots stays.
 */
export async function syncSchedules(tx: Tx, entries: readonly ScheduleEntry[]): Promise<void> {
  const names = entries.map((entry) => entry.name);
  await tx.delete(schedules).where(notInArray(schedules.name, names));
  const present = new Map((await tx.select().from(schedules).for('update')).map((row) => [row.name, row]));
  const decided = await tx.select({ name: scheduleSlots.schedule, last: sql<string>`max(${scheduleSlots.slotAt})` }).from(scheduleSlots).where(inArray(scheduleSlots.schedule, names)).groupBy(scheduleSlots.schedule);
  const lastSlots = new Map(decided.map((row) => [row.name, new Date(row.last)]));
  const now = await databaseNow(tx);
  for (const [position, entry] of entries.entries()) {
    const { name, command, schedule, params, missed } = entry;
    const row = present.get(name);
    const unchanged = row?.schedule === schedule && row.nextSlotAt !== null;
    const lastSlotAt = lastSlots.get(name) ?? row?.lastSlotAt ?? null;
    const nextSlotAt = unchanged ? row.nextSlotAt : (entry.times.next(lastSlotAt !== null && lastSlotAt > now ? lastSlotAt : now) ?? null);
    const values = { name, command, schedule, params: Object.keys(params).length === 0 ? [] : [params], missed, position, lastSlotAt, nextSlotAt, updatedAt: sql`now()` };
    await tx.insert(schedules).values(values).onConflictDoUpdate({ target: schedules.name, set: values });
  }
  await hint(tx, '');
}

export interface DueSchedule {
  name: string;
  /** The first slot that is not decided. */
  nextSlotAt: Date;
  /** The database's. */
  now: Date;
}

/** Entries that have slots to be decided, in the order of the configuration. */
export async function findDueSchedules(db: Db): Promise<DueSchedule[]> {
  const rows = await db
    .select({ name: schedules.name, nextSlotAt: schedules.nextSlotAt, now: sql<string>`now()` })
    .from(schedules)
    .where(lte(schedules.nextSlotAt, sql`now()`))
    .orderBy(schedules.position);
  return rows.flatMap(({ name, nextSlotAt, now }) => (nextSlotAt === null ? [] : [{ name, nextSlotAt, now: new Date(now) }]));
}

export interface SlotToDecide {
  slotAt: Date;
  /** The slot after it; undefined when there is none. */
  nextAt: Date | undefined;
  /** No later slot is due: the one that runs when it was missed and the entry wants that. */
  isNewest: boolean;
  epoch: number;
}

type Outcome = (typeof scheduleSlots.$inferSelect)['outcome'];

/** Decides one slot and everything that follows from it. Undefined when that has been done before. */
export async function decideSlot(tx: Tx, entry: ScheduleEntry, slot: SlotToDecide): Promise<{ outcome: Outcome; task: number | undefined } | undefined> {
  const { slotAt, nextAt, isNewest, epoch } = slot;
  const [row] = await tx
    .select({ nextSlotAt: schedules.nextSlotAt, paused: schedules.paused, resumedAt: schedules.resumedAt, late: sql<boolean>`${slotAt.toISOString()}::timestamptz < now() - make_interval(secs => ${missedAfterS})` })
    .from(schedules)
    .where(eq(schedules.name, entry.name))
    .for('update');
  if (!row || row.nextSlotAt === null || row.nextSlotAt > slotAt) return undefined;
  await tx.update(schedules).set({ lastSlotAt: slotAt, nextSlotAt: nextAt ?? null, updatedAt: sql`now()` }).where(eq(schedules.name, entry.name));
  const known = await tx.$count(scheduleSlots, sql`${scheduleSlots.schedule} = ${entry.name} AND ${scheduleSlots.slotAt} = ${slotAt.toISOString()}::timestamptz`);
  if (known > 0) return undefined;
  const decide = async (): Promise<{ outcome: Outcome; task: number | undefined }> => {
    if (row.paused || (row.resumedAt !== null && slotAt < row.resumedAt)) return { outcome: 'paused', task: undefined };
    if (row.late && (entry.missed === 'skip' || !isNewest)) return { outcome: 'missed', task: undefined };
    if (!(await entry.runs.hasWork(tx, entry.params))) return { outcome: 'no work', task: undefined };
    return { outcome: 'fired', task: await enqueue(tx, { name: entry.name, runs: entry.runs, params: entry.params, user: schedulerUser, slotAt }) };
  };
  const decided = await decide();
  await tx.insert(scheduleSlots).values({ schedule: entry.name, slotAt, outcome: decided.outcome, taskId: decided.task ?? null, epoch });
  await hint(tx, entry.name);
  return decided;
}

interface Run {
  name: string;
  runs: Command;
  params: Record<string, unknown>;
  user: string;
  /** Undefined: an operator wants it now. */
  slotAt: Date | undefined;
}

async function enqueue(tx: Tx, { name, runs, params, user, slotAt }: Run): Promise<number> {
  const { id } = await enqueueTask(tx, { type: runs.type, lane: 'normal', description: runs.description, user, payload: runs.payload(params) });
  await recordEvent(tx, { user, action: 'run', objectType: 'schedule', objectName: name, taskId: id, context: slotAt === undefined ? {} : { slot: slotAt.toISOString() } });
  return id;
}

/**
 * Pauses an entry, or lets it go on with its next slot: those that came meanwhile are not made up for. False when it is so already.
 * Writes the audit event. Throws DirectorError 100 (404) when there is no such entry.
 */
export async function pauseSchedule(db: Db, name: string, change: { paused: boolean; user: string }): Promise<boolean> {
  return db.transaction(async (tx) => {
    const [row] = await tx.select({ paused: schedules.paused }).from(schedules).where(eq(schedules.name, name)).for('update');
    if (!row) throw unknownSchedule(name);
    if (row.paused === change.paused) return false;
    await tx.update(schedules).set({ paused: change.paused, ...(change.paused ? {} : { resumedAt: sql`now()` }), updatedAt: sql`now()` }).where(eq(schedules.name, name));
    await recordEvent(tx, { user: change.user, action: change.paused ? 'pause' : 'resume', objectType: 'schedule', objectName: name });
    await hint(tx, name);
    return true;
  });
}

/**
 * Enqueues an entry's task at once, beside its slots, whether it is paused or not and whether there is work or not; returns its id.
 * Throws DirectorError 100: no such entry (404), or one whose command this version has nothing to do for.
 */
export async function runScheduleNow(db: Db, name: string, user: string): Promise<number> {
  return db.transaction(async (tx) => {
    const [row] = await tx.select({ command: schedules.command, params: schedules.params }).from(schedules).where(eq(schedules.name, name));
    if (!row) throw unknownSchedule(name);
    const runs = commands.get(row.command);
    if (!runs) throw new DirectorError(code.generic, `This director node does not know the command '${row.command}': update it, or ask another node`);
    if (runs.absent !== undefined) throw new DirectorError(code.generic, `'${name}' has nothing to do: ${runs.absent}`, { status: 400 });
    const id = await enqueue(tx, { name, runs, params: row.params[0] ?? {}, user, slotAt: undefined });
    await hint(tx, name);
    return id;
  });
}

function unknownSchedule(name: string): DirectorError {
  return new DirectorError(code.generic, `There is no entry '${name}' in the schedule`, { status: 404 });
}

async function hint(tx: Tx, name: string): Promise<void> {
  await tx.execute(sql`SELECT pg_notify('schedules', ${name})`);
}
