import { z } from 'zod';
import type { AgentStatus, AgentView, FleetView } from '../health/fleet-view';

/** Agents as this node has heard them, joined with the NATS server that each is connected to: filtered, counted, cut into pages. */

export const agentStatuses = ['running', 'failing', 'starting', 'stopped', 'unknown', 'unresponsive', 'unmanaged'] as const satisfies readonly AgentStatus[];
export const agentStatus = z.enum(agentStatuses);

/** An agent with what the records say of it. */
export interface KnownAgent extends AgentView {
  /** Sorts agents by deployment, group and index, unmanaged ones last; unique. */
  key: string;
  /** Name of the NATS server that it was last connected to; undefined: not known. */
  server: string | undefined;
  /** Since when it is connected there. */
  serverSince: Date | undefined;
  /** Newest version of the DNS records that it has confirmed. */
  dnsVersion: number | undefined;
}

/** Every agent at one moment. */
export interface AgentBook {
  /** False until this node has read the deployments' records: then the list is not complete. */
  synced: boolean;
  heartbeats: number;
  /** By key. */
  agents: readonly KnownAgent[];
}

export interface AgentRecords {
  paths: ReadonlyMap<string, { server: string; since: Date }>;
  dnsVersions: ReadonlyMap<string, number>;
}

export function openAgentBook(fleet: FleetView, records: AgentRecords): AgentBook {
  const agents = fleet.agents().map((agent): KnownAgent => {
    const path = records.paths.get(agent.agentId);
    return { ...agent, key: keyOf(agent), server: path?.server, serverSince: path?.since, dnsVersion: records.dnsVersions.get(agent.agentId) };
  });
  return { synced: fleet.synced, heartbeats: fleet.heartbeats, agents: agents.toSorted((a, b) => (a.key < b.key ? -1 : 1)) };
}

function keyOf(agent: AgentView): string {
  if (agent.deployment === undefined) return `~/${agent.agentId}`;
  return `${agent.deployment}/${agent.group ?? ''}/${String(agent.index ?? 0).padStart(6, '0')}/${agent.agentId}`;
}

/** In filters: agents of which no NATS server is known. */
export const noServer = '-';

export interface AgentFilter {
  /** Only agents of these teams' deployments; undefined: all. */
  teams?: readonly string[] | undefined;
  server?: string | undefined;
  status?: AgentStatus | undefined;
  deployment?: string | undefined;
  /** A part of an id, a group, a deployment or a VM's cid. */
  text?: string | undefined;
}

export function filterAgents(agents: readonly KnownAgent[], filter: AgentFilter): KnownAgent[] {
  const text = filter.text?.toLowerCase();
  return agents.filter((agent) => {
    if (filter.teams && !agent.teams.some((team) => filter.teams?.includes(team))) return false;
    if (filter.server !== undefined && (agent.server ?? noServer) !== filter.server) return false;
    if (filter.status !== undefined && agent.status !== filter.status) return false;
    if (filter.deployment !== undefined && agent.deployment !== filter.deployment) return false;
    return text === undefined || [agent.agentId, agent.instanceUuid, agent.cid, agent.deployment, `${agent.group ?? ''}/${agent.index ?? ''}`].some((value) => value?.toLowerCase().includes(text));
  });
}

export type StatusCounts = Record<AgentStatus, number>;

export function countStatuses(agents: readonly Pick<AgentView, 'status'>[]): StatusCounts {
  const counts: StatusCounts = { running: 0, failing: 0, starting: 0, stopped: 0, unknown: 0, unresponsive: 0, unmanaged: 0 };
  for (const agent of agents) counts[agent.status]++;
  return counts;
}

/** Up to `limit` agents whose key is greater than `after`. */
export function pageOf(agents: readonly KnownAgent[], after: string | undefined, limit: number): { page: KnownAgent[]; next: string | undefined } {
  const rest = after === undefined ? agents : agents.filter((agent) => agent.key > after);
  const page = rest.slice(0, limit);
  return { page, next: rest.length > page.length ? page.at(-1)?.key : undefined };
}
