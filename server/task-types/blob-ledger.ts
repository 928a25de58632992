import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import type { Database } from '../../db/client';
import { isTaskLost, type TaskContext } from '../tasks/context';
import type { Blobstore } from '../blobstore/blobstore';
import { listReferencedBlobs } from '../releases/upload-store';

export interface LedgerDeps {
  db: Database;
  blobstore: Blobstore;
}

const key = 'blobs';

/**
 * The blobs that a task may leave behind without any record referring to them: those that it is going to store and those that it is
 * going to replace. They are written down with the task before anything is done, so that whoever ends the task, this attempt or the
 * one after a crash, deletes what is not referred to. Ids are made per attempt: two attempts never write the same blob.
 */
export interface BlobLedger {
  /** Makes ids for blobs and writes them down; store them only after that. */
  plan(count: number): Promise<string[]>;
  /** Writes down blobs that will soon be replaced. */
  add(blobIds: readonly string[]): Promise<void>;
  /** Deletes what is written down and not referred to, and forgets the list. */
  settle(): Promise<void>;
  /**
   * For an attempt that has lost its task: deletes what this attempt itself planned, as far as no record refers to it.
   * The next attempt does the same, but cannot know of a blob that arrives later.
   */
  withdraw(): Promise<void>;
}

export function openBlobLedger(ctx: TaskContext, deps: LedgerDeps): BlobLedger {
  const own: string[] = [];
  let all = z.array(z.string()).catch([]).parse(ctx.remembered(key));
  const add = async (blobIds: readonly string[]) => {
    if (blobIds.length === 0) return;
    all = [...new Set([...all, ...blobIds])];
    await ctx.remember(key, all);
  };
  const deleteUnreferenced = async (blobIds: readonly string[]) => {
    const referenced = await listReferencedBlobs(deps.db, blobIds);
    for (const id of blobIds) if (!referenced.has(id)) await deps.blobstore.delete(id);
  };
  return {
    plan: async (count) => {
      const ids = Array.from({ length: count }, () => randomUUID());
      own.push(...ids);
      await add(ids);
      return ids;
    },
    add,
    settle: async () => {
      if (all.length === 0) return;
      await deleteUnreferenced(all);
      await ctx.remember(key, undefined);
      all = [];
    },
    withdraw: async () => {
      try {
        await deleteUnreferenced(own);
      } catch (error) {
        if (!isTaskLost(error)) ctx.log.warn(`Blobs of the lost attempt could not be deleted: ${String(error)}`);
      }
    },
  };
}
