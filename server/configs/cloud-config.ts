import type { AddressRange } from '../core/ip';
import type { Hash } from '../core/yaml';
import type { VmResources } from '../cpi/cpi';

/** The cloud config of a deployment, merged, checked and with every reference resolved. Made by `parse.ts`. */
export interface CloudConfig {
  azs: readonly Az[];
  vmTypes: readonly VmType[];
  vmExtensions: readonly VmType[];
  diskTypes: readonly DiskType[];
  networks: readonly Network[];
  compilation: Compilation;
}

export interface Az {
  name: string;
  /** Name of its CPI; absent, or '', for the director's own. */
  cpi?: string;
  cloudProperties: Hash;
}

/** A VM type, or a VM extension: they have the same shape. */
export interface VmType {
  name: string;
  cloudProperties: Hash;
}

export interface DiskType {
  name: string;
  /** MB */
  size: number;
  cloudProperties: Hash;
}

export type Network = ManualNetwork | DynamicNetwork | VipNetwork;

/** The director allots the addresses. */
export interface ManualNetwork {
  name: string;
  type: 'manual';
  /** Its subnets are made and deleted through the CPI. */
  managed: boolean;
  subnets: readonly Subnet[];
  /** Length of the block that every address is, 32 for single IPv4 addresses; the same in all subnets. */
  prefix: number;
}

export interface Subnet {
  /** Only managed networks need names of subnets. */
  name?: string;
  /** CIDR text, e.g. `10.0.0.0/24`; empty in a managed network whose subnet is yet to be made and gets its range then. */
  range: string;
  version: 4 | 6;
  gateway?: string;
  netmask: string;
  /** Size that the CPI is asked for when it chooses the range. */
  netmaskBits?: number;
  dns?: readonly string[];
  /** Null when no subnet of the network has AZs. */
  azs: readonly string[] | null;
  /** Address ranges that are given out to nobody, implicit ones included. */
  restricted: readonly AddressRange[];
  /** Address ranges that are only given out by name; with a prefix they consist of whole blocks. */
  static: readonly AddressRange[];
  cloudProperties: Hash;
}

/** The cloud allots the addresses, which are IPv4; the director learns them from the agents. */
export interface DynamicNetwork {
  name: string;
  type: 'dynamic';
  subnets: readonly DynamicSubnet[];
}

export interface DynamicSubnet {
  dns?: readonly string[];
  azs: readonly string[] | null;
  cloudProperties: Hash;
}

/** Addresses that the cloud leads to a VM beside those of its networks. */
export interface VipNetwork {
  name: string;
  type: 'vip';
  cloudProperties: Hash;
  /** What the director allots from; empty: the manifest names the addresses. */
  subnets: readonly VipSubnet[];
  /** As it is told to CPIs; null: that of a single address. */
  prefix: number | null;
}

export interface VipSubnet {
  static: readonly (AddressRange & { version: 4 | 6 })[];
  azs: readonly string[] | null;
}

export interface Compilation {
  workers: number;
  reuseVms: boolean;
  orphanWorkers: boolean;
  az: string | null;
  network: Network;
  vmType: VmType | null;
  vmResources: VmResources | null;
  vmExtensions: readonly VmType[];
  cloudProperties: Hash;
  env: Hash;
}
