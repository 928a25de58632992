import { z } from 'zod';

/** Payloads of the tasks that the schedule enqueues. They are the `params` of its entries; names as in cloudfoundry/bosh jobs/director/templates/director.yml.erb. */

export const noParams = z.strictObject({});

export const tasksCleanupParams = z.strictObject({
  /** Ended tasks kept of each type. */
  max_tasks: z.int().min(1),
  /** Days. */
  tasks_retention_period: z.int().min(1).optional(),
  tasks_deployments_retention_period: z.array(z.strictObject({ deployment_name: z.string(), retention_period: z.int().min(1) })).default([]),
});

export const eventsCleanupParams = z.strictObject({ max_events: z.int().min(1) });

export const dnsBlobsCleanupParams = z.strictObject({
  /** s. */
  max_blob_age: z.int().min(0),
  num_dns_blobs_to_keep: z.int().min(1),
});

export const recordsCleanupParams = z.strictObject({
  /** Days after which director processes that are no more are forgotten. */
  node_days: z.int().min(1),
  /** Days after which everything else that has ended is forgotten. */
  record_days: z.int().min(1),
});

export const orphanedNetworksCleanupParams = z.strictObject({ max_orphaned_age_in_days: z.number().min(0).default(1) });

export type OrphanedNetworksCleanupParams = z.infer<typeof orphanedNetworksCleanupParams>;
export type TasksCleanupParams = z.infer<typeof tasksCleanupParams>;
export type EventsCleanupParams = z.infer<typeof eventsCleanupParams>;
export type DnsBlobsCleanupParams = z.infer<typeof dnsBlobsCleanupParams>;
export type RecordsCleanupParams = z.infer<typeof recordsCleanupParams>;
