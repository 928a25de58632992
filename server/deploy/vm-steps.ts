import { randomUUID } from 'node:crypto';
import { abortReason, sleep } from '../core/clock';
import { listDiskAssociations } from '../disks/store';
import { recordEvent } from '../events/store';
import { mapPool, SerialQueue } from '../core/concurrency';
import { isCpiError } from '../cpi/errors';
import { instanceLabel, type NetworkSettings } from '../instances/instance';
import { orphanVm } from './orphan-vm';
import { isTaskCancelled, isTaskLost, type TaskContext } from '../tasks/context';
import { isInterruption } from '../tasks/interruption';
import { callerWithoutTask, type AgentState, type AgentTarget } from '../agents/agent';
import type { DeployDeps } from './ports';
import type { DeploymentVariables } from './variables';
import { abandonVm, completeVm, createVmIntent, deleteVmRecord, listAbandonedVms, listUnfinishedVms, markVmDeleting, updateVm, type AbandonedVm, type InstanceRow, type VmRow } from './store';

/**
 * VMs, so that none is ever lost from sight: a record (state `creating`) is committed before `create_vm` and completed after it.
 *
 *   died before the CPI was called      → nothing exists; the record is abandoned and swept away
 *   died while the CPI ran, or after it → the VM exists or will soon; the abandoned record names its agent: the sweep
 *                                         finds it (by the agent's own word, or by the cid that many CPIs derive) and deletes it
 *   died after the record was completed → the VM is the instance's; the next attempt goes on with it, if its agent answers
 */
export interface VmOrder {
  instanceId: number;
  /** For messages: `<group>/<uuid> (<index>)`. */
  label: string;
  deployment: string;
  group: string;
  az: string | null;
  /** Name of the CPI; '' is the director's own. */
  cpi: string;
  stemcell: { cid: string; apiVersion: number | null };
  cloudProperties: Record<string, unknown>;
  networks: Readonly<Record<string, NetworkSettings>>;
  env: Record<string, unknown>;
  /** Persistent disks that it will get. */
  diskCids?: readonly string[];
  tags: Record<string, string>;
  /** Tags for the cloud beside those of the deployment. */
  metadata: Record<string, string>;
  /** The VM is made beside the instance's VM and takes its place later; what it is made of is recorded. */
  beside?: NonNullable<VmRow['madeOf']>;
  /** Of the placeholders in cloud properties, networks and env; their values go to the CPI and nowhere else. */
  variables: Pick<DeploymentVariables, 'own'>;
}

export interface CreatedVm {
  vmId: number;
  cid: string;
  agent: AgentTarget;
}

/** Creates a VM, waits for its agent and gives it its permanent settings. What fails after `create_vm` deletes the VM again. */
export async function createVm(ctx: TaskContext, deps: DeployDeps, order: VmOrder): Promise<CreatedVm> {
  const created = await callCreateVm(ctx, deps, order);
  await introduceVm(ctx, deps, order, created);
  return created;
}

/**
 * What follows `create_vm`: the cloud is told whose VM it is, its agent is waited for and gets its permanent settings. May be repeated
 * for a VM whose maker died meanwhile. A VM for which it fails is deleted.
 */
export async function introduceVm(ctx: TaskContext, deps: DeployDeps, order: VmOrder, vm: CreatedVm): Promise<void> {
  try {
    await writeVmMetadata(ctx, deps, { ...order, cid: vm.cid });
    await deps.agents.waitUntilReady({ ...vm.agent, cid: vm.cid }, deps.settings.agentWaitTimeoutMs, ctx);
    await updateAgentSettings(ctx, deps, { ...vm, az: order.az });
  } catch (error) {
    if (!isInterruption(error)) await deleteVm(ctx.uncancellable(), deps, { id: vm.vmId, cid: vm.cid, cpi: order.cpi, stemcellApiVersion: order.stemcell.apiVersion });
    throw error;
  }
}

