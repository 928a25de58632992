import { createHash } from 'node:crypto';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as z from 'zod/mini';
import { CpiError } from './errors';
import { exists, isAlreadyThere, readJson, withLock } from './state';

/**
 * Who has which address: one file per address, made exclusively. A VM's record is written before it takes addresses and
 * removed after they are freed, so an address whose VM has no record belongs to nobody and is taken over.
 */
const reservationSchema = z.object({ cid: z.string(), agent_id: z.string(), reserved_at: z.string() });

const directoryOf = (stateDir: string) => join(stateDir, 'addresses');

/** Takes all the addresses for a VM, or none and an error that names the present owner. Repeating it for the same VM is fine. */
export async function reserveAddresses(stateDir: string, vm: { cid: string; agentId: string; ips: string[] }): Promise<void> {
  await withLock(stateDir, { kind: 'address', name: 'all' }, () => {
    mkdirSync(directoryOf(stateDir), { recursive: true });
    const taken: string[] = [];
    try {
      for (const ip of vm.ips) {
        reserve({ stateDir, ip, cid: vm.cid, agentId: vm.agentId });
        taken.push(ip);
      }
    } catch (error) {
      for (const ip of taken) rmSync(join(directoryOf(stateDir), ip), { force: true });
      throw error;
    }
  });
}

/** Where dynamic networks get their addresses: 127.200.0.1 and up, where no manual network of the samples lies. */
const dynamicRange = { first: (127 << 24) + (200 << 16) + 1, size: 65_534 };

/** Takes `count` free addresses for a VM, beginning at a place that follows from its id: two VMs seldom look at the same ones. */
export async function reserveDynamicAddresses(stateDir: string, vm: { cid: string; agentId: string; count: number }): Promise<string[]> {
  if (vm.count === 0) return [];
  return withLock(stateDir, { kind: 'address', name: 'all' }, () => {
    mkdirSync(directoryOf(stateDir), { recursive: true });
    const taken: string[] = [];
    const start = createHash('sha1').update(vm.agentId).digest().readUInt32BE(0) % dynamicRange.size;
    for (let i = 0; i < dynamicRange.size && taken.length < vm.count; i++) {
      const value = dynamicRange.first + ((start + i) % dynamicRange.size);
      const ip = [24, 16, 8, 0].map((shift) => (value >> shift) & 255).join('.');
      if (!isFree(stateDir, ip)) continue;
      reserve({ stateDir, ip, cid: vm.cid, agentId: vm.agentId });
      taken.push(ip);
    }
    if (taken.length < vm.count) throw new CpiError('Bosh::Clouds::VMCreationFailed', 'The local cloud has no address left for dynamic networks');
    return taken;
  });
}

function isFree(stateDir: string, ip: string): boolean {
  const owner = readOwner(join(directoryOf(stateDir), ip));
  return owner === undefined || !exists(join(stateDir, 'vms', owner, 'vm.json'));
}

function reserve(input: { stateDir: string; ip: string; cid: string; agentId: string }): void {
  const path = join(directoryOf(input.stateDir), input.ip);
  const content = JSON.stringify({ cid: input.cid, agent_id: input.agentId, reserved_at: new Date().toISOString() });
  try {
    writeFileSync(path, content, { flag: 'wx' });
    return;
  } catch (error) {
    if (!isAlreadyThere(error)) throw error;
  }
  const owner = readOwner(path);
  if (owner !== undefined && owner !== input.cid && exists(join(input.stateDir, 'vms', owner, 'vm.json'))) {
    throw new CpiError('Bosh::Clouds::VMCreationFailed', `Address ${input.ip} is in use by VM '${owner}'`);
  }
  writeFileSync(path, content);
}

/** Frees the addresses of a VM that are still its own. */
export async function freeAddresses(stateDir: string, vm: { cid: string; ips: string[] }): Promise<void> {
  await withLock(stateDir, { kind: 'address', name: 'all' }, () => {
    for (const ip of vm.ips) {
      const path = join(directoryOf(stateDir), ip);
      if (readOwner(path) === vm.cid) rmSync(path, { force: true });
    }
  });
}

/** The VM that has an address; undefined also for a file that a killed call left half written. */
function readOwner(path: string): string | undefined {
  try {
    return readJson(path, reservationSchema)?.cid;
  } catch {
    return undefined;
  }
}
