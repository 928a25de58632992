import { Readable } from 'node:stream';
import { gunzipSync } from 'node:zlib';
import { sql } from 'drizzle-orm';
import type { Database, Db } from '../../db/client';
import type { Blobstore } from '../blobstore/blobstore';
import type { StreamName } from './task';

/**
 * Output streams of tasks: appended by byte offset under the task's epoch, readable at once from every node,
 * packed into the blobstore when the task has ended. A reader does not notice the packing.
 */

/** Chunks are at most this long, bytes; only an event line may be longer. */
export const chunkBytes = 64 * 1024;

/**
 * Appends at exactly `at` if the attempt still owns the task; repeating an append is harmless.
 * Returns false when the attempt does not own the task any more.
 */
export async function appendOutput(db: Db, task: { id: number; epoch: number }, stream: StreamName, at: number, bytes: Buffer): Promise<boolean> {
  const { rows } = await db.execute(sql`
    WITH mine AS (SELECT id FROM tasks WHERE id = ${task.id} AND epoch = ${task.epoch} AND owner IS NOT NULL FOR KEY SHARE),
    chunk AS (INSERT INTO task_output (task_id, stream, at, epoch, bytes) SELECT id, ${stream}, ${at}, ${task.epoch}, ${bytes} FROM mine ON CONFLICT DO NOTHING),
    size AS (
      INSERT INTO task_streams (task_id, stream, size) SELECT id, ${stream}, ${at + bytes.length} FROM mine
      ON CONFLICT (task_id, stream) DO UPDATE SET size = GREATEST(task_streams.size, excluded.size))
    SELECT pg_notify('task_output', id::text) FROM mine`);
  return rows.length > 0;
}

export interface StreamInfo {
  /** Bytes. */
  size: number;
  packed: { blobId: string; frames: Frame[] } | undefined;
}

/** A separately compressed part: `size` bytes from offset `at` of the stream are `length` bytes from `start` of the blob. */
export interface Frame {
  at: number;
  size: number;
  start: number;
  length: number;
}

/** Length and place of a stream; undefined when nothing was written to it. */
export async function findStream(db: Db, taskId: number, stream: StreamName): Promise<StreamInfo | undefined> {
  const { rows } = await db.execute<{ size: number; blob_id: string | null; frames: Frame[] | null }>(sql`SELECT size, blob_id, frames FROM task_streams WHERE task_id = ${taskId} AND stream = ${stream}`);
  const row = rows[0];
  if (!row) return undefined;
  return { size: row.size, packed: row.blob_id === null ? undefined : { blobId: row.blob_id, frames: row.frames ?? [] } };
}

/**
 * Bytes `start` (inclusive) to `end` (exclusive) of a stream, in pieces; constant memory.
 * Goes on in the blobstore when the stream is packed while it is being read.
 */
export async function* readOutput(deps: { db: Database; blobstore: Blobstore }, taskId: number, stream: StreamName, range: { start: number; end: number }): AsyncGenerator<Buffer> {
  let at = range.start;
  while (at < range.end) {
    const piece = (await readChunk(deps.db, taskId, stream, at)) ?? (await readPacked(deps, taskId, stream, at));
    if (!piece || piece.length === 0) throw new Error(`output ${stream} of task ${taskId} ends at byte ${at}, expected ${range.end}`);
    const wanted = piece.subarray(0, range.end - at);
    yield wanted;
    at += wanted.length;
  }
}

/** The same as a Node stream. */
export function outputStream(deps: { db: Database; blobstore: Blobstore }, taskId: number, stream: StreamName, range: { start: number; end: number }): Readable {
  return Readable.from(readOutput(deps, taskId, stream, range), { objectMode: false });
}

async function readChunk(db: Database, taskId: number, stream: StreamName, at: number): Promise<Buffer | undefined> {
  const { rows } = await db.execute<{ at: number; bytes: Buffer }>(sql`
    SELECT at, bytes FROM task_output WHERE task_id = ${taskId} AND stream = ${stream}
      AND at >= (SELECT max(at) FROM task_output WHERE task_id = ${taskId} AND stream = ${stream} AND at <= ${at}) ORDER BY at LIMIT 32`);
  const first = rows[0];
  if (!first) return undefined;
  const joined = Buffer.concat(rows.map((row) => row.bytes));
  return joined.subarray(at - first.at);
}

async function readPacked(deps: { db: Database; blobstore: Blobstore }, taskId: number, stream: StreamName, at: number): Promise<Buffer | undefined> {
  const info = await findStream(deps.db, taskId, stream);
  const frame = info?.packed?.frames.find((candidate) => candidate.at <= at && at < candidate.at + candidate.size);
  if (!info?.packed || !frame) return undefined;
  const parts: Buffer[] = [];
  for await (const part of await deps.blobstore.get(info.packed.blobId, { range: { start: frame.start, end: frame.start + frame.length - 1 } })) parts.push(part as Buffer);
  return gunzipSync(Buffer.concat(parts)).subarray(at - frame.at);
}
