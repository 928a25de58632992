import { z } from 'zod';
import { findDeployment } from '../deployments/store';
import { findNewestSet, findSuccessfulSet, listSet } from '../variables/store';
import { getVisible } from './deployments';
import { router, teamProcedure } from './trpc';

const variable = z.object({
  /** Absolute. */
  name: z.string(),
  /** Of the version. */
  id: z.string(),
  /** The deployment that lends the value by a link; absent for the deployment's own. */
  from: z.string().optional(),
});

/** Names and versions of variables; never values. */
export const variablesRouter = router({
  /** What the last successful deploy used, and what the newest deploy has fixed where that is another one. */
  list: teamProcedure
    .input(z.object({ deployment: z.string().min(1) }))
    .output(z.object({ used: z.array(variable), newest: z.array(variable).optional() }))
    .query(async ({ ctx, input }) => {
      const { db } = ctx.deps.connections;
      await getVisible(db, input.deployment, (teams) => ctx.may.require('dep:read', teams));
      const deployment = await findDeployment(db, input.deployment);
      if (!deployment) return { used: [] };
      const [used, newest] = await Promise.all([findSuccessfulSet(db, deployment.id), findNewestSet(db, deployment.id)]);
      const variablesOf = async (id: number) => (await listSet(db, id)).map(({ name, id: version, providerDeployment }) => ({ name, id: version, ...(providerDeployment === '' ? {} : { from: providerDeployment }) }));
      return { used: used ? await variablesOf(used.id) : [], ...(newest && newest.id !== used?.id ? { newest: await variablesOf(newest.id) } : {}) };
    }),
});
