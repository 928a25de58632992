import type { Database } from '../../db/client';
import type { Blobstore } from '../blobstore/blobstore';
import { deleteDnsBlobRecord, deleteTombstones, listDisposableDnsBlobs, type DisposableDnsBlob } from '../scheduler/dns-retention-store';
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
    const blobs = await listDisposableDnsBlobs(deps.db, params);
    const before = ctx.clock.now() - params.max_blob_age * 1_000;
    await deleteDnsBlobs(ctx, deps, blobs);
    return dnsBlobsResult(blobs.length, before);
  },
};

/** Deletes DNS blobs, each before its record: what dies in between is done again. */
export async function deleteDnsBlobs(ctx: TaskContext, { blobstore }: Pick<DnsBlobsDeps, 'blobstore'>, blobs: readonly DisposableDnsBlob[]): Promise<void> {
  for (const { version, blobId } of blobs) {
    await ctx.checkpoint();
    await ctx.fence();
    await blobstore.delete(blobId);
    await ctx.write((tx) => deleteDnsBlobRecord(tx, version));
  }
}

/** `before`: epoch ms. */
export function dnsBlobsResult(count: number, before: number): string {
  return `Deleted ${count} dns blob(s) created before ${new Date(before).toISOString().replace('T', ' ').replace(/\.\d+Z$/, ' +0000')}`;
}

/** Deletes the marks of deletions that newer records have outdone. Rule: cloudfoundry/bosh src/bosh-director/lib/bosh/director/models/local_dns_record.rb. */
export const scheduledDnsTombstoneCleanup: TaskType<Record<string, never>, { db: Database }> = {
  type: 'scheduled_dns_tombstone_cleanup',
  lane: 'normal',
  onNodeLoss: 'converge',
  payload: noParams,
  perform: async (ctx) => `Deleted ${await ctx.write((tx) => deleteTombstones(tx))} dns tombstone records`,
};
