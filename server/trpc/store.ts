import { sql, type SQL } from 'drizzle-orm';
import type { Db } from '../../db/client';
import type { TaskState } from '../tasks/task';

/** Reads of the console that span several nouns; each is one statement. Dates come as text and leave as Date. */

const instant = (value: string | Date) => new Date(value);
const instantOrUndefined = (value: string | Date | null) => (value === null ? undefined : new Date(value));
const textArray = (values: readonly string[]) => sql`${sql.param([...values])}::text[]`;
const where = (conditions: SQL[]) => (conditions.length > 0 ? sql`WHERE ${sql.join(conditions, sql` AND `)}` : sql``);

/** The database's version and time. */
export async function probeDatabase(db: Db): Promise<{ version: string; now: Date }> {
  const { rows } = await db.execute<{ version: string; now: string }>(sql`SELECT current_setting('server_version') AS version, now() AS now`);
  return { version: rows[0]?.version.split(' ')[0] ?? '', now: instant(rows[0]?.now ?? new Date()) };
}

/** Every incarnation of a node of the last week, by start. */
export async function listNodeNames(db: Db): Promise<{ id: string; name: string; lastBeatAt: Date }[]> {
  const { rows } = await db.execute<{ id: string; name: string; heartbeat_at: string }>(sql`SELECT id, name, heartbeat_at FROM director_nodes WHERE heartbeat_at > now() - interval '7 days' ORDER BY started_at`);
  return rows.map((row) => ({ id: row.id, name: row.name, lastBeatAt: instant(row.heartbeat_at) }));
}

export interface NatsApplier {
  serverName: string;
  address: string;
  appliedRevision: number;
  wantedRevision: number;
  /** ms by the database clock. */
  beatAgeMs: number;
}

/** What each NATS server has applied of the agents' users, for servers heard of in the last hour. */
export async function listNatsAppliers(db: Db): Promise<NatsApplier[]> {
  const { rows } = await db.execute<{ server_name: string; address: string; applied_revision: number; wanted: number; age: number }>(sql`
    SELECT a.server_name, a.address, a.applied_revision, COALESCE((SELECT revision FROM nats_users_revision WHERE id = 1), 0) AS wanted,
      (extract(epoch FROM now() - a.heartbeat_at) * 1000)::float8 AS age
    FROM nats_auth_appliers a WHERE a.heartbeat_at > now() - interval '1 hour' ORDER BY a.server_name`);
  return rows.map((row) => ({ serverName: row.server_name, address: row.address, appliedRevision: row.applied_revision, wantedRevision: row.wanted, beatAgeMs: row.age }));
}

export interface UntidyState {
  /** Deployments with instances whose last update did not finish, without a task at work on them. */
  unfinished: { deployment: string; instances: number }[];
  /** Failed tasks of the last day that no later success of the same deployment and type followed. */
  failedTasks: { id: number; description: string; deployment: string | undefined; result: string; finishedAt: Date }[];
  orphanedVms: number;
  /** VMs that a task meant to create and that no live task looks after: possible leaks. */
  abandonedVms: number;
}

/** What an operator should look at, apart from the cluster itself. */
export async function findUntidyState(db: Db): Promise<UntidyState> {
  const live = sql`('queued', 'processing', 'cancelling')`;
  const { rows: unfinished } = await db.execute<{ name: string; count: number }>(sql`
    SELECT d.name, count(*)::int AS count FROM instances i JOIN deployments d ON d.id = i.deployment_id
    WHERE NOT i.update_completed AND NOT i.compilation AND NOT i.ignore
      AND NOT EXISTS (SELECT 1 FROM tasks t WHERE t.deployment = d.name AND t.state IN ${live})
    GROUP BY d.name ORDER BY d.name LIMIT 20`);
  const { rows: failed } = await db.execute<{ id: number; description: string; deployment: string | null; result: string | null; finished_at: string }>(sql`
    SELECT DISTINCT ON (t.deployment, t.type) t.id, t.description, t.deployment, t.result, t.finished_at FROM tasks t
    WHERE t.state IN ('error', 'timeout') AND t.finished_at > now() - interval '1 day'
      AND NOT EXISTS (SELECT 1 FROM tasks n WHERE n.type = t.type AND n.deployment IS NOT DISTINCT FROM t.deployment AND n.id > t.id AND n.state IN ('done', 'queued', 'processing', 'cancelling'))
    ORDER BY t.deployment, t.type, t.id DESC LIMIT 20`);
  const { rows: vms } = await db.execute<{ orphaned: number; abandoned: number }>(sql`
    SELECT (SELECT count(*)::int FROM orphaned_vms) AS orphaned,
      (SELECT count(*)::int FROM vms v WHERE v.state <> 'created' AND NOT EXISTS (SELECT 1 FROM tasks t WHERE t.id = v.task_id AND t.state IN ${live})) AS abandoned`);
  return {
    unfinished: unfinished.map((row) => ({ deployment: row.name, instances: row.count })),
    failedTasks: failed.map((row) => ({ id: row.id, description: row.description, deployment: row.deployment ?? undefined, result: row.result ?? '', finishedAt: instant(row.finished_at) })),
    orphanedVms: vms[0]?.orphaned ?? 0,
    abandonedVms: vms[0]?.abandoned ?? 0,
  };
}

