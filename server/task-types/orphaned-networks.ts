import { z } from 'zod';
import type { Database } from '../../db/client';
import { mapPool } from '../core/concurrency';
import { code, describeError, DirectorError } from '../core/errors';
import type { NetworkCalls } from '../cpi/network-calls';
import { removeNetwork, withNetworkLock } from '../deploy/managed-networks';
import { findNetwork, listOrphanedNetworks } from '../deployments/networks-store';
import { orphanedNetworksCleanupParams, type OrphanedNetworksCleanupParams } from '../scheduler/payloads';
import { isTaskCancelled, type TaskContext } from '../tasks/context';
import { isInterruption } from '../tasks/interruption';
import type { TaskType } from './task-type';

export interface OrphanedNetworkDeps {
  db: Database;
  calls: NetworkCalls;
  /** Networks deleted at a time. */
  maxThreads: number;
}

const deleteOrphanNetworksPayload = z.strictObject({ names: z.array(z.string()) });
export type DeleteOrphanNetworksPayload = z.infer<typeof deleteOrphanNetworksPayload>;

/** `bosh delete-network`. Rules: cloudfoundry/bosh src/bosh-director/lib/bosh/director/jobs/delete_orphan_networks.rb. */
export const deleteOrphanNetworks: TaskType<DeleteOrphanNetworksPayload, OrphanedNetworkDeps> = {
  type: 'delete_orphan_networks',
  lane: 'normal',
  onNodeLoss: 'converge',
  payload: deleteOrphanNetworksPayload,
  async perform(ctx, deps, { names }) {
    const stage = ctx.stages.stage('Deleting orphaned networks', names.length);
    await mapPool(names, deps.maxThreads, (name) => stage.run(`Deleting orphaned network ${name}`, () => deleteOrphan(ctx, deps, name)));
    return `orphaned network(s) ${names.join(', ')} deleted`;
  },
};

/** Deletes networks that nobody has used for days. Rules: jobs/scheduled_orphaned_network_cleanup.rb. */
export const scheduledOrphanedNetworkCleanup: TaskType<OrphanedNetworksCleanupParams, OrphanedNetworkDeps> = {
  type: 'scheduled_orphaned_network_cleanup',
  lane: 'normal',
  onNodeLoss: 'converge',
  payload: orphanedNetworksCleanupParams,
  async perform(ctx, deps, { max_orphaned_age_in_days: days }) {
    const old = await listOrphanedNetworks(deps.db, days);
    const stage = ctx.stages.stage('Deleting orphan networks', old.length);
    const outcomes = await mapPool(old, 1, ({ name }) => stage.run(name, () => deleteIfPossible(ctx, deps, name)));
    const failed = outcomes.filter((outcome) => !outcome).length;
    const text = `Deleted ${old.length - failed} orphaned networks(s) older than ${days} day(s). Failed to delete ${failed} network(s).`;
    if (failed > 0) throw new DirectorError(code.generic, text);
    return text;
  },
};

async function deleteIfPossible(ctx: TaskContext, deps: OrphanedNetworkDeps, name: string): Promise<boolean> {
  try {
    await deleteOrphan(ctx, deps, name);
    return true;
  } catch (error) {
    if (isInterruption(error) || isTaskCancelled(error) || ctx.signal.aborted) throw error;
    ctx.log.warn(`Failed to delete orphan network ${name}. Failed with ${describeError(error).message}`);
    return false;
  }
}

/** One that is gone counts as deleted; one that a deployment uses again stays. Throws 160011 for it, and what the CPI throws: then it stays orphaned. */
async function deleteOrphan(ctx: TaskContext, { db, calls }: OrphanedNetworkDeps, name: string): Promise<void> {
  await ctx.checkpoint();
  await withNetworkLock(ctx, name, async () => {
    const found = await findNetwork(db, name);
    if (found && !found.orphaned) throw new DirectorError(160011, `Deleting unorphaned network is not supported: ${name}`);
    await removeNetwork(ctx, { db, calls }, name);
  });
}
