import { and, eq, getTableColumns, inArray, isNotNull, isNull, not, sql, type SQL } from 'drizzle-orm';
import type { Db, Tx } from '../../db/client';
import * as t from '../../db/schema';
import { deleteOldLinks } from '../deployments/links-store';
import { instanceName } from '../instances/instance';
import { orphanVm } from '../instances/orphan-vm-store';
import { listDisks, listDisksOf, type Disk } from '../disks/store';
import { updateAliases } from '../dns/aliases-store';
import type { DnsIdentity } from '../dns/names';
import type { AddressOwner } from '../plan/recorded';

/** What a deploy reads and records. Every function is one statement or one short transaction's worth of them. */

export type InstanceRow = typeof t.instances.$inferSelect;
export type VmRow = typeof t.vms.$inferSelect;

export interface RecordedInstance {
  instance: InstanceRow;
  vms: VmRow[];
  addresses: { address: string; networkName: string; static: boolean; nicGroup: number | null; vmId: number | null }[];
  disks: Disk[];
}

export interface DeploymentRow {
  id: number;
  name: string;
  teams: string[];
  manifest: Record<string, unknown> | null;
  manifestText: string | null;
  tags: Record<string, string>;
}

export async function findDeployment(db: Db, name: string): Promise<DeploymentRow | undefined> {
  const [row] = await db.select().from(t.deployments).where(eq(t.deployments.name, name));
  return row;
}

/** All instances of a deployment with their VMs, addresses and disks, compilation instances included, in four queries whatever their number. */
export async function listRecordedInstances(db: Db, deploymentId: number): Promise<RecordedInstance[]> {
  const instances = await db.select().from(t.instances).where(eq(t.instances.deploymentId, deploymentId)).orderBy(t.instances.job, t.instances.index, t.instances.id);
  if (instances.length === 0) return [];
  const ids = instances.map((instance) => instance.id);
  const vms = await db.select().from(t.vms).where(inArray(t.vms.instanceId, ids)).orderBy(t.vms.id);
  const addresses = await db.select().from(t.ipAddresses).where(inArray(t.ipAddresses.instanceId, ids)).orderBy(t.ipAddresses.address);
  const disksOf = await listDisksOf(db, ids);
  const vmsOf = groupBy(vms, (vm) => vm.instanceId);
  const addressesOf = groupBy(addresses, (address) => address.instanceId);
  return instances.map((instance) => ({ instance, vms: vmsOf.get(instance.id) ?? [], addresses: addressesOf.get(instance.id) ?? [], disks: disksOf.get(instance.id) ?? [] }));
}

/** One instance with its VMs and addresses. */
export async function findRecordedInstance(db: Db, instanceId: number): Promise<RecordedInstance | undefined> {
  const [instance] = await db.select().from(t.instances).where(eq(t.instances.id, instanceId));
  if (!instance) return undefined;
  const vms = await db.select().from(t.vms).where(eq(t.vms.instanceId, instanceId)).orderBy(t.vms.id);
  return { instance, vms, disks: await listDisks(db, instanceId), addresses: await db.select().from(t.ipAddresses).where(eq(t.ipAddresses.instanceId, instanceId)).orderBy(t.ipAddresses.address) };
}

function groupBy<T>(rows: readonly T[], key: (row: T) => number | null): Map<number, T[]> {
  const groups = new Map<number, T[]>();
  for (const row of rows) {
    const id = key(row);
    if (id === null) continue;
    const group = groups.get(id);
    if (group) group.push(row);
    else groups.set(id, [row]);
  }
  return groups;
}

/** Every address that anybody holds, as CIDR text, with its owner; null when only an orphaned or abandoned VM has it. */
export async function listTakenAddresses(db: Db): Promise<{ address: string; owner: AddressOwner | null }[]> {
  return db
    .select({ address: t.ipAddresses.address, owner: { deployment: t.deployments.name, group: t.instances.job, uuid: t.instances.uuid } })
    .from(t.ipAddresses)
    .leftJoin(t.instances, eq(t.instances.id, t.ipAddresses.instanceId))
    .leftJoin(t.deployments, eq(t.deployments.id, t.instances.deploymentId))
    .then((rows) => rows.map(({ address, owner: { deployment, group, uuid } }) => ({ address, owner: deployment === null || group === null || uuid === null ? null : { deployment, group, uuid } })));
}

