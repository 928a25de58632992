import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { callerWithoutTask, type Agent } from '../agents/agent';
import { AgentClient } from '../agents/client';
import { AgentFailure } from '../agents/request';
import { systemClock } from '../core/clock';
import { code, DirectorError } from '../core/errors';
import { SecretTexts } from '../tasks/secret-texts';
import { createTaskLog } from '../tasks/task-log';
import type { Stages, TaskContext } from '../tasks/context';
import { retrieveVmStats, type InstanceWithVm, type RetrieveVmStatsDeps } from './retrieve-vm-stats';

/** What a Ruby director printed for an instance with a disk, one that does not answer, and one without a VM. */
const captured = readFileSync('tests/fixtures/results/instances-unresponsive.txt', 'utf8');

const lineShape = z.object({
  vm_cid: z.string().nullable(), active: z.boolean().nullable(), vm_created_at: z.string().nullable(), cloud_properties: z.record(z.string(), z.unknown()), disk_cids: z.array(z.string()),
  ips: z.array(z.string()), agent_id: z.string().nullable(), job_name: z.string(), index: z.number(), job_state: z.string().nullable(), state: z.enum(['started', 'stopped', 'detached']), vm_type: z.string().nullable(),
  vitals: z.unknown(), processes: z.array(z.looseObject({ name: z.string(), state: z.string() })), az: z.string(), id: z.string(), bootstrap: z.boolean(), ignore: z.boolean(),
  stemcell: z.object({ name: z.string().nullable(), version: z.string().nullable(), api_version: z.number().nullable() }),
});
type Line = z.infer<typeof lineShape>;
const lines = captured.trim().split('\n').map((line) => lineShape.parse(JSON.parse(line)));

function recorded(line: Line): InstanceWithVm {
  return {
    uuid: line.id, group: line.job_name, index: line.index, az: line.az, state: line.state, bootstrap: line.bootstrap, ignore: line.ignore,
    cloudProperties: line.cloud_properties, vmType: line.vm_type, diskCids: line.disk_cids,
    ...(line.vm_cid === null ? {} : {
      vm: {
        cid: line.vm_cid, agentId: line.agent_id ?? '', active: line.active ?? false, createdAt: new Date(line.vm_created_at ?? ''), ips: line.ips,
        stemcell: { name: line.stemcell.name, version: line.stemcell.version, apiVersion: line.stemcell.api_version },
      },
    }),
  };
}

function openTask(attempt = 1) {
  const results: string[] = [];
  const stages: Stages = { stage: () => ({ run: (_name, work) => work({ advance: async () => undefined }) }), warning: async () => undefined, deprecation: async () => undefined };
  const ctx: TaskContext = {
    ...callerWithoutTask(new AbortController().signal),
    taskId: 1, epoch: 1, attempt, user: 'u', deployment: 'lab', contextId: '', clock: systemClock, secrets: new SecretTexts(), log: createTaskLog(() => undefined, 1, ''), stages,
    result: async (text) => void results.push(text), cpiOutput: () => undefined, checkpoint: async () => undefined,
    write: async () => { throw new Error('nothing is written'); },
    lock: async () => { throw new Error('nothing is locked'); },
    uncancellable: () => ctx,
  };
  return { ctx, results };
}

function depsFor(answer: (agentId: string) => Promise<Awaited<ReturnType<Agent['getState']>>>, resultSize = 0): RetrieveVmStatsDeps {
  const silent = new AgentClient({ bus: { publish: () => false, subscribe: () => () => undefined, onConnect: () => () => undefined }, nodeId: 'n' });
  return {
    agents: { agentFor: (target, caller) => ({ ...silent.agentFor(target, caller), getState: () => answer(target.id) }) },
    listInstancesWithVms: async () => lines.map(recorded),
    resultSize: async () => resultSize,
  };
}

const asCaptured = async (agentId: string) => {
  const line = lines.find((one) => one.agent_id === agentId);
  if (!line || line.job_state === null) throw new Error(`${agentId} should not be asked`);
  if (line.job_state === 'unresponsive agent') throw new DirectorError(code.rpcTimeout, 'Timed out');
  return { job_state: line.job_state, vitals: z.record(z.string(), z.unknown()).parse(line.vitals), processes: line.processes };
};

const run = (ctx: TaskContext, deps: RetrieveVmStatsDeps) => retrieveVmStats.perform(ctx, deps, { deployment: 'lab', view: 'instances' });

describe('bosh instances', () => {
  test('shows every instance in the lines of the Ruby director, byte for byte', async () => {
    const { ctx, results } = openTask();
    expect(await run(ctx, depsFor(asCaptured))).toBe('');
    expect(results).toEqual([captured]);
  });

  test('takes an agent that refuses for unresponsive', async () => {
    const { ctx, results } = openTask();
    await run(ctx, depsFor(async () => { throw new AgentFailure('Action Failed get_state'); }));
    expect(results[0]?.match(/"job_state":"unresponsive agent"/g)).toHaveLength(lines.filter((line) => line.vm_cid !== null).length);
  });

  test('does not hide other failures', async () => {
    const { ctx, results } = openTask();
    await expect(run(ctx, depsFor(async () => { throw new Error('cancelled'); }))).rejects.toThrow('cancelled');
    expect(results).toEqual([]);
  });

  test('writes nothing again when an earlier attempt has written the lines', async () => {
    const { ctx, results } = openTask(2);
    await run(ctx, depsFor(asCaptured, captured.length));
    expect(results).toEqual([]);
  });
});