export interface TaskPageFilter {
  states?: readonly TaskState[] | undefined;
  types?: readonly string[] | undefined;
  deployment?: string | undefined;
  user?: string | undefined;
  /** Only tasks of these teams; undefined: all. */
  teams?: readonly string[] | undefined;
  beforeId?: number | undefined;
  limit: number;
}

export interface TaskPageRow {
  id: number;
  type: string;
  state: TaskState;
  description: string;
  result: string | undefined;
  user: string;
  deployment: string | undefined;
  createdAt: Date;
  startedAt: Date | undefined;
  finishedAt: Date | undefined;
  cancelRequestedAt: Date | undefined;
  ownerNode: string | undefined;
  teams: string[];
}

interface TaskRow extends Record<string, unknown> {
  id: number;
  type: string;
  state: TaskState;
  description: string;
  result: string | null;
  username: string;
  deployment: string | null;
  created_at: string;
  started_at: string | null;
  finished_at: string | null;
  cancel_requested_at: string | null;
  owner_node: string | null;
  teams: string[];
}

/** One page of tasks, newest first. */
export async function listTaskPage(db: Db, filter: TaskPageFilter): Promise<TaskPageRow[]> {
  const conditions = [
    ...(filter.states ? [sql`state = ANY(${textArray(filter.states)})`] : []),
    ...(filter.types ? [sql`type = ANY(${textArray(filter.types)})`] : []),
    ...(filter.deployment === undefined ? [] : [sql`deployment = ${filter.deployment}`]),
    ...(filter.user === undefined ? [] : [sql`username = ${filter.user}`]),
    ...(filter.teams ? [sql`teams && ${textArray(filter.teams)}`] : []),
    ...(filter.beforeId === undefined ? [] : [sql`id < ${filter.beforeId}`]),
  ];
  const { rows } = await db.execute<TaskRow>(sql`
    SELECT id, type, state, description, result, username, deployment, created_at, started_at, finished_at, cancel_requested_at, owner_node, teams
    FROM tasks ${where(conditions)} ORDER BY id DESC LIMIT ${filter.limit}`);
  return rows.map((row) => ({
    id: row.id, type: row.type, state: row.state, description: row.description, result: row.result ?? undefined, user: row.username,
    deployment: row.deployment ?? undefined, createdAt: instant(row.created_at), startedAt: instantOrUndefined(row.started_at), finishedAt: instantOrUndefined(row.finished_at),
    cancelRequestedAt: instantOrUndefined(row.cancel_requested_at), ownerNode: row.owner_node ?? undefined, teams: row.teams,
  }));
}

/** Types that tasks have, read by jumping through the index. */
export async function listTaskTypes(db: Db): Promise<string[]> {
  const { rows } = await db.execute<{ type: string }>(sql`
    WITH RECURSIVE found AS (
      (SELECT type FROM tasks ORDER BY type LIMIT 1)
      UNION ALL SELECT (SELECT t.type FROM tasks t WHERE t.type > found.type ORDER BY t.type LIMIT 1) FROM found WHERE found.type IS NOT NULL)
    SELECT type FROM found WHERE type IS NOT NULL`);
  return rows.map((row) => row.type);
}

