import { randomUUID } from 'node:crypto';
import type { Tx } from '../../db/client';
import { listDisks } from '../disks/store';
import { instanceLabel, instanceName, type ApplySpec, type FullSpec, type RenderedTemplatesArchive } from '../instances/instance';
import { lacksAddresses, withoutLearned } from '../plan/network-settings';
import { addressableNetwork, applySpec, fullSpec, initialApplySpec, specOfNewVm } from '../plan/specs';
import type { ChangeKind, CompleteInstancePlan, InstancePlan, Plan } from '../plan/types';
import type { StageProgress, TaskContext } from '../tasks/context';
import { createArchive } from '../templates/archive';
import { archiveEntries } from '../templates/instance';
import { startJobs, stopJobs, watchWindow } from './agent-steps';
import { convergeDisks, updateDetachedDisks } from './converge-disks';
import { sendTemplates, withSignedUrls } from './delivery';
import { attachInstanceDisks, detachInstanceDisks, diskCidsOf, writeDiskMetadata, type DiskOwner, type DiskVm } from './disk-steps';
import { updateInstanceDns } from './dns-steps';
import { recordedOperation } from './instance-event';
import { introduceNetworks, learnAddresses } from './learn-addresses';
import type { AgentTarget } from '../agents/agent';
import type { DeployDeps } from './ports';
import type { RenderedInstance } from './render-plan';
import { createArchive as recordArchive, deleteArchives, listArchives, releaseAddresses, updateInstance, updateRenderInput, updateVm } from './store';
import { takeSnapshots } from './snapshots';
import { swapVm } from './swap-vm';
import { updateEvent } from './update-event';
import { setOf, type DeploymentVariables } from './variables';
import { createVm, deleteVm, introduceVm, updateAgentSettings, writeVmMetadata, type VmOrder } from './vm-steps';

/** What the update of one instance works on. */
export interface InstanceUpdate {
  plan: Plan<CompleteInstancePlan>;
  instance: CompleteInstancePlan;
  /** Row of instances. */
  instanceId: number;
  rendered: RenderedInstance;
  /** Renders the instance's templates with addresses that were not known before. */
  renderAgain: (instance: InstancePlan) => Promise<RenderedInstance>;
  variables: DeploymentVariables;
  /** The VM that the instance has now; undefined when it has none. */
  vm: InstanceVm | undefined;
  /** A VM that was made to take the place of `vm`. */
  replacement?: InstanceVm;
  canary: boolean;
}

export interface InstanceVm {
  vmId: number;
  cid: string;
  agentId: string;
  /** Name of the CPI that made it. */
  cpi: string;
  apiVersion: number | null;
  /** Made by this deploy: nothing has been applied to it yet. */
  fresh: boolean;
  /** With the addresses that the cloud gave it; undefined when they are those of the plan. */
  networks?: InstancePlan['networks'];
}

/**
 * Brings one instance from its current to its planned state. It is marked unfinished first and finished last, so whatever
 * dies in between, the next attempt or deploy converges it again.
 * Order: cloudfoundry/bosh src/bosh-director/lib/bosh/director/instance_updater/update_procedure.rb.
 */
export async function convergeInstance(ctx: TaskContext, deps: DeployDeps, update: InstanceUpdate, progress: StageProgress): Promise<void> {
  const { instance, instanceId } = update;
  const changes = instance.changes.map((change) => change.kind);
  const operation = {
    instance, deployment: update.plan.deployment, ...updateEvent(instance, update.vm !== undefined),
    begin: (tx: Tx) => updateInstance(tx, instanceId, { updateCompleted: false, lastChanges: changes }),
  };
  await recordedOperation(ctx, operation, () => converge(ctx, deps, update, progress));
}

function hasChange(instance: CompleteInstancePlan, kind: ChangeKind): boolean {
  return instance.changes.some((change) => change.kind === kind);
}

