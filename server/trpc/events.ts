import { z } from 'zod';
import { listEvents } from '../events/store';
import { listDeploymentRows } from './store';
import { router, teamProcedure } from './trpc';

/** The audit trail. */
export const eventsRouter = router({
  /** Changes, newest first. Who may read only some teams' objects sees those of their deployments. */
  recent: teamProcedure
    .input(z.object({ deployment: z.string().optional(), beforeId: z.int().optional(), limit: z.int().min(1).max(200).default(20) }))
    .output(
      z.array(
        z.object({
          id: z.int(),
          at: z.date(),
          user: z.string(),
          action: z.string(),
          objectType: z.string(),
          objectName: z.string().optional(),
          error: z.string().optional(),
          taskId: z.int().optional(),
          deployment: z.string().optional(),
          instance: z.string().optional(),
        }),
      ),
    )
    .query(async ({ ctx, input }) => {
      const { db } = ctx.deps.connections;
      const found = await listEvents(db, input);
      if (!ctx.may.teams) return found;
      const visible = new Set((await listDeploymentRows(db, { teams: ctx.may.teams })).map((row) => row.name));
      return found.filter((event) => event.deployment !== undefined && visible.has(event.deployment));
    }),
});
