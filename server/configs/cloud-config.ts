import type { AddressRange } from '../core/ip';
import type { Hash } from '../core/yaml';

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

/** A manual network; other types are refused. */
export interface Network {
  name: string;
  type: 'manual';
  subnets: readonly Subnet[];
  /** Length of the block that every address is, 32 for single IPv4 addresses; the same in all subnets. */
  prefix: number;
}

export interface Subnet {
  /** CIDR text, e.g. `10.0.0.0/24`. */
  range: string;
  version: 4 | 6;
  gateway?: string;
  netmask: string;
  dns?: readonly string[];
  /** Null when no subnet of the network has AZs. */
  azs: readonly string[] | null;
  /** Address ranges that are given out to nobody, implicit ones included. */
  restricted: readonly AddressRange[];
  /** Address ranges that are only given out by name. */
  static: readonly AddressRange[];
  cloudProperties: Hash;
}

export interface Compilation {
  workers: number;
  reuseVms: boolean;
  orphanWorkers: boolean;
  az: string | null;
  network: Network;
  vmType: VmType | null;
  vmExtensions: readonly VmType[];
  cloudProperties: Hash;
  env: Hash;
}