export interface NewInstance {
  /** When it was set aside. */
  id?: number | undefined;
  uuid: string;
  deploymentId: number;
  job: string;
  index: number;
  az: string | null;
  bootstrap: boolean;
  dns?: DnsIdentity;
  compilation?: boolean;
  variableSetId?: number | undefined;
  spec?: Record<string, unknown>;
}

/** Inserts instances; ones that an earlier try inserted are left as they are. Returns uuid → id. */
export async function createInstances(tx: Tx, rows: readonly NewInstance[]): Promise<Map<string, number>> {
  if (rows.length === 0) return new Map();
  await tx.insert(t.instances).values(rows.map((row) => ({ ...row, compilation: row.compilation ?? false, state: 'started' as const }))).onConflictDoNothing();
  const found = await tx.select({ id: t.instances.id, uuid: t.instances.uuid }).from(t.instances).where(inArray(t.instances.uuid, rows.map((row) => row.uuid)));
  return new Map(found.map((row) => [row.uuid, row.id]));
}

/** Ids for instances that are to be inserted; ones that are not used in the end are nobody's. */
export async function setAsideInstanceIds(tx: Tx, uuids: readonly string[]): Promise<Map<string, number>> {
  if (uuids.length === 0) return new Map();
  const { rows } = await tx.execute<{ id: number }>(sql`SELECT nextval(pg_get_serial_sequence('instances', 'id'))::int AS id FROM generate_series(1, ${uuids.length})`);
  return new Map(uuids.flatMap((uuid, i) => (rows[i] ? [[uuid, rows[i].id] as const] : [])));
}

export async function updateInstance(tx: Db, instanceId: number, patch: Partial<typeof t.instances.$inferInsert>): Promise<void> {
  await tx.update(t.instances).set({ ...patch, updatedAt: sql`now()` }).where(eq(t.instances.id, instanceId));
}

export interface AddressWish {
  /** CIDR text. */
  address: string;
  networkName: string;
  static: boolean;
  nicGroup?: number | undefined;
  instanceId: number;
}

/**
 * Reserves addresses for instances. Returns those that somebody else holds; then nothing must be kept
 * (throw, so that the transaction rolls back).
 */
export async function reserveAddresses(tx: Tx, wishes: readonly AddressWish[], taskId: number): Promise<string[]> {
  if (wishes.length === 0) return [];
  await tx
    .insert(t.ipAddresses)
    .values(wishes.map((wish) => ({ ...wish, taskId })))
    .onConflictDoUpdate({ target: t.ipAddresses.address, set: { networkName: sql`excluded.network_name`, static: sql`excluded.static`, nicGroup: sql`excluded.nic_group` }, setWhere: sql`ip_addresses.instance_id = excluded.instance_id` });
  const rows = await tx.select({ address: t.ipAddresses.address, instanceId: t.ipAddresses.instanceId }).from(t.ipAddresses).where(inArray(t.ipAddresses.address, wishes.map((wish) => wish.address)));
  const holder = new Map(rows.map((row) => [row.address, row.instanceId]));
  return wishes.filter((wish) => holder.get(wish.address) !== wish.instanceId).map((wish) => wish.address);
}

/** Gives addresses of an instance back, except those of an abandoned VM: they stay taken until that VM is gone. */
export async function releaseAddresses(tx: Tx, instanceId: number, addresses: readonly string[]): Promise<void> {
  if (addresses.length > 0) await dropAddresses(tx, and(eq(t.ipAddresses.instanceId, instanceId), inArray(t.ipAddresses.address, [...addresses])));
}

