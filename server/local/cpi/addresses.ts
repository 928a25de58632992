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
