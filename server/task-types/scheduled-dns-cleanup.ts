import type { Database } from '../../db/client';
import type { Blobstore } from '../blobstore/blobstore';
import { deleteDnsBlobRecord, deleteTombstones, listDisposableDnsBlobs } from '../scheduler/dns-retention-store';
import { dnsBlobsCleanupParams, noParams, type DnsBlobsCleanupParams } from '../scheduler/payloads';
import type { TaskContext } from '../tasks/context';
import type { TaskType } from './task-type';

export interface DnsBlobsDeps {
  db: Database;
  blobstore: Pick<Blobstore, 'delete'>;
}

/** Deletes versions of the DNS records that no agent is told any more. Rule: cloudfoundry/bosh src/bosh-director/lib/bosh/director/jobs/scheduled_dns_blobs_cleanup.rb. */
export const scheduledDnsBlobsCleanup: TaskType<DnsBlobsCleanupParams, DnsBlobsDeps> = {
  type: 'scheduled_dns_blobs_cleanup',
  lane: 'normal',
  onNodeLoss: 'converge',
  payload: dnsBlobsCleanupParams,
  async perform(ctx, deps, params) {
    const deleted = await deleteDnsBlobs(ctx, deps, params);
    return `Deleted ${deleted} dns blob(s) created before ${presentCutoff(ctx.clock.now() - params.max_blob_age * 1_000)}`;
  },
};

/** Deletes old DNS blobs, each before its record: what dies in between is done again. Returns how many. */
export async function deleteDnsBlobs(ctx: TaskContext, { db, blobstore }: DnsBlobsDeps, params: DnsBlobsCleanupParams): Promise<number> {
  const blobs = await listDisposableDnsBlobs(db, params);
  for (const { version, blobId } of blobs) {
    await ctx.checkpoint();
    await ctx.fence();
    await blobstore.delete(blobId);
    await ctx.write((tx) => deleteDnsBlobRecord(tx, version));
  }
  return blobs.length;
}

/** A time as the results of clean-ups have it: `2024-01-30 10:00:00 +0000`. `at` is epoch ms. */
export function presentCutoff(at: number): string {
  return new Date(at).toISOString().replace('T', ' ').replace(/\.\d+Z$/, ' +0000');
}

/** Deletes the marks of deletions that newer records have outdone. Rule: cloudfoundry/bosh src/bosh-director/lib/bosh/director/models/local_dns_record.rb. */
export const scheduledDnsTombstoneCleanup: TaskType<Record<string, never>, { db: Database }> = {
  type: 'scheduled_dns_tombstone_cleanup',
  lane: 'normal',
  onNodeLoss: 'converge',
  payload: noParams,
  perform: async (ctx) => `Deleted ${await ctx.write((tx) => deleteTombstones(tx))} dns tombstone records`,
};