async function dropAddresses(tx: Tx, which: SQL | undefined): Promise<void> {
  const abandoned = sql`EXISTS (SELECT 1 FROM vms v WHERE v.id = ${t.ipAddresses.vmId} AND v.instance_id IS NULL)`;
  await tx.update(t.ipAddresses).set({ instanceId: null }).where(and(which, abandoned));
  await tx.delete(t.ipAddresses).where(which);
}

/** Gives back the addresses of instances of this deployment that have no VM, not even an abandoned one: what a failed planning leaves. */
export async function releaseUnusedAddresses(tx: Tx, deploymentId: number): Promise<void> {
  await tx.execute(sql`
    DELETE FROM ip_addresses a USING instances i WHERE a.instance_id = i.id AND i.deployment_id = ${deploymentId}
      AND a.orphaned_vm_id IS NULL AND a.vm_id IS NULL AND NOT EXISTS (SELECT 1 FROM vms v WHERE v.instance_id = i.id)`);
}

export interface VmIntent {
  instanceId: number;
  agentId: string;
  cpi: string;
  az: string | null;
  networks: Record<string, unknown>;
  stemcellApiVersion: number | null;
  taskId: number;
  epoch: number;
  /** Of a VM that is made beside the instance's VM. */
  madeOf?: t.VmIngredients;
}

/** Written before `create_vm`; repeating it is harmless. The VM gets the instance's addresses, but for those of the instance's other VMs. */
export async function createVmIntent(tx: Tx, intent: VmIntent): Promise<number> {
  await tx.insert(t.vms).values({ ...intent, state: 'creating' }).onConflictDoNothing();
  const [row] = await tx.select({ id: t.vms.id }).from(t.vms).where(eq(t.vms.agentId, intent.agentId));
  if (!row) throw new Error(`the record of VM with agent ${intent.agentId} is gone`);
  const ofAnother = sql`EXISTS (SELECT 1 FROM vms v WHERE v.id = ${t.ipAddresses.vmId} AND v.id <> ${row.id} AND v.instance_id = ${intent.instanceId})`;
  await tx.update(t.ipAddresses).set({ vmId: row.id }).where(and(eq(t.ipAddresses.instanceId, intent.instanceId), not(ofAnother)));
  return row.id;
}

/** Completes an intent after `create_vm`; the VM becomes the instance's active one, unless it is made beside that. */
export async function completeVm(tx: Tx, vmId: number, cid: string, active = true): Promise<void> {
  await tx.update(t.vms).set({ cid, state: 'created', active, createdAt: sql`now()` }).where(eq(t.vms.id, vmId));
}

export async function updateVm(tx: Tx, vmId: number, patch: Partial<typeof t.vms.$inferInsert>): Promise<void> {
  await tx.update(t.vms).set(patch).where(eq(t.vms.id, vmId));
}

/** Another VM takes its place: from here on it is not active, and whoever comes next orphans it. */
export async function retireVm(tx: Tx, vmId: number): Promise<void> {
  await tx.update(t.vms).set({ state: 'retiring', active: false }).where(eq(t.vms.id, vmId));
}

/** A VM that was made beside another one becomes the instance's active VM. */
export async function activateVm(tx: Tx, vmId: number): Promise<void> {
  await tx.update(t.vms).set({ active: true }).where(eq(t.vms.id, vmId));
}

/** Notes a VM as orphaned; undefined when that is recorded already. */
export async function recordOrphan(tx: Tx, vmId: number): Promise<{ cid: string; deployment: string; instance: string } | undefined> {
  const [vm] = await tx
    .select({ cid: t.vms.cid, deployment: t.deployments.name, group: t.instances.job, uuid: t.instances.uuid })
    .from(t.vms)
    .innerJoin(t.instances, eq(t.instances.id, t.vms.instanceId))
    .innerJoin(t.deployments, eq(t.deployments.id, t.instances.deploymentId))
    .where(eq(t.vms.id, vmId));
  if (!vm || vm.cid === null) return undefined;
  const owner = { deployment: vm.deployment, instance: instanceName(vm) };
  await orphanVm(tx, vmId, owner);
  return { cid: vm.cid, ...owner };
}