export interface DeploymentRow {
  name: string;
  teams: string[];
  deployed: boolean;
  releases: { name: string; version: string }[];
  stemcells: { name: string; version: string }[];
  instances: number;
  unfinished: number;
  withoutVm: number;
  createdAt: Date;
  lastTask: { id: number; state: TaskState; description: string; at: Date } | undefined;
}

interface DeploymentSql extends Record<string, unknown> {
  name: string;
  teams: string[];
  deployed: boolean;
  releases: { name: string; version: string }[];
  stemcells: { name: string; version: string }[];
  instances: number;
  unfinished: number;
  without_vm: number;
  created_at: string;
  task_id: number | null;
  task_state: TaskState | null;
  task_description: string | null;
  task_at: string | null;
}

/** Deployments by name; with `name` only that one. */
export async function listDeploymentRows(db: Db, filter: { teams?: readonly string[] | undefined; name?: string | undefined }): Promise<DeploymentRow[]> {
  const conditions = [...(filter.teams ? [sql`d.teams && ${textArray(filter.teams)}`] : []), ...(filter.name === undefined ? [] : [sql`d.name = ${filter.name}`])];
  const { rows } = await db.execute<DeploymentSql>(sql`
    SELECT d.name, d.teams, d.manifest IS NOT NULL AS deployed, d.created_at,
      COALESCE((SELECT json_agg(json_build_object('name', r.name, 'version', rv.version) ORDER BY r.name, rv.version) FROM deployment_release_versions dr
        JOIN release_versions rv ON rv.id = dr.release_version_id JOIN releases r ON r.id = rv.release_id WHERE dr.deployment_id = d.id), '[]') AS releases,
      COALESCE((SELECT json_agg(DISTINCT jsonb_build_object('name', s.name, 'version', s.version)) FROM deployment_stemcells ds
        JOIN stemcells s ON s.id = ds.stemcell_id WHERE ds.deployment_id = d.id), '[]') AS stemcells,
      COALESCE(i.instances, 0) AS instances, COALESCE(i.unfinished, 0) AS unfinished, COALESCE(i.without_vm, 0) AS without_vm,
      t.id AS task_id, t.state AS task_state, t.description AS task_description, COALESCE(t.finished_at, t.created_at) AS task_at
    FROM deployments d
    LEFT JOIN (
      SELECT i.deployment_id, count(*)::int AS instances, count(*) FILTER (WHERE NOT i.update_completed)::int AS unfinished,
        count(*) FILTER (WHERE i.state <> 'detached' AND v.id IS NULL)::int AS without_vm
      FROM instances i LEFT JOIN vms v ON v.instance_id = i.id AND v.active WHERE NOT i.compilation GROUP BY i.deployment_id) i ON i.deployment_id = d.id
    LEFT JOIN LATERAL (SELECT id, state, description, finished_at, created_at FROM tasks WHERE deployment = d.name ORDER BY id DESC LIMIT 1) t ON true
    ${where(conditions)} ORDER BY d.name`);
  return rows.map((row) => ({
    name: row.name, teams: row.teams, deployed: row.deployed, releases: row.releases, stemcells: row.stemcells, instances: row.instances, unfinished: row.unfinished,
    withoutVm: row.without_vm, createdAt: instant(row.created_at),
    lastTask: row.task_id === null || row.task_state === null || row.task_at === null ? undefined : { id: row.task_id, state: row.task_state, description: row.task_description ?? '', at: instant(row.task_at) },
  }));
}

/** Text of a deployment's manifest and the configs that its last deploy used. */
export async function findDeploymentSources(db: Db, name: string): Promise<{ manifestText: string | undefined; configs: { id: number; type: string; name: string; current: boolean }[] } | undefined> {
  const { rows } = await db.execute<{ manifest_text: string | null; configs: { id: number; type: string; name: string; current: boolean }[] }>(sql`
    SELECT d.manifest_text, COALESCE((
      SELECT json_agg(json_build_object('id', c.id, 'type', c.type, 'name', c.name,
        'current', NOT EXISTS (SELECT 1 FROM configs n WHERE n.type = c.type AND n.name = c.name AND n.id > c.id)) ORDER BY c.type, c.name)
      FROM deployment_configs dc JOIN configs c ON c.id = dc.config_id WHERE dc.deployment_id = d.id), '[]') AS configs
    FROM deployments d WHERE d.name = ${name}`);
  return rows[0] && { manifestText: rows[0].manifest_text ?? undefined, configs: rows[0].configs };
}

