import type { IncidentKind } from '../../db/schema/health';
import type { NewAlert } from '../alerts/alert';
import { uuidFrom } from '../core/digest';
import type { Finding } from './analysis';
import { agentName, instanceNameOf } from './names';

/** The alerts that the health monitor makes. Ids follow from the incidents, so that whoever stores them stores the same. */

/** A stored incident with what was found. */
export interface StoredIncident extends Finding {
  id: number;
  number: number;
  /** Seconds since 1970. */
  openedAt: number;
}

/** Severity of everything that the monitor finds itself: critical. */
const severity = 2;

export function incidentAlert(incident: StoredIncident): NewAlert {
  const { kind, subject, number, deployment, group, instanceUuid, agentId } = incident;
  const id = uuidFrom(`${kind}:${subject}:${number}`);
  const title = titleOf(incident);
  const category = kind === 'rogue_agent' ? undefined : 'vm_health';
  return {
    id, dedupKey: id, origin: 'health_monitor', category, severity, title, summary: title, source: sourceOf(incident), deployment, job: group, instanceId: instanceUuid, agentId,
    incidentId: incident.id, createdAt: incident.openedAt,
  };
}

function titleOf({ kind, subject }: StoredIncident): string {
  switch (kind) {
    case 'agent_timeout': case 'unmanaged_timeout':
      return `${subject} has timed out`;
    case 'missing_vm':
      return `${subject} has no VM`;
    case 'rogue_agent':
      return `${subject} is not a part of any deployment`;
    case 'deaf_agent':
      return `${subject} sends heartbeats but does not answer`;
  }
}

function sourceOf({ kind, subject, agentId, deployment, group, index, instanceUuid, cid }: StoredIncident): string {
  if (kind === 'missing_vm' && deployment !== undefined && group !== undefined && index !== undefined && instanceUuid !== undefined) return instanceNameOf({ deployment, group, index, instanceUuid });
  return agentName({ agentId: agentId ?? subject, deployment, group, index, instanceUuid, cid });
}

/** Kinds that mean an instance is down: the resurrector's business. */
export const downKinds = ['agent_timeout', 'missing_vm', 'deaf_agent'] as const satisfies IncidentKind[];
export type DownKind = (typeof downKinds)[number];

export function isDownKind(kind: IncidentKind): kind is DownKind {
  return downKinds.some((candidate) => candidate === kind);
}

/** An instance that is down now. */
export interface DownInstance {
  incidentId: number;
  kind: DownKind;
  deployment: string;
  group: string;
  instanceUuid: string;
}

const deploymentTitles: Record<DownKind, string> = {
  agent_timeout: 'has instances with timed out agents',
  missing_vm: 'has instances which do not have VMs',
  deaf_agent: 'has instances whose agents do not answer',
};

/** The sum of one kind of one deployment; `createdAt` is seconds since 1970. */
export function deploymentAlert(deployment: string, kind: DownKind, of: { down: readonly DownInstance[]; createdAt: number }): NewAlert {
  const own = of.down.filter((one) => one.deployment === deployment && one.kind === kind);
  const ids = own.map((one) => one.incidentId).toSorted((a, b) => a - b);
  const id = uuidFrom(`deployment_health:${deployment}:${kind}:${ids.join(',')}`);
  const title = `${deployment} ${deploymentTitles[kind]}`;
  return {
    id, dedupKey: id, origin: 'health_monitor', category: 'deployment_health', severity, title, summary: title, source: deployment, deployment,
    jobsToInstanceIds: byGroup(own), createdAt: of.createdAt,
  };
}

/** Instance uuids by group, both sorted. */
export function byGroup(instances: readonly { group: string; instanceUuid: string }[]): Record<string, string[]> {
  const groups = new Map<string, Set<string>>();
  for (const { group, instanceUuid } of instances) groups.set(group, (groups.get(group) ?? new Set()).add(instanceUuid));
  return Object.fromEntries([...groups].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([group, uuids]) => [group, [...uuids].toSorted()]));
}
