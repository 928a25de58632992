import type { DnsIdentity, DnsIds } from '../dns/names';
import type { ManagedSubnet } from '../configs/networks';
import type { Hash } from '../core/yaml';
import type { ExportedFrom, Lifecycle, UpdateConfig } from '../deployments/manifest';
import type { VmResources } from '../cpi/cpi';
import type { CpiNames } from '../cpi/configured';
import type { CompiledPackageRecord, JobRecord, PackageRecord, ReleaseVersionRecord } from '../releases/release';
import type { DnsNames } from './addresses';
import type { DiskChange, PlannedDisk, RecordedDisk } from './disks';
import type { PlannedAlias } from './dns';
import type { CompilationPlan } from './compilation';
import type { CpiStemcell, PlannedStemcell } from './stemcells';
import type { CalculatedResources } from './vm-resources';
import type { PlannedLinks, RecordedProvider } from './links';
import type { AddressOwner, AgentState, DirectorFacts, RecordedReservation, StemcellRecord } from './recorded';
import type { PlannedVariable, ResolvedDifferences } from './variable-types';
import type { FullSpec, InstanceState, NetworkSettings, PackageSpec } from '../instances/instance';

/**
 * Planning is a chain of pure functions over these values:
 *
 *   PlanInput → Resolved → Placed → Networked → Plan → withRendered → withCompiled
 *
 * Here is what goes in and what comes out; what lies between is in `phases.ts`. Each phase returns a new type, so a value
 * says by its type what is known. Nothing here is ever changed in place.
 */

/** Flags of `POST /deployments` and of the state changes; all optional. */
export interface DeployRequest {
  /** Recreate every VM … */
  recreate?: boolean;
  /** … made before this instant (RFC 3339); dirty instances and VMs of unknown age are recreated anyway. */
  recreateVmsCreatedBefore?: string;
  /** Replace every persistent disk by a new one with the same content. */
  recreatePersistentDisks?: boolean;
  /** Treat unresponsive agents as a reason to recreate instead of failing. */
  fix?: boolean;
  /** `*` or the names of the groups whose instances are stopped without pre-stop and drain. */
  skipDrain?: '*' | readonly string[];
  /** Override of the `update` blocks, e.g. "2" or "50%". */
  canaries?: string;
  maxInFlight?: string;
  dryRun?: boolean;
  /** Variables that follow the stemcell get new versions even though it stays. */
  forceLatestVariables?: boolean;
  /** States asked for by group, and by group and instance (uuid or index); they win over the manifest's. */
  groupStates?: Readonly<Record<string, RequestedState>>;
  instanceStates?: Readonly<Record<string, Readonly<Record<string, RequestedState>>>>;
}

/** `restart` and `recreate` end as `started`. */
export type RequestedState = InstanceState | 'restart' | 'recreate';

/** A VM of an instance. */
export interface RecordedVm {
  id: number;
  agentId: string;
  cid: string;
  /** Name of the CPI that made it, as it was then; '' is the director's own. */
  cpi: string;
  active: boolean;
  stemcellApiVersion: number | null;
  /** RFC 3339; undefined when unknown. */
  createdAt?: string;
  trustedCertsSha1: string | null;
  natsConfigSha1: string | null;
  blobstoreConfigSha1: string | null;
  /** Networks as they were given to the CPI, with the addresses that the cloud allotted. */
  networks: Record<string, NetworkSettings>;
  /** Made by the task that plans, in an earlier attempt: what the request asks for is done. */
  ofThisTask?: boolean;
  /** What it was made of; known of VMs that were made beside another one. */
  madeOf?: { stemcell: { name: string; version: string }; env: Hash; cloudProperties: Hash };
}

/** An instance of the deployment as the records and its agent know it. */
export interface RecordedInstance {
  id: number;
  uuid: string;
  group: string;
  index: number;
  az: string | null;
  state: InstanceState;
  bootstrap: boolean;
  ignore: boolean;
  /** False while an update is unfinished: the instance is converged again. */
  updateCompleted: boolean;
  /** Of the last applied update, or what is known since the VM was made; null before the first VM. */
  spec: Partial<FullSpec> | null;
  /** What DNS says of it beside its addresses, as of its last update; absent: what is recorded here, without links. */
  dns?: DnsIdentity | undefined;
  /** What the VM was made with; null before the first VM. */
  cloudProperties: Hash | null;
  /** Versions of variables of what is recorded: row of variable_sets; null when none was used. */
  variableSetId?: number | null;
  vm?: RecordedVm;
  /** VMs beside the active one, oldest first: made to take its place by a deploy that did not come so far. */
  spareVms?: readonly RecordedVm[];
  reservations: readonly RecordedReservation[];
  /** Present when the instance has an active VM, is not ignored and its group is in the manifest. */
  agentState?: AgentState;
  persistentDisks: readonly RecordedDisk[];
}

