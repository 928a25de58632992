import { initTRPC, TRPCError } from '@trpc/server';
import superjson from 'superjson';
import { isAllowed, requireAccess, teamsWith, type Permission, type Principal } from '../auth/permissions';
import { DirectorError, isDirectorError } from '../core/errors';
import type { TrpcContext } from './context';

/** What a client learns of a failure besides tRPC's own fields. */
export interface BoshErrorData {
  /** BOSH's error code; absent for failures that are none of the director's. */
  boshCode?: number;
}

const t = initTRPC.context<TrpcContext>().create({
  transformer: superjson,
  // A ping keeps proxies from closing quiet streams; a stream without one for 8 s is dead and the client reconnects.
  sse: { ping: { enabled: true, intervalMs: 2_000 }, client: { reconnectAfterInactivityMs: 8_000 } },
  errorFormatter: ({ shape, error }) => {
    const boshError: BoshErrorData = isDirectorError(error.cause) ? { boshCode: error.cause.code } : {};
    const { stack: _, ...data } = shape.data;
    return { ...shape, data: { ...data, ...boshError } };
  },
});

export const router = t.router;

const statusCodes: Record<number, TRPCError['code']> = { 401: 'FORBIDDEN', 403: 'FORBIDDEN', 404: 'NOT_FOUND', 412: 'PRECONDITION_FAILED', 422: 'UNPROCESSABLE_CONTENT', 500: 'INTERNAL_SERVER_ERROR' };

/** Director errors keep their sentence and get their HTTP status; anything else is logged and told without details. */
const errors = t.middleware(async ({ ctx, next, path }) => {
  const result = await next();
  if (result.ok) return result;
  const { cause } = result.error;
  if (isDirectorError(cause)) throw new TRPCError({ code: statusCodes[cause.status] ?? 'BAD_REQUEST', message: cause.message, cause });
  if (result.error.code === 'INTERNAL_SERVER_ERROR') {
    ctx.deps.log.error('trpc-failed', { path, error: cause ?? result.error });
    throw new TRPCError({ code: 'INTERNAL_SERVER_ERROR', message: `The director could not answer '${path}'. The log of node ${ctx.deps.node.name} says why.`, cause });
  }
  return result;
});

/** Mutations need a header that a foreign site cannot make a browser send: cookies alone prove nothing. */
const ownClient = t.middleware(({ ctx, type, next }) => {
  if (type === 'mutation' && !ctx.ownClient) throw new TRPCError({ code: 'FORBIDDEN', message: 'Send the header x-directorate: 1 with changes' });
  return next();
});

/** Anyone, logged in or not. */
export const publicProcedure = t.procedure.use(errors).use(ownClient);

const signedIn = publicProcedure.use(({ ctx, next }) => {
  if (!ctx.principal) throw new TRPCError({ code: 'UNAUTHORIZED', message: 'Log in first' });
  return next({ ctx: { ...ctx, principal: ctx.principal, may: accessOf(ctx.deps.director.uuid, ctx.principal) } });
});

/** What the caller may see and do. */
export interface CallerAccess {
  /** Teams whose objects the caller may read; undefined: everything. */
  teams: readonly string[] | undefined;
  has(permission: Permission, teams?: readonly string[]): boolean;
  /** Throws 600000 naming the scopes that would suffice. */
  require(permission: Permission, teams?: readonly string[]): void;
}

function accessOf(directorUuid: string, principal: Principal): CallerAccess {
  return {
    teams: isAllowed(principal, { permission: 'read', directorUuid }) ? undefined : [...new Set([...teamsWith(principal, 'admin'), ...teamsWith(principal, 'read')])],
    has: (permission, teams = []) => isAllowed(principal, { permission, directorUuid, teams }),
    require: (permission, teams = []) => requireAccess(principal, { permission, directorUuid, teams }),
  };
}

const permitted = (permission: Permission) =>
  signedIn.use(({ ctx, next }) => {
    ctx.may.require(permission);
    return next();
  });

/** Administrators and readers of a team too; what is seen is limited to `ctx.may.teams`. */
export const teamProcedure = permitted('read_events');
/** Readers and administrators of the director, and administrators of a team. */
export const readProcedure = permitted('list_tasks');
/** Administrators of the director. */
export const adminProcedure = permitted('admin');

/** An error of the director as a value to throw from a procedure. */
export function refuse(code: number, message: string): never {
  throw new DirectorError(code, message);
}
