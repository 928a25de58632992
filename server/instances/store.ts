import { and, eq, isNotNull, sql } from 'drizzle-orm';
import type { Database, Db } from '../../db/client';
import { directorSettings } from '../../db/schema/cluster';
import { deployments, instances, orphanedVms, vms } from '../../db/schema/deployments';
import type { InstanceState } from './instance';

/** Reading instances and VMs; what a deploy records about them is in `deploy/store.ts`. */

/** The active VM of an instance. */
export interface ListedVm {
  agentId: string;
  /** Null while `create_vm` is under way. */
  cid: string | null;
  /** Addresses in all networks. */
  ips: string[];
  createdAt: Date;
  active: boolean;
  permanentNatsCredentials: boolean;
}

export interface ListedInstance {
  id: number;
  uuid: string;
  group: string;
  index: number;
  az: string | undefined;
  state: InstanceState;
  ignore: boolean;
  /** False for errands and detached instances. */
  expectsVm: boolean;
  vm: ListedVm | undefined;
}

const vmColumns = {
  agentId: vms.agentId, cid: vms.cid, createdAt: vms.createdAt, active: vms.active, permanentNatsCredentials: vms.permanentNatsCredentials,
  ips: sql<string[] | null>`jsonb_path_query_array(${vms.networks}, '$.*.ip')`,
};
const instanceColumns = {
  id: instances.id, uuid: instances.uuid, group: instances.job, index: instances.index, az: instances.az, state: instances.state, ignore: instances.ignore,
  lifecycle: sql<string | null>`${instances.spec}->>'lifecycle'`,
};

function prepare(db: Database) {
  return {
    instances: db
      .select({ ...instanceColumns, vm: vmColumns })
      .from(instances)
      .leftJoin(vms, and(eq(vms.instanceId, instances.id), eq(vms.active, true)))
      .where(eq(instances.deploymentId, sql.placeholder('deployment')))
      .orderBy(instances.job, instances.index, instances.id)
      .prepare('instances_of_deployment'),
    vms: db
      .select({ ...instanceColumns, vm: vmColumns })
      .from(vms)
      .innerJoin(instances, eq(vms.instanceId, instances.id))
      .where(eq(instances.deploymentId, sql.placeholder('deployment')))
      .orderBy(instances.job, instances.index, vms.id)
      .prepare('vms_of_deployment'),
  };
}

const prepared = new WeakMap<Database, ReturnType<typeof prepare>>();
function statements(db: Database): ReturnType<typeof prepare> {
  const found = prepared.get(db) ?? prepare(db);
  prepared.set(db, found);
  return found;
}

interface InstanceRow {
  id: number;
  uuid: string;
  group: string;
  index: number;
  az: string | null;
  state: InstanceState;
  ignore: boolean;
  lifecycle: string | null;
}

type VmRow = Omit<ListedVm, 'ips'> & { ips: string[] | null };

function toInstance(row: InstanceRow, vm: VmRow | undefined): ListedInstance {
  const { lifecycle, az, ...rest } = row;
  return { ...rest, az: az ?? undefined, expectsVm: (lifecycle ?? 'service') === 'service' && row.state !== 'detached', vm: vm && { ...vm, ips: vm.ips ?? [] } };
}

/** Instances with their active VMs, by group and index; one query. */
export async function listInstances(db: Database, deploymentId: number): Promise<ListedInstance[]> {
  const rows = await statements(db).instances.execute({ deployment: deploymentId });
  return rows.map(({ vm, ...row }) => toInstance(row, vm ?? undefined));
}

/** Every VM, inactive ones included, with its instance. */
export async function listVms(db: Database, deploymentId: number): Promise<(ListedInstance & { vm: ListedVm })[]> {
  const rows = await statements(db).vms.execute({ deployment: deploymentId });
  return rows.map(({ vm, ...row }) => ({ ...toInstance(row, undefined), vm: { ...vm, ips: vm.ips ?? [] } }));
}

export interface InstanceDetails {
  uuid: string;
  group: string;
  index: number;
  az: string | null;
  state: InstanceState;
  bootstrap: boolean;
  ignore: boolean;
  /** What the VM was made with; null before the first VM. */
  cloudProperties: Record<string, unknown> | null;
  /** Name of the VM type of the last applied update. */
  vmType: string | null;
  /** Cloud ids of active persistent disks. */
  diskCids: readonly string[];
  vm?: ListedVm & { stemcell: { name: string | null; version: string | null; apiVersion: number | null } };
}

