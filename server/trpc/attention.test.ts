import { describe, expect, it } from 'vitest';
import { findAttention, type MonitoringState } from './attention';
import type { ClusterOverview } from './cluster-overview';
import type { UntidyState } from './store';

const face = (letter: string) => ({ id: letter, name: letter, letter, hue: 0 });
const node = (letter: string, state: ClusterOverview['nodes'][number]['state']) => ({ ...face(letter), host: 'h', url: 'u', roles: [], version: '1', pid: 1, state, startedAt: new Date(0), beatAgeMs: 40_000, leases: 1 });
const well: ClusterOverview = {
  at: new Date(0), servedBy: face('A'), director: { name: 'd', uuid: 'u', version: '1', cpi: 'c' }, nodes: [node('A', 'ready'), node('B', 'ready')],
  leases: [{ name: 'reaper', holder: face('A'), epoch: 3, paused: false }], nats: [{ name: 'nats-1', url: 'nats://1', state: 'connected', behind: 0, behindForMs: 0 }],
  postgres: { version: '18', latencyMs: 1 }, blobstore: { ok: true }, queue: { queued: 0, running: 1 },
};
const tidy: UntidyState = { unfinished: [], failedTasks: [], orphanedVms: 0, abandonedVms: 0 };
const quiet: MonitoringState = { incidents: [], plugins: [], missed: [], moves: [], resurrectionPaused: false };
const titles = (cluster: Partial<ClusterOverview>, untidy: Partial<UntidyState> = {}, monitoring: Partial<MonitoringState> = {}) =>
  findAttention({ ...well, ...cluster }, { ...tidy, ...untidy }, { ...quiet, ...monitoring }).map((item) => item.title);

describe('what needs attention', () => {
  it('is nothing when all is well', () => {
    expect(titles({})).toEqual([]);
    expect(titles({ nodes: [node('A', 'ready'), node('B', 'starting'), node('C', 'stopped')], queue: { queued: 2, running: 8, oldestQueuedS: 12 } })).toEqual([]);
  });

  it.each<[string, Partial<ClusterOverview>, Partial<UntidyState>]>([
    ['Node B is lost', { nodes: [node('A', 'ready'), node('B', 'lost')] }, {}],
    ['Node B is draining', { nodes: [node('B', 'draining')] }, {}],
    ['Component reaper is paused', { leases: [{ name: 'reaper', epoch: 3, paused: true }] }, {}],
    ['Component reaper has no holder', { leases: [{ name: 'reaper', epoch: 3, paused: false, freeForMs: 9_000 }] }, {}],
    ['NATS server nats-2 is lost', { nats: [{ name: 'nats-2', url: 'nats://2', state: 'lost', behind: 0, behindForMs: 0 }] }, {}],
    ["NATS server nats-2 has not applied the agents' users for 20 s", { nats: [{ name: 'nats-2', url: 'nats://2', state: 'up', behind: 4, behindForMs: 20_000 }] }, {}],
    ['The blobstore does not answer', { blobstore: { ok: false, error: 'refused' } }, {}],
    ['A task has waited for 2 min', { queue: { queued: 3, running: 8, oldestQueuedS: 120 } }, {}],
    ['Task 7 failed: create deployment (web)', {}, { failedTasks: [{ id: 7, description: 'create deployment', deployment: 'web', result: 'broken', finishedAt: new Date(0) }] }],
    ['web: 1 instance is not up to date', {}, { unfinished: [{ deployment: 'web', instances: 1 }] }],
    ['2 VMs were left half-made', {}, { abandonedVms: 2 }],
    ['1 orphaned VM waits to be deleted', {}, { orphanedVms: 1 }],
  ])('%s', (title, cluster, untidy) => {
    expect(titles(cluster, untidy)).toEqual([title]);
  });

  it.each<[string, Partial<MonitoringState>]>([
    ['web: 2 agents do not answer', { incidents: [{ deployment: 'web', kind: 'agent_timeout', count: 2, since: new Date(-60_000) }] }],
    ['web: 1 instance has no VM', { incidents: [{ deployment: 'web', kind: 'missing_vm', count: 1, since: new Date(-60_000) }] }],
    ['1 agent belongs to no deployment', { incidents: [{ deployment: undefined, kind: 'rogue_agent', count: 1, since: new Date(-60_000) }] }],
    ['Resurrection is off', { resurrectionPaused: true }],
    ['Plugin email gave up 3 alerts', { plugins: [{ plugin: 'email', givenUp: 3, waiting: 1, error: 'refused' }] }],
    ['Plugin email has not delivered 1 alert', { plugins: [{ plugin: 'email', givenUp: 0, waiting: 1, error: undefined }] }],
    ['ScheduledTasksCleanup missed 1 run', { missed: [{ schedule: 'ScheduledTasksCleanup', slots: 1, lastAt: new Date(0) }] }],
    ['Bus move 4 waits for 7 agents', { moves: [{ id: 4, pending: 7, error: undefined }] }],
  ])('%s', (title, monitoring) => {
    expect(titles({}, {}, monitoring)).toEqual([title]);
  });

  it('has what failed before what to look at, and a lease in hand-over is nothing', () => {
    expect(titles({ leases: [{ name: 'reaper', epoch: 3, paused: true }], blobstore: { ok: false } })).toEqual(['The blobstore does not answer', 'Component reaper is paused']);
    expect(titles({ leases: [{ name: 'reaper', epoch: 3, paused: false, freeForMs: 400 }] })).toEqual([]);
  });
});
