import { join } from 'node:path';
import * as z from 'zod/mini';
import { diskNotFound, vmNotFound } from './errors';
import { isSafeName, listNames, readJson, writeJson } from './state';

/** The records of the local cloud: what its state files hold. */

const processSchema = z.object({ pid: z.number(), start_ticks: z.optional(z.number()) });

const vmSchema = z.object({
  cid: z.string(),
  agent_id: z.string(),
  /**
   * `creating`: written before anything else is done, so that a call killed midway leaves a VM that can be found and deleted;
   * `halted`: processes stopped together with the installation, to be started again with it.
   */
  state: z.enum(['creating', 'running', 'halted', 'deleting']),
  agent: z.enum(['directorate', 'exec', 'simulated']),
  stemcell_cid: z.string(),
  ips: z.array(z.string()),
  networks: z.record(z.string(), z.unknown()),
  cloud_properties: z.record(z.string(), z.unknown()),
  metadata: z.record(z.string(), z.unknown()),
  namespace: z.enum(['root', 'user', 'none']),
  /** Of the agent, run by the supervisor. */
  command: z.array(z.string()),
  /** Pid of the supervisor, null before it starts and for simulated VMs. */
  pid: z.nullable(z.number()),
  process: z.nullable(processSchema),
  created_at: z.string(),
});
export type VmRecord = z.infer<typeof vmSchema>;

const diskSchema = z.object({
  cid: z.string(),
  size_mb: z.number(),
  cloud_properties: z.record(z.string(), z.unknown()),
  metadata: z.record(z.string(), z.unknown()),
  attached_to: z.nullable(z.string()),
  created_at: z.string(),
});
export type DiskRecord = z.infer<typeof diskSchema>;

const agentSpecSchema = z.discriminatedUnion('agent', [
  /** The TypeScript agent of this installation. */
  z.object({ agent: z.literal('directorate') }),
  /** An executable inside the image, run as the stock bosh-agent is. `args` replaces the arguments after `-b <base>`. */
  z.object({ agent: z.literal('exec'), path: z.string(), args: z.optional(z.array(z.string())) }),
  /** No process: the simulator answers for the VM. */
  z.object({ agent: z.literal('simulated') }),
]);
export type AgentSpec = z.infer<typeof agentSpecSchema>;

const stemcellSchema = z.object({ cid: z.string(), agent: agentSpecSchema, cloud_properties: z.record(z.string(), z.unknown()), created_at: z.string() });
export type StemcellRecord = z.infer<typeof stemcellSchema>;

export const parseAgentSpec = (value: unknown): AgentSpec => z.parse(agentSpecSchema, value);

export const vmDirectory = (stateDir: string, cid: string): string => join(stateDir, 'vms', cid);
export const diskDirectory = (stateDir: string, cid: string): string => join(stateDir, 'disks', cid);
export const stemcellDirectory = (stateDir: string, cid: string): string => join(stateDir, 'stemcells', cid);
export const snapshotDirectory = (stateDir: string, cid: string): string => join(stateDir, 'snapshots', cid);
/** What the simulator watches: the boot settings of each simulated VM. */
export const simulatedPath = (stateDir: string, cid: string): string => join(stateDir, 'simulated', `${cid}.json`);

/** The VM's record; undefined when there is none. */
export function findVm(stateDir: string, cid: string): VmRecord | undefined {
  return isSafeName(cid) ? readJson(join(vmDirectory(stateDir, cid), 'vm.json'), vmSchema) : undefined;
}

/** The VM's record; throws VMNotFound. */
export function getVm(stateDir: string, cid: string): VmRecord {
  const vm = findVm(stateDir, cid);
  if (vm === undefined) throw vmNotFound(cid);
  return vm;
}

export function saveVm(stateDir: string, vm: VmRecord): void {
  writeJson(join(vmDirectory(stateDir, vm.cid), 'vm.json'), vm);
}

/** Every VM that has a record, half-made ones included. */
export function listVms(stateDir: string): VmRecord[] {
  return listNames(join(stateDir, 'vms')).flatMap((cid) => findVm(stateDir, cid) ?? []);
}

export function findDisk(stateDir: string, cid: string): DiskRecord | undefined {
  return isSafeName(cid) ? readJson(join(diskDirectory(stateDir, cid), 'disk.json'), diskSchema) : undefined;
}

/** The disk's record; throws DiskNotFound. */
export function getDisk(stateDir: string, cid: string): DiskRecord {
  const disk = findDisk(stateDir, cid);
  if (disk === undefined) throw diskNotFound(cid);
  return disk;
}

export function saveDisk(stateDir: string, disk: DiskRecord): void {
  writeJson(join(diskDirectory(stateDir, disk.cid), 'disk.json'), disk);
}

export function listDisks(stateDir: string): DiskRecord[] {
  return listNames(join(stateDir, 'disks')).flatMap((cid) => findDisk(stateDir, cid) ?? []);
}

export function findStemcell(stateDir: string, cid: string): StemcellRecord | undefined {
  return isSafeName(cid) ? readJson(join(stemcellDirectory(stateDir, cid), 'stemcell.json'), stemcellSchema) : undefined;
}
