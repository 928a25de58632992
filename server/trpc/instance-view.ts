import { z } from 'zod';
import type { TrpcContext } from './context';
import { listInstanceRows, type InstanceRow } from './store';

/**
 * What an instance is doing now: its agent's answer where it has a VM, else what the records say.
 * `silent`: it has a VM whose agent does not answer. `missing`: it should have a VM and has none.
 */
export const instanceLife = z.enum(['running', 'failing', 'starting', 'stopped', 'detached', 'creating', 'deleting', 'silent', 'missing']);
export type InstanceLife = z.infer<typeof instanceLife>;

export const instanceView = z.object({
  uuid: z.string(),
  group: z.string(),
  index: z.int(),
  az: z.string().optional(),
  /** What an operator wants it to be. */
  wanted: z.enum(['started', 'stopped', 'detached']),
  life: instanceLife,
  bootstrap: z.boolean(),
  ignore: z.boolean(),
  updateCompleted: z.boolean(),
  lastChanges: z.array(z.string()),
  updatedAt: z.date(),
  ips: z.array(z.string()),
  vm: z.object({ cid: z.string().optional(), agentId: z.string(), createdAt: z.date() }).optional(),
  processes: z.array(z.object({ name: z.string(), state: z.string() })),
});
export type InstanceView = z.infer<typeof instanceView>;

/** Instances with their live states. */
export async function readInstances(ctx: Pick<TrpcContext, 'deps' | 'shared'>, filter: { deployment: string; uuid?: string }): Promise<InstanceView[]> {
  const rows = await listInstanceRows(ctx.deps.connections.db, filter);
  const answers = await ctx.shared.agentStates(rows.flatMap((row) => (row.vm?.state === 'created' ? [row.vm.agentId] : [])));
  return rows.map((row) => {
    const answer = row.vm && answers.get(row.vm.agentId);
    return {
      uuid: row.uuid, group: row.group, index: row.index, az: row.az, wanted: row.state, bootstrap: row.bootstrap, ignore: row.ignore, updateCompleted: row.updateCompleted,
      lastChanges: row.lastChanges, updatedAt: row.updatedAt, ips: row.ips, life: lifeOf(row, answer?.jobState), processes: answer ? [...answer.processes] : [],
      vm: row.vm && { cid: row.vm.cid, agentId: row.vm.agentId, createdAt: row.vm.createdAt },
    };
  });
}

function lifeOf(row: InstanceRow, jobState: string | undefined): InstanceLife {
  if (!row.vm) return row.state === 'detached' ? 'detached' : 'missing';
  if (row.vm.state !== 'created') return row.vm.state;
  if (jobState === undefined) return 'silent';
  if (jobState === 'running' || jobState === 'failing' || jobState === 'starting' || jobState === 'stopped') return jobState;
  return row.state === 'stopped' ? 'stopped' : 'starting';
}