/** Marks a VM before `delete_vm`: from here on it is not active and a later attempt deletes it again. */
export async function markVmDeleting(tx: Tx, vmId: number): Promise<void> {
  await tx.update(t.vms).set({ state: 'deleting', active: false }).where(eq(t.vms.id, vmId));
}

/**
 * Nobody's VM from here on: its instance may get another, at the same addresses; the sweep deals with what may exist in the cloud,
 * and until it has, nobody else gets its addresses.
 */
export async function abandonVm(tx: Tx, vmId: number, cid?: string): Promise<void> {
  await tx.update(t.vms).set({ state: 'deleting', active: false, instanceId: null, createdAt: sql`now()`, ...(cid === undefined ? {} : { cid }) }).where(eq(t.vms.id, vmId));
}

/** Forgets a VM; its instance, if there still is one, keeps the addresses. */
export async function deleteVmRecord(tx: Tx, vmId: number): Promise<void> {
  await tx.delete(t.ipAddresses).where(and(eq(t.ipAddresses.vmId, vmId), isNull(t.ipAddresses.instanceId)));
  await tx.update(t.ipAddresses).set({ vmId: null }).where(eq(t.ipAddresses.vmId, vmId));
  await tx.delete(t.vms).where(eq(t.vms.id, vmId));
}

/** Forgets an instance that has no VM any more, with its addresses. The blobs of its rendered templates must be gone: nobody knows them afterwards. */
export async function deleteInstanceRecord(tx: Tx, instanceId: number): Promise<void> {
  await tx.delete(t.renderedTemplatesArchives).where(eq(t.renderedTemplatesArchives.instanceId, instanceId));
  await dropAddresses(tx, eq(t.ipAddresses.instanceId, instanceId));
  await tx.delete(t.instances).where(eq(t.instances.id, instanceId));
}

/** Templates last delivered to an instance, newest first. */
export async function listArchives(db: Db, instanceId: number): Promise<(typeof t.renderedTemplatesArchives.$inferSelect)[]> {
  return db.select().from(t.renderedTemplatesArchives).where(eq(t.renderedTemplatesArchives.instanceId, instanceId)).orderBy(sql`id DESC`);
}

export async function createArchive(tx: Tx, row: typeof t.renderedTemplatesArchives.$inferInsert): Promise<void> {
  await tx.insert(t.renderedTemplatesArchives).values(row);
}

/** An archive by what it was made from; archives of early versions do not tell. */
export interface RenderInput {
  id: number;
  inputKey: string | null;
  contentSha1: string;
  templateHashes: Record<string, string> | null;
}

/** What the newest templates of each instance were rendered from, and what came out; one query for all. */
export async function listRenderInputs(db: Db, instanceIds: readonly number[]): Promise<Map<number, RenderInput>> {
  if (instanceIds.length === 0) return new Map();
  const archives = t.renderedTemplatesArchives;
  const rows = await db
    .selectDistinctOn([archives.instanceId], { instanceId: archives.instanceId, id: archives.id, inputKey: archives.inputKey, contentSha1: archives.contentSha1, templateHashes: archives.templateHashes })
    .from(archives)
    .where(inArray(archives.instanceId, [...instanceIds]))
    .orderBy(archives.instanceId, sql`id DESC`);
  return new Map(rows.map(({ instanceId, ...row }) => [instanceId, row]));
}

/** The same content came out of other inputs: these are the ones to compare with next time. */
export async function updateRenderInput(tx: Tx, archiveId: number, input: { inputKey: string; templateHashes: Record<string, string> }): Promise<void> {
  await tx.update(t.renderedTemplatesArchives).set(input).where(eq(t.renderedTemplatesArchives.id, archiveId));
}

/** The same for many at once. */
export async function updateRenderInputs(tx: Tx, inputs: readonly { archiveId: number; inputKey: string; templateHashes: Record<string, string> }[]): Promise<void> {
  if (inputs.length === 0) return;
  await tx.execute(sql`
    UPDATE rendered_templates_archives a SET input_key = x."inputKey", template_hashes = x."templateHashes"
    FROM jsonb_to_recordset(${JSON.stringify(inputs)}::jsonb) AS x("archiveId" integer, "inputKey" text, "templateHashes" jsonb) WHERE a.id = x."archiveId"`);
}

