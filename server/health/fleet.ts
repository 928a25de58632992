import type { HeartbeatMessage } from './events';
import { vitalNames, type AgentStatus, type AgentView, type FleetView, type HealthCounts } from './fleet-view';
import { silenceMs, type Scene, type Silent } from './paths';

/**
 * The warm state of the health monitor: who is expected, from the database's records, and what was heard, from the bus. Pure: callers
 * bring rows, messages and the time. Rules: cloudfoundry/bosh src/bosh-monitor/lib/bosh/monitor/instance_manager.rb.
 * Times are monotonic ms, so that a step of the wall clock silences nobody; the view gives epoch ms.
 */

interface HeardAgent extends Silent {
  readonly agentId: string;
  foundAt: number;
  jobState: string | undefined;
  processes: number | undefined;
  /** In the order of `vitalNames`; undefined before the first heartbeat. Changed in place by the next one. */
  vitals: number[] | undefined;
}

/** An agent of a deployment: that of an instance's active VM. */
export interface ManagedAgent extends HeardAgent {
  deployment: string;
  teams: readonly string[];
  group: string;
  index: number;
  /** Row of instances. */
  instanceId: number;
  instanceUuid: string;
  az: string | undefined;
  cid: string;
  /** It compiles packages for a deploy, which looks after it: nobody else judges it. */
  compilation: boolean;
}

/** An agent that no deployment knows. */
export type UnmanagedAgent = HeardAgent;

/** An instance that should have a VM and has none. */
export interface MissingVm {
  deployment: string;
  group: string;
  index: number;
  instanceUuid: string;
}

/** The active VM of an instance, as recorded. */
export interface AgentRecord extends Pick<ManagedAgent, 'agentId' | 'group' | 'index' | 'instanceId' | 'instanceUuid' | 'az' | 'cid' | 'compilation' | 'path' | 'pathSince'> {
  deployment: string;
}

/** What the records say at one moment. */
export interface FleetRecords {
  deployments: ReadonlyMap<string, { teams: readonly string[] }>;
  agents: readonly AgentRecord[];
  missing: readonly MissingVm[];
  /** Agents of VMs that are being made or deleted: known, but nobody's. */
  others: ReadonlySet<string>;
}

export interface Fleet extends FleetView {
  /** Grows with every `sync`. */
  readonly version: number;
  readonly managed: ReadonlyMap<string, ManagedAgent>;
  readonly unmanaged: ReadonlyMap<string, UnmanagedAgent>;
  readonly missing: readonly MissingVm[];
  readonly deployments: number;
  sync(records: FleetRecords, now: number): void;
  /** A heartbeat; the agent it belongs to, or undefined when no deployment knows it. */
  beat(agentId: string, message: HeartbeatMessage, now: number): ManagedAgent | undefined;
  /** The agent says good-bye: forgotten until the records are read again. */
  shutDown(agentId: string): void;
  /** Forgets unmanaged agents. */
  forget(agentIds: readonly string[]): void;
}

export interface FleetOptions {
  agentTimeoutMs: number;
  /** Unmanaged agents kept at most; more are not noticed. */
  unmanagedLimit: number;
  /** How the bus is now. */
  scene: () => Scene;
  /** Epoch ms minus monotonic ms. */
  epochOffset: () => number;
}

