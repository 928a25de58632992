import { z } from 'zod';
import { listReleaseVersionRows, listStemcellRows } from './store';
import { readProcedure, router } from './trpc';

/** Releases and stemcells. */
export const artifactsRouter = router({
  releases: readProcedure
    .output(
      z.array(
        z.object({
          name: z.string(),
          version: z.string(),
          commitHash: z.string(),
          uncommittedChanges: z.boolean(),
          createdAt: z.date(),
          jobs: z.array(z.string()),
          packages: z.array(z.object({ name: z.string(), /** `os/version` of stemcells. */ compiledFor: z.array(z.string()) })),
          /** Deployments. */
          usedBy: z.array(z.string()),
        }),
      ),
    )
    .query(({ ctx }) => listReleaseVersionRows(ctx.deps.connections.db)),

  stemcells: readProcedure
    .output(
      z.array(
        z.object({
          name: z.string(),
          version: z.string(),
          operatingSystem: z.string(),
          /** Absent while the upload is under way. */
          cid: z.string().optional(),
          cpi: z.string(),
          apiVersion: z.int().optional(),
          createdAt: z.date(),
          usedBy: z.array(z.string()),
        }),
      ),
    )
    .query(({ ctx }) => listStemcellRows(ctx.deps.connections.db)),
});