/** Tells the cloud whose VM it is. CPIs may replace all that they were told before. Keys: cloudfoundry/bosh src/bosh-director/lib/bosh/director/metadata_updater.rb. */
export async function writeVmMetadata(ctx: TaskContext, deps: DeployDeps, vm: Pick<VmOrder, 'cpi' | 'deployment' | 'tags' | 'metadata'> & { cid: string }): Promise<void> {
  await deps.cpi(vm.cpi).setVmMetadata(ctx, vm.cid, {
    ...vm.tags, ...vm.metadata,
    director: deps.settings.director.name, deployment: vm.deployment, created_at: new Date(ctx.clock.now()).toISOString().replace(/\.\d+Z$/, 'Z'),
  });
}

async function callCreateVm(ctx: TaskContext, deps: DeployDeps, order: VmOrder): Promise<CreatedVm> {
  const { cloudProperties, networks, env: ownEnv } = await order.variables.own.resolve({ cloudProperties: order.cloudProperties, networks: order.networks, env: order.env });
  for (let attempt = 1; ; attempt++) {
    const leftBefore = await listAbandonedVms(deps.db);
    const agentId = randomUUID();
    const vmId = await ctx.write((tx) =>
      createVmIntent(tx, { instanceId: order.instanceId, agentId, cpi: order.cpi, az: order.az, networks: order.networks, stemcellApiVersion: order.stemcell.apiVersion, taskId: ctx.taskId, epoch: ctx.epoch, ...(order.beside ? { madeOf: order.beside } : {}) }),
    );
    await deps.nats.awaitAuthorised(ctx);
    let cid: string | undefined;
    try {
      // After the record: a move of the bus that begins in between sees the VM.
      const env = await vmEnv(deps, { ...order, env: ownEnv }, agentId);
      const made = await deps.cpi(order.cpi).createVm(ctx, {
        agentId, stemcellCid: order.stemcell.cid, stemcellApiVersion: order.stemcell.apiVersion, cloudProperties, networks, diskCids: order.diskCids ?? [], env,
      });
      cid = made;
      await ctx.write(async (tx) => {
        // Its settings are noted when the agent has got them: dying before that leaves a change for the next plan to see.
        await completeVm(tx, vmId, made, order.beside === undefined);
        await recordEvent(tx, { user: ctx.user, action: 'create', objectType: 'vm', objectName: made, taskId: ctx.taskId, deployment: order.deployment, instance: order.metadata.name });
      });
      return { vmId, cid: made, agent: { id: agentId, name: order.label } };
    } catch (error) {
      if (isTaskLost(error)) throw error;
      // The CPI says that there is no VM (should it be wrong, the sweep finds it), or there is one that could not be recorded.
      await ctx.uncancellable().write((tx) => abandonVm(tx, vmId, cid));
      if (isTaskCancelled(error) || attempt >= deps.settings.maxVmCreateTries || !(await clearedTheWay(ctx, deps, leftBefore))) throw error;
    }
  }
}

/**
 * After a failed creation: true when a VM of a lost attempt, which may have held the address, is gone that was there `before`, or was found
 * and deleted now. Who deleted it does not matter: the sweeper and other creations look at the same time.
 */
async function clearedTheWay(ctx: TaskContext, deps: DeployDeps, before: readonly AbandonedVm[]): Promise<boolean> {
  const leftovers = await listAbandonedVms(deps.db);
  await sleep(500, ctx.signal);
  await sweepTogether(ctx, deps, leftovers);
  const still = new Set((await listAbandonedVms(deps.db)).map(({ id }) => id));
  return [...before, ...leftovers].some(({ id }) => !still.has(id));
}

/** What the creations of one attempt have swept, by the row of the VM: when its last sweep began, monotonic ms. */
const sweeps = new WeakMap<TaskContext, { queue: SerialQueue; begun: Map<number, number> }>();
/** VMs swept at a time. */
const sweptAtOnce = 8;

