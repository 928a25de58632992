import { z } from 'zod';
import { listDeploymentRows, listOperations } from './store';
import { router, teamProcedure } from './trpc';

/** The audit trail. */
export const eventsRouter = router({
  /** Operations, newest first, with how they ended. Who may read only some teams' objects sees those of their deployments. */
  recent: teamProcedure
    .input(z.object({ deployment: z.string().optional(), beforeId: z.int().optional(), limit: z.int().min(1).max(200).default(20) }))
    .output(
      z.array(
        z.object({
          id: z.int(),
          at: z.date(),
          endedAt: z.date().optional(),
          user: z.string(),
          action: z.string(),
          objectType: z.string(),
          objectName: z.string().optional(),
          error: z.string().optional(),
          taskId: z.int().optional(),
          deployment: z.string().optional(),
          running: z.boolean(),
        }),
      ),
    )
    .query(async ({ ctx, input }) => {
      const { db } = ctx.deps.connections;
      const deployments = ctx.may.teams && (await listDeploymentRows(db, { teams: ctx.may.teams })).map((row) => row.name);
      return listOperations(db, { ...input, deployments });
    }),
});