async function converge(ctx: TaskContext, deps: DeployDeps, asked: InstanceUpdate, progress: StageProgress): Promise<void> {
  let update = await withKnownAddresses(ctx, deps, asked);
  const { instance, instanceId } = update;
  if (instance.minimal && update.vm) {
    if (hasChange(instance, 'tags')) await writeMetadata(ctx, deps, update);
    if (hasChange(instance, 'dns')) await updateInstanceDns(ctx, deps, { instance, instanceId, agentId: update.vm.agentId });
    await ctx.write((tx) => updateInstance(tx, instanceId, { spec: recordedSpec(update, undefined), updateCompleted: true, ...setOf(update) }));
    return;
  }
  let archive = await deliverTemplates(ctx, deps, update);
  let spec = await withSignedUrls(deps, instance.stemcell, applySpec(instance, update.plan, archive));
  if (update.vm && !update.vm.fresh) await quiesce(ctx, deps, { ...update, vm: update.vm, archive }, spec, progress);
  if (instance.desiredState === 'detached') {
    if (update.vm) await detachVm(ctx, deps, { ...update, vm: update.vm });
    await finish(ctx, deps, update, { spec: undefined, archive });
    return;
  }
  // What was detached has never been given its new configuration.
  if (instance.desiredState === 'stopped' && update.vm && !instance.needsRecreate && instance.existing?.state !== 'detached') {
    await finish(ctx, deps, update, { spec: undefined, archive });
    return;
  }
  const vm = await convergeVm(ctx, deps, update);
  if (vm !== update.vm && vm.networks) {
    update = await atAddresses(update, vm.networks);
    archive = await deliverTemplates(ctx, deps, update);
    spec = await withSignedUrls(deps, instance.stemcell, applySpec(update.instance, update.plan, archive));
  }
  if (vm.agentId !== update.vm?.agentId || hasChange(instance, 'dns')) await updateInstanceDns(ctx, deps, { instance, instanceId, agentId: vm.agentId });
  if (hasChange(instance, 'tags') && vm === update.vm && !vm.fresh) await writeMetadata(ctx, deps, update);
  await progress.advance(10, 'installing packages');
  await progress.advance(10, 'configuring jobs');
  await sendTemplates(ctx, deps, { agent: agentOf(update, vm), apiVersion: instance.stemcell.apiVersion }, archive);
  await deps.agents.agentFor(agentOf(update, vm), ctx).apply(spec);
  await ctx.write((tx) => updateInstance(tx, instanceId, { spec: recordedSpec(update, archive) }));
  if (instance.desiredState === 'started') await startJobs(ctx, deps, agentOf(update, vm), watchWindow(instance.update, update.canary), progress);
  await finish(ctx, deps, update, { spec: recordedSpec(update, archive), archive });
}

/** Pre-download, then stop: the VM is about to be changed or replaced. */
async function quiesce(ctx: TaskContext, deps: DeployDeps, update: InstanceUpdate & { vm: InstanceVm; archive: RenderedTemplatesArchive | undefined }, spec: ApplySpec, progress: StageProgress): Promise<void> {
  const { instance } = update;
  if (isUnresponsive(update)) return;
  const agent = agentOf(update, update.vm);
  const goes = instance.needsRecreate || instance.desiredState === 'detached';
  const shutsDown = goes || instance.desiredState === 'stopped' || instance.diskChanges.length > 0;
  if (!instance.needsRecreate && instance.desiredState === 'started') {
    await sendTemplates(ctx, deps, { agent, apiVersion: instance.stemcell.apiVersion }, update.archive);
    await deps.agents.agentFor(agent, ctx).prepare(spec);
  }
  if (instance.existing?.state === 'stopped') return;
  await stopJobs(ctx, deps, agent, {
    intent: { vm: goes ? 'delete' : 'keep', instance: 'keep', deployment: 'keep' },
    drain: shutsDown ? 'shutdown' : 'update', spec, skipDrain: instance.skipDrain,
  }, progress);
  await takeSnapshots(ctx, deps, { instance: { ...instance, id: update.instanceId }, deployment: { name: update.plan.deployment, tags: update.plan.tags }, agentId: update.vm.agentId, clean: true });
}

