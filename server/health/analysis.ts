import type { IncidentKind } from '../../db/schema/health';
import type { Fleet } from './fleet';
import type { NamedAgent } from './names';
import { silenceMs, type Scene } from './paths';

/**
 * What is wrong now. Conditions: cloudfoundry/bosh src/bosh-monitor/lib/bosh/monitor/instance_manager.rb, with one difference: a
 * condition is told once, when it begins, not in every round.
 */

/** A condition that holds. */
export interface Finding extends Omit<NamedAgent, 'agentId'> {
  kind: IncidentKind;
  /** Agent id; instance uuid for `missing_vm`. */
  subject: string;
  agentId: string | undefined;
}

export interface Analysis {
  findings: Finding[];
  /** Unmanaged agents that are gone: nobody cares about them any more. */
  forgotten: string[];
}

export interface AnalysisInput {
  fleet: Pick<Fleet, 'managed' | 'unmanaged' | 'missing'>;
  /** Agents that beat but do not answer. */
  deaf: ReadonlySet<string>;
  scene: Scene;
  agentTimeoutMs: number;
  rogueAfterMs: number;
}

export function analyse(input: AnalysisInput): Analysis {
  const { fleet, deaf, scene, agentTimeoutMs } = input;
  const findings: Finding[] = [];
  const someAreDeaf = deaf.size > 0;
  for (const agent of fleet.managed.values()) {
    const beats = scene.now - agent.heardAt <= agentTimeoutMs;
    // The usual case, decided without a look at the bus.
    if (beats && !(someAreDeaf && deaf.has(agent.agentId))) continue;
    if (agent.compilation) continue;
    const silent = silenceMs(agent, scene) > agentTimeoutMs;
    if (!silent && !beats) continue;
    const { agentId, deployment, group, index, instanceUuid, cid } = agent;
    findings.push({ kind: silent ? 'agent_timeout' : 'deaf_agent', subject: agentId, agentId, deployment, group, index, instanceUuid, cid });
  }
  for (const { deployment, group, index, instanceUuid } of fleet.missing) {
    findings.push({ kind: 'missing_vm', subject: instanceUuid, agentId: undefined, deployment, group, index, instanceUuid });
  }
  const unmanaged = analyseUnmanaged(input);
  return { findings: [...findings, ...unmanaged.findings], forgotten: unmanaged.forgotten };
}

function analyseUnmanaged({ fleet, scene, agentTimeoutMs, rogueAfterMs }: AnalysisInput): Analysis {
  const findings: Finding[] = [];
  const forgotten: string[] = [];
  for (const agent of fleet.unmanaged.values()) {
    const rogue = scene.now - agent.foundAt > rogueAfterMs;
    const silent = silenceMs(agent, scene) > agentTimeoutMs;
    if (rogue && silent) forgotten.push(agent.agentId);
    else if (rogue) findings.push({ kind: 'rogue_agent', subject: agent.agentId, agentId: agent.agentId });
    else if (silent) findings.push({ kind: 'unmanaged_timeout', subject: agent.agentId, agentId: agent.agentId });
  }
  return { findings, forgotten };
}

/** An incident that is open. */
export interface OpenIncident {
  id: number;
  kind: IncidentKind;
  subject: string;
  /** Since when this process knows of it, monotonic ms: what was heard later ends it. */
  knownAt: number;
}

export type Ending = { id: number; reason: string };

/** Why an incident is over, as far as what was heard tells; undefined: it goes on. What the records tell is asked of the database. */
export function endReason(incident: OpenIncident, input: AnalysisInput & { answeredAt: (agentId: string) => number | undefined }): string | undefined {
  const { fleet, scene, agentTimeoutMs } = input;
  const { kind, subject, knownAt } = incident;
  const managed = fleet.managed.get(subject);
  const unmanaged = fleet.unmanaged.get(subject);
  const heard = Math.max(managed?.beatAt ?? Number.NEGATIVE_INFINITY, unmanaged?.beatAt ?? Number.NEGATIVE_INFINITY) > knownAt;
  const gone = unmanaged === undefined && scene.now - Math.max(knownAt, scene.grace) > agentTimeoutMs;
  switch (kind) {
    case 'agent_timeout':
      return managed !== undefined && heard ? 'the agent was heard again' : undefined;
    case 'deaf_agent':
      if (managed !== undefined && silenceMs(managed, scene) > agentTimeoutMs) return 'the agent fell silent';
      return (input.answeredAt(subject) ?? Number.NEGATIVE_INFINITY) > knownAt ? 'the agent answers again' : undefined;
    case 'rogue_agent':
      if (managed !== undefined) return 'a deployment knows the agent';
      return gone ? 'the agent fell silent' : undefined;
    case 'unmanaged_timeout':
      if (managed !== undefined) return 'a deployment knows the agent';
      if (heard) return 'the agent was heard again';
      return gone ? 'the agent is gone' : undefined;
    case 'missing_vm':
      return undefined;
  }
}

/** Identifies an incident among the open ones. */
export function incidentKey({ kind, subject }: { kind: IncidentKind; subject: string }): string {
  return `${kind}:${subject}`;
}
