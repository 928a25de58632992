import { z } from 'zod';
import { code } from '../core/errors';
import { getVisible } from './deployments';
import { instanceView, readInstances } from './instance-view';
import { refuse, router, teamProcedure } from './trpc';

/** One instance with its live state. */
export const instancesRouter = router({
  get: teamProcedure
    .input(z.object({ deployment: z.string().min(1), uuid: z.uuid() }))
    .output(instanceView)
    .query(async ({ ctx, input }) => {
      await getVisible(ctx.deps.connections.db, input.deployment, (teams) => ctx.may.require('dep:read', teams));
      const [found] = await readInstances(ctx, input);
      return found ?? refuse(code.instanceNotFound, `Instance '${input.uuid}' in deployment '${input.deployment}' doesn't exist`);
    }),
});
