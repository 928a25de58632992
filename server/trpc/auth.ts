import { TRPCError } from '@trpc/server';
import { z } from 'zod';
import { createSession, deleteSession } from '../auth/sessions';
import { publicProcedure, router } from './trpc';

const account = z.object({
  username: z.string(),
  scopes: z.array(z.string()),
  /** What the pages offer or refuse with a reason. */
  can: z.object({ administer: z.boolean(), read: z.boolean() }),
});

/** Logging in and out of the console. */
export const authRouter = router({
  login: publicProcedure
    .input(z.object({ username: z.string().min(1).max(200), password: z.string().min(1).max(1000) }))
    .output(z.object({ username: z.string(), expiresAt: z.date() }))
    .mutation(async ({ ctx, input }) => {
      const principal = await ctx.deps.identity.login(input.username, input.password);
      if (!principal) throw new TRPCError({ code: 'UNAUTHORIZED', message: 'The name or the password is wrong.' });
      const session = await createSession(ctx.deps.connections.db, principal);
      ctx.setSessionCookie(session);
      return { username: principal.username, expiresAt: session.expiresAt };
    }),

  logout: publicProcedure.output(z.object({})).mutation(async ({ ctx }) => {
    if (ctx.sessionToken !== undefined) await deleteSession(ctx.deps.connections.db, ctx.sessionToken);
    ctx.setSessionCookie(undefined);
    return {};
  }),

  /** Who is logged in; null when nobody is. */
  me: publicProcedure.output(account.nullable()).query(({ ctx }) => {
    const { principal } = ctx;
    if (!principal) return null;
    const own = (verb: string) => principal.scopes.some((scope) => scope === `bosh.${verb}` || scope === `bosh.${ctx.deps.director.uuid}.${verb}`);
    return { username: principal.username, scopes: [...principal.scopes], can: { administer: own('admin'), read: own('admin') || own('read') } };
  }),
});
