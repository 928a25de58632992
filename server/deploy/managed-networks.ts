import type { CloudConfig, ManualNetwork, Subnet } from '../configs/cloud-config';
import { parseCloudConfig } from '../configs/parse';
import { code, describeError, DirectorError } from '../core/errors';
import { isHash, type Hash } from '../core/yaml';
import type { NetworkCalls } from '../cpi/network-calls';
import {
  completeSubnet, createSubnetIntent, deleteNetworkRecord, deleteSubnetRecord, findNetwork, listManagedSubnets, markSubnetDeleting, updateNetworkState, useNetwork, type NetworkRecord, type SubnetRow,
} from '../deployments/networks-store';
import { recordEvent } from '../events/store';
import type { PlanInput } from '../plan/types';
import { isTaskCancelled, type TaskContext } from '../tasks/context';
import { isInterruption } from '../tasks/interruption';
import { namesIn } from './load';
import type { DeployDeps } from './ports';
import type { DeploymentVariables } from './variables';

/**
 * Networks that the director makes through CPIs before it plans addresses in them, and deletes when nobody has used them for long.
 * Rules: cloudfoundry/bosh src/bosh-director/lib/bosh/director/deployment_plan/stages/create_network.rb, orphan_network_manager.rb.
 *
 *   died before create_network             → a subnet without cloud id; the next attempt cannot know, tells of it and makes it (anew)
 *   died after it, before it was recorded  → the same: the CPI gives ids that nobody can guess, so an operator has to look
 *   died between two subnets               → the network is `creating` and belongs to the deployment: whoever uses it next goes on
 *   died while it was deleted              → `deleting`: deleted again, a network that is gone counts as deleted
 */

/** How long for another task that makes or deletes the network, ms (lock_helper.rb). */
const lockWaitMs = 10_000;

/** `work`, while no other task makes or deletes the network. */
export async function withNetworkLock<T>(ctx: TaskContext, name: string, work: () => Promise<T>): Promise<T> {
  const unlock = await ctx.lock(`lock:networks:${name}`, lockWaitMs);
  try {
    return await work();
  } finally {
    await unlock();
  }
}

/** A deployment that uses networks; its variables are those of their cloud properties. */
export interface NetworkUser {
  deploymentId: number;
  variables: Pick<DeploymentVariables, 'own'>;
}

/** The same input, with every managed network that the manifest uses made and recorded as used. */
export async function prepareManagedNetworks(ctx: TaskContext, deps: DeployDeps, input: PlanInput, { deploymentId, variables }: NetworkUser): Promise<PlanInput> {
  const { networks: calls } = deps;
  if (!calls || !input.state.managedSubnets) return input;
  const { state } = input;
  const cloudConfig = parseCloudConfig(input.cloudConfigs, { ...state.director, managedSubnets: state.managedSubnets });
  const stage = ctx.stages.stage('Creating managed networks', null);
  for (const network of usedNetworks(input, cloudConfig)) {
    await withNetworkLock(ctx, network.name, async () => {
      const networkId = await ctx.write((tx) => useNetwork(tx, network.name, deploymentId));
      const found = await findNetwork(deps.db, network.name);
      if (found?.state !== 'created') await stage.run(network.name, () => makeNetwork(ctx, { db: deps.db, calls }, { network, networkId, cloudConfig, variables }));
      else checkSubnets(network, found);
    });
  }
  return { ...input, state: { ...state, managedSubnets: await listManagedSubnets(deps.db) } };
}

/** Names of the networks of a manifest's instance groups and of the VMs that compile for it. */
export function usedNetworkNames({ manifest, compilation }: { manifest: Hash; compilation: { network: { name: string } } }): string[] {
  const groups: unknown[] = Array.isArray(manifest.instance_groups) ? manifest.instance_groups : [];
  return [...groups.flatMap((group) => (isHash(group) ? namesIn(group.networks) : [])), compilation.network.name];
}

function usedNetworks({ manifest }: PlanInput, cloudConfig: CloudConfig): ManualNetwork[] {
  const names = new Set(usedNetworkNames({ manifest, compilation: cloudConfig.compilation }));
  return cloudConfig.networks.filter((network) => network.type === 'manual').filter((network) => network.managed && names.has(network.name));
}

function checkSubnets(network: ManualNetwork, { subnets }: NetworkRecord): void {
  const missing = network.subnets.find(({ name }) => !subnets.some((subnet) => subnet.name === name));
  if (missing) throw new DirectorError(91000, `cannot find subnet: ${missing.name} in the database`);
}

interface Parts {
  db: DeployDeps['db'];
  calls: NetworkCalls;
}

interface Making {
  network: ManualNetwork;
  networkId: number;
  cloudConfig: CloudConfig;
  variables: NetworkUser['variables'];
}

