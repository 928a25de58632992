import { z } from 'zod';
import { code } from '../core/errors';
import { listVitals } from '../health/list-store';
import { getVisible } from './deployments';
import { instanceView, readInstances } from './instance-view';
import { findInstanceOwner } from './monitor-store';
import { refuse, router, teamProcedure } from './trpc';
import { layOutVitals, namedVitals, vitalsChart, vitalValues } from './vitals';

/** One instance with its live state and its vitals. */
export const instancesRouter = router({
  get: teamProcedure
    .input(z.object({ deployment: z.string().min(1), uuid: z.uuid() }))
    .output(instanceView)
    .query(async ({ ctx, input }) => {
      await getVisible(ctx.deps.connections.db, input.deployment, (teams) => ctx.may.require('dep:read', teams));
      const [found] = await readInstances(ctx, input);
      return found ?? refuse(code.instanceNotFound, `Instance '${input.uuid}' in deployment '${input.deployment}' doesn't exist`);
    }),

  /** Means of its heartbeats' vitals over the last hours, and the newest ones. */
  vitals: teamProcedure
    .input(z.object({ uuid: z.uuid(), hours: z.int().min(1).max(24).default(24) }))
    .output(
      vitalsChart.extend({
        /** Of the last heartbeat that the node that answers has heard; absent before the first. */
        newest: z.object({ at: z.date(), values: vitalValues }).optional(),
        /** The NATS server that its agent was last connected to, and the version of the DNS records that it has. */
        agent: z.object({ id: z.string(), server: z.string().optional(), serverSince: z.date().optional(), dnsVersion: z.int().optional() }).optional(),
      }),
    )
    .query(async ({ ctx, input }) => {
      const { db } = ctx.deps.connections;
      const owner = await findInstanceOwner(db, input.uuid);
      if (!owner) return refuse(code.instanceNotFound, `Instance '${input.uuid}' doesn't exist`);
      ctx.may.require('dep:read', owner.teams);
      const [{ now, slots }, book] = await Promise.all([listVitals(db, input.uuid, input.hours), ctx.shared.agents()]);
      const { agentId } = owner;
      const agent = agentId === undefined ? undefined : ctx.deps.fleet.find(agentId);
      const path = agentId === undefined ? undefined : book.paths.get(agentId);
      return {
        ...layOutVitals(slots, { now: now.getTime(), hours: input.hours }),
        newest: agent?.vitals && { at: new Date(agent.updatedAt), values: namedVitals(agent.vitals) },
        agent: agentId === undefined ? undefined : { id: agentId, server: path?.server, serverSince: path?.since, dnsVersion: book.dnsVersions.get(agentId) },
      };
    }),
});
