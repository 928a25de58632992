import { mapPool } from '../core/concurrency';
import type { RecordedInstance } from '../deploy/store';
import { instanceLabel } from '../instances/instance';
import type { TaskContext } from '../tasks/context';
import type { ProblemDeps } from './ports';
import type { Problem } from './problem';
import { answers } from './probe';

type Finding = 'ok' | Problem['type'];

/**
 * Looks at the VMs of instances and tells what is wrong with them, as two steps of a stage. Ignored instances are counted and left
 * alone. Nothing is changed: whoever goes on after a lost node scans again.
 * Rule and texts: cloudfoundry/bosh src/bosh-director/lib/bosh/director/problem_scanner/vm_scan_stage.rb.
 */
export async function scanVms(ctx: TaskContext, deps: ProblemDeps, instances: readonly RecordedInstance[]): Promise<Problem[]> {
  const stage = ctx.stages.stage(`Scanning ${instances.length} VMs`, 2);
  const scanned = instances.filter(({ instance }) => !instance.ignore);
  const findings = await stage.run('Checking VM states', () => mapPool(scanned, deps.settings.maxThreads, (one) => scanVm(ctx, deps, one)));
  const count = (finding: Finding) => findings.filter((one) => one === finding).length;
  const ignored = instances.length - scanned.length;
  await stage.run(
    `${count('ok')} OK, ${count('unresponsive_agent')} unresponsive, ${count('missing_vm')} missing, 0 unbound${ignored > 0 ? `, ${ignored} ignored` : ''}`,
    async () => undefined,
  );
  const problems: Problem[] = [];
  for (const [i, one] of scanned.entries()) {
    const type = findings[i];
    if (type !== undefined && type !== 'ok') problems.push(toProblem(one, type, problems.length + 1));
  }
  return problems;
}

async function scanVm(ctx: TaskContext, deps: ProblemDeps, recorded: RecordedInstance): Promise<Finding> {
  const vm = activeVm(recorded);
  if (!vm) return 'missing_vm';
  const { uuid, job: group, index } = recorded.instance;
  const name = instanceLabel({ group, uuid, index });
  if (await answers(ctx, deps, { id: vm.agentId, name, cid: vm.cid })) return 'ok';
  // A CPI that cannot tell leaves it undefined: a VM is missing only on the cloud's word.
  const finding = (await deps.cpi(vm.cpi).hasVm(ctx, vm.cid)) === false ? 'missing_vm' : 'unresponsive_agent';
  ctx.log.info(finding === 'missing_vm' ? `The cloud has no VM '${vm.cid}' of '${name}'` : `Agent ${vm.agentId} of '${name}' does not answer`);
  return finding;
}

function activeVm({ vms }: RecordedInstance): { agentId: string; cid: string; cpi: string } | undefined {
  const found = vms.find((vm) => vm.active);
  return found && found.cid !== null ? { agentId: found.agentId, cid: found.cid, cpi: found.cpi } : undefined;
}

function toProblem(recorded: RecordedInstance, type: Problem['type'], id: number): Problem {
  const { instance } = recorded;
  const vm = activeVm(recorded);
  return { id, type, instance: { id: instance.id, uuid: instance.uuid, group: instance.job, index: instance.index }, vm: vm ? { agentId: vm.agentId, cid: vm.cid } : null };
}
