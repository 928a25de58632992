import { code, DirectorError } from '../core/errors';
import { recreateVm } from '../deploy/recreate-vm';
import { findRecordedInstance, type DeploymentRow } from '../deploy/store';
import { instanceLabel } from '../instances/instance';
import type { TaskContext } from '../tasks/context';
import type { ProblemDeps } from './ports';
import { answers } from './probe';
import type { Problem, ProblemType } from './problem';

/** One way out of a problem. */
export interface Resolution {
  /** What it does, as operators read it. */
  plan: string;
  /** May be repeated by the next attempt after a lost node. Throws when the problem is not solved. */
  apply(ctx: TaskContext, deps: ProblemDeps, subject: { problem: Problem; deployment: DeploymentRow }): Promise<void>;
}

export type ResolutionName = 'recreate_vm';

const recreate: Resolution = {
  plan: 'Recreate VM and wait for processes to start',
  apply: (ctx, deps, { problem, deployment }) => recreateVm(ctx, deps, { deployment, instanceId: problem.instance.id }),
};

/**
 * Refuses to touch a VM whose agent answers by now. A VM that an earlier attempt has begun to replace is not asked: it is marked as
 * being deleted, or is another one.
 */
async function stillSilent(ctx: TaskContext, deps: ProblemDeps, problem: Problem): Promise<void> {
  const recorded = await findRecordedInstance(deps.db, problem.instance.id);
  const vm = recorded?.vms.find((one) => one.active && one.agentId === problem.vm?.agentId);
  if (!vm) return;
  if (await answers(ctx, deps, { id: vm.agentId, name: instanceLabel(problem.instance), ...(vm.cid === null ? {} : { cid: vm.cid }) })) {
    throw new DirectorError(code.generic, 'Agent is responding now, skipping resolution');
  }
}

/** What can be done about each problem. */
export const resolutions = {
  missing_vm: { recreate_vm: recreate },
  unresponsive_agent: {
    recreate_vm: {
      ...recreate,
      apply: async (ctx, deps, subject) => {
        await stillSilent(ctx, deps, subject.problem);
        await recreate.apply(ctx, deps, subject);
      },
    },
  },
} satisfies Record<ProblemType, Record<ResolutionName, Resolution>>;
