import { tracked, type TrackedEnvelope } from '@trpc/server';
import { z } from 'zod';
import { abortReason } from '../core/clock';
import { findStream, readOutput } from '../tasks/output';
import { findTask } from '../tasks/store';
import { isFinal, type StreamName, type TaskState } from '../tasks/task';
import type { TrpcDeps } from './context';

export const streamName = z.enum(['event', 'result', 'debug', 'cpi']);
export const taskState = z.enum(['queued', 'processing', 'cancelling', 'cancelled', 'done', 'error', 'timeout']);

/** New output of a followed task, or a change of its state. */
export const tailMessage = z.discriminatedUnion('kind', [
  z.object({
    kind: z.literal('output'),
    stream: streamName,
    /** Byte offset of `text` in the stream, and of what comes next. */
    at: z.int(),
    next: z.int(),
    text: z.string(),
  }),
  z.object({ kind: z.literal('state'), state: taskState, epoch: z.int() }),
]);
export type TailMessage = z.infer<typeof tailMessage>;

/** Bytes sent in one message at most. */
const messageBytes = 128 * 1024;
/** Notifications may be lost; then output is seen this late, ms. */
const pollMs = 1_000;

/** Byte offsets per stream as an event id, e.g. `event=120,debug=4096`: any node can go on from it. */
export function formatOffsets(offsets: ReadonlyMap<StreamName, number>): string {
  return [...offsets].map(([stream, at]) => `${stream}=${at}`).join(',');
}

/** Takes what is valid out of an event id. */
export function parseOffsets(id: string): Map<StreamName, number> {
  const offsets = new Map<StreamName, number>();
  for (const part of id.split(',')) {
    const [name, at] = part.split('=');
    const stream = streamName.safeParse(name);
    if (stream.success && at !== undefined && /^\d{1,15}$/.test(at)) offsets.set(stream.data, Number(at));
  }
  return offsets;
}

/**
 * Follows streams of a task from the given byte offsets until it has ended and all is told. Text is cut at line ends
 * (a line longer than a message is cut at a character). Every message's id holds the offsets to go on from.
 */
export async function* followTask(deps: TrpcDeps, taskId: number, from: ReadonlyMap<StreamName, number>, signal: AbortSignal): AsyncGenerator<TrackedEnvelope<TailMessage>> {
  const offsets = new Map(from);
  let known: { state: TaskState; epoch: number } | undefined;
  while (!signal.aborted) {
    // Listening starts before reading, so that nothing falls between.
    const changed = deps.notifications.wait('task_output', pollMs, { matches: (payload) => payload === String(taskId), signal });
    const task = await findTask(deps.connections.db, taskId);
    if (!task) return;
    for (const stream of offsets.keys()) {
      for await (const message of readNew(deps, taskId, { stream, offsets, whole: isFinal(task.state), signal })) yield tracked(formatOffsets(offsets), message);
    }
    if (known?.state !== task.state || known.epoch !== task.epoch) {
      known = { state: task.state, epoch: task.epoch };
      yield tracked(formatOffsets(offsets), { kind: 'state', ...known });
    }
    if (isFinal(task.state)) return;
    await changed;
  }
}

interface Reading {
  stream: StreamName;
  /** Moved on by what is told. */
  offsets: Map<StreamName, number>;
  /** The stream has ended: an unfinished last line is told too. */
  whole: boolean;
  signal: AbortSignal;
}

async function* readNew(deps: TrpcDeps, taskId: number, reading: Reading): AsyncGenerator<TailMessage> {
  const source = { db: deps.connections.db, blobstore: deps.blobstore };
  const size = (await findStream(deps.connections.db, taskId, reading.stream))?.size ?? 0;
  for (;;) {
    if (reading.signal.aborted) throw abortReason(reading.signal);
    const at = reading.offsets.get(reading.stream) ?? 0;
    if (at >= size) return;
    const end = Math.min(size, at + messageBytes);
    const bytes = await readBytes(source, taskId, reading.stream, { start: at, end });
    const length = reading.whole && end === size ? bytes.length : cutAtLine(bytes);
    if (length === 0) return;
    reading.offsets.set(reading.stream, at + length);
    yield { kind: 'output', stream: reading.stream, at, next: at + length, text: bytes.toString('utf8', 0, length) };
  }
}

/** Bytes of a range in one piece. */
export async function readBytes(source: Parameters<typeof readOutput>[0], taskId: number, stream: StreamName, range: { start: number; end: number }): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const part of readOutput(source, taskId, stream, range)) parts.push(part);
  return Buffer.concat(parts);
}

/** Length up to the last line end; of one long line, up to the last whole character once it fills a message. */
function cutAtLine(bytes: Buffer): number {
  const newline = bytes.lastIndexOf(10);
  if (newline >= 0) return newline + 1;
  if (bytes.length < messageBytes) return 0;
  let end = bytes.length;
  while (end > 0 && ((bytes[end - 1] ?? 0) & 0xc0) === 0x80) end--;
  return Math.max(0, end - 1);
}
