import type { CloudProperties, CpiCaller, Cpis, DiskHint } from './cpi';
import { isCpiError } from './errors';

/** A disk in the cloud of one CPI; `cpi` as in the CPI config, '' for the director's own. */
export interface DiskAt {
  cpi: string;
  cid: string;
}

/** A disk and the VM that it is attached to or taken from. */
export interface DiskAtVm extends DiskAt {
  vmCid: string;
  stemcellApiVersion: number | null;
}

/**
 * Calls about disks as a deploy needs them: what BOSH forgives a CPI is forgiven here.
 * Rules: cloudfoundry/bosh src/bosh-director/lib/bosh/director/{disk_manager,orphan_disk_manager,metadata_updater}.rb, api/snapshot_manager.rb.
 */
export interface DiskCalls {
  /** Returns the cid. `size` in MB. */
  createDisk(caller: CpiCaller, disk: { cpi: string; size: number; cloudProperties: CloudProperties; vmCid: string }): Promise<string>;
  /** A disk that the cloud does not know counts as deleted. */
  deleteDisk(caller: CpiCaller, disk: DiskAt): Promise<void>;
  /** Undefined when the CPI cannot tell. */
  hasDisk(caller: CpiCaller, disk: DiskAt): Promise<boolean | undefined>;
  attachDisk(caller: CpiCaller, disk: DiskAtVm): Promise<DiskHint>;
  /** False when the cloud says that the VM does not have it. */
  detachDisk(caller: CpiCaller, disk: DiskAtVm): Promise<boolean>;
  /** CPIs without metadata are passed over. */
  setDiskMetadata(caller: CpiCaller, disk: DiskAt, metadata: Record<string, string>): Promise<void>;
  /** Returns the cid; undefined when the CPI makes no snapshots. */
  snapshotDisk(caller: CpiCaller, disk: DiskAt, metadata: Record<string, unknown>): Promise<string | undefined>;
  deleteSnapshot(caller: CpiCaller, snapshot: DiskAt): Promise<void>;
  /** False when the CPI cannot do it: copy the content to another disk. */
  resizeDisk(caller: CpiCaller, disk: DiskAt, size: number): Promise<boolean>;
  /** Returns the cid that the disk has afterwards; undefined when the CPI cannot do it: copy the content to another disk. */
  updateDisk(caller: CpiCaller, disk: DiskAt, wanted: { size: number; cloudProperties: CloudProperties }): Promise<string | undefined>;
}

export function createDiskCalls(cpis: Cpis): DiskCalls {
  const forgiving = async <T>(work: () => Promise<T>, instead: T, ...types: Parameters<typeof isCpiError>[1][]): Promise<T> => {
    try {
      return await work();
    } catch (error) {
      if (isCpiError(error, ...types)) return instead;
      throw error;
    }
  };
  return {
    createDisk: (caller, { cpi, size, cloudProperties, vmCid }) => cpis.cpiFor(cpi, caller).createDisk(size, cloudProperties, vmCid),
    deleteDisk: (caller, { cpi, cid }) => forgiving(() => cpis.cpiFor(cpi, caller).deleteDisk(cid), undefined, 'DiskNotFound'),
    hasDisk: (caller, { cpi, cid }) => forgiving<boolean | undefined>(() => cpis.cpiFor(cpi, caller).hasDisk(cid), undefined, 'NotImplemented'),
    attachDisk: (caller, { cpi, cid, vmCid, stemcellApiVersion }) => cpis.cpiFor(cpi, caller).attachDisk(vmCid, cid, stemcellApiVersion),
    detachDisk: (caller, { cpi, cid, vmCid, stemcellApiVersion }) => forgiving(() => cpis.cpiFor(cpi, caller).detachDisk(vmCid, cid, stemcellApiVersion).then(() => true), false, 'DiskNotAttached'),
    setDiskMetadata: (caller, { cpi, cid }, metadata) => forgiving(() => cpis.cpiFor(cpi, caller).setDiskMetadata(cid, metadata), undefined, 'NotImplemented'),
    snapshotDisk: (caller, { cpi, cid }, metadata) => forgiving<string | undefined>(() => cpis.cpiFor(cpi, caller).snapshotDisk(cid, metadata), undefined, 'NotImplemented'),
    deleteSnapshot: (caller, { cpi, cid }) => forgiving(() => cpis.cpiFor(cpi, caller).deleteSnapshot(cid), undefined, 'DiskNotFound'),
    resizeDisk: (caller, { cpi, cid }, size) => forgiving(() => cpis.cpiFor(cpi, caller).resizeDisk(cid, size).then(() => true), false, 'NotImplemented', 'NotSupported'),
    updateDisk: (caller, { cpi, cid }, { size, cloudProperties }) => forgiving<string | undefined>(async () => (await cpis.cpiFor(cpi, caller).updateDisk(cid, size, cloudProperties)) ?? cid, undefined, 'NotImplemented', 'NotSupported'),
  };
}