/** The VM goes, and the disks stay with the instance: `bosh stop --hard`. */
async function detachVm(ctx: TaskContext, deps: DeployDeps, update: InstanceUpdate & { vm: InstanceVm }): Promise<void> {
  if (!isUnresponsive(update)) await detachInstanceDisks(ctx, deps, disksOf(update, update.vm));
  await deleteVm(ctx, deps, { id: update.vm.vmId, cid: update.vm.cid, cpi: update.vm.cpi, stemcellApiVersion: update.vm.apiVersion });
}

function isUnresponsive({ instance }: Pick<InstanceUpdate, 'instance'>): boolean {
  return instance.existing?.agentState?.jobState === 'unresponsive';
}

/** A VM that fits the plan, with the disks that fit it: the present one with fresh settings, or a new one. */
async function convergeVm(ctx: TaskContext, deps: DeployDeps, update: InstanceUpdate): Promise<InstanceVm> {
  const { vm, instance } = update;
  const kept = vm && (vm.fresh || !instance.needsRecreate) ? vm : undefined;
  const present = kept ?? (await replaceVm(ctx, deps, update));
  await convergeDisks(ctx, deps, { ...disksOf(update, present), desired: instance.disks, recreate: instance.changes.some((change) => change.kind === 'recreate_persistent_disks'), cpi: present.cpi });
  const kinds = new Set(instance.changes.map((change) => change.kind));
  const changed = kinds.has('nats_config') || kinds.has('blobstore_config') || kinds.has('trusted_certs');
  const named = [...instance.disks, ...instance.diskChanges].some((disk) => disk.name !== '');
  if (named || (changed && kept && !kept.fresh)) {
    await updateAgentSettings(ctx, deps, { vmId: present.vmId, agent: agentOf(update, present), az: instance.az }, { nats: kinds.has('nats_config'), blobstores: kinds.has('blobstore_config') });
  }
  return present;
}

async function replaceVm(ctx: TaskContext, deps: DeployDeps, update: InstanceUpdate): Promise<InstanceVm> {
  const { vm, instance } = update;
  if (vm && !isUnresponsive(update)) {
    await detachInstanceDisks(ctx, deps, disksOf(update, vm));
    await updateDetachedDisks(ctx, deps, { ...disksOf(update, vm), desired: instance.disks });
  }
  if (vm && update.replacement) {
    const swapped = await swapVm(ctx, deps, { ...update, vm, replacement: update.replacement });
    if (instance.disks.length > 0) await attachInstanceDisks(ctx, deps, disksOf(update, swapped));
    return swapped;
  }
  if (vm) await deleteVm(ctx, deps, { id: vm.vmId, cid: vm.cid, cpi: vm.cpi, stemcellApiVersion: vm.apiVersion });
  const released = instance.reservations.release.map((reservation) => reservation.address);
  await ctx.write((tx) => releaseAddresses(tx, update.instanceId, released));
  return createInstanceVm(ctx, deps, update);
}

/** The update with the addresses of a VM that the plan did not know: one that was just made, or whose maker died before it had heard them. */
async function withKnownAddresses(ctx: TaskContext, deps: DeployDeps, update: InstanceUpdate): Promise<InstanceUpdate> {
  const { vm, plan, instance, instanceId } = update;
  if (vm?.networks) return atAddresses(update, vm.networks);
  if (!vm || vm.fresh || instance.needsRecreate || !lacksAddresses(instance.networks)) return update;
  const networks = await learnAddresses(ctx, deps, { plan, instance, instanceId, vmId: vm.vmId, agent: agentOf(update, vm) });
  return atAddresses(update, networks);
}

/** The update of the same instance at the addresses that the cloud gave it: its templates may name them. */
async function atAddresses(update: InstanceUpdate, networks: InstancePlan['networks']): Promise<InstanceUpdate> {
  const at = { ...update.instance, networks, ip: networks[addressableNetwork(networks) ?? '']?.ip ?? null };
  const rendered = await update.renderAgain(at);
  return { ...update, instance: { ...at, rendered: rendered.hashes }, rendered };
}

