import type { CloudProperties, CpiCaller, Cpis, CreateVm, VmResources } from './cpi';
import { createVmWithRetries } from './client';
import { isCpiError } from './errors';

/**
 * Calls about VMs as a deploy needs them: what BOSH forgives a CPI is forgiven here.
 * Rules: cloudfoundry/bosh src/bosh-director/lib/bosh/director/{vm_deleter,metadata_updater}.rb, deployment_plan/steps/create_vm_step.rb.
 */
export interface VmCalls {
  /** Tries again, at once and with the same agent id, while the CPI says that this may help. */
  createVm(caller: CpiCaller, vm: Omit<CreateVm, 'diskCids'> & { diskCids?: readonly string[] }): Promise<string>;
  /** A VM that the cloud does not know counts as deleted. */
  deleteVm(caller: CpiCaller, cid: string, stemcellApiVersion: number | null): Promise<void>;
  /** Undefined when the CPI cannot tell. */
  hasVm(caller: CpiCaller, cid: string): Promise<boolean | undefined>;
  /** CPIs without metadata are passed over. */
  setVmMetadata(caller: CpiCaller, cid: string, metadata: Record<string, string>): Promise<void>;
  /** The cloud properties of a VM that has these resources. */
  calculateVmCloudProperties(caller: CpiCaller, resources: VmResources): Promise<CloudProperties>;
}

/** The calls, on one CPI; `cpiName` as in the CPI config, '' for the director's own. */
export function createVmCalls(cpis: Cpis, options: { maxCreateTries: number; cpiName?: string }): VmCalls {
  const cpiFor = (caller: CpiCaller) => cpis.cpiFor(options.cpiName ?? '', caller);
  return {
    createVm: (caller, { diskCids, ...vm }) =>
      createVmWithRetries(cpiFor(caller), { ...vm, diskCids: diskCids ?? [] }, {
        maxTries: options.maxCreateTries,
        onRetry: (error, next) => caller.log.debug(`create_vm failed, try ${next} of ${options.maxCreateTries} follows: ${error.message}`),
      }),
    deleteVm: async (caller, cid, stemcellApiVersion) => {
      try {
        await cpiFor(caller).deleteVm(cid, stemcellApiVersion);
      } catch (error) {
        if (!isCpiError(error, 'VMNotFound')) throw error;
        caller.log.debug(`VM '${cid}' is not known to the cloud: taken as deleted`);
      }
    },
    hasVm: async (caller, cid) => {
      try {
        return await cpiFor(caller).hasVm(cid);
      } catch (error) {
        if (isCpiError(error, 'NotImplemented')) return undefined;
        throw error;
      }
    },
    setVmMetadata: async (caller, cid, metadata) => {
      try {
        await cpiFor(caller).setVmMetadata(cid, metadata);
      } catch (error) {
        if (!isCpiError(error, 'NotImplemented')) throw error;
        caller.log.debug(`The CPI has no set_vm_metadata: ${error.message}`);
      }
    },
    calculateVmCloudProperties: (caller, resources) => cpiFor(caller).calculateVmCloudProperties(resources),
  };
}
