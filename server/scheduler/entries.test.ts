import { describe, expect, it } from 'vitest';
import { schedulerSchema } from '../core/config-scheduler';
import { scheduleEntries } from './entries';

const entriesOf = (settings: unknown) => scheduleEntries(schedulerSchema.parse(settings), new Date('2024-01-30T10:00:00Z'));
const defaults = entriesOf({});

describe('the entries of the schedule', () => {
  it('are by default those of the Ruby director, and one for the records of the cluster', () => {
    expect(defaults.map(({ name, schedule, runs }) => [name, schedule, runs.type, runs.description])).toEqual([
      ['SnapshotDeployments', '0 0 7 * * * UTC', 'snapshot_deployments', 'scheduled SnapshotDeployments'],
      ['SnapshotSelf', '0 0 6 * * * UTC', 'snapshot_self', 'scheduled SnapshotSelf'],
      ['ScheduledOrphanedVMCleanup', '*/5 * * * * UTC', 'scheduled_orphaned_vm_cleanup', 'scheduled ScheduledOrphanedVMCleanup'],
      ['ScheduledOrphanedDiskCleanup', '0 0,30 * * * * UTC', 'scheduled_orphaned_disk_cleanup', 'clean up orphan disks'],
      ['ScheduledOrphanedNetworkCleanup', '0 0,30 * * * * UTC', 'scheduled_orphaned_network_cleanup', 'clean up networks'],
      ['ScheduledDnsBlobsCleanup', '0 0,30 * * * * UTC', 'scheduled_dns_blobs_cleanup', 'clean up local dns blobs'],
      ['ScheduledDnsTombstoneCleanup', '0 0 0 * * * UTC', 'scheduled_dns_tombstone_cleanup', 'clean up local dns tombstone records'],
      ['ScheduledTasksCleanup', '0 0 0 */7 * * UTC', 'scheduled_task_cleanup', 'clean up tasks'],
      ['ScheduledEventsCleanup', '0 * * * * UTC', 'scheduled_events_cleanup', 'clean up events'],
      ['ScheduledRecordsCleanup', '0 45 3 * * * UTC', 'scheduled_records_cleanup', 'clean up records of nodes, leases, slots and alerts'],
    ]);
    expect(defaults.map((entry) => entry.missed)).toEqual(defaults.map(() => 'run_once'));
  });

  it('have the settings as params', () => {
    const paramsOf = (settings: unknown, command: string) => entriesOf(settings).find((entry) => entry.command === command)?.params;
    expect(paramsOf({}, 'ScheduledDnsBlobsCleanup')).toEqual({ max_blob_age: 3_600, num_dns_blobs_to_keep: 10 });
    expect(paramsOf({}, 'ScheduledOrphanedDiskCleanup')).toEqual({ max_orphaned_age_in_days: 5 });
    expect(paramsOf({ max_events: 5 }, 'ScheduledEventsCleanup')).toEqual({ max_events: 5 });
    const periods = { tasks_retention_period: 30, tasks_deployments_retention_period: [{ deployment_name: 'web', retention_period: 3 }] };
    expect(paramsOf({ max_tasks: 9, ...periods }, 'ScheduledTasksCleanup')).toEqual({ max_tasks: 9, ...periods });
    const own = { command: 'ScheduledTasksCleanup', schedule: '@daily', params: [{ max_tasks: 1 }] };
    expect(paramsOf({ ...periods, scheduled_jobs: [own] }, 'ScheduledTasksCleanup')).toEqual({ max_tasks: 1, ...periods });
  });

  it('leave audit events alone when the settings say so, unless an entry of the configuration wants them cleaned up', () => {
    expect(entriesOf({ record_events: false }).some((entry) => entry.command === 'ScheduledEventsCleanup')).toBe(false);
    expect(entriesOf({ record_events: false, scheduled_jobs: [{ command: 'ScheduledEventsCleanup', schedule: '@daily' }] }).at(-1)).toMatchObject({ command: 'ScheduledEventsCleanup', schedule: '@daily', params: { max_events: 10_000 } });
  });

  it('of the configuration stand in the place of default ones, and null takes one away', () => {
    const names = entriesOf({ scheduled_jobs: [{ command: 'SnapshotSelf', schedule: null }, { command: 'SnapshotDeployments', schedule: '@daily', missed: 'skip' }, { command: 'SnapshotDeployments', schedule: '@weekly' }] }).map(({ name, schedule, missed }) => [name, schedule, missed]);
    expect(names).toHaveLength(defaults.length);
    expect(names.slice(-2)).toEqual([['SnapshotDeployments', '@daily', 'skip'], ['SnapshotDeployments#2', '@weekly', 'run_once']]);
    expect(names.some(([name]) => name === 'SnapshotSelf')).toBe(false);
  });

  it.each([
    ['an unknown command', { command: 'DropEverything', schedule: '@daily' }, /^scheduler\.scheduled_jobs\[0\]: there is no command 'DropEverything', only SnapshotDeployments, .*ScheduledRecordsCleanup$/],
    ['an unknown command that is taken away', { command: 'DropEverything', schedule: null }, /there is no command 'DropEverything'/],
    ['a command without meaning here', { command: 'ScheduledMetricsCleanup', schedule: '@daily' }, /ScheduledMetricsCleanup is not needed here: .*Take the entry away/],
    ['a cron that cannot be read', { command: 'SnapshotSelf', schedule: '0 0 *' }, /^scheduler\.scheduled_jobs\[0\]: SnapshotSelf: the schedule '0 0 \*' has 3 fields/],
    ['params that the command does not know', { command: 'ScheduledEventsCleanup', schedule: '@daily', params: [{ max_age: 1 }] }, /^scheduler\.scheduled_jobs\[0\]: ScheduledEventsCleanup: the params are wrong: .*max_age/],
  ])('are refused for %s', (_what, job, message) => {
    expect(() => entriesOf({ scheduled_jobs: [job] })).toThrow(message);
  });
});
