import { cpSync, mkdirSync } from 'node:fs';
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { changePersistentDisks } from './agent-settings';
import type { CpiConfig } from './config';
import { CpiError, cloudError, diskNotFound, vmNotFound } from './errors';
import { diskDirectory, findDisk, findVm, getDisk, getVm, listDisks, saveDisk, snapshotDirectory } from './records';
import { discard, exists, isSafeName, withLock, writeJson } from './state';

/** A disk is a directory; its `data` is what an agent shows as /var/vcap/store. Sizes are recorded, not enforced. */
const dataDirectory = (stateDir: string, cid: string) => join(diskDirectory(stateDir, cid), 'data');

export function createDisk(config: CpiConfig, input: { sizeMb: number; cloudProperties: Record<string, unknown> }): string {
  const cid = `disk-${randomUUID()}`;
  mkdirSync(dataDirectory(config.state_dir, cid), { recursive: true });
  saveDisk(config.state_dir, { cid, size_mb: input.sizeMb, cloud_properties: input.cloudProperties, metadata: {}, attached_to: null, created_at: new Date().toISOString() });
  return cid;
}

export function hasDisk(config: CpiConfig, cid: string): boolean {
  return findDisk(config.state_dir, cid) !== undefined;
}

export async function deleteDisk(config: CpiConfig, cid: string): Promise<void> {
  await withDisk(config, cid, () => {
    const disk = getDisk(config.state_dir, cid);
    if (isAttached(config, disk.attached_to)) throw cloudError(`Disk '${cid}' is attached to VM '${disk.attached_to}'; detach it first`);
    discard(config.state_dir, diskDirectory(config.state_dir, cid));
  });
}

/**
 * Makes the disk known to the VM's agent and returns the hint for `add_persistent_disk`: the path of its content.
 * Repeating it is fine; a disk of a VM that is gone is free.
 */
export async function attachDisk(config: CpiConfig, vmCid: string, diskCid: string): Promise<string> {
  return withVmAndDisk(config, { vmCid, diskCid }, () => {
    getVm(config.state_dir, vmCid);
    const disk = getDisk(config.state_dir, diskCid);
    if (disk.attached_to !== vmCid && isAttached(config, disk.attached_to)) throw cloudError(`Disk '${diskCid}' is attached to VM '${disk.attached_to}'`);
    const hint = dataDirectory(config.state_dir, diskCid);
    saveDisk(config.state_dir, { ...disk, attached_to: vmCid });
    changePersistentDisks(config.state_dir, vmCid, (persistent) => ({ ...persistent, [diskCid]: hint }));
    return hint;
  });
}

/** Takes the disk from the VM; throws DiskNotAttached when it has another or none. */
export async function detachDisk(config: CpiConfig, vmCid: string, diskCid: string): Promise<void> {
  await withVmAndDisk(config, { vmCid, diskCid }, () => {
    getVm(config.state_dir, vmCid);
    const disk = getDisk(config.state_dir, diskCid);
    if (disk.attached_to !== vmCid) throw new CpiError('Bosh::Clouds::DiskNotAttached', `Disk '${diskCid}' is not attached to VM '${vmCid}'`);
    changePersistentDisks(config.state_dir, vmCid, (persistent) => Object.fromEntries(Object.entries(persistent).filter(([cid]) => cid !== diskCid)));
    saveDisk(config.state_dir, { ...disk, attached_to: null });
  });
}

export function getDisks(config: CpiConfig, vmCid: string): string[] {
  getVm(config.state_dir, vmCid);
  return listDisks(config.state_dir).flatMap((disk) => (disk.attached_to === vmCid ? [disk.cid] : []));
}

export async function setDiskMetadata(config: CpiConfig, cid: string, metadata: Record<string, unknown>): Promise<void> {
  await withDisk(config, cid, () => {
    const disk = getDisk(config.state_dir, cid);
    saveDisk(config.state_dir, { ...disk, metadata: { ...disk.metadata, ...metadata } });
  });
}

export async function resizeDisk(config: CpiConfig, cid: string, sizeMb: number): Promise<void> {
  await withDisk(config, cid, () => {
    const disk = getDisk(config.state_dir, cid);
    if (sizeMb < disk.size_mb) throw new CpiError('Bosh::Clouds::NotSupported', `Disk '${cid}' has ${disk.size_mb} MiB and cannot shrink to ${sizeMb} MiB`);
    saveDisk(config.state_dir, { ...disk, size_mb: sizeMb });
  });
}

/** Changes size and cloud properties; the disk keeps its cid. Repeating it is fine. */
export async function updateDisk(config: CpiConfig, cid: string, wanted: { sizeMb: number; cloudProperties: Record<string, unknown> }): Promise<void> {
  await withDisk(config, cid, () => {
    const disk = getDisk(config.state_dir, cid);
    if (wanted.sizeMb < disk.size_mb) throw new CpiError('Bosh::Clouds::NotSupported', `Disk '${cid}' has ${disk.size_mb} MiB and cannot shrink to ${wanted.sizeMb} MiB`);
    saveDisk(config.state_dir, { ...disk, size_mb: wanted.sizeMb, cloud_properties: wanted.cloudProperties });
  });
}

/** Copies the disk's content; the snapshot appears only when it is complete. */
export async function snapshotDisk(config: CpiConfig, cid: string, metadata: Record<string, unknown>): Promise<string> {
  return withDisk(config, cid, () => {
    const disk = getDisk(config.state_dir, cid);
    const snapshot = `snapshot-${randomUUID()}`;
    const directory = snapshotDirectory(config.state_dir, snapshot);
    cpSync(dataDirectory(config.state_dir, cid), join(directory, 'data'), { recursive: true, verbatimSymlinks: true });
    writeJson(join(directory, 'snapshot.json'), { cid: snapshot, disk_cid: cid, size_mb: disk.size_mb, metadata, created_at: new Date().toISOString() });
    return snapshot;
  });
}

/** Deletes a snapshot; one that does not exist (any more) is no error. */
export function deleteSnapshot(config: CpiConfig, cid: string): void {
  if (isSafeName(cid) && exists(snapshotDirectory(config.state_dir, cid))) discard(config.state_dir, snapshotDirectory(config.state_dir, cid));
}

function isAttached(config: CpiConfig, vmCid: string | null): boolean {
  return vmCid !== null && findVm(config.state_dir, vmCid) !== undefined;
}

async function withDisk<T>(config: CpiConfig, cid: string, work: () => T): Promise<T> {
  if (!isSafeName(cid)) throw diskNotFound(cid);
  return withLock(config.state_dir, { kind: 'disk', name: cid }, work);
}

async function withVmAndDisk<T>(config: CpiConfig, names: { vmCid: string; diskCid: string }, work: () => T): Promise<T> {
  if (!isSafeName(names.vmCid)) throw vmNotFound(names.vmCid);
  return withLock(config.state_dir, { kind: 'vm', name: names.vmCid }, () => withDisk(config, names.diskCid, work));
}