/** New specs of many instances at once. */
export async function updateSpecs(tx: Tx, specs: readonly { instanceId: number; spec: Record<string, unknown> }[]): Promise<void> {
  if (specs.length === 0) return;
  await tx.execute(sql`
    UPDATE instances i SET spec = x.spec, updated_at = now()
    FROM jsonb_to_recordset(${JSON.stringify(specs)}::jsonb) AS x("instanceId" integer, spec jsonb) WHERE i.id = x."instanceId"`);
}

/** Forgets archives whose blobs are gone. */
export async function deleteArchives(tx: Tx, ids: readonly number[]): Promise<void> {
  if (ids.length > 0) await tx.delete(t.renderedTemplatesArchives).where(inArray(t.renderedTemplatesArchives.id, [...ids]));
}

/**
 * After a deploy that succeeded: whatever is recorded of instances that are up to date has the values of this set. Stopped instances keep
 * VMs that may be of another one, and ignored ones were not looked at.
 */
export async function moveToVariableSet(tx: Tx, deploymentId: number, setId: number): Promise<void> {
  const upToDate = and(eq(t.instances.deploymentId, deploymentId), eq(t.instances.updateCompleted, true), eq(t.instances.state, 'started'), eq(t.instances.ignore, false));
  await tx.update(t.instances).set({ variableSetId: setId }).where(upToDate);
}

/** Operating systems and versions of the stemcells that the deployment uses. */
export async function listStemcellsInUse(db: Db, deploymentId: number): Promise<{ os: string; version: string }[]> {
  return db
    .selectDistinct({ os: t.stemcells.operatingSystem, version: t.stemcells.version })
    .from(t.deploymentStemcells)
    .innerJoin(t.stemcells, eq(t.stemcells.id, t.deploymentStemcells.stemcellId))
    .where(eq(t.deploymentStemcells.deploymentId, deploymentId));
}

/**
 * Those of the release versions that can still be deployed. A deletion of one of them waits until the transaction has ended, and then
 * finds whom it has been bound to; one that began before is waited for. Always in the order of ids, as deletions.
 */
export async function keepReleaseVersions(tx: Tx, ids: readonly number[]): Promise<Set<number>> {
  if (ids.length === 0) return new Set();
  const versions = t.releaseVersions;
  const rows = await tx.select({ id: versions.id }).from(versions).where(and(inArray(versions.id, [...ids]), eq(versions.updateCompleted, true))).orderBy(versions.id).for('share');
  return new Set(rows.map((row) => row.id));
}

/** The same for stemcells. */
export async function keepStemcells(tx: Tx, ids: readonly number[]): Promise<Set<number>> {
  if (ids.length === 0) return new Set();
  const rows = await tx.select({ id: t.stemcells.id }).from(t.stemcells).where(and(inArray(t.stemcells.id, [...ids]), isNotNull(t.stemcells.cid))).orderBy(t.stemcells.id).for('share');
  return new Set(rows.map((row) => row.id));
}

/** Notes, while binding, that the deployment uses these; nothing is removed until the deploy has succeeded. */
export async function linkArtifacts(tx: Tx, deploymentId: number, use: { releaseVersionIds: readonly number[]; stemcellIds: readonly number[] }): Promise<void> {
  if (use.releaseVersionIds.length > 0) await tx.insert(t.deploymentReleaseVersions).values(use.releaseVersionIds.map((releaseVersionId) => ({ deploymentId, releaseVersionId }))).onConflictDoNothing();
  if (use.stemcellIds.length > 0) await tx.insert(t.deploymentStemcells).values(use.stemcellIds.map((stemcellId) => ({ deploymentId, stemcellId }))).onConflictDoNothing();
}

