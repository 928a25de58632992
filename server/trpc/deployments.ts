import { z } from 'zod';
import { code } from '../core/errors';
import { instanceView, readInstances } from './instance-view';
import { findDeploymentSources, listDeploymentRows, type DeploymentRow } from './store';
import { taskState } from './task-tail';
import { refuse, router, teamProcedure } from './trpc';

const version = z.object({ name: z.string(), version: z.string() });
const deployment = z.object({
  name: z.string(),
  teams: z.array(z.string()),
  /** False until the first deploy has succeeded. */
  deployed: z.boolean(),
  releases: z.array(version),
  stemcells: z.array(version),
  instances: z.int(),
  /** Instances whose last update did not finish. */
  unfinished: z.int(),
  /** Instances that should have a VM and have none. */
  withoutVm: z.int(),
  createdAt: z.date(),
  lastTask: z.object({ id: z.int(), state: taskState, description: z.string(), at: z.date() }).optional(),
});

/** Deployments and their instances. */
export const deploymentsRouter = router({
  list: teamProcedure.output(z.array(deployment)).query(({ ctx }) => listDeploymentRows(ctx.deps.connections.db, { teams: ctx.may.teams })),

  get: teamProcedure
    .input(z.object({ name: z.string().min(1) }))
    .output(
      deployment.extend({
        azs: z.array(z.string()),
        groups: z.array(z.object({ name: z.string(), instances: z.array(instanceView) })),
        configs: z.array(z.object({ id: z.int(), type: z.string(), name: z.string(), current: z.boolean() })),
      }),
    )
    .query(async ({ ctx, input }) => {
      const { db } = ctx.deps.connections;
      const found = await getVisible(db, input.name, (teams) => ctx.may.require('dep:read', teams));
      const [instances, sources] = await Promise.all([readInstances(ctx, { deployment: input.name }), findDeploymentSources(db, input.name)]);
      const groups = new Map<string, typeof instances>();
      for (const one of instances) groups.set(one.group, [...(groups.get(one.group) ?? []), one]);
      return {
        ...found,
        azs: [...new Set(instances.map((one) => one.az ?? ''))].toSorted(),
        groups: [...groups].map(([name, members]) => ({ name, instances: members })),
        configs: sources?.configs ?? [],
      };
    }),

  /** The manifest of the last successful deploy as uploaded; absent before the first. */
  manifest: teamProcedure
    .input(z.object({ name: z.string().min(1) }))
    .output(z.object({ text: z.string().optional() }))
    .query(async ({ ctx, input }) => {
      await getVisible(ctx.deps.connections.db, input.name, (teams) => ctx.may.require('dep:read', teams));
      return { text: (await findDeploymentSources(ctx.deps.connections.db, input.name))?.manifestText };
    }),
});

/** The deployment; throws 70000 when there is none and 600000 when the caller may not see it. */
export async function getVisible(db: Parameters<typeof listDeploymentRows>[0], name: string, check: (teams: readonly string[]) => void): Promise<DeploymentRow> {
  const [found] = await listDeploymentRows(db, { name });
  if (!found) return refuse(code.deploymentNotFound, `Deployment '${name}' doesn't exist`);
  check(found.teams);
  return found;
}
