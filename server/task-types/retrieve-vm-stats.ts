import { z } from 'zod';
import { isAgentFailure } from '../agents/request';
import type { Agents, AgentState } from '../agents/agent';
import { mapPool } from '../core/concurrency';
import { code, isDirectorError } from '../core/errors';
import type { InstanceState } from '../instances/instance';
import type { TaskContext } from '../tasks/context';
import type { TaskType } from './task-type';

/**
 * What `bosh vms` and `bosh instances` show: one JSON line per VM or instance, with what each agent says at the moment.
 * Source of the line's shape: cloudfoundry/bosh src/bosh-director/lib/bosh/director/jobs/vm_state.rb.
 */

const payload = z.object({
  deployment: z.string(),
  /** `vms`: a line per VM, inactive ones too; `instances`: a line per instance with its active VM, if it has one. */
  view: z.enum(['vms', 'instances']),
});

/** A line's recorded part. */
export interface InstanceWithVm {
  uuid: string;
  group: string;
  index: number;
  az: string | null;
  state: InstanceState;
  bootstrap: boolean;
  ignore: boolean;
  /** Null before the first VM. */
  cloudProperties: Record<string, unknown> | null;
  /** Name of the VM type of the last applied update. */
  vmType: string | null;
  /** Cloud ids of active persistent disks. */
  diskCids: readonly string[];
  vm?: {
    /** Null while `create_vm` is under way. */
    cid: string | null;
    agentId: string;
    active: boolean;
    createdAt: Date;
    ips: readonly string[];
    stemcell: { name: string | null; version: string | null; apiVersion: number | null };
  };
}

export interface RetrieveVmStatsDeps {
  agents: Pick<Agents, 'agentFor'>;
  listInstancesWithVms(deployment: string, view: 'vms' | 'instances'): Promise<readonly InstanceWithVm[]>;
  /** Bytes that the result stream of a task has. */
  resultSize(taskId: number): Promise<number>;
}

/** How long an agent has to answer, ms. */
const patienceMs = 5_000;
const agentsAtATime = 32;

export const retrieveVmStats: TaskType<z.infer<typeof payload>, RetrieveVmStatsDeps> = {
  type: 'vms',
  lane: 'urgent',
  onNodeLoss: 'converge',
  payload,
  async perform(ctx, deps, { deployment, view }) {
    // All lines are one append: an earlier attempt has written either all or none.
    if (ctx.attempt > 1 && (await deps.resultSize(ctx.taskId)) > 0) return '';
    const rows = await deps.listInstancesWithVms(deployment, view);
    const lines = await mapPool(rows, agentsAtATime, async (row) => JSON.stringify(lineOf(row, await stateOf(ctx, deps, row))) + '\n');
    if (lines.length > 0) await ctx.result(lines.join(''));
    return '';
  },
};

/** Undefined when there is nobody to ask. */
async function stateOf(ctx: TaskContext, deps: RetrieveVmStatsDeps, row: InstanceWithVm): Promise<AgentState | undefined> {
  if (!row.vm || row.vm.cid === null) return undefined;
  try {
    return await deps.agents.agentFor({ id: row.vm.agentId, name: `${row.group}/${row.uuid}` }, ctx).getState({ full: true, timeoutMs: patienceMs });
  } catch (error) {
    if (!isAgentFailure(error) && !(isDirectorError(error) && error.code === code.rpcTimeout)) throw error;
    return { job_state: 'unresponsive agent' };
  }
}

/** Key order is BOSH's. */
function lineOf(row: InstanceWithVm, state: AgentState | undefined): Record<string, unknown> {
  const { vm } = row;
  return {
    vm_cid: vm?.cid ?? null,
    active: vm?.active ?? null,
    vm_created_at: vm ? vm.createdAt.toISOString().replace(/\.\d+Z$/, 'Z') : null,
    cloud_properties: row.cloudProperties ?? {},
    disk_cid: row.diskCids[0] ?? null,
    disk_cids: row.diskCids,
    ips: vm?.ips ?? [],
    agent_id: vm?.agentId ?? null,
    job_name: row.group,
    index: row.index,
    job_state: state?.job_state ?? null,
    state: row.state,
    vm_type: row.vmType,
    vitals: state?.vitals ?? null,
    processes: state?.processes ?? [],
    az: row.az,
    id: row.uuid,
    bootstrap: row.bootstrap,
    ignore: row.ignore,
    stemcell: { name: vm?.stemcell.name ?? null, version: vm?.stemcell.version ?? null, api_version: vm?.stemcell.apiVersion ?? null },
  };
}