/** Sweeps these VMs. Many creations fail at once when an attempt that was creating many VMs is lost: each leftover is then looked at once, not by all of them. */
async function sweepTogether(ctx: TaskContext, deps: DeployDeps, leftovers: readonly AbandonedVm[]): Promise<void> {
  const asked = ctx.clock.monotonic();
  const { queue, begun } = sweeps.get(ctx) ?? { queue: new SerialQueue(), begun: new Map<number, number>() };
  sweeps.set(ctx, { queue, begun });
  await queue.run(async () => {
    const due = leftovers.filter(({ id }) => (begun.get(id) ?? -Infinity) < asked);
    await mapPool(due, sweptAtOnce, async (vm) => {
      begun.set(vm.id, ctx.clock.monotonic());
      await sweepVm(ctx, deps, vm);
    });
  });
}

/** `env` of create_vm. Rule: cloudfoundry/bosh src/bosh-director/lib/bosh/director/deployment_plan/steps/create_vm_step.rb. */
async function vmEnv(deps: DeployDeps, order: VmOrder, agentId: string): Promise<Record<string, unknown>> {
  const { settings } = deps;
  const groups = groupNames(settings.director.name, order.deployment, order.group);
  const own = typeof order.env.bosh === 'object' && order.env.bosh !== null ? order.env.bosh : {};
  return {
    ...order.env,
    bosh: {
      ...settings.agentEnv,
      ...own,
      ...(Object.keys(order.tags).length > 0 ? { tags: order.tags } : {}),
      blobstores: settings.agentBlobstores,
      mbus: { urls: (await deps.nats.movedUrls(order.az)) ?? settings.natsUrls, cert: await deps.nats.bootstrapCertificate(agentId) },
      group: groups.at(-1),
      groups,
    },
  };
}

function groupNames(director: string, deployment: string, group: string): string[] {
  const name = (...parts: string[]) => parts.map((part) => part.toLowerCase().replaceAll('_', '-').replace(/[^a-z0-9-]/g, '')).join('-');
  return [name(director), name(deployment), name(group), name(director, deployment), name(deployment, group), name(director, deployment, group)];
}

/**
 * `update_settings`: what an agent keeps. New VMs get their permanent NATS certificate here; `changed` names what a VM that was made
 * earlier has to be told anew. What is recorded afterwards is what the agent has.
 */
export async function updateAgentSettings(ctx: TaskContext, deps: DeployDeps, vm: { vmId: number; agent: AgentTarget; az: string | null }, changed: { nats?: boolean; blobstores?: boolean } = {}): Promise<void> {
  const { settings } = deps;
  const urls = (await deps.nats.movedUrls(vm.az)) ?? settings.natsUrls;
  const mbus = settings.shortLivedBootstrapCredentials || changed.nats ? { mbus: { cert: await deps.nats.permanentCertificate(vm.agent.id), urls: [...urls] } } : {};
  const blobstores = changed.blobstores ? { blobstores: [...settings.agentBlobstores] } : {};
  await deps.agents.agentFor(vm.agent, ctx).updateSettings({ trusted_certs: settings.trustedCerts ?? '', disk_associations: await listDiskAssociations(deps.db, vm.vmId), ...mbus, ...blobstores });
  await ctx.write((tx) =>
    updateVm(tx, vm.vmId, {
      trustedCertsSha1: settings.director.trustedCertsSha1, natsConfigSha1: settings.director.natsConfigSha1, blobstoreConfigSha1: settings.director.blobstoreConfigSha1,
      permanentNatsCredentials: true,
    }),
  );
}

/** What has to be known of a VM to delete it. */
export type DoomedVm = Pick<VmRow, 'id' | 'cid' | 'cpi' | 'stemcellApiVersion'>;

/** Deletes a VM: recorded as `deleting` first, forgotten after the cloud has deleted it. */
export async function deleteVm(ctx: TaskContext, deps: DeployDeps, vm: DoomedVm): Promise<void> {
  await ctx.write((tx) => markVmDeleting(tx, vm.id));
  if (vm.cid !== null) await deps.cpi(vm.cpi).deleteVm(ctx, vm.cid, vm.stemcellApiVersion);
  await ctx.write(async (tx) => {
    await deleteVmRecord(tx, vm.id);
    if (vm.cid !== null) await recordEvent(tx, { user: ctx.user, action: 'delete', objectType: 'vm', objectName: vm.cid, taskId: ctx.taskId, deployment: ctx.deployment });
  });
}

