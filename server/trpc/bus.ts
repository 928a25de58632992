import { z } from 'zod';
import { findBusMove, listBusMoveAgents, listBusMoves, startBusMove, type BusMove } from '../agents/bus-move-store';
import { code, DirectorError } from '../core/errors';
import { listBusTargets } from './monitor-store';
import { adminProcedure, readProcedure, router } from './trpc';

const moveState = z.enum(['pending', 'told', 'gone', 'superseded']);

const busMove = z.object({
  id: z.int(),
  /** Absent: every VM. */
  az: z.string().optional(),
  urls: z.array(z.string()),
  user: z.string(),
  createdAt: z.date(),
  finishedAt: z.date().optional(),
  /** The newer move that ended this one. */
  supersededBy: z.int().optional(),
  /** Numbers of agents; `gone`: deleted before they could be told; `superseded`: another move tells them. */
  told: z.int(),
  pending: z.int(),
  gone: z.int(),
  superseded: z.int(),
  /** Why it does not get on. */
  error: z.string().optional(),
});

function toView(move: BusMove): z.infer<typeof busMove> {
  const { caSha1: _, ...shown } = move;
  return shown;
}

const agent = z.object({
  agentId: z.string(),
  state: moveState,
  attempts: z.int(),
  /** Of the next attempt, when pending. */
  nextAttemptAt: z.date(),
  sentAt: z.date().optional(),
  error: z.string().optional(),
  updatedAt: z.date(),
  deployment: z.string().optional(),
  /** `<group>/<uuid>` */
  instance: z.string().optional(),
  az: z.string().optional(),
  cid: z.string().optional(),
});

/** Which NATS servers VMs use, and giving them others. */
export const busRouter = router({
  /** NATS servers by AZ, with the number of VMs; the AZ is absent for VMs that are in none. */
  targets: readProcedure
    .output(
      z.object({
        /** Of the configuration, for AZs that no move has named. */
        configured: z.array(z.string()),
        /** Of the last move of all VMs. */
        all: z.array(z.string()).optional(),
        vms: z.int(),
        azs: z.array(z.object({ az: z.string().optional(), vms: z.int(), urls: z.array(z.string()), moveId: z.int().optional() })),
      }),
    )
    .query(async ({ ctx }) => {
      const { azs, targets } = await listBusTargets(ctx.deps.connections.db);
      const all = targets.find((target) => target.az === undefined);
      const configured = [...ctx.deps.bus.urls];
      return {
        configured, all: all?.urls, vms: azs.reduce((sum, one) => sum + one.vms, 0),
        azs: azs.map((one) => {
          const target = targets.find((candidate) => candidate.az !== undefined && candidate.az === one.az) ?? all;
          return { ...one, urls: target?.urls ?? configured, moveId: target?.moveId };
        }),
      };
    }),

  /** Tells all VMs, or those of an AZ, to use these NATS servers from now on; new VMs get them too. The move goes on by itself. */
  start: adminProcedure
    .input(z.object({ az: z.string().min(1).max(200).optional(), urls: z.array(z.string().min(1).max(500)).min(1).max(50) }))
    .output(z.object({ id: z.int() }))
    .mutation(async ({ ctx, input }) => ({ id: await startBusMove(ctx.deps.connections.db, { ...input, user: ctx.principal.username, caSha1: ctx.deps.bus.caSha1 }) })),

  /** Moves, newest first. */
  list: readProcedure
    .input(z.object({ unfinished: z.boolean().default(false), limit: z.int().min(1).max(100).default(20) }))
    .output(z.array(busMove))
    .query(async ({ ctx, input }) => (await listBusMoves(ctx.deps.connections.db, input)).map(toView)),

  get: readProcedure
    .input(z.object({ id: z.int().min(1) }))
    .output(busMove)
    .query(async ({ ctx, input }) => {
      const found = await findBusMove(ctx.deps.connections.db, input.id);
      if (!found) throw new DirectorError(code.generic, `There is no bus move ${input.id}`, { status: 404 });
      return toView(found);
    }),

  /** Agents of a move, by agent id. */
  agents: readProcedure
    .input(z.object({ id: z.int().min(1), state: moveState.optional(), /** For the next page: the last agent id seen. */ after: z.uuid().optional(), limit: z.int().min(1).max(500).default(100) }))
    .output(z.object({ agents: z.array(agent), next: z.string().optional() }))
    .query(async ({ ctx, input }) => {
      const rows = await listBusMoveAgents(ctx.deps.connections.db, { moveId: input.id, state: input.state, after: input.after, limit: input.limit + 1 });
      const agents = rows.slice(0, input.limit);
      return { agents, next: rows.length > agents.length ? agents.at(-1)?.agentId : undefined };
    }),
});
