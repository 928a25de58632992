import { sql } from 'drizzle-orm';
import type { Database } from '../../db/client';
import type { Component } from '../cluster/component';
import { sleep } from '../core/clock';
import { enqueueTask } from '../tasks/queue';
import type { TaskContext } from '../tasks/context';
import type { DeployDeps } from './ports';
import { listAbandonedVms } from './store';
import { sweepVm } from './vm-steps';

/** Type of the task that `createSweeper` enqueues. */
export const sweepType = 'sweep_abandoned_vms';

/** What a sweep could not clean up is left to people for so long, ms. */
const sweepAgainMs = 300_000;

/** Component: sees to it that VMs which a lost attempt may have left in the cloud are looked for and deleted. */
export function createSweeper(db: Database): Component {
  return {
    name: 'vm-sweeper',
    intervalMs: 2_000,
    async tick(ctx) {
      if ((await listAbandonedVms(db)).length === 0) return;
      await ctx.write(async (tx) => {
        const { rows } = await tx.execute(sql`
          SELECT 1 FROM tasks s WHERE s.type = ${sweepType} AND (s.state IN ('queued', 'processing', 'cancelling')
            OR (s.finished_at > now() - make_interval(secs => ${sweepAgainMs / 1000})
              AND NOT EXISTS (SELECT 1 FROM vms v WHERE v.instance_id IS NULL AND v.state = 'deleting' AND v.created_at > s.finished_at))) LIMIT 1`);
        if (rows.length === 0) await enqueueTask(tx, { type: sweepType, lane: 'normal', description: 'clean up VMs of lost attempts', user: 'scheduler', payload: {} });
      });
    },
  };
}

/** ms between two looks at VMs that may still appear. */
const lookAgainMs = 3_000;

/** The task: goes on until every abandoned VM is deleted, forgotten or reported. */
export async function sweepAbandonedVms(ctx: TaskContext, deps: DeployDeps): Promise<string> {
  const counts = { deleted: 0, forgotten: 0, leaked: new Set<number>() };
  for (;;) {
    await ctx.checkpoint();
    const open = (await listAbandonedVms(deps.db)).filter((vm) => !counts.leaked.has(vm.id));
    if (open.length === 0) return `Deleted ${counts.deleted} VM(s), ${counts.forgotten} never appeared, ${counts.leaked.size} to be deleted by hand`;
    for (const vm of open) {
      const outcome = await sweepVm(ctx, deps, vm);
      if (outcome === 'deleted') counts.deleted++;
      if (outcome === 'forgotten') counts.forgotten++;
      if (outcome === 'leaked') counts.leaked.add(vm.id);
    }
    await sleep(lookAgainMs, ctx.signal);
  }
}