export interface InstanceRow {
  uuid: string;
  group: string;
  index: number;
  az: string | undefined;
  state: 'started' | 'stopped' | 'detached';
  bootstrap: boolean;
  ignore: boolean;
  updateCompleted: boolean;
  lastChanges: string[];
  updatedAt: Date;
  vm: { cid: string | undefined; agentId: string; state: 'creating' | 'created' | 'deleting'; createdAt: Date } | undefined;
  ips: string[];
}

interface InstanceSql extends Record<string, unknown> {
  uuid: string;
  job: string;
  index: number;
  az: string | null;
  state: InstanceRow['state'];
  bootstrap: boolean;
  ignore: boolean;
  update_completed: boolean;
  last_changes: string[];
  updated_at: string;
  cid: string | null;
  agent_id: string | null;
  vm_state: 'creating' | 'created' | 'deleting' | null;
  vm_created_at: string | null;
  ips: string[];
}

/** Instances of a deployment by group and index; with `uuid` only that one. */
export async function listInstanceRows(db: Db, filter: { deployment: string; uuid?: string | undefined }): Promise<InstanceRow[]> {
  const one = filter.uuid === undefined ? sql`` : sql`AND i.uuid::text = ${filter.uuid}`;
  const { rows } = await db.execute<InstanceSql>(sql`
    SELECT i.uuid, i.job, i.index, i.az, i.state, i.bootstrap, i.ignore, i.update_completed, i.last_changes, i.updated_at,
      v.cid, v.agent_id, v.state AS vm_state, v.created_at AS vm_created_at,
      COALESCE((SELECT json_agg(split_part(a.address, '/', 1) ORDER BY a.address) FROM ip_addresses a WHERE a.instance_id = i.id), '[]') AS ips
    FROM instances i JOIN deployments d ON d.id = i.deployment_id
    LEFT JOIN LATERAL (SELECT * FROM vms v WHERE v.instance_id = i.id ORDER BY v.active DESC, v.id DESC LIMIT 1) v ON true
    WHERE d.name = ${filter.deployment} AND NOT i.compilation ${one} ORDER BY i.job, i.index`);
  return rows.map((row) => ({
    uuid: row.uuid, group: row.job, index: row.index, az: row.az ?? undefined, state: row.state, bootstrap: row.bootstrap, ignore: row.ignore,
    updateCompleted: row.update_completed, lastChanges: row.last_changes, updatedAt: instant(row.updated_at), ips: row.ips,
    vm: row.agent_id === null || row.vm_state === null || row.vm_created_at === null ? undefined : { cid: row.cid ?? undefined, agentId: row.agent_id, state: row.vm_state, createdAt: instant(row.vm_created_at) },
  }));
}

export interface ReleaseVersionRow {
  name: string;
  version: string;
  commitHash: string;
  uncommittedChanges: boolean;
  createdAt: Date;
  jobs: string[];
  packages: { name: string; compiledFor: string[] }[];
  usedBy: string[];
}

/** Every uploaded release version with its jobs and packages, by name, newest upload first. */
export async function listReleaseVersionRows(db: Db): Promise<ReleaseVersionRow[]> {
  const { rows } = await db.execute<{ name: string; version: string; commit_hash: string; uncommitted_changes: boolean; created_at: string; jobs: string[]; packages: ReleaseVersionRow['packages']; used_by: string[] }>(sql`
    SELECT r.name, rv.version, rv.commit_hash, rv.uncommitted_changes, rv.created_at,
      COALESCE((SELECT json_agg(j.name ORDER BY j.name) FROM release_version_jobs x JOIN jobs j ON j.id = x.job_id WHERE x.release_version_id = rv.id), '[]') AS jobs,
      COALESCE((SELECT json_agg(json_build_object('name', p.name, 'compiledFor', COALESCE((
          SELECT json_agg(DISTINCT c.stemcell_os || '/' || c.stemcell_version) FROM compiled_packages c WHERE c.package_id = p.id), '[]')) ORDER BY p.name)
        FROM release_version_packages x JOIN packages p ON p.id = x.package_id WHERE x.release_version_id = rv.id), '[]') AS packages,
      COALESCE((SELECT json_agg(d.name ORDER BY d.name) FROM deployment_release_versions x JOIN deployments d ON d.id = x.deployment_id WHERE x.release_version_id = rv.id), '[]') AS used_by
    FROM release_versions rv JOIN releases r ON r.id = rv.release_id WHERE rv.update_completed ORDER BY r.name, rv.id DESC`);
  return rows.map((row) => ({
    name: row.name, version: row.version, commitHash: row.commit_hash, uncommittedChanges: row.uncommitted_changes, createdAt: instant(row.created_at), jobs: row.jobs, packages: row.packages, usedBy: row.used_by,
  }));
}

