import { z } from 'zod';
import type { Database } from '../../db/client';
import { code } from '../core/errors';
import { recordEvent } from '../events/store';
import { findStream } from '../tasks/output';
import { cancelTask } from '../tasks/queue';
import { findTask, listAttempts, listLocks, streamSizes, type HeldLock } from '../tasks/store';
import { isCancellable, isFinal, type StreamName, type Task } from '../tasks/task';
import { listTaskPage, listTaskTypes } from './store';
import { parseStages, taskStages } from './task-stages';
import { followTask, parseOffsets, readBytes, streamName, tailMessage, taskState } from './task-tail';
import { taskView, toTaskView } from './task-views';
import { refuse, router, teamProcedure, type CallerAccess } from './trpc';
import { zAsyncIterable } from './async-iterable';

const taskId = z.object({ id: z.int().min(1) });
/** Event streams longer than this are shown from their end only, bytes. */
const stagesLimit = 8 * 1024 * 1024;
const readLimit = 512 * 1024;

const lockView = z.object({ name: z.string(), taskId: z.int(), description: z.string(), since: z.date() });

/** Tasks: lists, one task with attempts and stages, its output live, and cancelling. */
export const tasksRouter = router({
  list: teamProcedure
    .input(
      z.object({
        states: z.array(taskState).max(7).optional(),
        types: z.array(z.string()).max(50).optional(),
        deployment: z.string().optional(),
        user: z.string().optional(),
        /** For the next page: the smallest id seen. */
        beforeId: z.int().optional(),
        limit: z.int().min(1).max(200).default(50),
      }),
    )
    .output(z.object({ at: z.date(), tasks: z.array(taskView), nextBeforeId: z.int().optional() }))
    .query(async ({ ctx, input }) => {
      const { db } = ctx.deps.connections;
      const rows = await listTaskPage(db, { ...input, teams: ctx.may.teams, limit: input.limit + 1 });
      const shown = rows.slice(0, input.limit);
      const [attempts, nodes, { at }] = await Promise.all([listAttempts(db, shown.map((row) => row.id)), ctx.shared.nodes(), ctx.shared.overview()]);
      return { at, tasks: shown.map((row) => toTaskView(row, attempts.get(row.id) ?? [], nodes)), nextBeforeId: rows.length > shown.length ? shown.at(-1)?.id : undefined };
    }),

  /** Values that the filters offer. */
  types: teamProcedure.output(z.array(z.string())).query(({ ctx }) => listTaskTypes(ctx.deps.connections.db)),

  get: teamProcedure
    .input(taskId)
    .output(
      taskView.extend({
        /** Now, by the database. */
        at: z.date(),
        epoch: z.int(),
        contextId: z.string(),
        /** Bytes. */
        streams: z.object({ event: z.int(), result: z.int(), debug: z.int(), cpi: z.int() }),
        locks: z.array(lockView),
        /** The lock of its deployment, while another task holds it. */
        waitsFor: lockView.optional(),
        can: z.object({ cancel: z.boolean(), readDebug: z.boolean() }),
      }),
    )
    .query(async ({ ctx, input }) => {
      const { db } = ctx.deps.connections;
      const task = await getVisibleTask(db, input.id, ctx.may);
      const [attempts, nodes, streams, locks, { at }] = await Promise.all([listAttempts(db, [task.id]), ctx.shared.nodes(), streamSizes(db, task.id), listLocks(db), ctx.shared.overview()]);
      const administers = ctx.may.has('task:admin', task.teams);
      return {
        ...toTaskView(task, attempts.get(task.id) ?? [], nodes), at, epoch: task.epoch, contextId: task.contextId, streams,
        locks: locks.filter((lock) => lock.taskId === task.id).map(toLockView), waitsFor: lockWaitedFor(task, locks),
        can: { cancel: administers && isCancellable(task.state), readDebug: administers },
      };
    }),

  /** Stages and steps so far, read from the event stream. */
  stages: teamProcedure
    .input(taskId)
    .output(taskStages)
    .query(async ({ ctx, input }) => {
      const source = { db: ctx.deps.connections.db, blobstore: ctx.deps.blobstore };
      const task = await getVisibleTask(source.db, input.id, ctx.may);
      const size = (await findStream(source.db, task.id, 'event'))?.size ?? 0;
      return parseStages(await readBytes(source, task.id, 'event', { start: Math.max(0, size - stagesLimit), end: size }), isFinal(task.state));
    }),

  /** A part of a stream as text, cut to whole lines unless it holds none. Bytes `start` (inclusive) to `end` (exclusive). */
  read: teamProcedure
    .input(taskId.extend({ stream: streamName, start: z.int().min(0), end: z.int().min(0) }))
    .output(z.object({ start: z.int(), end: z.int(), size: z.int(), text: z.string() }))
    .query(async ({ ctx, input }) => {
      const source = { db: ctx.deps.connections.db, blobstore: ctx.deps.blobstore };
      const task = await getVisibleTask(source.db, input.id, ctx.may);
      requireStream(ctx.may, task, [input.stream]);
      const size = (await findStream(source.db, task.id, input.stream))?.size ?? 0;
      const start = Math.min(input.start, size);
      const end = Math.min(input.end, size, start + readLimit);
      return { size, ...wholeLines(await readBytes(source, task.id, input.stream, { start, end }), { start, end, size }) };
    }),

  /**
   * New output of the wanted streams and changes of the task's state, until the task has ended. `from` and the ids of the
   * messages are byte offsets per stream (`event=120,debug=4096`), so that any node can go on where another one stopped.
   */
  tail: teamProcedure
    .input(taskId.extend({ from: z.string(), lastEventId: z.string().nullish() }))
    .output(zAsyncIterable({ yield: tailMessage, tracked: true }))
    .subscription(async ({ ctx, input, signal }) => {
      const task = await getVisibleTask(ctx.deps.connections.db, input.id, ctx.may);
      const from = parseOffsets(input.lastEventId ?? input.from);
      requireStream(ctx.may, task, [...from.keys()]);
      return followTask(ctx.deps, task.id, from, signal ?? new AbortController().signal);
    }),

  /** Asks a task to stop at its next step. */
  cancel: teamProcedure
    .input(taskId)
    .output(z.object({ state: taskState }))
    .mutation(async ({ ctx, input }) => {
      const { db } = ctx.deps.connections;
      const task = await getVisibleTask(db, input.id, ctx.may);
      ctx.may.require('task:admin', task.teams);
      await db.transaction(async (tx) => {
        const outcome = await cancelTask(tx, task.id);
        if (!outcome?.cancelled) refuse(code.generic, `Cannot cancel task ${task.id}: invalid state (${outcome?.state ?? task.state})`);
        await recordEvent(tx, { user: ctx.principal.username, action: 'cancel', objectType: 'task', objectName: String(task.id), taskId: task.id, deployment: task.deployment });
      });
      return { state: 'cancelling' as const };
    }),
});

