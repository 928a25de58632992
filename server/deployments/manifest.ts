import type { Hash } from '../core/yaml';
import type { VmResources } from '../cpi/cpi';
import type { VariableDefinition } from '../variables/definitions';
import type { Addon } from './addons';

/** What a deployment manifest says, typed. Made by `parse-manifest.ts`. */

/** Numbers of instances: an absolute count or a percentage of a batch. */
export type Amount = { count: number } | { percent: number };

/** Milliseconds. */
export interface WatchTime {
  minMs: number;
  maxMs: number;
}

/** An `update` block with everything inherited. */
export interface UpdateConfig {
  canaries: Amount;
  maxInFlight: Amount;
  canaryWatchTime: WatchTime;
  updateWatchTime: WatchTime;
  serial: boolean;
  /** How a VM is replaced: deleted and made anew, or by one that is made beside it first. */
  vmStrategy: VmStrategy;
  initialDeployAzUpdateStrategy: 'serial' | 'parallel';
}

export type VmStrategy = 'delete-create' | 'create-swap-delete';

export interface ManifestRelease {
  name: string;
  /** Concrete, `latest` or `<prefix>.latest`. */
  version: string;
  /** Stemcells for which its packages come compiled; empty: they may be compiled here. */
  exportedFrom: readonly ExportedFrom[];
}

export interface ExportedFrom {
  os: string;
  version: string;
}

export interface ManifestStemcell {
  alias: string;
  /** At least one of the two. */
  name?: string;
  os?: string;
  version: string;
}

export interface ManifestJob {
  name: string;
  release: string;
  /** Undefined: the group's and deployment's legacy properties count. */
  properties?: Hash;
  consumes: Hash;
  provides: Hash;
  /** Definitions of links that the release does not have; checked by the planner. */
  customProviders?: readonly unknown[];
}

export interface ManifestNetwork {
  name: string;
  staticIps?: readonly string[];
  default: readonly string[];
  /** Networks of one number share a network card. */
  nicGroup?: number;
}

/** A persistent disk: by its size in MB, or by a disk type. The managed disk has no name. */
export type ManifestDisk = { name: string } & ({ size: number } | { type: string });

/** Instances of errands get their VMs when an errand is run. */
export type Lifecycle = 'service' | 'errand';

/** A group whose instances another one takes over. */
export interface MigratedGroup {
  name: string;
  /** AZ of instances that have none recorded; must be that of those that have one. */
  az?: string;
}

export interface ManifestGroup {
  name: string;
  lifecycle: Lifecycle;
  instances: number;
  azs: readonly string[] | null;
  jobs: readonly ManifestJob[];
  /** One of the two. */
  vmType?: string;
  vmResources?: VmResources;
  vmExtensions: readonly string[];
  stemcell: string;
  networks: readonly ManifestNetwork[];
  disks: readonly ManifestDisk[];
  env: Hash;
  update: UpdateConfig;
  migratedFrom: readonly MigratedGroup[];
  state?: ManifestState;
  instanceStates: Readonly<Record<string, ManifestState>>;
  properties: Hash;
  tags: Record<string, string>;
}

export type ManifestState = 'started' | 'stopped' | 'detached' | 'restart' | 'recreate';

export interface Features {
  /** Fills `env.bosh.job_dir.tmpfs` and `env.bosh.agent.settings.tmpfs`; undefined leaves env alone. */
  useTmpfsConfig?: boolean;
  /** Links and `spec.address` have DNS names instead of IPs; undefined: as the director says. */
  useDnsAddresses?: boolean;
  /** Addresses are short names (`q-….q-g….bosh`). */
  useShortDnsAddresses: boolean;
  /** Names are those of links instead of instance groups. */
  useLinkDnsNames: boolean;
  /** Between AZs that are equally good, chance decides instead of the alphabet. */
  randomizeAzPlacement: boolean;
  /** Variables are made anew when their definitions change. */
  convergeVariables: boolean;
}

export interface Manifest {
  name: string;
  releases: readonly ManifestRelease[];
  stemcells: readonly ManifestStemcell[];
  update: UpdateConfig;
  groups: readonly ManifestGroup[];
  /** Legacy properties of all jobs that have none of their own. */
  properties: Hash;
  tags: Record<string, string>;
  addons: readonly Addon[];
  variables: readonly VariableDefinition[];
  features: Features;
  /** Deprecations, for the operator. */
  warnings: readonly string[];
}
