import type { Agent, Agents } from '../../server/agents/agent';
import { AgentFailure } from '../../server/agents/request';
import type { DiskCalls } from '../../server/cpi/disk-calls';
import { CpiError } from '../../server/cpi/errors';
import type { DeployDeps } from '../../server/deploy/ports';
import type { TestStore } from './director-parts';
import type { Points } from './task-context';
import { disabledBackend } from '../../server/variables/disabled';

const unused = async (): Promise<never> => {
  throw new Error('this test does not expect that call');
};

/** For tests without disks. */
export const noDisks: DiskCalls = {
  createDisk: unused, deleteDisk: unused, hasDisk: unused, attachDisk: unused, detachDisk: unused, setDiskMetadata: unused, snapshotDisk: unused, deleteSnapshot: unused, resizeDisk: unused, updateDisk: unused,
};

/** A disk in the cloud with what is written on it. */
export interface CloudDisk {
  size: number;
  type: string;
  /** Cid of the VM that has it. */
  at: string | undefined;
  data: string;
  metadata: Record<string, string>;
}

/** A VM as its agent sees disks: like the stock agent, the first is mounted as the store and another one beside it. */
export interface DiskMachine {
  cid: string;
  known: Set<string>;
  store: string | undefined;
  target: string | undefined;
  /** Every method that its agent was asked for. */
  asked: string[];
}

/** A cloud with disks, and agents that use them. */
export interface DiskWorld {
  disks: Map<string, CloudDisk>;
  snapshots: Map<string, string>;
  machines: Map<string, DiskMachine>;
  calls: string[];
  canResize: boolean;
  /** Whether `update_disk` gives the disk another cid; undefined: the CPI has no such method. */
  updates: 'in place' | 'as another disk' | undefined;
  migrateFails: boolean;
  /** Before and after each effect the node may die. */
  cloud(points: Points): DiskCalls;
  agents(points: Points): Agents;
}

export function diskWorld(): DiskWorld {
  let last = 0;
  const world: DiskWorld = {
    disks: new Map(), snapshots: new Map(), machines: new Map(), calls: [], canResize: true, updates: undefined, migrateFails: false,
    cloud: (points) => cloudOf(world, points, () => ++last),
    agents: (points) => ({ agentFor: (target) => agentOf(machineOf(world, target.id), world, points), waitUntilReady: async () => undefined }),
  };
  return world;
}

/** A machine, made when it is first asked for; its cid is its agent's id. */
export function machineOf(world: DiskWorld, id: string): DiskMachine {
  const found = world.machines.get(id) ?? { cid: id, known: new Set<string>(), store: undefined, target: undefined, asked: [] };
  world.machines.set(id, found);
  return found;
}

function around(points: Points): <T>(work: () => T) => Promise<T> {
  return async (work) => {
    points.pass(false);
    const result = work();
    points.pass(false);
    return result;
  };
}

function cloudOf(world: DiskWorld, points: Points, next: () => number): DiskCalls {
  const done = around(points);
  const diskOf = (cid: string) => {
    const disk = world.disks.get(cid);
    if (!disk) throw new CpiError('DiskNotFound', `no disk ${cid}`);
    return disk;
  };
  const call = <T>(name: string, work: () => T) => done(() => {
    world.calls.push(name);
    return work();
  });
  return {
    createDisk: (_caller, { size, cloudProperties }) => call('create_disk', () => {
      const cid = `disk-${next()}`;
      world.disks.set(cid, { size, type: typeOf(cloudProperties), at: undefined, data: '', metadata: {} });
      return cid;
    }),
    deleteDisk: (_caller, { cid }) => call('delete_disk', () => {
      if (world.disks.get(cid)?.at !== undefined) throw new CpiError('CloudError', `disk ${cid} is attached`);
      world.disks.delete(cid);
    }),
    hasDisk: (_caller, { cid }) => call('has_disk', () => world.disks.has(cid)),
    // As strict as the strictest cloud: a disk that is attached cannot be attached again.
    attachDisk: (_caller, { cid, vmCid }) => call('attach_disk', () => {
      const disk = diskOf(cid);
      if (disk.at !== undefined) throw new CpiError('CloudError', `disk ${cid} is attached to ${disk.at}`);
      disk.at = vmCid;
      return `/dev/${cid}`;
    }),
    detachDisk: (_caller, { cid, vmCid }) => call('detach_disk', () => {
      const disk = diskOf(cid);
      const machine = world.machines.get(vmCid);
      if (machine?.store === cid || machine?.target === cid) throw new CpiError('CloudError', `disk ${cid} is mounted`);
      if (disk.at !== vmCid) return false;
      disk.at = undefined;
      return true;
    }),
    setDiskMetadata: (_caller, { cid }, metadata) => call('set_disk_metadata', () => void Object.assign(diskOf(cid).metadata, metadata)),
    snapshotDisk: (_caller, { cid }) => call('snapshot_disk', () => {
      const snapshot = `snapshot-${next()}`;
      world.snapshots.set(snapshot, diskOf(cid).data);
      return snapshot;
    }),
    deleteSnapshot: (_caller, { cid }) => call('delete_snapshot', () => void world.snapshots.delete(cid)),
    resizeDisk: (_caller, { cid }, size) => call('resize_disk', () => {
      const disk = diskOf(cid);
      if (disk.at !== undefined) throw new CpiError('CloudError', `disk ${cid} is attached`);
      if (world.canResize) disk.size = size;
      return world.canResize;
    }),
    updateDisk: (_caller, { cid }, { size, cloudProperties }) => call('update_disk', () => {
      if (world.updates === undefined) return undefined;
      const disk = { ...diskOf(cid), size, type: typeOf(cloudProperties) };
      const after = world.updates === 'in place' ? cid : `disk-${next()}`;
      world.disks.delete(cid);
      world.disks.set(after, disk);
      return after;
    }),
  };
}

