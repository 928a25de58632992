/**
 * CPIs as the rest of the director sees them. Everything here can be replaced by a fake in a test.
 * Methods, arguments and results: https://bosh.io/docs/cpi-api-v2/ and cloudfoundry/bosh src/bosh-director/lib/clouds.
 */

/** On whose behalf a CPI is called; a TaskContext is one. CPIs are called by tasks only: their logs belong to a task. */
export interface CpiCaller {
  readonly log: { debug(text: string): void };
  /** Told of values that what is logged must not show. */
  readonly secrets?: { addAll(value: unknown, shown: string): void };
  /** Rejects when the caller has no right to act any more; asked before every call. */
  fence(): Promise<void>;
  /** Appends to the task's cpi stream. */
  cpiOutput(text: string): void;
  /** Its signal aborts only when the right to act is lost: then a running CPI is killed. A cancel lets the call end. */
  uncancellable(): { readonly signal: AbortSignal };
}

export type CloudProperties = Record<string, unknown>;

export interface CpiInfo {
  /** The version that is spoken: the smaller of the CPI's and the director's preferred one. */
  apiVersion: number;
  /** Empty when the CPI does not tell. */
  stemcellFormats: readonly string[];
}

export interface CreateVm {
  agentId: string;
  stemcellCid: string;
  cloudProperties: CloudProperties;
  /** Network name to settings. */
  networks: Record<string, unknown>;
  /** Persistent disks that will be attached: a hint for the placement. */
  diskCids: readonly string[];
  env: Record<string, unknown>;
  /** `api_version` of the stemcell's manifest. */
  stemcellApiVersion: number | null;
}

/** What a VM shall have, whatever the cloud calls it; sizes in MiB. */
export interface VmResources {
  cpu: number;
  ram: number;
  ephemeral_disk_size: number;
}

/** A network that a CPI is to make; without a range it chooses one of `netmask_bits`. */
export interface NetworkDefinition {
  type: 'manual';
  cloud_properties: CloudProperties;
  range?: string;
  gateway?: string;
  netmask_bits?: number;
}

/** What it has made; range and gateway may be absent where the definition had them. */
export interface MadeNetwork {
  cid: string;
  range?: string | undefined;
  gateway?: string | undefined;
  /** Addresses, blocks or `first-last` that nobody may use. */
  reserved: string[];
  cloudProperties: CloudProperties;
}

/** Where the agent finds an attached disk. */
export type DiskHint = string | Record<string, unknown>;

/**
 * A CPI, called on behalf of one task. Every method may throw
 * - CpiError: the CPI's own failure, see `isCpiError` for its type, or a CPI that cannot be run or understood;
 * - the reason of the caller's loss (the CPI process is then killed; what it did in the cloud is for the next owner to find out).
 */
export interface Cpi {
  info(): Promise<CpiInfo>;
  /** Returns the cloud id. `imagePath` is a local file. Tags reach CPIs of API version 3. */
  createStemcell(imagePath: string, cloudProperties: CloudProperties, tags: Record<string, string>): Promise<string>;
  deleteStemcell(cid: string): Promise<void>;
  /** One attempt; returns the cloud id. See `createVmWithRetries`. */
  createVm(vm: CreateVm): Promise<string>;
  deleteVm(cid: string, stemcellApiVersion: number | null): Promise<void>;
  hasVm(cid: string): Promise<boolean>;
  rebootVm(cid: string): Promise<void>;
  setVmMetadata(cid: string, metadata: Record<string, string>): Promise<void>;
  calculateVmCloudProperties(resources: VmResources): Promise<CloudProperties>;
  /** `size` in MiB. */
  createDisk(size: number, cloudProperties: CloudProperties, vmCid: string): Promise<string>;
  deleteDisk(cid: string): Promise<void>;
  hasDisk(cid: string): Promise<boolean>;
  attachDisk(vmCid: string, diskCid: string, stemcellApiVersion: number | null): Promise<DiskHint>;
  detachDisk(vmCid: string, diskCid: string, stemcellApiVersion: number | null): Promise<void>;
  setDiskMetadata(cid: string, metadata: Record<string, string>): Promise<void>;
  snapshotDisk(cid: string, metadata: Record<string, unknown>): Promise<string>;
  deleteSnapshot(cid: string): Promise<void>;
  resizeDisk(cid: string, newSize: number): Promise<void>;
  /** Returns the new cloud id when the disk got one. */
  updateDisk(cid: string, newSize: number, cloudProperties: CloudProperties): Promise<string | undefined>;
  getDisks(vmCid: string): Promise<string[]>;
  createNetwork(definition: NetworkDefinition): Promise<MadeNetwork>;
  deleteNetwork(cid: string): Promise<void>;
}

/** All CPIs. */
export interface Cpis {
  /** By its name in the CPI config; '' is the director's own. Throws DirectorError 550001 for a name that is not known. */
  cpiFor(name: string, caller: CpiCaller): Cpi;
}
