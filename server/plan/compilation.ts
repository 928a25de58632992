import type { Network } from '../configs/cloud-config';
import type { Hash } from '../core/yaml';
import type { VmResources } from '../cpi/cpi';
import { cpiOfAz } from './cpis';
import type { Resolved } from './phases';

/** Where and with what packages are compiled. */
export interface CompilationPlan {
  workers: number;
  reuseVms: boolean;
  orphanWorkers: boolean;
  az: string | null;
  /** Of the AZ. */
  cpi: string;
  network: Network;
  /** AZ ← VM type or own cloud properties ← VM extensions. */
  cloudProperties: Hash;
  /** What the AZ's CPI makes of them wins over `cloudProperties`. */
  vmResources: VmResources | null;
  env: Hash;
}

/** Throws as `cpiOfAz`. */
export function planCompilation({ cloudConfig, input }: Resolved): CompilationPlan {
  const { workers, reuseVms, orphanWorkers, az, network: on, vmType, vmResources, vmExtensions, cloudProperties, env } = cloudConfig.compilation;
  const ofAz = cloudConfig.azs.find(({ name }) => name === az)?.cloudProperties;
  const own = vmType?.cloudProperties ?? cloudProperties;
  const merged = Object.assign({}, ofAz, own, ...vmExtensions.map((extension) => extension.cloudProperties)) as Hash;
  return { workers, reuseVms, orphanWorkers, az, cpi: cpiOfAz(az, { azs: cloudConfig.azs, cpis: input.state.cpis }), network: on, env, vmResources, cloudProperties: merged };
}
