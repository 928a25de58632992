import { z } from 'zod';
import { listLeaseHistory, moveLease, pauseLease } from '../cluster/leases';
import { listNodes } from '../cluster/nodes';
import { code } from '../core/errors';
import { recordEvent } from '../events/store';
import { countOpenIncidents } from '../health/list-store';
import { isResurrectionPaused } from '../instances/store';
import { attentionItem, findAttention } from './attention';
import { clusterOverview } from './cluster-overview';
import { findMonitoringTrouble } from './monitor-store';
import { nodeFace } from './node-faces';
import { findUntidyState } from './store';
import { adminProcedure, readProcedure, refuse, router, teamProcedure } from './trpc';

const component = z.object({ component: z.string().min(1).max(200) });

/** Nodes, leases, NATS, Postgres, blobstore and queue; pausing and moving components. */
export const clusterRouter = router({
  overview: teamProcedure.output(clusterOverview).query(({ ctx }) => ctx.shared.overview()),

  /** What an operator should look at now, the worst first. */
  attention: readProcedure.output(z.object({ at: z.date(), items: z.array(attentionItem) })).query(async ({ ctx }) => {
    const { db } = ctx.deps.connections;
    const [overview, untidy, trouble, incidents, resurrectionPaused] = await Promise.all([ctx.shared.overview(), findUntidyState(db), findMonitoringTrouble(db), countOpenIncidents(db), isResurrectionPaused(db)]);
    return { at: overview.at, items: findAttention(overview, untidy, { ...trouble, incidents, resurrectionPaused }) };
  }),

  /** Who held each component's lease when, oldest first per component. */
  leaseHistory: teamProcedure
    .input(z.object({ sinceMs: z.int().min(60_000).max(86_400_000) }))
    .output(z.object({ from: z.date(), to: z.date(), terms: z.array(z.object({ component: z.string(), epoch: z.int(), holder: nodeFace, acquiredAt: z.date(), endedAt: z.date().optional(), reason: z.string().optional() })) }))
    .query(async ({ ctx, input }) => {
      const [{ at }, nodes, history] = await Promise.all([ctx.shared.overview(), ctx.shared.nodes(), listLeaseHistory(ctx.deps.connections.db, input.sinceMs)]);
      const terms = history.toReversed().map((term) => ({ component: term.name, epoch: term.epoch, holder: nodes.faceOf(term.holder), acquiredAt: term.acquiredAt, endedAt: term.endedAt, reason: term.reason }));
      return { from: new Date(at.getTime() - input.sinceMs), to: at, terms };
    }),

  /** Incarnations of nodes: alive from when to when. */
  nodeHistory: teamProcedure
    .input(z.object({ sinceMs: z.int().min(60_000).max(86_400_000) }))
    .output(z.array(nodeFace.extend({ from: z.date(), to: z.date().optional(), state: z.enum(['starting', 'ready', 'draining', 'stopped', 'lost']) })))
    .query(async ({ ctx, input }) => {
      const [{ at }, book, found] = await Promise.all([ctx.shared.overview(), ctx.shared.nodes(), listNodes(ctx.deps.connections.db, input.sinceMs)]);
      return found.toReversed().map((node) => ({
        ...book.faceOf(node.id), from: node.startedAt, state: node.state,
        to: node.stoppedAt ?? (node.state === 'lost' ? new Date(at.getTime() - node.beatAgeMs) : undefined),
      }));
    }),

  pause: adminProcedure
    .input(component)
    .output(z.object({}))
    .mutation(async ({ ctx, input }) => {
      if (!(await pauseLease(ctx.deps.connections.db, input.component, true))) refuse(code.generic, `There is no component '${input.component}'`);
      await recordEvent(ctx.deps.connections.db, { user: ctx.principal.username, action: 'pause', objectType: 'component', objectName: input.component });
      return {};
    }),

  resume: adminProcedure
    .input(component)
    .output(z.object({}))
    .mutation(async ({ ctx, input }) => {
      if (!(await pauseLease(ctx.deps.connections.db, input.component, false))) refuse(code.generic, `There is no component '${input.component}'`);
      await recordEvent(ctx.deps.connections.db, { user: ctx.principal.username, action: 'resume', objectType: 'component', objectName: input.component });
      return {};
    }),

  /** Asks that a node hold a component's lease; its present holder gives it up at the next beat. */
  move: adminProcedure
    .input(component.extend({ node: z.uuid() }))
    .output(z.object({ moved: z.boolean() }))
    .mutation(async ({ ctx, input }) => {
      const overview = await ctx.shared.overview();
      const target = overview.nodes.find((node) => node.id === input.node);
      if (!overview.leases.some((lease) => lease.name === input.component)) refuse(code.generic, `There is no component '${input.component}'`);
      if (target?.state !== 'ready') refuse(code.generic, `Node ${target?.letter ?? input.node} is not ready and cannot hold a lease; choose another one`);
      const moved = await moveLease(ctx.deps.connections.db, input.component, input.node);
      if (moved) await recordEvent(ctx.deps.connections.db, { user: ctx.principal.username, action: 'move', objectType: 'component', objectName: input.component, context: { to: target?.name } });
      return { moved };
    }),
});
