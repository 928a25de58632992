import { z } from 'zod';

/** What the tasks on releases, stemcells and left-overs are asked to do; written by the API, read by the worker. */

/** Where an upload is: in the blobstore already (the task deletes it), or at a URL that the task downloads. */
const source = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('blob'), blobId: z.string(), sha256: z.string() }),
  z.strictObject({ kind: z.literal('url'), location: z.string() }),
]);

/** Payload of `update_release`. */
export const updateReleasePayload = z.strictObject({
  source,
  /** BOSH multi-digest that the archive must have. */
  sha1: z.string().optional(),
  /** Gives a development release the next free version number. */
  rebase: z.boolean(),
  /** Replaces stored packages and jobs of the same fingerprint. */
  fix: z.boolean(),
});

/** Payload of `update_stemcell`. */
export const updateStemcellPayload = z.strictObject({
  source,
  sha1: z.string().optional(),
  /** Uploads to the cloud again even if the stemcell is known. */
  fix: z.boolean(),
});

/** Payload of `delete_release`: one version, or all without `version`. */
export const deleteReleasePayload = z.strictObject({ name: z.string(), version: z.string().optional(), force: z.boolean() });

/** Payload of `delete_stemcell`. */
export const deleteStemcellPayload = z.strictObject({ name: z.string(), version: z.string(), force: z.boolean() });

/** Payload of `delete_artifacts`, the clean-up. */
export const deleteArtifactsPayload = z.strictObject({ removeAll: z.boolean(), keepOrphanedDisks: z.boolean() });

/** Payload of `export_release`. */
export const exportReleasePayload = z.strictObject({
  deployment: z.string(),
  release: z.string(),
  version: z.string(),
  stemcell: z.strictObject({ os: z.string(), version: z.string() }),
  /** The result names the SHA-256 of the tarball instead of its SHA-1. */
  sha2: z.boolean(),
  /** Names of jobs; empty: all. */
  jobs: z.array(z.string()),
});

export type ExportReleasePayload = z.infer<typeof exportReleasePayload>;
export type UploadSource = z.infer<typeof source>;
export type UpdateReleasePayload = z.infer<typeof updateReleasePayload>;
export type UpdateStemcellPayload = z.infer<typeof updateStemcellPayload>;
export type DeleteReleasePayload = z.infer<typeof deleteReleasePayload>;
export type DeleteStemcellPayload = z.infer<typeof deleteStemcellPayload>;
export type DeleteArtifactsPayload = z.infer<typeof deleteArtifactsPayload>;