/** Everything that planning reads, as recorded at one moment. */
export interface RecordedState {
  director: DirectorFacts;
  deployment: {
    name: string;
    /** Resolved manifest of the last successful deploy; null before the first. */
    manifest: Hash | null;
    tags: Record<string, string>;
    /** Teams that own the deployment. */
    teams?: readonly string[];
  };
  /** All instances of the deployment, compilation workers excepted. */
  instances: readonly RecordedInstance[];
  /** Every address of the whole director (CIDR text), those of this deployment included. */
  takenAddresses: readonly string[];
  /** Who has them, for messages; null: an orphaned VM. */
  addressOwners?: ReadonlyMap<string, AddressOwner | null>;
  /** Every complete version of the releases that the manifest names. */
  releases: readonly ReleaseVersionRecord[];
  stemcells: readonly StemcellRecord[];
  /** Of the CPI configs; undefined without any. */
  cpis: readonly CpiNames[] | undefined;
  /** Compiled forms of the packages of `releases`. */
  compiledPackages: readonly CompiledPackageRecord[];
  /** Names of all deployments. */
  deployments: readonly string[];
  /** Links that other deployments provide. */
  linkProviders: readonly RecordedProvider[];
  /** Of the names that this deployment may use. */
  dnsIds: DnsIds;
  /** UUID → row that was set aside for an instance to be inserted; only short DNS names need it before that. */
  newInstanceIds: ReadonlyMap<string, number>;
  /** Subnets of managed networks that were made; undefined: the director does not manage networks. */
  managedSubnets?: readonly ManagedSubnet[] | undefined;
}

export interface PlanInput {
  /** The manifest document, as parsed from YAML; placeholders stand only where their values are needed later. */
  manifest: Hash;
  /** The same before any placeholder was resolved: this one is recorded. */
  document?: Hash;
  /** The cloud config documents that apply, in order of their ids. */
  cloudConfigs: readonly Hash[];
  /** The runtime config documents that apply. */
  runtimeConfigs: readonly Hash[];
  state: RecordedState;
  /** What CPIs answered to `neededResources`. */
  calculatedResources: readonly CalculatedResources[];
  request: DeployRequest;
  /** UUIDs of new instances, one per call. */
  newUuid: () => string;
  /** By uuid: how an instance's documents with placeholders differ from what it has, when both are compared with their values. */
  differences?: ReadonlyMap<string, ResolvedDifferences>;
}

/** A release of the manifest or of a runtime config. */
export interface PlannedRelease extends ReleaseVersionRecord {
  /** When not empty, its packages have to be there compiled for one of these stemcells. */
  exportedFrom: readonly ExportedFrom[];
}

/** A release job bound to an instance group. */
export interface BoundJob {
  name: string;
  release: { name: string; version: string };
  record: JobRecord;
  /** Declared properties only: manifest value, else default, else null; nested; hashes key-sorted. */
  properties: Hash;
  /** By name; links that the job does not get are absent. */
  links: Record<string, Hash>;
}

/** A run-time package of a group; compiled for the group's stemcell under `requirement`. */
export interface GroupPackage {
  name: string;
  requirement: RequirementKey;
}

/** An address that an instance holds or shall hold. */
export interface Reservation {
  /** CIDR text, e.g. `10.0.0.5/32`; unique over the whole director. */
  address: string;
  network: string;
  static: boolean;
  nicGroup?: number;
}

/**
 * What happens to the addresses of an instance. `make` is recorded before anything is done; a conflict there means
 * that another deployment was quicker: read the state again and plan anew. `release` happens when no VM uses them any more.
 */
export interface ReservationPlan {
  keep: readonly Reservation[];
  make: readonly Reservation[];
  release: readonly Reservation[];
}

/** Why an instance is touched. The order is BOSH's; the names appear in audit events. */
export const changeKinds = [
  'dirty', 'restart', 'recreate', 'recreate_persistent_disks', 'cloud_properties', 'stemcell', 'env', 'network', 'packages',
  'persistent_disk', 'configuration', 'job', 'state', 'dns', 'trusted_certs', 'blobstore_config', 'nats_config', 'tags',
] as const;

export type ChangeKind = (typeof changeKinds)[number];

export interface Change {
  kind: ChangeKind;
  /** Sentences for operators, e.g. "stemcell ubuntu 1.200 → 1.210". Never values of properties. */
  reasons: readonly string[];
}

/** What rendering found for one instance. */
export interface RenderedHashes {
  /** SHA-1 over all templates; undefined in a group without jobs. */
  configurationHash?: string;
  /** Job name to SHA-1 of its templates. */
  templateHashes: Record<string, string>;
}

