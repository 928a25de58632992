import { beforeEach, describe, expect, it } from 'vitest';
import type { IncidentKind } from '../../db/schema/health';
import { analyse, endReason, type AnalysisInput } from './analysis';
import { createFleet, type AgentRecord, type Fleet } from './fleet';
import { deploymentAlert, incidentAlert } from './incident-alerts';
import { worstOf, type Scene } from './paths';

let now = 0;
let grace = Number.NEGATIVE_INFINITY;
let fleet: Fleet;
const scene = (): Scene => ({ now, grace, provenAt: now, servers: new Map(), anywhere: worstOf([]), pathGraceMs: 1 });
const record = (agentId: string, more: Partial<AgentRecord> = {}): AgentRecord => ({
  agentId, deployment: 'lab', group: 'web', index: 0, instanceId: 1, instanceUuid: `i-${agentId}`, az: 'z1', cid: `vm-${agentId}`, compilation: false, path: undefined, pathSince: Number.NEGATIVE_INFINITY, ...more,
});
const sync = (...agents: AgentRecord[]) => fleet.sync({ deployments: new Map(), agents, missing: [], others: new Set() }, now);
const input = (more: Partial<AnalysisInput> = {}): AnalysisInput => ({ fleet, deaf: new Set(), scene: scene(), agentTimeoutMs: 60_000, rogueAfterMs: 120_000, ...more });
const kinds = (more: Partial<AnalysisInput> = {}) => analyse(input(more)).findings.map(({ kind, subject }) => `${kind} ${subject}`);

beforeEach(() => {
  now = 0;
  grace = Number.NEGATIVE_INFINITY;
  fleet = createFleet({ agentTimeoutMs: 60_000, unmanagedLimit: 100, scene, epochOffset: () => 0 });
});

describe('the analysis', () => {
  it('finds agents that are silent for longer than the timeout, and no compilation VMs', () => {
    sync(record('a'), record('b'), record('c', { compilation: true }));
    now = 30_000;
    fleet.beat('b', {}, now);
    now = 60_000;
    expect(kinds()).toEqual([]);
    now = 60_001;
    expect(analyse(input()).findings).toEqual([{ kind: 'agent_timeout', subject: 'a', agentId: 'a', deployment: 'lab', group: 'web', index: 0, instanceUuid: 'i-a', cid: 'vm-a' }]);
  });

  it('gives everybody a whole timeout after a grace', () => {
    sync(record('a'));
    now = 100_000;
    grace = 90_000;
    expect(kinds()).toEqual([]);
    now = 150_001;
    expect(kinds()).toEqual(['agent_timeout a']);
  });

  it('finds agents that beat but do not answer, unless they are silent altogether', () => {
    sync(record('a'));
    fleet.beat('a', {}, now);
    now = 10_000;
    expect(kinds({ deaf: new Set(['a']) })).toEqual(['deaf_agent a']);
    now = 70_000;
    expect(kinds({ deaf: new Set(['a']) })).toEqual(['agent_timeout a']);
  });

  it('finds instances without the VM they should have', () => {
    fleet.sync({ deployments: new Map(), agents: [], missing: [{ deployment: 'lab', group: 'web', index: 2, instanceUuid: 'i-2' }], others: new Set() }, now);
    expect(kinds()).toEqual(['missing_vm i-2']);
  });

  it('takes an agent that nobody knows for silent at first, for rogue when it goes on, and forgets it when it is both', () => {
    sync();
    fleet.beat('x', {}, now);
    now = 60_001;
    expect(kinds()).toEqual(['unmanaged_timeout x']);
    fleet.beat('x', {}, now);
    now = 120_001;
    fleet.beat('x', {}, now);
    expect(kinds()).toEqual(['rogue_agent x']);
    now = 180_002;
    expect(analyse(input())).toEqual({ findings: [], forgotten: ['x'] });
  });
});

