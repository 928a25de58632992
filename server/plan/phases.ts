import type { CloudConfig, Network } from '../configs/cloud-config';
import type { Hash } from '../core/yaml';
import type { VmResources } from '../cpi/cpi';
import type { Lifecycle, Manifest, MigratedGroup, UpdateConfig } from '../deployments/manifest';
import type { NetworkSettings } from '../instances/instance';
import type { VariableDefinition } from '../variables/definitions';
import type { PlannedDisk } from './disks';
import type { LinkIntents } from './link-intents';
import type { BoundJob, GroupPackage, PackageRequirement, PlanInput, PlannedRelease, RecordedInstance, RecordedVm, RequestedState, ReservationPlan } from './types';
import type { PlannedStemcell } from './stemcells';

/** What each phase of planning knows more than the one before; see `types.ts` for what goes in and comes out. */

// ---------------------------------------------------------------- phase 1: resolved

export interface GroupNetwork {
  name: string;
  /** Single addresses in the order of the manifest; undefined when allotted dynamically. */
  staticIps?: readonly string[];
  /** Of `addressable`, `dns`, `gateway`; sorted; empty when the network is the default of nothing. */
  defaultFor: readonly string[];
  /** Networks of one number share a network card. */
  nicGroup?: number;
  network: Network;
}

/** An instance group with everything that it refers to. */
export interface ResolvedGroup {
  name: string;
  lifecycle: Lifecycle;
  /** How many instances are wanted. */
  size: number;
  /** Null when the group names none. */
  azs: readonly string[] | null;
  jobs: readonly BoundJob[];
  /** Direct run-time packages of the jobs, by name. */
  packages: readonly GroupPackage[];
  /** One of the two. */
  vmType: { name: string; cloudProperties: Hash } | null;
  vmResources: VmResources | null;
  vmExtensions: readonly { name: string; cloudProperties: Hash }[];
  stemcell: PlannedStemcell;
  networks: readonly GroupNetwork[];
  env: Hash;
  disks: readonly PlannedDisk[];
  update: UpdateConfig;
  tags: Record<string, string>;
  migratedFrom: readonly MigratedGroup[];
  state?: RequestedState;
  instanceStates: Readonly<Record<string, RequestedState>>;
}

/** Releases, stemcells, cloud config and groups are known and fit together. */
export interface Resolved {
  input: PlanInput;
  manifest: Manifest;
  /** The manifest document with concrete versions, as it will be recorded. */
  resolvedManifest: Hash;
  cloudConfig: CloudConfig;
  releases: readonly PlannedRelease[];
  stemcells: readonly PlannedStemcell[];
  groups: readonly ResolvedGroup[];
  packages: readonly PackageRequirement[];
  links: LinkIntents;
  variables: readonly VariableDefinition[];
  tags: Record<string, string>;
  warnings: readonly string[];
}

// ---------------------------------------------------------------- phase 2: placed

/** One instance that shall exist, with its identity and AZ. */
export interface PlacedInstance {
  uuid: string;
  index: number;
  az: string | null;
  bootstrap: boolean;
  existing?: RecordedInstance;
  /** Static addresses by network name. */
  staticIps: Readonly<Record<string, string>>;
}

export interface PlacedGroup {
  group: ResolvedGroup;
  /** An errand of which no instance has a VM or is detached: it gets no addresses. */
  dormant: boolean;
  /** By index. */
  instances: readonly PlacedInstance[];
  obsolete: readonly RecordedInstance[];
}

export interface Placed {
  resolved: Resolved;
  groups: readonly PlacedGroup[];
  /** Instances of groups that the manifest no longer has. */
  removed: readonly RecordedInstance[];
}

// ---------------------------------------------------------------- phase 3: networked

export interface NetworkedInstance extends PlacedInstance {
  /** Network name to settings, in the order of the manifest. */
  networks: Readonly<Record<string, NetworkSettings>>;
  reservations: ReservationPlan;
  /** Why the VM cannot keep its networks; empty when it can. */
  networkChanges: readonly string[];
  /** Its addresses are those of a VM that will be made, or was made, beside the present one. */
  swap?: { ready?: RecordedVm };
}

export interface NetworkedGroup {
  group: ResolvedGroup;
  dormant: boolean;
  instances: readonly NetworkedInstance[];
  obsolete: readonly RecordedInstance[];
}

export interface Networked {
  placed: Placed;
  groups: readonly NetworkedGroup[];
}
