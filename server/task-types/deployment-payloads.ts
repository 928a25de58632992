import { z } from 'zod';
import type { DeployRequest } from '../plan/types';

/** What the tasks on whole deployments are asked to do; written by the API, read by the worker. */

const ids = z.array(z.int());

/** Flags of `POST /deployments`; the names are those of `DeployRequest`. */
export const deployFlags = z.strictObject({
  recreate: z.boolean(),
  /** RFC 3339; only with `recreate`. */
  recreateVmsCreatedBefore: z.string().optional(),
  recreatePersistentDisks: z.boolean(),
  fix: z.boolean(),
  /** `*` or names of instance groups. */
  skipDrain: z.union([z.literal('*'), z.array(z.string())]).optional(),
  /** A count or a percentage, e.g. `2`, `50%`; overrides the manifest's. */
  canaries: z.string().optional(),
  maxInFlight: z.string().optional(),
  dryRun: z.boolean(),
  forceLatestVariables: z.boolean(),
});

export type DeployFlags = z.infer<typeof deployFlags>;

/** Payload of `update_deployment`. */
export const updateDeploymentPayload = deployFlags.extend({
  deployment: z.string(),
  /** YAML as uploaded. */
  manifestText: z.string(),
  /** Rows of `configs`: the plan is made with these, whatever is uploaded meanwhile. */
  configIds: z.strictObject({ cloud: ids, runtime: ids }),
});

export type UpdateDeploymentPayload = z.infer<typeof updateDeploymentPayload>;

/** Payload of `delete_deployment`. */
export const deleteDeploymentPayload = z.strictObject({
  deployment: z.string(),
  /** Goes on when the CPI, an agent or the blobstore fails. */
  force: z.boolean(),
});

export type DeleteDeploymentPayload = z.infer<typeof deleteDeploymentPayload>;

/** What planning takes of a payload: flags that were not given are absent. */
export function requestOf(flags: DeployFlags): DeployRequest {
  return Object.fromEntries(Object.entries(flags).filter(([, value]) => value !== undefined));
}
