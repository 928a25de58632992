import { mkdirSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { freeAddresses, reserveAddresses, reserveDynamicAddresses } from './addresses';
import { agentCommand, baseDirectory, writeAgentFiles } from './agent-settings';
import type { CpiConfig } from './config';
import { cloudError, vmNotFound } from './errors';
import { killVmProcesses, probeNamespace, startSupervisor, type Namespace } from './processes';
import { findDisk, findStemcell, findVm, getVm, listDisks, saveDisk, saveVm, simulatedPath, stemcellDirectory, vmDirectory, type StemcellRecord, type VmRecord } from './records';
import { discard, exists, isSafeName, listNames, withLock } from './state';
import { isAlive } from '../agent/proc';

export interface CreateVmInput {
  agentId: string;
  stemcellCid: string;
  cloudProperties: Record<string, unknown>;
  networks: Record<string, { type?: string | undefined; ip?: string | undefined }>;
  env: Record<string, unknown>;
}

/** The VM's cid follows from the agent id, so a director that lost the reply of create_vm still knows which VM to ask for. */
export const cidOfAgent = (agentId: string): string => `vm-${agentId}`;

/**
 * Makes a VM. The record comes first, then the addresses, then the processes: whatever line the call is killed at,
 * `has_vm`/`delete_vm` with the derived cid find what it left. Repeating it for a VM that runs returns that VM;
 * repeating it for a half-made one makes it anew. A cid that was deleted before it was made is refused.
 */
export async function createVm(config: CpiConfig, input: CreateVmInput): Promise<[cid: string, networks: Record<string, unknown>]> {
  const cid = cidOfAgent(input.agentId);
  if (!isSafeName(cid)) throw cloudError(`The agent id '${input.agentId}' cannot name a VM`);
  const stemcell = findStemcell(config.state_dir, input.stemcellCid);
  if (stemcell === undefined) throw cloudError(`Stemcell '${input.stemcellCid}' does not exist in the local cloud`);
  const namespace: Namespace = config.namespace === 'none' || stemcell.agent.agent === 'simulated' ? 'none' : probeNamespace(config.state_dir);
  return withLock(config.state_dir, { kind: 'vm', name: cid }, async () => {
    if (exists(tombstonePath(config.state_dir, cid))) throw cloudError(`VM '${cid}' was deleted before it was made; create it with another agent id`);
    const present = findVm(config.state_dir, cid);
    if (present !== undefined) {
      if (runs(present)) return [cid, present.networks];
      await removeVm(config.state_dir, present);
    }
    return [cid, await makeVm({ config, input, stemcell, namespace, cid })];
  });
}

/** True when the VM's supervisor is alive; a simulated VM always is. */
export function runs(vm: VmRecord): boolean {
  if (vm.state !== 'running') return false;
  return vm.agent === 'simulated' || (vm.process !== null && isAlive(vm.process.pid, vm.process.start_ticks));
}

async function makeVm(parts: { config: CpiConfig; input: CreateVmInput; stemcell: StemcellRecord; namespace: Namespace; cid: string }): Promise<Record<string, unknown>> {
  const { config, input, stemcell, namespace, cid } = parts;
  const stateDir = config.state_dir;
  const directory = vmDirectory(stateDir, cid);
  const base = baseDirectory(directory, namespace);
  const command = agentCommand({ config, spec: stemcell.agent, stemcellDir: stemcellDirectory(stateDir, stemcell.cid), base });
  const vm: VmRecord = {
    cid,
    agent_id: input.agentId,
    state: 'creating',
    agent: stemcell.agent.agent,
    stemcell_cid: stemcell.cid,
    ips: Object.values(input.networks).flatMap(({ type, ip }) => (type === 'dynamic' || type === 'vip' || ip === undefined || ip === '' ? [] : [ip])),
    networks: input.networks,
    cloud_properties: input.cloudProperties,
    metadata: {},
    namespace,
    command,
    pid: null,
    process: null,
    created_at: new Date().toISOString(),
  };
  saveVm(stateDir, vm);
  try {
    await reserveAddresses(stateDir, { cid, agentId: input.agentId, ips: vm.ips });
    const placed = await withDynamicAddresses(stateDir, vm, input);
    saveVm(stateDir, placed);
    writeAgentFiles({ config, vm: { agentId: input.agentId, cid, networks: placed.networks, env: input.env }, namespace, agent: vm.agent });
    powerOn(stateDir, placed);
    return placed.networks;
  } catch (error) {
    await removeVm(stateDir, findVm(stateDir, cid) ?? vm);
    throw error;
  }
}

/**
 * The VM with addresses for its dynamic networks. Killed before the record has them: they belong to a VM that is made anew or deleted,
 * and to nobody afterwards. VIPs are taken note of and lead nowhere.
 */
async function withDynamicAddresses(stateDir: string, vm: VmRecord, { agentId, networks }: CreateVmInput): Promise<VmRecord> {
  const dynamic = Object.keys(networks).filter((name) => networks[name]?.type === 'dynamic');
  const ips = await reserveDynamicAddresses(stateDir, { cid: vm.cid, agentId, count: dynamic.length });
  const settled = Object.fromEntries(dynamic.map((name, i) => [name, { ...networks[name], ip: ips[i], netmask: '255.0.0.0', gateway: '127.0.0.1' }]));
  return { ...vm, ips: [...vm.ips, ...ips], networks: { ...networks, ...settled } };
}

/** Starts the VM's processes and records them. */
export function powerOn(stateDir: string, vm: VmRecord): void {
  if (vm.agent === 'simulated') {
    saveVm(stateDir, { ...vm, state: 'running' });
    return;
  }
  const started = startSupervisor({ cid: vm.cid, directory: vmDirectory(stateDir, vm.cid), namespace: vm.namespace, command: vm.command });
  saveVm(stateDir, { ...vm, state: 'running', pid: started.pid, process: { pid: started.pid, start_ticks: started.startTicks } });
}

/** Ends every process of the VM; what a stemcell keeps on tmpfs (run files) is gone afterwards. */
export async function powerOff(stateDir: string, vm: VmRecord): Promise<void> {
  const group = vm.process === null ? undefined : { pid: vm.process.pid, startTicks: vm.process.start_ticks };
  if (vm.agent !== 'simulated') await killVmProcesses({ cid: vm.cid, group });
  rmSync(join(vmDirectory(stateDir, vm.cid), 'vcap', 'data', 'sys', 'run'), { recursive: true, force: true });
}

/** Deletes a VM; throws VMNotFound, after making sure that a create_vm still on its way cannot make it any more. */
export async function deleteVm(config: CpiConfig, cid: string): Promise<void> {
  if (!isSafeName(cid)) throw vmNotFound(cid);
  await withLock(config.state_dir, { kind: 'vm', name: cid }, async () => {
    const vm = findVm(config.state_dir, cid);
    writeTombstone(config.state_dir, cid);
    if (vm === undefined) {
      discard(config.state_dir, vmDirectory(config.state_dir, cid));
      throw vmNotFound(cid);
    }
    await removeVm(config.state_dir, vm);
  });
}

/** The record goes last: a call killed before that leaves a VM that can be deleted again. */
async function removeVm(stateDir: string, vm: VmRecord): Promise<void> {
  saveVm(stateDir, { ...vm, state: 'deleting' });
  rmSync(simulatedPath(stateDir, vm.cid), { force: true });
  await powerOff(stateDir, vm);
  await freeAddresses(stateDir, vm);
  for (const { cid } of listDisks(stateDir).filter((disk) => disk.attached_to === vm.cid)) await releaseDisk(stateDir, cid, vm.cid);
  discard(stateDir, vmDirectory(stateDir, vm.cid));
}

async function releaseDisk(stateDir: string, diskCid: string, vmCid: string): Promise<void> {
  await withLock(stateDir, { kind: 'disk', name: diskCid }, () => {
    const disk = findDisk(stateDir, diskCid);
    if (disk?.attached_to === vmCid) saveDisk(stateDir, { ...disk, attached_to: null });
  });
}

export function hasVm(config: CpiConfig, cid: string): boolean {
  return findVm(config.state_dir, cid) !== undefined;
}

/** Kills and starts the VM; its disks and installed jobs stay. */
export async function rebootVm(config: CpiConfig, cid: string): Promise<void> {
  if (!isSafeName(cid)) throw vmNotFound(cid);
  await withLock(config.state_dir, { kind: 'vm', name: cid }, async () => {
    const vm = getVm(config.state_dir, cid);
    if (vm.state === 'creating' || vm.state === 'deleting') throw cloudError(`VM '${cid}' is ${vm.state === 'creating' ? 'not completely made' : 'being deleted'} and cannot be rebooted`);
    await powerOff(config.state_dir, vm);
    powerOn(config.state_dir, vm);
  });
}

export async function setVmMetadata(config: CpiConfig, cid: string, metadata: Record<string, unknown>): Promise<void> {
  if (!isSafeName(cid)) throw vmNotFound(cid);
  await withLock(config.state_dir, { kind: 'vm', name: cid }, () => {
    const vm = getVm(config.state_dir, cid);
    saveVm(config.state_dir, { ...vm, metadata: { ...vm.metadata, ...metadata } });
  });
}

const tombstoneMaxAgeMs = 24 * 3600 * 1000;
const tombstonesKept = 1000;
const tombstonePath = (stateDir: string, cid: string) => join(stateDir, 'deleted', cid);

/** Remembers for a day that a cid must not be made: longer than any call takes. */
function writeTombstone(stateDir: string, cid: string): void {
  const directory = join(stateDir, 'deleted');
  mkdirSync(directory, { recursive: true });
  const path = tombstonePath(stateDir, cid);
  writeFileSync(path, '');
  const now = new Date();
  utimesSync(path, now, now);
  const names = listNames(directory);
  if (names.length <= tombstonesKept) return;
  for (const name of names) {
    const modifiedMs = statSync(join(directory, name), { throwIfNoEntry: false })?.mtimeMs;
    if (modifiedMs !== undefined && modifiedMs < now.getTime() - tombstoneMaxAgeMs) rmSync(join(directory, name), { force: true });
  }
}