/** Makes what is missing of a network. When the CPI fails, everything that was made of it is deleted again. */
async function makeNetwork(ctx: TaskContext, parts: Parts, { network, networkId, cloudConfig, variables }: Making): Promise<void> {
  try {
    const subnets = (await findNetwork(parts.db, network.name))?.subnets ?? [];
    for (const unsettled of subnets.filter(({ state }) => state !== 'created')) await deleteSubnet(ctx, parts, { network: network.name, subnet: unsettled });
    for (const subnet of network.subnets) {
      if (subnets.some(({ name, state }) => name === subnet.name && state === 'created')) continue;
      await ctx.checkpoint();
      await makeSubnet(ctx, parts, { networkId, subnet, cloudConfig, variables });
    }
    await ctx.write((tx) => updateNetworkState(tx, networkId, 'created'));
  } catch (error) {
    if (isInterruption(error)) throw error;
    await removeNetwork(ctx.uncancellable(), parts, network.name).catch((failure: unknown) => ctx.log.warn(`Network '${network.name}' is left half made: ${describeError(failure).message}`));
    if (isTaskCancelled(error)) throw error;
    throw new DirectorError(code.generic, `deployment failed during creating managed networks: ${describeError(error).message}`, { cause: error });
  }
}

async function makeSubnet(ctx: TaskContext, { calls }: Parts, { networkId, subnet, cloudConfig, variables }: Omit<Making, 'network'> & { subnet: Subnet }): Promise<void> {
  const [firstAz] = subnet.azs ?? [];
  const cpi = cpiOf(cloudConfig, firstAz);
  const definition = await variables.own.resolve(definitionOf(subnet, cloudConfig));
  const id = await ctx.write((tx) => createSubnetIntent(tx, networkId, { name: subnet.name ?? '', cpi }));
  let made: Awaited<ReturnType<NetworkCalls['createNetwork']>>;
  try {
    made = await calls.createNetwork(ctx, { cpi, definition });
  } catch (error) {
    // The CPI says that there is nothing.
    if (!isInterruption(error)) await ctx.uncancellable().write((tx) => deleteSubnetRecord(tx, id));
    throw error;
  }
  const range = subnet.range || made.range;
  const recorded = { cid: made.cid, range: range ?? '', gateway: subnet.gateway ?? made.gateway ?? null, reserved: made.reserved, cloudProperties: made.cloudProperties };
  await ctx.uncancellable().write((tx) => completeSubnet(tx, id, recorded));
  if (range === undefined || range === '') throw new DirectorError(code.generic, `The CPI made subnet '${subnet.name}' and told no range for it: give it one in the cloud config`);
}

function cpiOf({ azs }: CloudConfig, az: string | undefined): string {
  return azs.find(({ name }) => name === az)?.cpi ?? '';
}

function definitionOf({ azs, range, gateway, netmaskBits, cloudProperties }: Subnet, cloudConfig: CloudConfig): Parameters<NetworkCalls['createNetwork']>[1]['definition'] {
  const ofAzs = (azs ?? []).flatMap((name) => cloudConfig.azs.filter((az) => az.name === name).map((az) => az.cloudProperties));
  const merged = [...ofAzs, cloudProperties].reduce((all, properties) => ({ ...all, ...properties }), {});
  return { type: 'manual', cloud_properties: merged, ...(range === '' ? {} : { range }), ...(gateway === undefined ? {} : { gateway }), ...(netmaskBits === undefined ? {} : { netmask_bits: netmaskBits }) };
}

/** Deletes a network with what there is of it, and then its record. Wants the network's lock. */
export async function removeNetwork(ctx: TaskContext, parts: Parts, name: string): Promise<void> {
  const found = await findNetwork(parts.db, name);
  if (!found) return;
  await ctx.write((tx) => updateNetworkState(tx, found.id, 'deleting'));
  for (const subnet of found.subnets) await deleteSubnet(ctx, parts, { network: name, subnet });
  await ctx.write((tx) => deleteNetworkRecord(tx, found.id));
}

async function deleteSubnet(ctx: TaskContext, { calls }: Parts, { network, subnet }: { network: string; subnet: SubnetRow }): Promise<void> {
  const { id, cid, cpi, name } = subnet;
  if (cid === null) return forgetLost(ctx, { network, subnet });
  await ctx.write((tx) => markSubnetDeleting(tx, id));
  await calls.deleteNetwork(ctx, { cpi, cid });
  await ctx.write(async (tx) => {
    await deleteSubnetRecord(tx, id);
    await recordEvent(tx, { user: ctx.user, action: 'delete', objectType: 'subnet', objectName: cid, taskId: ctx.taskId, context: { network, subnet: name } });
  });
}

/** A subnet whose maker died while the CPI was at work: the cloud may have it, under an id that nobody knows. */
async function forgetLost(ctx: TaskContext, { network, subnet }: { network: string; subnet: SubnetRow }): Promise<void> {
  const text = `Subnet '${subnet.name}' of network '${network}' may have been made by an attempt that was lost, under a cloud ID that nobody knows: give the cloud a look, and delete it there by hand`;
  await ctx.stages.warning(text);
  await ctx.write(async (tx) => {
    await deleteSubnetRecord(tx, subnet.id);
    await recordEvent(tx, { user: ctx.user, action: 'create', objectType: 'subnet', objectName: subnet.name, taskId: ctx.taskId, error: text, context: { network } });
  });
}
