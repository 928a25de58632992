import { createHash } from 'node:crypto';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import { sql } from 'drizzle-orm';
import type { Database } from '../../db/client';
import type { Blobstore } from '../blobstore/blobstore';
import type { Component, ComponentContext } from '../cluster/component';
import { readOutput, type Frame } from './output';
import { streamSizes } from './store';
import { streamNames, type StreamName } from './task';

const compress = promisify(gzip);

/** Uncompressed bytes per separately readable frame. */
const frameBytes = 256 * 1024;

/**
 * Component: packs the output of ended tasks into one blob per task and drops the chunks. The blob's id follows from the task,
 * so a packing that died is simply done again over the same blob.
 */
export function createCompaction(deps: { db: Database; blobstore: Blobstore; delayMs?: number }): Component {
  return {
    name: 'output-compaction',
    intervalMs: 2_000,
    async tick(ctx) {
      const { rows } = await deps.db.execute<{ id: number }>(sql`
        SELECT id FROM tasks WHERE finished_at < now() - make_interval(secs => ${(deps.delayMs ?? 10_000) / 1000}) AND NOT output_packed ORDER BY finished_at LIMIT 20`);
      for (const row of rows) {
        if (!ctx.holds()) return;
        await pack(deps, ctx, row.id);
      }
    },
  };
}

async function pack(deps: { db: Database; blobstore: Blobstore }, ctx: ComponentContext, taskId: number): Promise<void> {
  const sizes = await streamSizes(deps.db, taskId);
  const parts: Buffer[] = [];
  let start = 0;
  const frames = {} as Record<StreamName, Frame[]>;
  for (const stream of streamNames) {
    frames[stream] = [];
    for (let at = 0; at < sizes[stream]; at += frameBytes) {
      const end = Math.min(sizes[stream], at + frameBytes);
      const raw: Buffer[] = [];
      for await (const piece of readOutput(deps, taskId, stream, { start: at, end })) raw.push(piece);
      const packed = await compress(Buffer.concat(raw));
      frames[stream].push({ at, size: end - at, start, length: packed.length });
      parts.push(packed);
      start += packed.length;
    }
  }
  const blobId = outputBlobId(taskId);
  if (start > 0) await deps.blobstore.put(Buffer.concat(parts), blobId);
  await ctx.write(async (tx) => {
    for (const stream of streamNames) {
      await tx.execute(sql`UPDATE task_streams SET blob_id = ${blobId}, frames = ${JSON.stringify(frames[stream])}::jsonb WHERE task_id = ${taskId} AND stream = ${stream}`);
    }
    await tx.execute(sql`DELETE FROM task_output WHERE task_id = ${taskId}`);
    await tx.execute(sql`UPDATE tasks SET output_packed = true WHERE id = ${taskId}`);
  });
}

/** A UUID that follows from the task's id. */
export function outputBlobId(taskId: number): string {
  const hex = createHash('sha1').update(`task-output/${taskId}`).digest('hex');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-5${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}
