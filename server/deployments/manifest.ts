import type { Hash } from '../core/yaml';
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
  vmStrategy: 'delete-create';
  initialDeployAzUpdateStrategy: 'serial' | 'parallel';
}

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

export interface ManifestGroup {
  name: string;
  lifecycle: 'service';
  instances: number;
  azs: readonly string[] | null;
  jobs: readonly ManifestJob[];
  vmType: string;
  vmExtensions: readonly string[];
  stemcell: string;
  networks: readonly ManifestNetwork[];
  disks: readonly ManifestDisk[];
  env: Hash;
  update: UpdateConfig;
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
  /** These names are short ones. */
  useShortDnsAddresses?: boolean;
  /** Those of links name the link, not the instance group; implies the two above where they say nothing. */
  useLinkDnsNames?: boolean;
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
  features: Features;
  /** Deprecations, for the operator. */
  warnings: readonly string[];
}
