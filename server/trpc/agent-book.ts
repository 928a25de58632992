import { z } from 'zod';
import type { AgentStatus, AgentView, FleetView } from '../health/fleet-view';

/** Agents as this node has heard them, joined with the NATS server that each is connected to: filtered, counted, cut into pages. */

export const agentStatuses = ['running', 'failing', 'starting', 'stopped', 'unknown', 'unresponsive', 'unmanaged'] as const satisfies readonly AgentStatus[];
export const agentStatus = z.enum(agentStatuses);

export interface AgentRecords {
  /** The NATS server that each agent was last connected to, and since when. */
  paths: ReadonlyMap<string, { server: string; since: Date }>;
  /** Newest version of the DNS records that each agent has confirmed. */
  dnsVersions: ReadonlyMap<string, number>;
}

/** Every agent at one moment. With 20,000 of them nothing is copied or sorted that nobody looks at. */
export interface AgentBook extends AgentRecords {
  /** False until this node has read the deployments' records: then the list is not complete. */
  synced: boolean;
  /** In no order. */
  agents: readonly AgentView[];
}

export function openAgentBook(fleet: FleetView, records: AgentRecords): AgentBook {
  return { synced: fleet.synced, agents: fleet.agents(), ...records };
}

/** Sorts agents by deployment, group and index, unmanaged ones last; unique. */
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

/** Name of the agent's NATS server; `-` where none is known. */
export function serverOf(book: Pick<AgentBook, 'paths'>, agent: AgentView): string {
  return book.paths.get(agent.agentId)?.server ?? noServer;
}

export function filterAgents(book: AgentBook, filter: AgentFilter): AgentView[] {
  const text = filter.text?.toLowerCase();
  return book.agents.filter((agent) => {
    if (filter.teams && !agent.teams.some((team) => filter.teams?.includes(team))) return false;
    if (filter.server !== undefined && serverOf(book, agent) !== filter.server) return false;
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

/** The first `limit` agents after the key `after`, and the key of the last one when there are more. */
export function pageOf(agents: readonly AgentView[], after: string | undefined, limit: number): { page: AgentView[]; next: string | undefined } {
  const first: { key: string; agent: AgentView }[] = [];
  for (const agent of agents) {
    const key = keyOf(agent);
    const last = first.at(-1);
    if ((after !== undefined && key <= after) || (first.length > limit && last && key > last.key)) continue;
    first.splice(placeOf(first, key), 0, { key, agent });
    if (first.length > limit + 1) first.pop();
  }
  const page = first.slice(0, limit);
  return { page: page.map((one) => one.agent), next: first.length > page.length ? page.at(-1)?.key : undefined };
}

/** Where a key belongs in a sorted list. */
function placeOf(sorted: readonly { key: string }[], key: string): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((sorted[middle]?.key ?? '') < key) low = middle + 1;
    else high = middle;
  }
  return low;
}
