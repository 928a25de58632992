import type { Database, Db } from '../../db/client';
import { DirectorError, code } from '../core/errors';
import { deleteStemcellRow, forgetStemcellUploads, listStemcellRows, listUsers, lockStemcellRows, type StemcellRow } from '../stemcells/store';
import { isTaskCancelled, isTaskLost, type TaskContext } from '../tasks/context';
import { deleteStemcellPayload, type DeleteStemcellPayload } from './artifact-payloads';
import type { StemcellDeps } from './stemcell-cloud';
import type { TaskType } from './task-type';

/** How long a deletion waits for another task that works on the stemcell, ms. */
const lockWaitMs = 10_000;
const begunKey = 'begun';

export interface DeleteStemcellDeps extends Pick<StemcellDeps, 'deleteImage'> {
  db: Database;
}

/**
 * Deletes a stemcell from every CPI that has it.
 * Rules: cloudfoundry/bosh src/bosh-director/lib/bosh/director/jobs/delete_stemcell.rb and helpers/stemcell_deleter.rb.
 */
export const deleteStemcell: TaskType<DeleteStemcellPayload, DeleteStemcellDeps> = {
  type: 'delete_stemcell',
  lane: 'normal',
  onNodeLoss: 'converge',
  payload: deleteStemcellPayload,
  async perform(ctx, deps, { name, version, force }) {
    await deleteFromClouds(ctx, deps, { name, version, force, memory: begunKey });
    return `/stemcells/${name}/${version}`;
  },
};

export interface StemcellDeletion {
  name: string;
  version: string;
  /** Go on when the CPI fails. */
  force: boolean;
  /** Key under which the task remembers that it has begun: from then on "not found" means that an earlier attempt was done. */
  memory: string;
}

/** Throws 50003, 50004 and what the CPI throws. */
export async function deleteFromClouds(ctx: TaskContext, deps: DeleteStemcellDeps, deletion: StemcellDeletion): Promise<void> {
  const { name, version } = deletion;
  const unlock = await ctx.lock(`lock:stemcells:${name}:${version}`, lockWaitMs);
  try {
    const rows = await listStemcellRows(deps.db, deletion);
    if (rows.length === 0) {
      await ctx.write((tx) => forgetStemcellUploads(tx, deletion));
      if (ctx.remembered(deletion.memory) === true) return;
      throw new DirectorError(code.stemcellNotFound, `Stemcell '${name}/${version}' doesn't exist`);
    }
    const ids = rows.map((row) => row.id);
    await refuseUse(deps.db, deletion, ids);
    await ctx.checkpoint();
    await ctx.remember(deletion.memory, true);
    await ctx.write(async (tx) => {
      await lockStemcellRows(tx, ids);
      await refuseUse(tx, deletion, ids);
      // An upload that comes after this deletion has to do its work again.
      await forgetStemcellUploads(tx, deletion);
    });
    for (const row of rows) await deleteRow(ctx, deps, row, deletion.force);
  } finally {
    await unlock();
  }
}

async function refuseUse(db: Db, { name, version }: StemcellDeletion, ids: readonly number[]): Promise<void> {
  const users = new Set((await listUsers(db, ids)).map((user) => user.deployment));
  if (users.size > 0) throw new DirectorError(code.stemcellInUse, `Stemcell '${name}/${version}' is still in use by: ${[...users].join(', ')}`);
}

async function deleteRow(ctx: TaskContext, deps: DeleteStemcellDeps, row: StemcellRow, force: boolean): Promise<void> {
  if (row.cid !== null) {
    try {
      await ctx.fence();
      await deps.deleteImage(ctx, row.cpi, row.cid);
    } catch (error) {
      if (!force || isTaskLost(error) || isTaskCancelled(error)) throw error;
      ctx.log.warn(`The cloud could not delete stemcell ${row.cid}; it is forgotten all the same, because the deletion is forced: ${String(error)}`);
    }
  }
  await ctx.write((tx) => deleteStemcellRow(tx, row.id));
}