export function createFleet(options: FleetOptions): Fleet {
  const managed = new Map<string, ManagedAgent>();
  const unmanaged = new Map<string, UnmanagedAgent>();
  let deployments: FleetRecords['deployments'] = new Map();
  let missing: readonly MissingVm[] = [];
  let others: FleetRecords['others'] = new Set();
  let version = 0;
  let heartbeats = 0;

  const view = (agent: HeardAgent & Partial<ManagedAgent>, scene: Scene, offset: number): AgentView => ({
    agentId: agent.agentId, deployment: agent.deployment, teams: agent.teams ?? [], group: agent.group, index: agent.index, instanceUuid: agent.instanceUuid, az: agent.az, cid: agent.cid,
    updatedAt: agent.heardAt + offset, discoveredAt: agent.foundAt + offset, jobState: agent.jobState, processes: agent.processes, vitals: agent.vitals && [...agent.vitals],
    status: agent.deployment === undefined ? 'unmanaged' : silenceMs(agent, scene) > options.agentTimeoutMs ? 'unresponsive' : statusOf(agent.jobState),
  });

  return {
    get synced() {
      return version > 0;
    },
    get version() {
      return version;
    },
    get heartbeats() {
      return heartbeats;
    },
    get missing() {
      return missing;
    },
    get deployments() {
      return deployments.size;
    },
    managed,
    unmanaged,
    sync(records, now) {
      const before = new Map(managed);
      managed.clear();
      for (const record of records.agents) {
        const { agentId, ...rest } = record;
        const heard = before.get(agentId) ?? unmanaged.get(agentId) ?? newlyFound(agentId, now);
        managed.set(agentId, Object.assign(heard, rest, { teams: records.deployments.get(rest.deployment)?.teams ?? [] }));
        unmanaged.delete(agentId);
      }
      ({ deployments, missing, others } = records);
      for (const agentId of others) unmanaged.delete(agentId);
      version++;
    },
    beat(agentId, message, now) {
      heartbeats++;
      const agent = managed.get(agentId);
      const heard = agent ?? unmanaged.get(agentId) ?? admit(agentId, now);
      if (heard === undefined) return undefined;
      heard.heardAt = now;
      heard.beatAt = now;
      heard.jobState = message.job_state ?? undefined;
      heard.processes = message.number_of_processes ?? undefined;
      heard.vitals ??= Array.from({ length: vitalNames.length }, () => Number.NaN);
      readVitals(message.vitals, heard.vitals);
      return agent;
    },
    shutDown(agentId) {
      if (!managed.delete(agentId)) unmanaged.delete(agentId);
    },
    forget(agentIds) {
      for (const id of agentIds) unmanaged.delete(id);
    },
    counts: () => countHealth({ managed, unmanaged, deployments: deployments.keys() }, options),
    agents() {
      const scene = options.scene();
      const offset = options.epochOffset();
      return [...managed.values(), ...unmanaged.values()].map((agent) => view(agent, scene, offset));
    },
    find(agentId) {
      const agent: (HeardAgent & Partial<ManagedAgent>) | undefined = managed.get(agentId) ?? unmanaged.get(agentId);
      return agent && view(agent, options.scene(), options.epochOffset());
    },
  };

  function admit(agentId: string, now: number): UnmanagedAgent | undefined {
    if (others.has(agentId) || unmanaged.size >= options.unmanagedLimit) return undefined;
    const found = newlyFound(agentId, now);
    unmanaged.set(agentId, found);
    return found;
  }
}

function newlyFound(agentId: string, now: number): HeardAgent {
  return {
    agentId, heardAt: now, beatAt: Number.NEGATIVE_INFINITY, foundAt: now, path: undefined, pathSince: Number.NEGATIVE_INFINITY, jobState: undefined, processes: undefined, vitals: undefined,
  };
}

const statuses: ReadonlySet<string> = new Set(['running', 'failing', 'starting', 'stopped'] satisfies AgentStatus[]);

function statusOf(jobState: string | undefined): AgentStatus {
  return jobState !== undefined && statuses.has(jobState) ? (jobState as AgentStatus) : 'unknown';
}

function countHealth(from: { managed: ReadonlyMap<string, ManagedAgent>; unmanaged: ReadonlyMap<string, UnmanagedAgent>; deployments: Iterable<string> }, options: FleetOptions): HealthCounts {
  const scene = options.scene();
  const names = [...from.deployments];
  const zeros = (): Record<string, number> => Object.fromEntries(names.map((name) => [name, 0]));
  const counts: HealthCounts = { unresponsive: zeros(), unhealthy: zeros(), failing: zeros(), stopped: zeros(), unknown: zeros(), available: zeros() };
  for (const agent of from.managed.values()) {
    const { deployment, jobState } = agent;
    const add = (to: Record<string, number>) => void (to[deployment] = (to[deployment] ?? 0) + 1);
    add(counts.available);
    if (silenceMs(agent, scene) > options.agentTimeoutMs) add(counts.unresponsive);
    if (jobState === undefined) add(counts.unknown);
    else if (jobState === 'failing') add(counts.failing);
    else if (jobState === 'stopped') add(counts.stopped);
    else if (jobState === 'running' && agent.processes === 0) add(counts.unhealthy);
  }
  counts.available.unmanaged = from.unmanaged.size;
  return counts;
}

/** Largest figure that is believed; PostgreSQL's `real` ends at 3.4e38. */
const largest = 1e30;

function readVitals(vitals: unknown, into: number[]): void {
  const { load, cpu, mem, swap, disk } = hash(vitals);
  const { user, sys, wait } = hash(cpu);
  const memory = hash(mem);
  const swapped = hash(swap);
  const { system, ephemeral, persistent } = hash(disk);
  into[0] = Array.isArray(load) ? figure(load[0]) : Number.NaN;
  into[1] = figure(user);
  into[2] = figure(sys);
  into[3] = figure(wait);
  into[4] = figure(memory.percent);
  into[5] = figure(memory.kb);
  into[6] = figure(swapped.percent);
  into[7] = figure(swapped.kb);
  readDisk(system, into, 8);
  readDisk(ephemeral, into, 10);
  readDisk(persistent, into, 12);
}

function readDisk(disk: unknown, into: number[], at: number): void {
  const { percent, inode_percent: inodes } = hash(disk);
  into[at] = figure(percent);
  into[at + 1] = figure(inodes);
}

const nothing: Record<string, unknown> = {};

function hash(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : nothing;
}

/** Agents write figures as text. */
function figure(value: unknown): number {
  const number = typeof value === 'string' && value !== '' ? Number(value) : typeof value === 'number' ? value : Number.NaN;
  return Math.abs(number) < largest ? number : Number.NaN;
}