function agentOf(machine: DiskMachine, world: DiskWorld, points: Points): Agent {
  const done = around(points);
  const ask = <T>(name: string, work: () => T) => done(() => {
    machine.asked.push(name);
    return work();
  });
  return {
    ping: unused, info: unused, getState: async () => ({ job_state: 'running' }), apply: async () => undefined, prepare: async () => undefined, start: async () => undefined, stop: async () => undefined,
    drain: async () => undefined, runScript: async () => undefined, compilePackage: unused, compilePackageWithSignedUrl: unused, updateSettings: async () => undefined,
    uploadBlob: unused, syncDns: unused, fetchLogs: unused, runErrand: unused, setUpSsh: unused, cleanUpSsh: unused, getTask: unused, cancelTask: unused, shutdown: unused, deleteArpEntries: unused,
    listDisk: () => ask('list_disk', () => [machine.store, machine.target].flatMap((cid) => cid ?? [])),
    mountDisk: (cid) => ask('mount_disk', () => {
      if (!machine.known.has(cid)) throw new AgentFailure(`disk ${cid} is not known`);
      if (machine.store !== undefined && machine.store !== cid) machine.target = cid;
      else Object.assign(machine, { store: cid, target: machine.target === cid ? undefined : machine.target });
    }),
    unmountDisk: (cid) => ask('unmount_disk', () => {
      if (machine.store === cid) machine.store = undefined;
      if (machine.target === cid) machine.target = undefined;
    }),
    // In three steps, as the stock agent does it; an agent may die between them.
    migrateDisk: async () => {
      const [from, to] = [world.disks.get(machine.store ?? ''), world.disks.get(machine.target ?? '')];
      if (!from || !to) throw new AgentFailure('there are not two disks to migrate between');
      await ask('migrate_disk', () => {
        if (world.migrateFails) throw new AgentFailure('copying failed');
        to.data = from.data;
      });
      await done(() => Object.assign(machine, { store: undefined }));
      await done(() => Object.assign(machine, { store: machine.target, target: undefined }));
    },
    addPersistentDisk: (cid) => ask('add_persistent_disk', () => void machine.known.add(cid)),
    removePersistentDisk: (cid) => ask('remove_persistent_disk', () => void machine.known.delete(cid)),
  };
}

function typeOf({ type }: Record<string, unknown>): string {
  return typeof type === 'string' ? type : '';
}

/** What tasks about disks need: this world, and a director that makes snapshots. */
export function diskDeps(store: TestStore, world: DiskWorld, points: Points, settings: Partial<DeployDeps['settings']> = {}): DeployDeps & { maxThreads: number } {
  const certificate = async () => ({ ca: '', certificate: '', private_key: '' });
  return {
    db: store.connections.db, blobstore: store.blobstore, agents: world.agents(points), disks: world.cloud(points), renderer: { render: unused }, variables: disabledBackend, maxThreads: 4,
    cpi: () => ({ createVm: unused, deleteVm: async (_caller, cid) => removeMachine(world, cid), hasVm: unused, setVmMetadata: unused, calculateVmCloudProperties: unused }),
    nats: { bootstrapCertificate: certificate, permanentCertificate: certificate, movedUrls: async () => undefined, awaitAuthorised: async () => undefined },
    settings: {
      director: { name: 'director', uuid: 'deadbeef', dnsDomain: 'bosh', localDns: true, useDnsAddresses: false, trustedCertsSha1: 'certs', natsConfigSha1: 'nats', blobstoreConfigSha1: 'blobs', ownAddresses: async () => [] },
      maxThreads: 4, maxVmCreateTries: 1, agentWaitTimeoutMs: 1_000, agentEnv: {}, natsUrls: [], agentBlobstores: [], shortLivedBootstrapCredentials: true, cpiResizesDisks: false, cpiUpdatesDisks: false, snapshots: true, ...settings,
    },
  };
}

/** A cloud frees the disks of a VM that it deletes. */
function removeMachine(world: DiskWorld, cid: string): void {
  world.machines.delete(cid);
  for (const disk of world.disks.values()) if (disk.at === cid) disk.at = undefined;
}