/** The planned future of one instance. */
export interface InstancePlan {
  uuid: string;
  /** Row of instances; undefined until the instance is inserted, unless a row was set aside for it. */
  id: number | undefined;
  group: string;
  index: number;
  az: string | null;
  bootstrap: boolean;
  /** No record yet: it is to be inserted (with `existing` undefined). */
  isNew: boolean;
  existing?: RecordedInstance;
  desiredState: InstanceState;
  networks: Readonly<Record<string, NetworkSettings>>;
  /** In the addressable network, else in the default gateway's. */
  ip: string | null;
  /** `ip`, or the DNS name in the same network. */
  address: string | null;
  /** What DNS is to say of it beside its addresses. */
  dns: DnsIdentity;
  reservations: ReservationPlan;
  /** AZ ← vm_type ← vm_extensions ← what the CPI makes of vm_resources. */
  cloudProperties: Hash;
  env: Hash;
  /** As the CPI of its AZ has it: VMs are made by that CPI. */
  stemcell: CpiStemcell;
  /** Its VM is recorded under an earlier name of that CPI. */
  cpiRenamed: boolean;
  /** One of the two; what the resources come to is in `cloudProperties`. */
  vmType: { name: string; cloudProperties: Hash } | null;
  vmResources: VmResources | null;
  jobs: readonly BoundJob[];
  packages: readonly GroupPackage[];
  update: UpdateConfig;
  lifecycle: Lifecycle;
  /** An instance of an errand that waits for its run: nothing is done to it. */
  dormant: boolean;
  tags: Record<string, string>;
  /** Persistent disks that it shall have. */
  disks: readonly PlannedDisk[];
  /** What becomes of those that it has. */
  diskChanges: readonly DiskChange[];
  /** Skip pre-stop and drain when it is stopped. */
  skipDrain: boolean;
  /** In the order of `changeKinds`. Empty: nothing to do. */
  changes: readonly Change[];
  /** It has no VM and shall have one. */
  needsVm: boolean;
  /** It has a VM that must be replaced; never while it is stopped. */
  needsRecreate: boolean;
  /** Only metadata or DNS follow: no drain, no apply. */
  minimal: boolean;
  /** `create-swap-delete`: its VM is replaced by one that is made beside it; `ready` when such a one is there already. */
  swap?: { ready?: RecordedVm };
  /** VMs of an earlier deploy that are of no use: they are orphaned before anything is made. */
  surplusVms: readonly RecordedVm[];
}

/** An instance plan after rendering. */
export interface RenderedInstancePlan extends InstancePlan {
  rendered: RenderedHashes;
}

/** An instance plan whose packages are compiled: nothing is open any more. */
export interface CompleteInstancePlan extends RenderedInstancePlan {
  packageSpecs: Readonly<Record<string, PackageSpec>>;
}

export interface GroupPlan<I extends InstancePlan = InstancePlan> {
  name: string;
  lifecycle: Lifecycle;
  /** An errand of which no instance has a VM: none is made, rendered or updated. */
  dormant: boolean;
  /** Groups whose instances it takes over. */
  migratedFrom: readonly string[];
  serial: boolean;
  update: UpdateConfig;
  azs: readonly string[] | null;
  jobs: readonly BoundJob[];
  stemcell: PlannedStemcell;
  /** By index. */
  instances: readonly I[];
  /** Deleted before the group is updated. */
  obsolete: readonly ObsoletePlan[];
}

/** An instance that shall not exist any more. */
export interface ObsoletePlan {
  instance: RecordedInstance;
  group: string;
  reason: 'group removed' | 'not needed';
  skipDrain: boolean;
}

/** `<package id>:<os>/<version>`: a package compiled for a stemcell. */
export type RequirementKey = string;

/** A package that some group needs, directly or not, for its stemcell. */
export interface PackageRequirement {
  key: RequirementKey;
  package: PackageRecord;
  release: { name: string; version: string };
  stemcell: PlannedStemcell;
  /** Direct dependencies. */
  dependencies: readonly RequirementKey[];
  dependencyKey: string;
  /** Present when nothing has to be compiled. */
  compiled?: CompiledBuild;
}

/** A compiled package as agents fetch it. */
export interface CompiledBuild {
  build: number;
  blobstoreId: string;
  sha1: string;
}

/** Everything that a deploy will do. `I` grows as rendering and compiling complete it. */
export interface Plan<I extends InstancePlan = InstancePlan> {
  deployment: string;
  /** No manifest is recorded: nothing was ever deployed successfully. */
  firstDeploy: boolean;
  dryRun: boolean;
  /** The manifest with concrete versions, as it is recorded after success. */
  manifest: Hash;
  tags: Record<string, string>;
  releases: readonly PlannedRelease[];
  stemcells: readonly PlannedStemcell[];
  /** In the order of the manifest. */
  groups: readonly GroupPlan<I>[];
  /** Instances of groups that the manifest no longer has. */
  removed: readonly ObsoletePlan[];
  /** Dependencies come before their dependents. */
  packages: readonly PackageRequirement[];
  compilation: CompilationPlan;
  links: PlannedLinks;
  /** `short`: addresses may have ids in them. */
  dns: { names: DnsNames; short: boolean; aliases: readonly PlannedAlias[] };
  cpis: readonly CpiNames[] | undefined;
  /** In the order in which they are generated. */
  variables: readonly PlannedVariable[];
  /** AZs of the cloud config, in its order. */
  azs: readonly { name: string; cloudProperties: Hash }[];
  initialDeployAzUpdateStrategy: 'serial' | 'parallel';
  director: DirectorFacts;
  /** For the operator: ignored instances, names that nothing declares, deprecated keys. */
  warnings: readonly string[];
}
