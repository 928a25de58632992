import type { ListedDeployment } from '../deployments/store';
import type { AuditEvent } from '../events/store';
import type { ListedInstance, ListedVm, OrphanedVm } from '../instances/store';
import type { StoredConfig } from '../configs/store';
import type { HeldLock } from '../tasks/store';
import type { Task, TaskState } from '../tasks/task';

/**
 * From the director's values to the JSON of the bosh CLI. BOSH's older words live only here: `job` for an instance
 * group, `cid` for a VM's name in the cloud. Number and text types matter: the CLI rejects the other one.
 */

const epochSeconds = (date: Date) => Math.floor(date.getTime() / 1000);

/** `2026-01-02 03:04:05 UTC`. */
export function presentTime(date: Date): string {
  return `${date.toISOString().slice(0, 19).replace('T', ' ')} UTC`;
}

/** `2026-01-02T03:04:05Z`. */
function isoSeconds(date: Date): string {
  return `${date.toISOString().slice(0, 19)}Z`;
}

export function presentTask(task: Task) {
  return {
    id: task.id,
    state: task.state,
    description: task.description,
    timestamp: taskTimestamp(task),
    started_at: task.startedAt ? epochSeconds(task.startedAt) : null,
    result: task.result ?? null,
    user: task.user === '' ? 'admin' : task.user,
    deployment: task.deployment ?? null,
    context_id: task.contextId,
  };
}

const waiting: readonly TaskState[] = ['queued', 'processing'];

/** When the task ended; for one that is being cancelled, when it began; null while it waits or runs. */
function taskTimestamp(task: Task): number | null {
  if (waiting.includes(task.state)) return null;
  return epochSeconds(task.finishedAt ?? task.startedAt ?? task.createdAt);
}

export function presentDeployment(deployment: ListedDeployment) {
  return {
    name: deployment.name,
    teams: deployment.teams,
    ...(deployment.cloudConfig === undefined ? {} : { cloud_config: deployment.cloudConfig }),
    ...(deployment.stemcells === undefined ? {} : { stemcells: deployment.stemcells }),
    ...(deployment.releases === undefined ? {} : { releases: deployment.releases }),
    ...(deployment.locked === undefined ? {} : { locked: deployment.locked }),
  };
}

export function presentInstance({ vm, ...instance }: ListedInstance) {
  return {
    agent_id: vm?.agentId ?? null,
    cid: vm?.cid ?? null,
    job: instance.group,
    index: instance.index,
    id: instance.uuid,
    az: instance.az ?? null,
    ips: vm?.ips ?? [],
    vm_created_at: vm ? isoSeconds(vm.createdAt) : null,
    expects_vm: instance.expectsVm,
  };
}

export function presentVm({ vm, ...instance }: ListedInstance & { vm: ListedVm }) {
  return {
    agent_id: vm.agentId,
    cid: vm.cid,
    job: instance.group,
    index: instance.index,
    id: instance.uuid,
    az: instance.az ?? null,
    ips: vm.ips,
    vm_created_at: isoSeconds(vm.createdAt),
    active: vm.active,
    permanent_nats_credentials: vm.permanentNatsCredentials,
  };
}

export function presentOrphanedVm(vm: OrphanedVm) {
  return { az: vm.az ?? null, cid: vm.cid, deployment_name: vm.deployment, instance_name: vm.instance, ip_addresses: vm.ips, orphaned_at: presentTime(vm.orphanedAt) };
}

export function presentConfig(config: StoredConfig & { current: boolean }) {
  return {
    content: config.content,
    id: String(config.id),
    type: config.type,
    name: config.name,
    team: config.team ?? null,
    created_at: presentTime(config.createdAt),
    current: config.current,
  };
}

/** As the endpoints of one config type show a version. */
export function presentConfigVersion(config: StoredConfig) {
  return { properties: config.content, created_at: presentTime(config.createdAt) };
}

export function presentLock(lock: HeldLock) {
  const [, type = '', ...resource] = lock.name.split(':');
  return { type, resource, timeout: (lock.expiresAt.getTime() / 1000).toFixed(6), task_id: String(lock.taskId) };
}

/** Absent values are left out. */
export function presentEvent(event: AuditEvent) {
  return {
    id: String(event.id),
    ...(event.parentId === undefined ? {} : { parent_id: String(event.parentId) }),
    timestamp: epochSeconds(event.at),
    user: event.user,
    action: event.action,
    object_type: event.objectType,
    ...text('object_name', event.objectName),
    ...text('error', event.error),
    ...(event.taskId === undefined ? {} : { task: String(event.taskId) }),
    ...text('deployment', event.deployment),
    ...text('instance', event.instance),
    context: event.context,
  };
}

function text(key: string, value: string | undefined): Record<string, string> {
  return value === undefined || value === '' ? {} : { [key]: value };
}