/** Makes the VM of an instance, tells it who it is and hears its addresses. */
export async function createInstanceVm(ctx: TaskContext, deps: DeployDeps, { plan, instance: planned, instanceId, variables }: Pick<InstanceUpdate, 'plan' | 'instance' | 'instanceId' | 'variables'>): Promise<InstanceVm> {
  const instance = { ...planned, networks: withoutLearned(planned.networks) };
  const { stemcell } = instance;
  const vm = await createVm(ctx, deps, await vmOrder(deps, { plan, instance, instanceId, variables }));
  await ctx.write((tx) => updateInstance(tx, instanceId, { cloudProperties: instance.cloudProperties, spec: { ...specOfNewVm(instance) }, dns: instance.dns, ...setOf({ variables }) }));
  const made: InstanceVm = { vmId: vm.vmId, cid: vm.cid, agentId: vm.agent.id, cpi: stemcell.cpi, apiVersion: stemcell.apiVersion, fresh: true };
  if (instance.disks.length > 0) await attachInstanceDisks(ctx, deps, disksOf({ plan, instance, instanceId, variables }, made));
  const networks = await learnAddresses(ctx, deps, { plan, instance, instanceId, vmId: vm.vmId, agent: vm.agent });
  return networks === instance.networks ? made : { ...made, networks };
}

/**
 * Makes the VM that will take the place of the instance's, beside it. Nothing about the instance changes; what its VM is made of is
 * recorded with the VM. One that an earlier attempt left ready is told once more what it may not have heard.
 */
export async function createReplacementVm(ctx: TaskContext, deps: DeployDeps, { plan, instance: planned, instanceId, variables }: Pick<InstanceUpdate, 'plan' | 'instance' | 'instanceId' | 'variables'>): Promise<InstanceVm> {
  const instance = { ...planned, networks: withoutLearned(planned.networks) };
  const { cloudProperties, env, swap, stemcell } = instance;
  const order = { ...(await vmOrder(deps, { plan, instance, instanceId, variables })), beside: { stemcell: { name: stemcell.name, version: stemcell.version }, env, cloudProperties } };
  // Addresses that no VM has and that this one is not to get.
  await ctx.write((tx) => releaseAddresses(tx, instanceId, instance.reservations.release.map(({ address }) => address)));
  const ready = swap?.ready && { vmId: swap.ready.id, cid: swap.ready.cid, agent: { id: swap.ready.agentId, name: order.label } };
  if (ready) await introduceVm(ctx, deps, order, ready);
  const vm = ready ?? (await createVm(ctx, deps, order));
  const made: InstanceVm = { vmId: vm.vmId, cid: vm.cid, agentId: vm.agent.id, cpi: stemcell.cpi, apiVersion: stemcell.apiVersion, fresh: true };
  const networks = await introduceNetworks(ctx, deps, { agent: vm.agent, spec: initialApplySpec(instance, plan) });
  if (networks === instance.networks) return made;
  await ctx.write((tx) => updateVm(tx, vm.vmId, { networks }));
  return { ...made, networks };
}

async function vmOrder(deps: DeployDeps, { plan, instance, instanceId, variables }: Pick<InstanceUpdate, 'plan' | 'instance' | 'instanceId' | 'variables'>): Promise<VmOrder> {
  const { group, az, stemcell } = instance;
  return {
    instanceId, label: instanceLabel(instance), deployment: plan.deployment, group, az, cpi: stemcell.cpi, stemcell: { cid: stemcell.cid, apiVersion: stemcell.apiVersion },
    cloudProperties: instance.cloudProperties, networks: instance.networks, env: instance.env, diskCids: await diskCidsOf(deps, instanceId), tags: instance.tags, variables,
    metadata: identityOf(instance),
  };
}

/**
 * Puts the instance's rendered templates where its agent finds them. The record comes before the blob, so no blob is ever
 * unknown; content that is there already is used again.
 */