async function getVisibleTask(db: Database, id: number, may: CallerAccess): Promise<Task> {
  const task = await findTask(db, id);
  if (!task) return refuse(code.taskNotFound, `Task ${id} not found`);
  may.require('task:read', task.teams);
  return task;
}

/** Debug and CPI output may hold more than readers should see. */
function requireStream(may: CallerAccess, task: Task, streams: readonly StreamName[]): void {
  if (streams.some((stream) => stream === 'debug' || stream === 'cpi')) may.require('task:admin', task.teams);
}

function toLockView(lock: HeldLock): z.infer<typeof lockView> {
  return { name: lock.name, taskId: lock.taskId, description: lock.description, since: lock.acquiredAt };
}

function lockWaitedFor(task: Task, locks: readonly HeldLock[]): z.infer<typeof lockView> | undefined {
  if (task.deployment === undefined || isFinal(task.state)) return undefined;
  const lock = locks.find((candidate) => candidate.name === `lock:deployment:${task.deployment}` && candidate.taskId !== task.id);
  return lock && toLockView(lock);
}

/** Drops the part of a line at either side of the range, unless the range is inside one line. */
function wholeLines(bytes: Buffer, range: { start: number; end: number; size: number }): { start: number; end: number; text: string } {
  const first = range.start === 0 ? 0 : bytes.indexOf(10) + 1;
  const last = range.end === range.size ? bytes.length : bytes.lastIndexOf(10) + 1;
  const [from, to] = last > first ? [first, last] : [0, bytes.length];
  return { start: range.start + from, end: range.start + to, text: bytes.toString('utf8', from, to) };
}
