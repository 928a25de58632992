import { z } from 'zod';
import type { Hash } from '../core/yaml';
import type { CalculatedResources, ResourcesOfCpi } from '../plan/vm-resources';
import type { TaskContext } from '../tasks/context';
import type { DeployDeps } from './ports';

const answerSchema = z.record(z.string(), z.unknown());

/**
 * What the CPIs make of `vm_resources`. A task asks a CPI once for the same: the answer is remembered, so that whoever goes on with
 * the task after a lost node plans with it too. Asking changes nothing in the cloud.
 */
export async function calculateResources(ctx: TaskContext, deps: Pick<DeployDeps, 'cpi'>, wanted: readonly ResourcesOfCpi[]): Promise<CalculatedResources[]> {
  const answers: CalculatedResources[] = [];
  for (const one of wanted) answers.push({ ...one, cloudProperties: await calculate(ctx, deps, one) });
  return answers;
}

async function calculate(ctx: TaskContext, deps: Pick<DeployDeps, 'cpi'>, { cpi, resources }: ResourcesOfCpi): Promise<Hash> {
  const { cpu, ram, ephemeral_disk_size: disk } = resources;
  const key = `vm-resources/${cpi}/${cpu}/${ram}/${disk}`;
  const known = answerSchema.safeParse(ctx.remembered(key));
  if (known.success) return known.data;
  const cloudProperties = await deps.cpi(cpi).calculateVmCloudProperties(ctx, resources);
  ctx.log.info(`CPI '${cpi}' calculated VM cloud properties for ${JSON.stringify(resources)}: ${Object.keys(cloudProperties).join(', ')}`);
  await ctx.remember(key, cloudProperties);
  return cloudProperties;
}
