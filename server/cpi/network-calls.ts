import type { CpiCaller, Cpis, MadeNetwork, NetworkDefinition } from './cpi';
import { isCpiError } from './errors';

/** Calls about managed networks; `cpi` as in the CPI config, '' for the director's own. */
export interface NetworkCalls {
  createNetwork(caller: CpiCaller, network: { cpi: string; definition: NetworkDefinition }): Promise<MadeNetwork>;
  /** A network that the cloud does not know counts as deleted. */
  deleteNetwork(caller: CpiCaller, network: { cpi: string; cid: string }): Promise<void>;
}

export function createNetworkCalls(cpis: Cpis): NetworkCalls {
  return {
    createNetwork: (caller, { cpi, definition }) => cpis.cpiFor(cpi, caller).createNetwork(definition),
    deleteNetwork: async (caller, { cpi, cid }) => {
      try {
        await cpis.cpiFor(cpi, caller).deleteNetwork(cid);
      } catch (error) {
        if (!isCpiError(error, 'NetworkNotFound')) throw error;
        caller.log.debug(`Network '${cid}' is not known to the cloud: taken as deleted`);
      }
    },
  };
}
