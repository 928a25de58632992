import { z } from 'zod';
import { code, DirectorError } from '../core/errors';
import type { AgentView } from '../health/fleet-view';
import { agentStatus, countStatuses, filterAgents, noServer, pageOf, serverOf, type AgentBook } from './agent-book';
import { router, teamProcedure } from './trpc';
import { namedVitals, vitalValues } from './vitals';

const statusCounts = z.record(agentStatus, z.int());

const agentView = z.object({
  agentId: z.string(),
  status: agentStatus,
  deployment: z.string().optional(),
  group: z.string().optional(),
  index: z.int().optional(),
  instanceUuid: z.string().optional(),
  az: z.string().optional(),
  cid: z.string().optional(),
  /** The last heartbeat, or the discovery when there was none yet; by the clock of the node that answers. */
  heardAt: z.date(),
  jobState: z.string().optional(),
  processes: z.int().optional(),
  /** The NATS server that it was last connected to, and since when. */
  server: z.string().optional(),
  serverSince: z.date().optional(),
  /** Version of the DNS records that it has confirmed. */
  dnsVersion: z.int().optional(),
});

function toView(book: AgentBook, agent: AgentView): z.infer<typeof agentView> {
  const path = book.paths.get(agent.agentId);
  return {
    agentId: agent.agentId, status: agent.status, deployment: agent.deployment, group: agent.group, index: agent.index, instanceUuid: agent.instanceUuid, az: agent.az, cid: agent.cid,
    heardAt: new Date(agent.updatedAt), jobState: agent.jobState, processes: agent.processes, server: path?.server, serverSince: path?.since, dnsVersion: book.dnsVersions.get(agent.agentId),
  };
}

function groupByServer(book: AgentBook, agents: readonly AgentView[]): Map<string, AgentView[]> {
  const groups = new Map<string, AgentView[]>();
  for (const agent of agents) {
    const server = serverOf(book, agent);
    const group = groups.get(server);
    if (group) group.push(agent);
    else groups.set(server, [agent]);
  }
  return groups;
}

/** Agents as the node that answers has heard them. */
export const agentsRouter = router({
  /** How many agents are at which NATS server and in which state. */
  summary: teamProcedure
    .output(
      z.object({
        at: z.date(),
        /** False until the node that answers has read the deployments' records. */
        synced: z.boolean(),
        total: z.int(),
        statuses: statusCounts,
        /** How far the DNS records have come; only for those who may read everything. */
        dns: z.object({ version: z.int(), records: z.int(), agents: z.int(), behind: z.int(), oldestBehindS: z.number().optional() }).optional(),
        servers: z.array(z.object({ name: z.string(), /** Absent for servers that no node has heard of lately, and for the agents without one (name `-`). */ state: z.enum(['connected', 'up', 'lost', 'unknown']).optional(), total: z.int(), statuses: statusCounts })),
      }),
    )
    .query(async ({ ctx }) => {
      const [overview, book, dns] = await Promise.all([ctx.shared.overview(), ctx.shared.agents(), ctx.may.teams ? undefined : ctx.shared.dns()]);
      const mine = filterAgents(book, { teams: ctx.may.teams });
      const byServer = groupByServer(book, mine);
      const known = overview.nats.map((server) => server.name);
      const others = [...byServer.keys()].filter((name) => !known.includes(name)).toSorted((a, b) => Number(a === noServer) - Number(b === noServer) || a.localeCompare(b));
      return {
        at: overview.at, synced: book.synced, total: mine.length, statuses: countStatuses(mine),
        dns: dns?.newest && { version: dns.newest.version, records: dns.records, agents: dns.agents, behind: dns.agentsBehind, oldestBehindS: dns.oldestBehind?.forS },
        servers: [...known, ...others].map((name) => {
          const here = byServer.get(name) ?? [];
          return { name, state: overview.nats.find((server) => server.name === name)?.state, total: here.length, statuses: countStatuses(here) };
        }),
      };
    }),

  list: teamProcedure
    .input(
      z.object({
        /** Name of a NATS server; `-`: those of which none is known. */
        server: z.string().optional(),
        status: agentStatus.optional(),
        deployment: z.string().optional(),
        text: z.string().max(200).optional(),
        /** For the next page: `next` of the one before. */
        after: z.string().optional(),
        limit: z.int().min(1).max(500).default(100),
      }),
    )
    .output(z.object({ at: z.date(), total: z.int(), agents: z.array(agentView), next: z.string().optional() }))
    .query(async ({ ctx, input }) => {
      const [{ at }, book] = await Promise.all([ctx.shared.overview(), ctx.shared.agents()]);
      const found = filterAgents(book, { ...input, teams: ctx.may.teams });
      const { page, next } = pageOf(found, input.after, input.limit);
      return { at, total: found.length, agents: page.map((agent) => toView(book, agent)), next };
    }),

  get: teamProcedure
    .input(z.object({ agentId: z.string().min(1) }))
    .output(agentView.extend({ discoveredAt: z.date(), vitals: vitalValues.optional() }))
    .query(async ({ ctx, input }) => {
      const found = ctx.deps.fleet.find(input.agentId);
      if (!found) throw new DirectorError(code.generic, `Node ${ctx.deps.node.name} has not heard of an agent '${input.agentId}'`, { status: 404 });
      ctx.may.require('dep:read', found.teams);
      return { ...toView(await ctx.shared.agents(), found), discoveredAt: new Date(found.discoveredAt), vitals: found.vitals && namedVitals(found.vitals) };
    }),
});