export interface StemcellRow {
  name: string;
  version: string;
  operatingSystem: string;
  /** Undefined while the upload is under way. */
  cid: string | undefined;
  cpi: string;
  apiVersion: number | undefined;
  createdAt: Date;
  usedBy: string[];
}

/** Every stemcell, by name, newest upload first. */
export async function listStemcellRows(db: Db): Promise<StemcellRow[]> {
  const { rows } = await db.execute<{ name: string; version: string; operating_system: string; cid: string | null; cpi: string; api_version: number | null; created_at: string; used_by: string[] }>(sql`
    SELECT s.name, s.version, s.operating_system, s.cid, s.cpi, s.api_version, s.created_at,
      COALESCE((SELECT json_agg(d.name ORDER BY d.name) FROM deployment_stemcells x JOIN deployments d ON d.id = x.deployment_id WHERE x.stemcell_id = s.id), '[]') AS used_by
    FROM stemcells s ORDER BY s.name, s.id DESC`);
  return rows.map((row) => ({
    name: row.name, version: row.version, operatingSystem: row.operating_system, cid: row.cid ?? undefined, cpi: row.cpi, apiVersion: row.api_version ?? undefined, createdAt: instant(row.created_at), usedBy: row.used_by,
  }));
}

export interface OperationRow {
  id: number;
  at: Date;
  endedAt: Date | undefined;
  user: string;
  action: string;
  objectType: string;
  objectName: string | undefined;
  error: string | undefined;
  taskId: number | undefined;
  deployment: string | undefined;
  /** Its task is still at work. */
  running: boolean;
}

interface OperationSql extends Record<string, unknown> {
  id: number;
  at: string;
  ended_at: string | null;
  username: string;
  action: string;
  object_type: string;
  object_name: string | null;
  error: string | null;
  task_id: number | null;
  deployment: string | null;
  running: boolean;
}

/** What people and schedules have done, newest first: starts of the audit trail with their ends, without the single instances and VMs. */
export async function listOperations(db: Db, filter: { deployment?: string | undefined; deployments?: readonly string[] | undefined; beforeId?: number | undefined; limit: number }): Promise<OperationRow[]> {
  const conditions = [
    sql`e.parent_id IS NULL AND e.object_type NOT IN ('instance', 'vm', 'disk')`,
    ...(filter.deployment === undefined ? [] : [sql`e.deployment = ${filter.deployment}`]),
    ...(filter.deployments ? [sql`e.deployment = ANY(${textArray(filter.deployments)})`] : []),
    ...(filter.beforeId === undefined ? [] : [sql`e.id < ${filter.beforeId}`]),
  ];
  const { rows } = await db.execute<OperationSql>(sql`
    SELECT e.id, e.at, x.at AS ended_at, e.username, e.action, e.object_type, COALESCE(x.object_name, e.object_name) AS object_name, COALESCE(e.error, x.error) AS error, e.task_id, e.deployment,
      x.id IS NULL AND EXISTS (SELECT 1 FROM tasks t WHERE t.id = e.task_id AND t.state IN ('queued', 'processing', 'cancelling')) AS running
    FROM (SELECT * FROM events e ${where(conditions)} ORDER BY e.id DESC LIMIT ${filter.limit}) e
    LEFT JOIN LATERAL (SELECT id, at, object_name, error FROM events x WHERE x.task_id = e.task_id AND x.parent_id = e.id ORDER BY x.id DESC LIMIT 1) x ON true
    ORDER BY e.id DESC`);
  return rows.map((row) => ({
    id: row.id, at: instant(row.at), endedAt: instantOrUndefined(row.ended_at), user: row.username, action: row.action, objectType: row.object_type, objectName: row.object_name ?? undefined,
    error: row.error ?? undefined, taskId: row.task_id ?? undefined, deployment: row.deployment ?? undefined, running: row.running,
  }));
}