/**
 * What is recorded of a deployment's VMs (inactive ones too) or of its instances with their active VMs, by group and index;
 * nothing for an unknown deployment.
 */
export async function listInstancesWithVms(db: Db, deployment: string, view: 'vms' | 'instances'): Promise<InstanceDetails[]> {
  const rows = await db
    .select({
      uuid: instances.uuid, group: instances.job, index: instances.index, az: instances.az, state: instances.state, bootstrap: instances.bootstrap, ignore: instances.ignore,
      cloudProperties: instances.cloudProperties, vmType: sql<string | null>`${instances.spec}->'vm_type'->>'name'`,
      stemcellName: sql<string | null>`${instances.spec}->'stemcell'->>'name'`, stemcellVersion: sql<string | null>`${instances.spec}->'stemcell'->>'version'`,
      apiVersion: vms.stemcellApiVersion, vm: vmColumns,
      diskCids: sql<string[]>`ARRAY(SELECT p.cid FROM persistent_disks p WHERE p.instance_id = ${instances.id} AND p.active AND p.cid IS NOT NULL ORDER BY p.name)`,
    })
    .from(deployments)
    .innerJoin(instances, eq(instances.deploymentId, deployments.id))
    .leftJoin(vms, and(eq(vms.instanceId, instances.id), view === 'instances' ? eq(vms.active, true) : undefined))
    .where(and(eq(deployments.name, deployment), view === 'vms' ? isNotNull(vms.id) : undefined))
    .orderBy(instances.job, instances.index, instances.id, vms.id);
  return rows.map(({ vm, stemcellName, stemcellVersion, apiVersion, ...instance }) => ({
    ...instance,
    ...(vm ? { vm: { ...vm, ips: vm.ips ?? [], stemcell: { name: stemcellName, version: stemcellVersion, apiVersion } } } : {}),
  }));
}

/** An instance of a group by UUID or index, as operators name it. */
export async function findInstance(db: Db, wanted: { deploymentId: number; group: string; id: string }): Promise<{ id: number; uuid: string; index: number; state: InstanceState } | undefined> {
  const byIndex = /^\d{1,9}$/.test(wanted.id);
  const [row] = await db
    .select({ id: instances.id, uuid: instances.uuid, index: instances.index, state: instances.state })
    .from(instances)
    .where(
      and(eq(instances.deploymentId, wanted.deploymentId), eq(instances.job, wanted.group), byIndex ? eq(instances.index, Number(wanted.id)) : sql`${instances.uuid}::text = ${wanted.id.toLowerCase()}`),
    );
  return row;
}

/** Marks an instance that deploys, the resurrector and cloud check leave alone. */
export async function setIgnored(db: Db, instanceId: number, ignore: boolean): Promise<void> {
  await db.update(instances).set({ ignore, updatedAt: sql`now()` }).where(eq(instances.id, instanceId));
}

export interface OrphanedVm {
  cid: string;
  az: string | undefined;
  deployment: string;
  instance: string;
  ips: string[];
  orphanedAt: Date;
}

/** VMs without an instance that are still to be deleted, oldest first. */
export async function listOrphanedVms(db: Db): Promise<OrphanedVm[]> {
  const rows = await db
    .select({
      cid: orphanedVms.cid, az: orphanedVms.az, deployment: orphanedVms.deploymentName, instance: orphanedVms.instanceName, orphanedAt: orphanedVms.orphanedAt,
      ips: sql<string[]>`ARRAY(SELECT split_part(a.address, '/', 1) FROM ip_addresses a WHERE a.orphaned_vm_id = ${orphanedVms.id} ORDER BY a.address)`,
    })
    .from(orphanedVms)
    .orderBy(orphanedVms.id);
  return rows.map((row) => ({ ...row, az: row.az ?? undefined }));
}

const resurrectionPaused = 'resurrection_paused';

/** Whether operators have told the director to leave dead VMs alone. */
export async function isResurrectionPaused(db: Db): Promise<boolean> {
  const [row] = await db.select({ value: directorSettings.value }).from(directorSettings).where(eq(directorSettings.key, resurrectionPaused));
  return row?.value === true;
}

export async function setResurrectionPaused(db: Db, paused: boolean): Promise<void> {
  await db.insert(directorSettings).values({ key: resurrectionPaused, value: paused }).onConflictDoUpdate({ target: directorSettings.key, set: { value: paused } });
}