describe('an incident', () => {
  const reason = (kind: IncidentKind, subject: string, more: { knownAt?: number; answeredAt?: number } = {}) =>
    endReason({ id: 1, kind, subject, knownAt: more.knownAt ?? 50_000 }, { ...input(), answeredAt: () => more.answeredAt });

  it('of a silent agent ends with its next heartbeat, not with a discovery', () => {
    now = 60_000;
    sync(record('a'));
    expect(reason('agent_timeout', 'a')).toBeUndefined();
    fleet.beat('a', {}, now);
    expect(reason('agent_timeout', 'a')).toBe('the agent was heard again');
    expect(reason('agent_timeout', 'a', { knownAt: 60_000 })).toBeUndefined();
  });

  it('of a deaf agent ends with an answer, or when it is silent too', () => {
    sync(record('a'));
    fleet.beat('a', {}, now);
    now = 51_000;
    expect(reason('deaf_agent', 'a')).toBeUndefined();
    expect(reason('deaf_agent', 'a', { answeredAt: 49_000 })).toBeUndefined();
    expect(reason('deaf_agent', 'a', { answeredAt: 51_000 })).toBe('the agent answers again');
    now = 70_000;
    expect(reason('deaf_agent', 'a')).toBe('the agent fell silent');
  });

  it('of an unknown agent ends when a deployment knows it or it is gone for long', () => {
    now = 60_000;
    for (const kind of ['rogue_agent', 'unmanaged_timeout'] as const) {
      expect(reason(kind, 'x'), kind).toBeUndefined();
      sync(record('x'));
      expect(reason(kind, 'x'), kind).toBe('a deployment knows the agent');
      sync();
    }
    now = 110_001;
    expect(reason('rogue_agent', 'x')).toBe('the agent fell silent');
    expect(reason('unmanaged_timeout', 'x')).toBe('the agent is gone');
    fleet.beat('x', {}, now);
    expect(reason('rogue_agent', 'x')).toBeUndefined();
    expect(reason('unmanaged_timeout', 'x')).toBe('the agent was heard again');
  });
});

describe('the alerts', () => {
  const stored = (kind: IncidentKind, number = 1) => ({ kind, subject: 'a-1', agentId: kind === 'missing_vm' ? undefined : 'a-1', deployment: 'lab', group: 'web', index: 0, instanceUuid: 'i-1', cid: 'vm-1', id: 7, number, openedAt: 1_700_000_000.5 });

  it('say what BOSH says', () => {
    const agent = 'lab: web(i-1) [id=a-1, index=0, cid=vm-1]';
    expect(incidentAlert(stored('agent_timeout'))).toMatchObject({ category: 'vm_health', severity: 2, title: 'a-1 has timed out', summary: 'a-1 has timed out', source: agent, deployment: 'lab', job: 'web', instanceId: 'i-1', incidentId: 7 });
    expect(incidentAlert(stored('deaf_agent'))).toMatchObject({ category: 'vm_health', title: 'a-1 sends heartbeats but does not answer', source: agent });
    expect(incidentAlert({ ...stored('missing_vm'), subject: 'i-1' })).toMatchObject({ category: 'vm_health', title: 'i-1 has no VM', source: 'lab: web(i-1) [index=0, cid=]' });
    const unknown = { subject: 'x', agentId: 'x', id: 8, number: 1, openedAt: 1 };
    expect(incidentAlert({ ...unknown, kind: 'rogue_agent' })).toMatchObject({ title: 'x is not a part of any deployment', source: 'agent x []' });
    expect(incidentAlert({ ...unknown, kind: 'rogue_agent' }).category).toBeUndefined();
    expect(incidentAlert({ ...unknown, kind: 'unmanaged_timeout' })).toMatchObject({ category: 'vm_health', title: 'x has timed out', source: 'agent x []' });
  });

  it('have ids that follow from the occurrence', () => {
    expect(incidentAlert(stored('agent_timeout')).id).toBe(incidentAlert({ ...stored('agent_timeout'), openedAt: 1 }).id);
    expect(new Set([stored('agent_timeout'), stored('agent_timeout', 2), stored('deaf_agent')].map((one) => incidentAlert(one).id)).size).toBe(3);
  });

  it('sum up a deployment', () => {
    const down = (incidentId: number, group: string, instanceUuid: string, deployment = 'lab') => ({ incidentId, kind: 'agent_timeout' as const, deployment, group, instanceUuid });
    const alert = deploymentAlert('lab', 'agent_timeout', { down: [down(3, 'web', 'b'), down(1, 'web', 'a'), down(2, 'db', 'c'), down(9, 'web', 'z', 'other')], createdAt: 5 });
    expect(alert).toMatchObject({ category: 'deployment_health', severity: 2, title: 'lab has instances with timed out agents', source: 'lab', deployment: 'lab', jobsToInstanceIds: { db: ['c'], web: ['a', 'b'] } });
    expect(alert.id).not.toBe(deploymentAlert('lab', 'agent_timeout', { down: [down(1, 'web', 'a')], createdAt: 5 }).id);
  });
});
