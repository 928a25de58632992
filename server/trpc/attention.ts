import { z } from 'zod';
import type { IncidentKind } from '../../db/schema/health';
import type { ClusterOverview } from './cluster-overview';
import type { MonitoringTrouble } from './monitor-store';
import type { UntidyState } from './store';

/** One thing that an operator should look at: what is wrong, why that is thought, and where to go on. */
export const attentionItem = z.object({
  /** Stays the same while the same thing is wrong. */
  key: z.string(),
  severity: z.enum(['failed', 'look']),
  title: z.string(),
  cause: z.string(),
  action: z.object({ label: z.string(), href: z.string() }),
});
export type AttentionItem = z.infer<typeof attentionItem>;

/** Waiting longer than this means that the queue does not move, s. */
const queueLimitS = 30;
/** A NATS server may lag behind the agents' users for this long, ms. */
const natsLagLimitMs = 15_000;
/** A lease without a holder for longer than a take-over needs, ms. */
const freeLeaseLimitMs = 5_000;

/** What the health monitor, the plugins, the schedule and the bus know of. */
export interface MonitoringState extends MonitoringTrouble {
  incidents: readonly { deployment: string | undefined; kind: IncidentKind; count: number; since: Date }[];
  resurrectionPaused: boolean;
}

/** What needs attention, the worst first. */
export function findAttention(cluster: ClusterOverview, untidy: UntidyState, monitoring: MonitoringState): AttentionItem[] {
  const items = [
    ...incidents(monitoring, cluster.at), ...nodes(cluster), ...leases(cluster), ...stores(cluster), ...nats(cluster), ...queue(cluster), ...deployments(untidy), ...vms(untidy),
    ...plugins(monitoring), ...schedule(monitoring), ...moves(monitoring),
  ];
  return items.toSorted((a, b) => Number(b.severity === 'failed') - Number(a.severity === 'failed'));
}

const toCluster = { label: 'Open cluster', href: '/console/cluster' };

interface IncidentWords {
  one: string;
  many: string;
  means: string;
  /** Of an instance that somebody deployed. */
  managed: boolean;
}

const incidentWords: Record<IncidentKind, IncidentWords> = {
  agent_timeout: { one: 'agent does not answer', many: 'agents do not answer', means: 'No heartbeat within the timeout', managed: true },
  missing_vm: { one: 'instance has no VM', many: 'instances have no VM', means: 'A VM is wanted, and none is recorded', managed: true },
  deaf_agent: { one: 'agent beats but does not answer', many: 'agents beat but do not answer', means: 'Heartbeats come, answers do not', managed: true },
  rogue_agent: { one: 'agent belongs to no deployment', many: 'agents belong to no deployment', means: 'Heartbeats come from a VM that is not recorded', managed: false },
  unmanaged_timeout: { one: 'unmanaged agent fell silent', many: 'unmanaged agents fell silent', means: 'It belongs to no deployment, and its heartbeats have ended', managed: false },
};

/** One line per deployment and kind of incident. */
function incidents({ incidents: open, resurrectionPaused }: MonitoringState, now: Date): AttentionItem[] {
  const lines = open.map((one): AttentionItem => {
    const words = incidentWords[one.kind];
    const filter = one.deployment === undefined ? '' : `?deployment=${encodeURIComponent(one.deployment)}`;
    return {
      key: `incident-${one.deployment ?? ''}-${one.kind}`, severity: words.managed ? 'failed' : 'look', title: `${one.deployment === undefined ? '' : `${one.deployment}: `}${one.count} ${one.count === 1 ? words.one : words.many}`,
      cause: `${words.means}. ${one.count === 1 ? 'Open' : 'The first is open'} for ${seconds(now.getTime() - one.since.getTime())}.${words.managed && resurrectionPaused ? ' Resurrection is off: nothing is recreated.' : ''}`,
      action: { label: 'Open health', href: `/console/health${filter}` },
    };
  });
  if (!resurrectionPaused) return lines;
  return [...lines, { key: 'resurrection', severity: 'look', title: 'Resurrection is off', cause: 'VMs that are missing or do not answer are not recreated until somebody turns it on.', action: { label: 'Turn it on', href: '/console/health' } }];
}

function plugins({ plugins: failing }: MonitoringState): AttentionItem[] {
  return failing.map((one) => ({
    key: `plugin-${one.plugin}`, severity: one.givenUp > 0 ? 'failed' : 'look',
    title: one.givenUp > 0 ? `Plugin ${one.plugin} gave up ${one.givenUp} ${one.givenUp === 1 ? 'alert' : 'alerts'}` : `Plugin ${one.plugin} has not delivered ${one.waiting} ${one.waiting === 1 ? 'alert' : 'alerts'}`,
    cause: one.error ?? 'It did not say why.', action: { label: 'Open plugins', href: '/console/health#plugins' },
  }));
}

function schedule({ missed }: MonitoringState): AttentionItem[] {
  return missed.map((one) => ({
    key: `schedule-${one.schedule}`, severity: 'look', title: `${one.schedule} missed ${one.slots} ${one.slots === 1 ? 'run' : 'runs'}`, cause: 'No node was there to fire it, and it has not run since.',
    action: { label: 'Open schedule', href: `/console/schedule?entry=${encodeURIComponent(one.schedule)}` },
  }));
}