export interface DeploymentOutcome {
  manifest: Record<string, unknown>;
  manifestText: string;
  tags: Record<string, string>;
  configIds: readonly number[];
  releaseVersionIds: readonly number[];
  stemcellIds: readonly number[];
}

/** Records a successful deploy: manifest, configs, and only the releases and stemcells now in use. */
export async function recordSuccess(tx: Tx, deploymentId: number, outcome: DeploymentOutcome): Promise<void> {
  await tx.update(t.deployments).set({ manifest: outcome.manifest, manifestText: outcome.manifestText, tags: outcome.tags }).where(eq(t.deployments.id, deploymentId));
  await tx.delete(t.deploymentConfigs).where(eq(t.deploymentConfigs.deploymentId, deploymentId));
  if (outcome.configIds.length > 0) await tx.insert(t.deploymentConfigs).values(outcome.configIds.map((configId) => ({ deploymentId, configId })));
  await tx.delete(t.deploymentReleaseVersions).where(eq(t.deploymentReleaseVersions.deploymentId, deploymentId));
  await tx.delete(t.deploymentStemcells).where(eq(t.deploymentStemcells.deploymentId, deploymentId));
  await linkArtifacts(tx, deploymentId, outcome);
  await deleteOldLinks(tx, deploymentId);
}

/** Removes a deployment without instances; its aliases go from DNS. */
export async function deleteDeploymentRecord(tx: Tx, deploymentId: number): Promise<void> {
  await updateAliases(tx, deploymentId, []);
  await tx.delete(t.deployments).where(eq(t.deployments.id, deploymentId));
}

/** VMs that other attempts left without a decision: creating, deleting, retiring, or made without ever getting their settings; of no live attempt. */
export async function listUnfinishedVms(db: Db, deploymentId: number, now: { taskId: number; epoch: number }): Promise<{ vm: VmRow; instance: InstanceRow }[]> {
  return db
    .select({ vm: t.vms, instance: t.instances })
    .from(t.vms)
    .innerJoin(t.instances, eq(t.vms.instanceId, t.instances.id))
    .where(and(eq(t.instances.deploymentId, deploymentId), sql`(${t.vms.state} IN ('deleting', 'retiring') OR ((${t.vms.state} = 'creating' OR NOT ${t.vms.permanentNatsCredentials}) AND NOT (${t.vms.taskId} = ${now.taskId} AND ${t.vms.epoch} = ${now.epoch})))`));
}

/** Contents of configs by id, and the newest of a type for a deployment's teams. */
export async function readConfigs(db: Db, ids: readonly number[]): Promise<{ id: number; type: string; name: string; content: string }[]> {
  if (ids.length === 0) return [];
  return db.select({ id: t.configs.id, type: t.configs.type, name: t.configs.name, content: t.configs.content }).from(t.configs).where(inArray(t.configs.id, [...ids])).orderBy(t.configs.name);
}

/** A VM that no instance has any more and that may exist in the cloud; `abandonedMs` ago by the database's clock. */
export type AbandonedVm = VmRow & { abandonedMs: number };

export async function listAbandonedVms(db: Db): Promise<AbandonedVm[]> {
  return db
    .select({ ...getTableColumns(t.vms), abandonedMs: sql<number>`(extract(epoch FROM now() - ${t.vms.createdAt}) * 1000)::float8` })
    .from(t.vms)
    .where(and(isNull(t.vms.instanceId), eq(t.vms.state, 'deleting')))
    .orderBy(t.vms.id);
}

/** Frees the locks with that prefix which earlier attempts of the task took and this one will not take again. */
export async function releaseEarlierLocks(tx: Tx, owner: { taskId: number; epoch: number }, locks: { prefix: string; keep: readonly string[] }): Promise<void> {
  await tx.execute(sql`
    WITH freed AS (
      DELETE FROM locks WHERE task_id = ${owner.taskId} AND epoch < ${owner.epoch} AND starts_with(name, ${locks.prefix}) AND name <> ALL(${sql.param([...locks.keep])}::text[]) RETURNING name)
    SELECT pg_notify('locks', name) FROM freed`);
}