/** The same for deletions that go on whatever the cloud says: the sweep tries again. */
export async function deleteOrAbandonVm(ctx: TaskContext, deps: DeployDeps, vm: DoomedVm): Promise<void> {
  try {
    await deleteVm(ctx, deps, vm);
  } catch (error) {
    if (ctx.signal.aborted || isInterruption(error)) throw error;
    ctx.log.warn(`VM ${vm.cid ?? vm.id} could not be deleted and will be tried again: ${error instanceof Error ? error.message : String(error)}`);
    await ctx.write((tx) => abandonVm(tx, vm.id));
  }
}

/** What becomes of VMs that exist and whose agents have not been heard of; by force: as `deleteOrAbandonVm`. */
type Unheard = 'keep' | 'delete' | 'delete by force';

/** Decides about every VM that earlier attempts left open in this deployment, before anything is planned. */
export async function resolveUnfinishedVms(ctx: TaskContext, deps: DeployDeps, deploymentId: number, unheard: Unheard = 'keep'): Promise<void> {
  const unfinished = await listUnfinishedVms(deps.db, deploymentId, ctx);
  await mapPool(unfinished, deps.settings.maxThreads, ({ vm, instance }) => resolveVm(ctx, deps, { vm, instance, unheard }));
}

async function resolveVm(ctx: TaskContext, deps: DeployDeps, { vm, instance, unheard }: { vm: VmRow; instance: InstanceRow; unheard: Unheard }): Promise<void> {
  ctx.log.info(`VM ${vm.cid ?? `of agent ${vm.agentId}`} for '${instance.job}/${instance.uuid}' was left in state ${vm.state}`);
  if (vm.cid === null) return abandonAndSweep(ctx, deps, vm);
  if (unheard === 'keep' && vm.state === 'retiring') return orphanVm(ctx, deps, vm, instanceLabel({ ...instance, group: instance.job }));
  if (unheard === 'keep' && vm.state === 'created' && (await becomesReady(ctx, deps, { id: vm.agentId, name: `${instance.job}/${instance.uuid} (${instance.index})`, cid: vm.cid }))) return;
  await (unheard === 'delete by force' ? deleteOrAbandonVm : deleteVm)(ctx, deps, vm);
}

/** A creation of which nobody knows whether it has, or will have, made a VM: the instance is done with it, and what there is already is deleted. */
export async function abandonAndSweep(ctx: TaskContext, deps: DeployDeps, vm: VmRow): Promise<void> {
  await ctx.write((tx) => abandonVm(tx, vm.id));
  await sweepVm(ctx, deps, { ...vm, abandonedMs: 0 });
}

/** Waits for an agent that nobody has heard of yet as long as a creation would have; false when it does not come. */
export async function becomesReady(ctx: TaskContext, deps: DeployDeps, agent: AgentTarget): Promise<boolean> {
  try {
    await deps.agents.waitUntilReady(agent, deps.settings.agentWaitTimeoutMs, ctx);
    return true;
  } catch (error) {
    if (ctx.signal.aborted || isInterruption(error)) throw error;
    ctx.log.warn(`The agent of '${agent.name}' does not answer: ${error instanceof Error ? error.message : String(error)}`);
    return false;
  }
}

/** The state of an agent that may not be there; undefined when it does not answer within `timeoutMs`. */
export async function askState(ctx: TaskContext, deps: DeployDeps, agent: AgentTarget, timeoutMs: number): Promise<AgentState | undefined> {
  await ctx.fence();
  const caller = callerWithoutTask(AbortSignal.any([ctx.signal, AbortSignal.timeout(timeoutMs)]));
  const state = await deps.agents.agentFor(agent, caller).getState({ full: true, timeoutMs }).catch(() => undefined);
  if (ctx.signal.aborted) throw abortReason(ctx.signal);
  return state;
}

