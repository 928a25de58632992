import type { Hash } from '../core/yaml';
import type { VmResources } from '../cpi/cpi';

/**
 * Names, states and specs of instances. The specs are what agents, templates and the records share; their keys
 * are BOSH's. Source of the shapes: cloudfoundry/bosh src/bosh-director/lib/bosh/director/deployment_plan/instance_spec.rb.
 */

/** What an operator wants an instance to be; `detached` has no VM but keeps its records and disks. */
export type InstanceState = 'started' | 'stopped' | 'detached';

export const instanceStates: readonly InstanceState[] = ['started', 'stopped', 'detached'];

/** `<group>/<uuid> (<index>)`, as task events and error messages show an instance. */
export function instanceLabel(instance: { group: string; uuid: string; index: number }): string {
  return `${instance.group}/${instance.uuid} (${instance.index})`;
}

/** `<group>/<uuid>`, as audit events name an instance. */
export function instanceName(instance: { group: string; uuid: string }): string {
  return `${instance.group}/${instance.uuid}`;
}

/** One network of an instance as CPI, agent and templates get it. */
export interface NetworkSettings {
  type: 'manual' | 'dynamic' | 'vip';
  ip?: string;
  /** Length of the address block that the instance owns, in decimal: "32" for one IPv4 address. */
  prefix: string;
  netmask?: string;
  cloud_properties: Hash;
  /** What the network is the default of, sorted: addressable, dns, gateway. */
  default?: string[];
  /** Networks of one number share a network card. */
  nic_group?: string;
  dns?: string[];
  gateway?: string;
}

/** One release job inside a spec. */
export interface JobTemplateSpec {
  name: string;
  version: string;
  sha1: string;
  blobstore_id: string;
  logs: unknown;
}

/** The jobs of an instance; `name` is the instance group's, `template` and `version` are the first job's. */
export interface JobSpec {
  name: string;
  templates: JobTemplateSpec[];
  template: string;
  version: string;
}

/** One compiled run-time package inside a spec; `version` is `<package version>.<build>`. */
export interface PackageSpec {
  name: string;
  version: string;
  sha1: string;
  blobstore_id: string;
}

export interface RenderedTemplatesArchive {
  blobstore_id: string;
  sha1: string;
}

/** Argument of the agent's `apply` and `prepare`. Key order is BOSH's. */
export interface ApplySpec {
  deployment: string;
  /** Null in a group without jobs. */
  job: JobSpec | null;
  index: number;
  name: string;
  id: string;
  az: string | null;
  networks: Record<string, NetworkSettings>;
  packages: Record<string, PackageSpec>;
  dns_domain_name: string;
  /** MB of the managed disk; 0 without a disk, absent with named ones. */
  persistent_disk?: number;
  template_hashes?: Record<string, string>;
  rendered_templates_archive?: RenderedTemplatesArchive;
  configuration_hash?: string;
}

/** First `apply` of a new VM: makes the agent know who it is and installs nothing. */
export type InitialApplySpec = Pick<ApplySpec, 'deployment' | 'job' | 'index' | 'id' | 'networks'>;

/** Update settings as the records keep them; watch times are `min-max` in ms. */
export interface UpdateSpec {
  canaries: string;
  max_in_flight: string;
  canary_watch_time: string;
  update_watch_time: string;
  serial: boolean;
  vm_strategy: string;
  initial_deploy_az_update_strategy: string;
}

/** All that is recorded of an applied update (`instances.spec`). */
export interface FullSpec extends ApplySpec {
  bootstrap: boolean;
  lifecycle: 'service' | 'errand';
  /** Null where the group has `vm_resources`. */
  vm_type: { name: string; cloud_properties: Hash } | null;
  vm_resources?: VmResources;
  /** `cpi`: name of the CPI that has the VM; absent or '' for the director's own. */
  stemcell: { name: string; version: string; cpi?: string };
  env: Hash;
  /** Bound properties per job name, unresolved placeholders included. */
  properties: Record<string, Hash>;
  properties_need_filtering: true;
  /** IP of the network that is addressable, or of the default gateway's. */
  address: string | null;
  update: UpdateSpec;
  /** Of the managed disk. */
  persistent_disk_type?: { name: string; disk_size: number; cloud_properties: Hash };
}
