import { z } from 'zod';
import { commands } from '../scheduler/commands';
import { listSchedulesWithSlots } from '../scheduler/list-store';
import { pauseSchedule, runScheduleNow } from '../scheduler/store';
import { taskState } from './task-tail';
import { adminProcedure, readProcedure, router } from './trpc';

/** Slots that come with each entry of the list. */
const stripSlots = 24;

const slot = z.object({
  slotAt: z.date(),
  decidedAt: z.date(),
  /** `no work`: there was nothing to do, so no task was made. */
  outcome: z.enum(['fired', 'no work', 'missed', 'paused']),
  task: z.object({ id: z.int(), state: taskState }).optional(),
  /** Of the lease under which it was decided. */
  epoch: z.int(),
});

const schedule = z.object({
  name: z.string(),
  command: z.string(),
  /** Cron, with optional leading seconds, UTC. */
  schedule: z.string(),
  params: z.array(z.unknown()),
  /** What becomes of slots that nobody was there for. */
  missed: z.enum(['skip', 'run_once']),
  paused: z.boolean(),
  /** Why its command never has anything to do in this version. */
  absent: z.string().optional(),
  lastSlotAt: z.date().optional(),
  nextSlotAt: z.date().optional(),
  /** Newest first. */
  slots: z.array(slot),
});

const entry = z.object({ name: z.string().min(1).max(200) });

/** The schedule: what runs when, and what became of the last due times. */
export const schedulesRouter = router({
  list: readProcedure.output(z.object({ at: z.date(), schedules: z.array(schedule) })).query(async ({ ctx }) => {
    const [{ at }, schedules] = await Promise.all([ctx.shared.overview(), listSchedulesWithSlots(ctx.deps.connections.db, { slots: stripSlots })]);
    return { at, schedules: schedules.map((one) => ({ ...one, absent: commands.get(one.command)?.absent })) };
  }),

  /** The last due times of one entry, newest first. */
  slots: readProcedure
    .input(entry.extend({ limit: z.int().min(1).max(500).default(100) }))
    .output(z.array(slot))
    .query(async ({ ctx, input }) => (await listSchedulesWithSlots(ctx.deps.connections.db, { slots: input.limit, name: input.name }))[0]?.slots ?? []),

  /** Lets due times pass without a run. */
  pause: adminProcedure
    .input(entry)
    .output(z.object({ paused: z.literal(true) }))
    .mutation(async ({ ctx, input }) => {
      await pauseSchedule(ctx.deps.connections.db, input.name, { paused: true, user: ctx.principal.username });
      return { paused: true as const };
    }),

  /** Goes on with the next due time; those that have passed are not made up for. */
  resume: adminProcedure
    .input(entry)
    .output(z.object({ paused: z.literal(false) }))
    .mutation(async ({ ctx, input }) => {
      await pauseSchedule(ctx.deps.connections.db, input.name, { paused: false, user: ctx.principal.username });
      return { paused: false as const };
    }),

  /** Makes one task at once, beside those of due times. */
  runNow: adminProcedure
    .input(entry)
    .output(z.object({ taskId: z.int() }))
    .mutation(async ({ ctx, input }) => ({ taskId: await runScheduleNow(ctx.deps.connections.db, input.name, ctx.principal.username) })),
});