function moves({ moves: late }: MonitoringState): AttentionItem[] {
  return late.map((one) => ({
    key: `bus-move-${one.id}`, severity: 'look', title: `Bus move ${one.id} waits for ${one.pending} ${one.pending === 1 ? 'agent' : 'agents'}`, cause: one.error ?? 'They are told as soon as they answer.',
    action: { label: 'Open the move', href: `/console/cluster?move=${one.id}` },
  }));
}

function nodes(cluster: ClusterOverview): AttentionItem[] {
  return cluster.nodes.flatMap((node): AttentionItem[] => {
    if (node.state === 'lost') return [{ key: `node-${node.id}`, severity: 'failed', title: `Node ${node.letter} is lost`, cause: `No heartbeat for ${seconds(node.beatAgeMs)}. Its tasks and leases go on elsewhere.`, action: toCluster }];
    if (node.state === 'draining') return [{ key: `node-${node.id}`, severity: 'look', title: `Node ${node.letter} is draining`, cause: 'It takes no new work and hands over what it has.', action: toCluster }];
    return [];
  });
}

function leases(cluster: ClusterOverview): AttentionItem[] {
  return cluster.leases.flatMap((lease): AttentionItem[] => {
    if (lease.paused) return [{ key: `lease-${lease.name}`, severity: 'look', title: `Component ${lease.name} is paused`, cause: 'Its duty is not done until somebody resumes it.', action: { label: 'Resume it', href: `/console/cluster?component=${lease.name}` } }];
    if (lease.holder === undefined && (lease.freeForMs ?? 0) > freeLeaseLimitMs) return [{ key: `lease-${lease.name}`, severity: 'failed', title: `Component ${lease.name} has no holder`, cause: `No node has taken its lease for ${seconds(lease.freeForMs ?? 0)}.`, action: toCluster }];
    return [];
  });
}

function stores(cluster: ClusterOverview): AttentionItem[] {
  return cluster.blobstore.ok ? [] : [{ key: 'blobstore', severity: 'failed', title: 'The blobstore does not answer', cause: cluster.blobstore.error ?? 'No answer within 2 s.', action: toCluster }];
}

function nats(cluster: ClusterOverview): AttentionItem[] {
  return cluster.nats.flatMap((server): AttentionItem[] => {
    if (server.state === 'lost') return [{ key: `nats-${server.url}`, severity: 'failed', title: `NATS server ${server.name} is lost`, cause: 'Agents and nodes use the others.', action: toCluster }];
    if (server.behindForMs > natsLagLimitMs) return [{ key: `nats-${server.url}`, severity: 'look', title: `NATS server ${server.name} has not applied the agents' users for ${seconds(server.behindForMs)}`, cause: 'New VMs wait until every live server lets their agents in.', action: toCluster }];
    return [];
  });
}

function queue(cluster: ClusterOverview): AttentionItem[] {
  const oldest = cluster.queue.oldestQueuedS;
  if (oldest === undefined || oldest < queueLimitS) return [];
  return [{ key: 'queue', severity: 'look', title: `A task has waited for ${seconds(oldest * 1000)}`, cause: `${cluster.queue.queued} queued, ${cluster.queue.running} running: workers are busy or missing.`, action: { label: 'Show queued tasks', href: '/console/tasks?state=queued' } }];
}

function deployments(untidy: UntidyState): AttentionItem[] {
  const failed = untidy.failedTasks.map((task): AttentionItem => ({
    key: `task-${task.id}`, severity: 'failed', title: `Task ${task.id} failed: ${task.description}${task.deployment === undefined ? '' : ` (${task.deployment})`}`, cause: task.result,
    action: { label: 'Open task', href: `/console/tasks/${task.id}` },
  }));
  const unfinished = untidy.unfinished.map((one): AttentionItem => ({
    key: `deployment-${one.deployment}`, severity: 'look', title: `${one.deployment}: ${one.instances} ${one.instances === 1 ? 'instance is' : 'instances are'} not up to date`, cause: 'The last update did not finish; the next deploy goes on from there.',
    action: { label: 'Open deployment', href: `/console/deployments/${encodeURIComponent(one.deployment)}` },
  }));
  return [...failed, ...unfinished];
}

function vms(untidy: UntidyState): AttentionItem[] {
  const found: AttentionItem[] = [];
  if (untidy.abandonedVms > 0) found.push({ key: 'abandoned-vms', severity: 'look', title: `${untidy.abandonedVms} ${untidy.abandonedVms === 1 ? 'VM was' : 'VMs were'} left half-made`, cause: 'A task ended between asking for the VM and recording it. The next deploy adopts or deletes it.', action: { label: 'Show failed tasks', href: '/console/tasks?state=error' } });
  if (untidy.orphanedVms > 0) found.push({ key: 'orphaned-vms', severity: 'look', title: `${untidy.orphanedVms} orphaned ${untidy.orphanedVms === 1 ? 'VM waits' : 'VMs wait'} to be deleted`, cause: 'No instance uses them any more.', action: { label: 'Show deployments', href: '/console/deployments' } });
  return found;
}

function seconds(ms: number): string {
  return ms < 90_000 ? `${Math.round(ms / 1000)} s` : `${Math.round(ms / 60_000)} min`;
}
