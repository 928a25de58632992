import { z } from 'zod';
import type { Db } from '../../db/client';
import type { schedulerSchema } from '../core/config-scheduler';
import { hasDisks, hasOldOrphanDisks } from '../disks/orphan-store';
import { listOrphanedNetworks } from '../deployments/networks-store';
import { hasDisposableDnsBlobs, hasTombstones } from './dns-retention-store';
import { hasDisposableEvents } from './event-retention-store';
import { hasOrphanedVms } from './orphaned-vm-store';
import { dnsBlobsCleanupParams, eventsCleanupParams, noParams, recordsCleanupParams, tasksCleanupParams } from './payloads';
import { hasExpiredRecords } from './record-retention-store';

export type SchedulerSettings = z.infer<typeof schedulerSchema>;

/** What an entry of the schedule can run. */
export interface Command {
  /** Task type and description, as `bosh tasks` shows them. */
  type: string;
  description: string;
  /** Cron of its default entry; undefined: there is none with these settings. */
  schedule: (settings: SchedulerSettings) => string | undefined;
  /** What its entries have for `params` unless they say otherwise. */
  defaults(settings: SchedulerSettings): Record<string, unknown>;
  /** Payload of its task from an entry's `params`. Throws ZodError. */
  payload(params: Record<string, unknown>): Record<string, unknown>;
  /** Whether a task would find anything to do. */
  hasWork(db: Db, params: Record<string, unknown>): Promise<boolean>;
  /** Why there is never anything to do in this version. */
  absent: string | undefined;
}

interface Definition<P extends Record<string, unknown>> {
  type: string;
  description: string;
  schedule: string | ((settings: SchedulerSettings) => string | undefined);
  params: z.ZodType<P>;
  defaults?: (settings: SchedulerSettings) => P;
  hasWork: (db: Db, params: P) => Promise<boolean>;
}

function command<P extends Record<string, unknown>>({ schedule, params, defaults, hasWork, ...rest }: Definition<P>): Command {
  return {
    ...rest,
    schedule: typeof schedule === 'string' ? () => schedule : schedule,
    defaults: defaults ?? (() => ({})),
    payload: (given) => params.parse(given),
    hasWork: (db, given) => hasWork(db, params.parse(given)),
    absent: undefined,
  };
}

/** An entry that may stand in configurations and has nothing to do, as there are no records of what it would deal with. */
function absentCommand({ absent, ...rest }: Omit<Definition<Record<string, unknown>>, 'hasWork'> & { absent: string }): Command {
  return { ...command({ ...rest, hasWork: async () => false }), absent };
}

const orphanParams = (days: number) => z.strictObject({ max_orphaned_age_in_days: z.number().min(0).default(days) });

/**
 * Every command that entries of the schedule may name, in the order of the default entries. Names, types, descriptions and default
 * crons: cloudfoundry/bosh jobs/director/{spec,templates/director.yml.erb}, src/bosh-director/lib/bosh/director/jobs/.
 */
export const commands: ReadonlyMap<string, Command> = new Map([
  ['SnapshotDeployments', command({ type: 'snapshot_deployments', description: 'scheduled SnapshotDeployments', schedule: '0 0 7 * * * UTC', params: noParams, hasWork: (db) => hasDisks(db) })],
  // The director is several processes on machines that no CPI made: there is no VM of its own to snapshot.
  ['SnapshotSelf', absentCommand({ type: 'snapshot_self', description: 'scheduled SnapshotSelf', schedule: '0 0 6 * * * UTC', params: noParams, absent: 'the director has no VM of its own' })],
  ['ScheduledOrphanedVMCleanup', command({ type: 'scheduled_orphaned_vm_cleanup', description: 'scheduled ScheduledOrphanedVMCleanup', schedule: '*/5 * * * * UTC', params: noParams, hasWork: (db) => hasOrphanedVms(db) })],
  ['ScheduledOrphanedDiskCleanup', command({
    type: 'scheduled_orphaned_disk_cleanup', description: 'clean up orphan disks', schedule: '0 0,30 * * * * UTC', params: orphanParams(5), defaults: () => ({ max_orphaned_age_in_days: 5 }),
    hasWork: (db, { max_orphaned_age_in_days: days }) => hasOldOrphanDisks(db, days),
  })],
  ['ScheduledOrphanedNetworkCleanup', command({
    type: 'scheduled_orphaned_network_cleanup', description: 'clean up networks', schedule: '0 0,30 * * * * UTC', params: orphanParams(1), defaults: () => ({ max_orphaned_age_in_days: 1 }),
    hasWork: async (db, { max_orphaned_age_in_days: days }) => (await listOrphanedNetworks(db, days)).length > 0,
  })],
  ['ScheduledDnsBlobsCleanup', command({
    type: 'scheduled_dns_blobs_cleanup', description: 'clean up local dns blobs', schedule: '0 0,30 * * * * UTC',
    params: dnsBlobsCleanupParams, defaults: () => ({ max_blob_age: 3_600, num_dns_blobs_to_keep: 10 }), hasWork: hasDisposableDnsBlobs,
  })],
  ['ScheduledDnsTombstoneCleanup', command({ type: 'scheduled_dns_tombstone_cleanup', description: 'clean up local dns tombstone records', schedule: '0 0 0 * * * UTC', params: noParams, hasWork: (db) => hasTombstones(db) })],
  ['ScheduledTasksCleanup', command({
    type: 'scheduled_task_cleanup', description: 'clean up tasks', schedule: '0 0 0 */7 * * UTC', params: tasksCleanupParams,
    defaults: ({ max_tasks, tasks_retention_period, tasks_deployments_retention_period }) => ({ max_tasks, ...(tasks_retention_period === undefined ? {} : { tasks_retention_period }), tasks_deployments_retention_period }),
    hasWork: async () => true,
  })],
  ['ScheduledEventsCleanup', command({
    type: 'scheduled_events_cleanup', description: 'clean up events', schedule: ({ record_events }) => (record_events ? '0 * * * * UTC' : undefined),
    params: eventsCleanupParams, defaults: ({ max_events }) => ({ max_events }), hasWork: (db, { max_events }) => hasDisposableEvents(db, max_events),
  })],
  // Directorate's own: what the cluster and its health monitor note down.
  ['ScheduledRecordsCleanup', command({
    type: 'scheduled_records_cleanup', description: 'clean up records of nodes, leases, slots and alerts', schedule: '0 45 3 * * * UTC',
    params: recordsCleanupParams, defaults: () => ({ node_days: 7, record_days: 30 }), hasWork: hasExpiredRecords,
  })],
]);

/** Commands of the Ruby director that have no meaning here, and why. */
export const refusedCommands: ReadonlyMap<string, string> = new Map([['ScheduledMetricsCleanup', 'metrics are kept in memory, there are no files to delete']]);
