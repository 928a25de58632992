import type { DeploymentVariables } from '../../server/deploy/variables';
import type { Resolver } from '../../server/variables/resolve';

const resolver: Resolver = { resolve: async (document) => document, versionsIn: async () => [] };

/** Of a deployment whose documents hold no placeholders. */
export const noVariables: DeploymentVariables = { setId: undefined, own: resolver, ofProvider: async () => resolver, inSet: async () => resolver };