async function deliverTemplates(ctx: TaskContext, deps: DeployDeps, update: InstanceUpdate): Promise<RenderedTemplatesArchive | undefined> {
  const { rendered, instanceId } = update;
  const contentSha1 = rendered.hashes.configurationHash;
  if (contentSha1 === undefined) return undefined;
  const input = { inputKey: rendered.inputKey, templateHashes: rendered.hashes.templateHashes };
  const [latest] = await listArchives(deps.db, instanceId);
  if (latest && latest.contentSha1 === contentSha1 && (await deps.blobstore.exists(latest.blobstoreId))) {
    if (latest.inputKey !== input.inputKey) await ctx.write((tx) => updateRenderInput(tx, latest.id, input));
    return { blobstore_id: latest.blobstoreId, sha1: latest.sha1 };
  }
  const { bytes, sha1 } = await createArchive(archiveEntries(await rendered.jobs()));
  const blobstoreId = randomUUID();
  await ctx.write((tx) => recordArchive(tx, { instanceId, blobstoreId, sha1, contentSha1, ...input }));
  await ctx.fence();
  await deps.blobstore.put(bytes, blobstoreId);
  return { blobstore_id: blobstoreId, sha1 };
}

async function finish(ctx: TaskContext, deps: DeployDeps, update: InstanceUpdate, done: { spec: FullSpec | undefined; archive: RenderedTemplatesArchive | undefined }): Promise<void> {
  const { instance, instanceId } = update;
  await ctx.write(async (tx) => {
    await releaseAddresses(tx, instanceId, instance.reservations.release.map((reservation) => reservation.address));
    await updateInstance(tx, instanceId, { state: instance.desiredState, updateCompleted: true, ...(done.spec ? { spec: { ...done.spec }, ...setOf(update) } : {}) });
  });
  if (!done.spec || !done.archive) return;
  const current = done.archive.blobstore_id;
  const others = (await listArchives(deps.db, instanceId)).filter((archive) => archive.blobstoreId !== current);
  if (others.length === 0) return;
  await ctx.fence();
  for (const archive of others) await deps.blobstore.delete(archive.blobstoreId);
  await ctx.write((tx) => deleteArchives(tx, others.map((archive) => archive.id)));
}

/** The cloud hears the tags of a VM that stays and of its disks. */
async function writeMetadata(ctx: TaskContext, deps: DeployDeps, update: InstanceUpdate): Promise<void> {
  const { instance, plan, vm } = update;
  if (!vm) return;
  await writeVmMetadata(ctx, deps, { cid: vm.cid, cpi: vm.cpi, deployment: plan.deployment, tags: instance.tags, metadata: identityOf(instance) });
  for (const disk of await listDisks(deps.db, update.instanceId)) if (disk.active) await writeDiskMetadata(ctx, deps, { disk, owner: disksOf(update, vm).owner });
}

function identityOf(instance: Pick<InstancePlan, 'group' | 'uuid' | 'index'>): VmOrder['metadata'] {
  const { group, uuid, index } = instance;
  return { id: uuid, job: group, instance_group: group, index: String(index), name: instanceName(instance) };
}

/** What is recorded of the instance once it is as planned. */
export function recordedSpec(update: Pick<InstanceUpdate, 'plan' | 'instance'>, archive: RenderedTemplatesArchive | undefined): FullSpec & Record<string, unknown> {
  return { ...fullSpec(update.instance, update.plan, archive ?? update.instance.existing?.spec?.rendered_templates_archive) };
}

/** The instance and a VM of it, as the steps about disks want them. */
function disksOf({ plan, instance, instanceId, variables }: Pick<InstanceUpdate, 'plan' | 'instance' | 'instanceId' | 'variables'>, vm: InstanceVm): { vm: DiskVm; owner: DiskOwner } {
  const { group, uuid, index, tags } = instance;
  return { vm: { vmId: vm.vmId, cid: vm.cid, apiVersion: vm.apiVersion, agent: { id: vm.agentId, name: instanceLabel(instance) } }, owner: { instanceId, deployment: plan.deployment, group, uuid, index, tags, variables } };
}

function agentOf(update: InstanceUpdate, vm: InstanceVm): AgentTarget {
  return { id: vm.agentId, name: instanceLabel(update.instance) };
}
