import { Readable } from 'node:stream';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import { sql } from 'drizzle-orm';
import type { Database } from '../../db/client';
import { blobIdOf } from '../blobstore/blob-id';
import type { Blobstore } from '../blobstore/blobstore';
import type { Component, ComponentContext } from '../cluster/component';
import { readOutput, type Frame } from './output';
import { streamSizes } from './store';
import { streamNames, type StreamName } from './task';

const compress = promisify(gzip);

/** Uncompressed bytes per separately readable frame. */
const frameBytes = 256 * 1024;

/** A task whose output could not be packed is left alone for this long, so that the others are not held up, ms. */
const laterMs = 300_000;

/**
 * Component: packs the output of ended tasks into one blob per task and drops the chunks. The blob's id follows from the task,
 * so a packing that died is simply done again over the same blob.
 */
export function createCompaction(deps: { db: Database; blobstore: Blobstore; delayMs?: number }): Component {
  const later = new Map<number, number>();
  return {
    name: 'output-compaction',
    intervalMs: 2_000,
    async tick(ctx) {
      for (const [id, at] of later) if (performance.now() >= at) later.delete(id);
      const { rows } = await deps.db.execute<{ id: number }>(sql`
        SELECT id FROM tasks WHERE finished_at < now() - make_interval(secs => ${(deps.delayMs ?? 10_000) / 1000}) AND NOT output_packed
          AND id <> ALL(${sql.param([...later.keys()])}::bigint[]) ORDER BY finished_at LIMIT 20`);
      for (const row of rows) {
        if (!ctx.holds()) return;
        try {
          await pack(deps, ctx, row.id);
        } catch (error) {
          if (!ctx.holds()) throw error;
          ctx.log.warn('packing-failed', { task: row.id, error });
          later.set(row.id, performance.now() + laterMs);
        }
        ctx.progress();
      }
    },
  };
}

async function pack(deps: { db: Database; blobstore: Blobstore }, ctx: ComponentContext, taskId: number): Promise<void> {
  const sizes = await streamSizes(deps.db, taskId);
  const frames: Record<StreamName, Frame[]> = { event: [], result: [], debug: [], cpi: [] };
  const blobId = outputBlobId(taskId);
  if (streamNames.some((stream) => sizes[stream] > 0)) await deps.blobstore.put(Readable.from(packed(deps, ctx, { taskId, sizes, frames }), { objectMode: false }), blobId);
  await ctx.write(async (tx) => {
    for (const stream of streamNames) {
      await tx.execute(sql`UPDATE task_streams SET blob_id = ${blobId}, frames = ${JSON.stringify(frames[stream])}::jsonb WHERE task_id = ${taskId} AND stream = ${stream}`);
    }
    await tx.execute(sql`DELETE FROM task_output WHERE task_id = ${taskId}`);
    await tx.execute(sql`UPDATE tasks SET output_packed = true WHERE id = ${taskId}`);
  });
}

interface Packing {
  taskId: number;
  sizes: Readonly<Record<StreamName, number>>;
  /** Filled on the way. */
  frames: Record<StreamName, Frame[]>;
}

/** The blob's bytes, frame by frame: a task may have more output than fits into memory. Ends with an error when the lease is lost. */
async function* packed(deps: { db: Database; blobstore: Blobstore }, ctx: ComponentContext, { taskId, sizes, frames }: Packing): AsyncGenerator<Buffer> {
  let start = 0;
  for (const stream of streamNames) {
    for (let at = 0; at < sizes[stream]; at += frameBytes) {
      if (!ctx.holds()) throw new Error(`the lease was lost while the output of task ${taskId} was packed`);
      const end = Math.min(sizes[stream], at + frameBytes);
      const raw: Buffer[] = [];
      for await (const piece of readOutput(deps, taskId, stream, { start: at, end })) raw.push(piece);
      const bytes = await compress(Buffer.concat(raw));
      frames[stream].push({ at, size: end - at, start, length: bytes.length });
      start += bytes.length;
      ctx.progress();
      yield bytes;
    }
  }
}

/** A UUID that follows from the task's id. */
export function outputBlobId(taskId: number): string {
  return blobIdOf(`task-output/${taskId}`);
}
