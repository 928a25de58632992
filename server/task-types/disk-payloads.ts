import { z } from 'zod';

/** What the tasks on disks and snapshots are asked to do; written by the API, read by the worker. */

/** Payload of `attach_disk`. */
export const attachDiskPayload = z.strictObject({
  deployment: z.string(),
  group: z.string(),
  /** Uuid. */
  instance: z.string(),
  diskCid: z.string(),
  /** A disk that nobody knows gets size and cloud properties of the one that it replaces. */
  copyProperties: z.boolean(),
});

/** Payload of `orphan_disk`. */
export const orphanDiskPayload = z.strictObject({ diskCid: z.string() });

/** Payload of `delete_orphan_disks`. */
export const deleteOrphanDisksPayload = z.strictObject({ diskCids: z.array(z.string()) });

/** Payload of `scheduled_orphaned_disk_cleanup`. */
export const orphanedDiskCleanupParams = z.strictObject({ max_orphaned_age_in_days: z.number().min(0) });

/** Payload of `create_snapshot`. */
export const createSnapshotPayload = z.strictObject({ deployment: z.string(), instanceId: z.int() });

/** Payload of `snapshot_deployment` and `delete_deployment_snapshots`. */
export const deploymentSnapshotsPayload = z.strictObject({ deployment: z.string() });

/** Payload of `delete_snapshot`. */
export const deleteSnapshotPayload = z.strictObject({ deployment: z.string(), snapshotCids: z.array(z.string()) });

export type AttachDiskPayload = z.infer<typeof attachDiskPayload>;
export type OrphanDiskPayload = z.infer<typeof orphanDiskPayload>;
export type DeleteOrphanDisksPayload = z.infer<typeof deleteOrphanDisksPayload>;
export type OrphanedDiskCleanupParams = z.infer<typeof orphanedDiskCleanupParams>;
export type CreateSnapshotPayload = z.infer<typeof createSnapshotPayload>;
export type DeploymentSnapshotsPayload = z.infer<typeof deploymentSnapshotsPayload>;
export type DeleteSnapshotPayload = z.infer<typeof deleteSnapshotPayload>;
