import { z } from 'zod';
import { findConfig, listConfigs, listVersions, type StoredConfig } from '../configs/store';
import { code } from '../core/errors';
import { refuse, router, teamProcedure } from './trpc';

const head = z.object({ id: z.int(), type: z.string(), name: z.string(), team: z.string().optional(), createdAt: z.date(), current: z.boolean() });
const teamsOf = (config: StoredConfig) => (config.team === undefined ? [] : [config.team]);

/** Cloud, runtime, CPI and other configs. */
export const configsRouter = router({
  /** The current version of each. */
  list: teamProcedure.output(z.array(head.extend({ lines: z.int() }))).query(async ({ ctx }) => {
    const found = await listConfigs(ctx.deps.connections.db, { versions: 1 });
    return found
      .filter((config) => ctx.may.has('config:read', teamsOf(config)))
      .map((config) => ({ id: config.id, type: config.type, name: config.name, team: config.team, createdAt: config.createdAt, current: config.current, lines: config.content.split('\n').length }));
  }),

  get: teamProcedure
    .input(z.object({ id: z.int() }))
    .output(head.extend({ content: z.string() }))
    .query(async ({ ctx, input }) => {
      const found = await findConfig(ctx.deps.connections.db, input.id);
      if (!found) return refuse(code.configNotFound, `Config ${input.id} not found`);
      ctx.may.require('config:read', teamsOf(found));
      return found;
    }),

  /** Versions of one config, newest first, with their content. */
  history: teamProcedure
    .input(z.object({ type: z.string(), name: z.string(), limit: z.int().min(1).max(100).default(20) }))
    .output(z.array(head.extend({ content: z.string() })))
    .query(async ({ ctx, input }) => {
      const versions = await listVersions(ctx.deps.connections.db, input);
      return versions.filter((one) => ctx.may.has('config:read', teamsOf(one))).map((one, index) => ({ ...one, current: index === 0 }));
    }),
});