/** Many CPIs name the VM towards its agent as they name it towards the director. */
function vmNameIn(state: AgentState | undefined): string | undefined {
  const vm = state?.vm;
  return typeof vm === 'object' && vm !== null && 'name' in vm && typeof vm.name === 'string' ? vm.name : undefined;
}

/** How long an abandoned record is watched for a VM that may still appear, ms. */
const watchAbandonedMs = 120_000;

/**
 * Looks for the VM of an abandoned record and deletes it. A VM that does not appear in time is forgotten; one that the cloud does
 * not delete, or that answers and cannot be found in the cloud, stays recorded and is reported each time.
 */
export async function sweepVm(ctx: TaskContext, deps: DeployDeps, vm: AbandonedVm): Promise<'deleted' | 'waiting' | 'forgotten' | 'leaked'> {
  if (vm.cid !== null) return sweepKnownVm(ctx, deps, { ...vm, cid: vm.cid });
  const state = await askState(ctx, deps, { id: vm.agentId, name: `VM of agent ${vm.agentId}` }, 1_500);
  for (const cid of new Set([vmNameIn(state) ?? `vm-${vm.agentId}`, `vm-${vm.agentId}`])) {
    if (!(await deletedGuess(ctx, deps, { cid, cpi: vm.cpi, apiVersion: vm.stemcellApiVersion }))) continue;
    await forgetSwept(ctx, vm, cid);
    return 'deleted';
  }
  if (state) {
    await ctx.stages.warning(`A VM with agent '${vm.agentId}' is running, but no record has its cloud ID: delete it in the cloud by hand`);
    return 'leaked';
  }
  if (vm.abandonedMs < watchAbandonedMs) return 'waiting';
  await ctx.stages.warning(`The cloud was asked for a VM with agent '${vm.agentId}' and it never appeared; should the cloud have made it, delete it there by hand`);
  await ctx.write(async (tx) => {
    await deleteVmRecord(tx, vm.id);
    await recordEvent(tx, { user: ctx.user, action: 'delete', objectType: 'vm', taskId: ctx.taskId, error: `VM of agent ${vm.agentId} never appeared`, context: { agent_id: vm.agentId, az: vm.az } });
  });
  return 'forgotten';
}

async function sweepKnownVm(ctx: TaskContext, deps: DeployDeps, vm: AbandonedVm & { cid: string }): Promise<'deleted' | 'leaked'> {
  try {
    await deps.cpi(vm.cpi).deleteVm(ctx, vm.cid, vm.stemcellApiVersion);
  } catch (error) {
    if (!isCpiError(error)) throw error;
    await ctx.stages.warning(`VM '${vm.cid}', which no instance has any more, could not be deleted: ${error.message}`);
    return 'leaked';
  }
  await forgetSwept(ctx, vm, vm.cid);
  return 'deleted';
}

async function forgetSwept(ctx: TaskContext, vm: AbandonedVm, cid: string): Promise<void> {
  await ctx.write((tx) => deleteVmRecord(tx, vm.id));
  ctx.log.info(`Deleted VM ${cid}, left by a lost attempt`);
}

/** Deletes the VM of a cid that is only guessed; true when it was there. Clouds may refuse ids that they could not have given. */
async function deletedGuess(ctx: TaskContext, deps: DeployDeps, guess: { cid: string; cpi: string; apiVersion: number | null }): Promise<boolean> {
  try {
    const exists = (await deps.cpi(guess.cpi).hasVm(ctx, guess.cid)) === true;
    // Also when it is not there (yet): CPIs that serialise calls by VM refuse a creation that comes after the deletion.
    await deps.cpi(guess.cpi).deleteVm(ctx, guess.cid, guess.apiVersion);
    return exists;
  } catch (error) {
    if (!isCpiError(error)) throw error;
    ctx.log.info(`The cloud does not know '${guess.cid}': ${error.message}`);
    return false;
  }
}
