import { readFileSync } from 'node:fs';
import { beforeEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { createFleet, type AgentRecord, type Fleet, type FleetRecords } from './fleet';
import { vitalNames } from './fleet-view';
import { worstOf, type Scene } from './paths';

const lines = readFileSync('tests/fixtures/health/messages.jsonl', 'utf8').trim().split('\n').map((line) => z.object({ subject: z.string(), data: z.unknown() }).parse(JSON.parse(line)));
const heartbeats = lines.filter((line) => line.subject.startsWith('hm.agent.heartbeat.')).map((line) => z.looseObject({ job_state: z.string() }).parse(line.data));
const [running = { job_state: '' }] = heartbeats.filter((one) => one.job_state === 'running');
const [stopped = { job_state: '' }] = heartbeats.filter((one) => one.job_state === 'stopped');

let now = 0;
let fleet: Fleet;
const scene = (): Scene => ({ now, grace: Number.NEGATIVE_INFINITY, provenAt: now, servers: new Map(), anywhere: worstOf([]), pathGraceMs: 1 });
const record = (agentId: string, more: Partial<AgentRecord> = {}): AgentRecord => ({
  agentId, deployment: 'lab', group: 'web', index: 0, instanceId: 1, instanceUuid: `i-${agentId}`, az: 'z1', cid: `vm-${agentId}`, compilation: false, path: undefined, pathSince: Number.NEGATIVE_INFINITY, ...more,
});
const records = (agents: AgentRecord[], more: Partial<FleetRecords> = {}): FleetRecords => ({ deployments: new Map([['lab', { teams: ['ops'] }], ['idle', { teams: [] }]]), agents, missing: [], others: new Set(), ...more });

beforeEach(() => {
  now = 1_000;
  fleet = createFleet({ agentTimeoutMs: 60_000, unmanagedLimit: 3, scene, epochOffset: () => 1_700_000_000_000 });
});

describe('the fleet', () => {
  it('counts deployments from the first reading of the records on', () => {
    expect(fleet.synced).toBe(false);
    fleet.sync(records([record('a'), record('b')]), now);
    expect(fleet.synced).toBe(true);
    const zero = { lab: 0, idle: 0 };
    expect(fleet.counts()).toEqual({ unresponsive: zero, unhealthy: zero, failing: zero, stopped: zero, unknown: { lab: 2, idle: 0 }, available: { lab: 2, idle: 0, unmanaged: 0 } });
  });

  it('remembers what a real heartbeat says', () => {
    fleet.sync(records([record('a')]), now);
    now = 5_000;
    expect(fleet.beat('a', running, now)?.instanceUuid).toBe('i-a');
    expect(fleet.find('a')).toMatchObject({
      agentId: 'a', deployment: 'lab', teams: ['ops'], group: 'web', index: 0, instanceUuid: 'i-a', az: 'z1', cid: 'vm-a', status: 'running', jobState: 'running', processes: 3,
      updatedAt: 1_700_000_005_000, discoveredAt: 1_700_000_001_000,
    });
    const vitals = Object.fromEntries(vitalNames.map((name, n) => [name, fleet.find('a')?.vitals?.[n]]));
    expect(vitals).toEqual({
      load_1m: 0.07, cpu_user: 10.5, cpu_sys: 4.9, cpu_wait: 0, mem_percent: 7, mem_kb: 1_670_488, swap_percent: 0, swap_kb: 0, disk_system_percent: 14, disk_system_inode_percent: 4,
      disk_ephemeral_percent: 14, disk_ephemeral_inode_percent: 4, disk_persistent_percent: Number.NaN, disk_persistent_inode_percent: Number.NaN,
    });
    fleet.beat('a', stopped, now);
    expect(fleet.counts().stopped.lab).toBe(1);
  });

  it('takes whatever an agent sends', () => {
    fleet.sync(records([record('a')]), now);
    for (const vitals of [undefined, null, 'x', [], { load: 'x', cpu: null, disk: { system: 7 } }, { load: [{}], mem: { percent: '1e40', kb: '' } }]) {
      fleet.beat('a', { vitals }, now);
      expect(fleet.find('a')?.vitals?.every(Number.isNaN)).toBe(true);
      expect(fleet.find('a')?.status).toBe('unknown');
    }
  });

  it('calls an agent unresponsive that is silent for longer than the timeout', () => {
    fleet.sync(records([record('a')]), now);
    now += 60_000;
    expect(fleet.find('a')?.status).toBe('unknown');
    now += 1;
    expect(fleet.find('a')?.status).toBe('unresponsive');
    expect(fleet.counts().unresponsive).toEqual({ lab: 1, idle: 0 });
  });

  it('counts agents that run nothing as unhealthy', () => {
    fleet.sync(records([record('a')]), now);
    fleet.beat('a', { job_state: 'running', number_of_processes: 0 }, now);
    expect(fleet.counts().unhealthy.lab).toBe(1);
    fleet.beat('a', { job_state: 'running', number_of_processes: null }, now);
    expect(fleet.counts().unhealthy.lab).toBe(0);
  });

  it('keeps agents that no deployment knows apart, a bounded number of them, until one does', () => {
    fleet.sync(records([]), now);
    for (const id of ['a', 'b', 'c', 'd']) expect(fleet.beat(id, running, now)).toBeUndefined();
    expect([...fleet.unmanaged.keys()]).toEqual(['a', 'b', 'c']);
    expect(fleet.find('b')).toMatchObject({ status: 'unmanaged', deployment: undefined, teams: [] });
    now = 9_000;
    fleet.sync(records([record('b')]), now);
    expect(fleet.find('b')).toMatchObject({ status: 'running', updatedAt: 1_700_000_001_000 });
    expect(fleet.counts().available).toEqual({ lab: 1, idle: 0, unmanaged: 2 });
  });

  it('ignores agents of VMs that are being made or deleted', () => {
    fleet.sync(records([record('a')]), now);
    fleet.sync(records([], { others: new Set(['a']) }), now);
    expect(fleet.beat('a', running, now)).toBeUndefined();
    expect(fleet.unmanaged.size).toBe(0);
  });

  it('forgets agents whose VMs are gone, and those that shut down until the records name them again', () => {
    fleet.sync(records([record('a'), record('b')]), now);
    fleet.beat('a', running, now);
    fleet.sync(records([record('a')]), now);
    expect(fleet.find('b')).toBeUndefined();
    fleet.shutDown('a');
    fleet.shutDown('nobody');
    expect(fleet.find('a')).toBeUndefined();
    now = 50_000;
    fleet.sync(records([record('a')]), now);
    expect(fleet.find('a')).toMatchObject({ jobState: undefined, discoveredAt: 1_700_000_050_000 });
  });

  it('follows an instance that is renamed or moved without forgetting what it heard', () => {
    fleet.sync(records([record('a')]), now);
    fleet.beat('a', running, now);
    fleet.sync(records([record('a', { group: 'app', index: 4, path: 'nats-2' })]), 2_000);
    expect(fleet.find('a')).toMatchObject({ group: 'app', index: 4, jobState: 'running', updatedAt: 1_700_000_001_000 });
    expect(fleet.managed.get('a')?.path).toBe('nats-2');
  });
});
