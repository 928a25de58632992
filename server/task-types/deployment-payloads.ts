import { z } from 'zod';

/** What the tasks on whole deployments are asked to do; written by the API, read by the worker. */

const ids = z.array(z.int());

/** Payload of `update_deployment`. The flags are those of `POST /deployments`; the names are those of `DeployRequest`. */
export const updateDeploymentPayload = z.strictObject({
  deployment: z.string(),
  /** YAML as uploaded. */
  manifestText: z.string(),
  /** Rows of `configs`: the plan is made with these, whatever is uploaded meanwhile. */
  configIds: z.strictObject({ cloud: ids, runtime: ids }),
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

export type UpdateDeploymentPayload = z.infer<typeof updateDeploymentPayload>;

/** Payload of `delete_deployment`. */
export const deleteDeploymentPayload = z.strictObject({
  deployment: z.string(),
  /** Goes on when the CPI, an agent or the blobstore fails. */
  force: z.boolean(),
});

export type DeleteDeploymentPayload = z.infer<typeof deleteDeploymentPayload>;
