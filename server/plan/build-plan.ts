import type { Hash } from '../core/yaml';
import { code, DirectorError } from '../core/errors';
import { instanceLabel } from '../instances/instance';
import { dnsNamesOf, instanceAddress, namingOf, type Naming } from './addresses';
import { dnsIdentity, plannedAliases } from './dns';
import { aliasesOf, type CpiNames } from '../cpi/configured';
import { planCompilation } from './compilation';
import { cpiOfAz } from './cpis';
import { decideChanges, desiredState, requestedState } from './changes';
import { diskChanges } from './disks';
import { resolve } from './instance-groups';
import { findHotSwaps } from './hot-swap';
import { linksOfJob, nameWarnings, resolveLinks, type LinkFacts, type LinkGroup, type PlannedLinks } from './links';
import { network } from './networks';
import { inUpdateOrder } from './order';
import { place } from './placement';
import { addressableNetwork } from './specs';
import { stemcellIn } from './stemcells';
import { planVariables } from './variables';
import { calculated } from './vm-resources';
import type { NetworkedGroup, NetworkedInstance, Networked, Resolved, ResolvedGroup } from './phases';
import type { DeployRequest, GroupPlan, InstancePlan, ObsoletePlan, Plan, PlanInput, RecordedInstance, RequestedState } from './types';

/**
 * What a deploy will do, from what was asked and what is recorded. Pure: the same input (and the same `newUuid`) gives
 * the same plan, and nothing is done or recorded. Throws DirectorError with BOSH's code for whatever a manifest or cloud
 * config gets wrong, and a "not supported" error naming the key of a feature that is not built yet.
 */
export function buildPlan(input: PlanInput): Plan {
  const resolved = resolve(input);
  const placed = place(resolved);
  const networked = network(placed);
  const named = { ...resolved, naming: namingOf(resolved) };
  const swaps = findHotSwaps(networked, (group, instance) => planInstance(group, instance, named));
  return plan(swaps.size === 0 ? networked : network(placed, swaps));
}

function plan({ placed, groups }: Networked): Plan {
  const { resolved, removed } = placed;
  const { state, request } = resolved.input;
  const naming = namingOf(resolved);
  const facts: LinkFacts = { naming, groups: groups.map(linkGroup), recorded: state.linkProviders };
  const links = resolveLinks(resolved.links, facts);
  const { useShortDnsAddresses, useLinkDnsNames } = resolved.manifest.features;
  return {
    links,
    variables: planVariables(resolved.variables, { director: state.director.name, providers: links.providers, facts, converge: resolved.manifest.features.convergeVariables }),
    dns: { names: dnsNamesOf(resolved), short: useShortDnsAddresses || useLinkDnsNames, aliases: plannedAliases(links.providers) },
    deployment: state.deployment.name,
    firstDeploy: state.deployment.manifest === null,
    dryRun: request.dryRun ?? false,
    manifest: resolved.resolvedManifest,
    tags: resolved.tags,
    releases: resolved.releases,
    stemcells: resolved.stemcells,
    groups: groups.map((group) => planGroup(withLinks(group, links), { ...resolved, naming })),
    removed: removed.map((instance) => obsolete(instance, 'group removed', request)),
    packages: resolved.packages,
    compilation: planCompilation(resolved),
    cpis: state.cpis,
    azs: resolved.cloudConfig.azs,
    initialDeployAzUpdateStrategy: resolved.manifest.update.initialDeployAzUpdateStrategy,
    director: state.director,
    warnings: [...resolved.warnings, ...ignoredWarnings(state.instances), ...nameWarnings(links, naming.useDnsAddresses)],
  };
}

/** The group as links show it. */
function linkGroup({ group, dormant, instances }: NetworkedGroup): LinkGroup {
  const ownerOf = (property: string) => group.networks.find((network) => network.defaultFor.includes(property))?.name;
  return {
    name: group.name, networks: group.networks.map(({ name }) => name), defaultNetwork: ownerOf('addressable') ?? ownerOf('gateway') ?? '', dormant,
    instances: inUpdateOrder(instances.map((instance) => ({ ...instance, group: group.name }))).map(({ uuid, index, bootstrap, az, networks }) => ({
      uuid, index, bootstrap, az, networks: dormant ? Object.fromEntries(group.networks.map(({ name, network: { type } }) => [name, networks[name] ?? { type }])) : networks,
    })),
  };
}

function withLinks(networked: NetworkedGroup, links: PlannedLinks): NetworkedGroup {
  const { group } = networked;
  return { ...networked, group: { ...group, jobs: group.jobs.map((job) => ({ ...job, links: linksOfJob(links, group.name, job.name) })) } };
}

type Named = Resolved & { naming: Naming };

function planGroup(networked: NetworkedGroup, resolved: Named): GroupPlan {
  const { group } = networked;
  return {
    name: group.name, lifecycle: group.lifecycle, dormant: networked.dormant, migratedFrom: group.migratedFrom.map(({ name }) => name), serial: group.update.serial, update: group.update, azs: group.azs, jobs: group.jobs, stemcell: group.stemcell,
    instances: networked.instances.map((instance) => planInstance(networked, instance, resolved)),
    obsolete: networked.obsolete.map((instance) => obsolete(instance, 'not needed', resolved.input.request)),
  };
}

function planInstance({ group, dormant }: NetworkedGroup, instance: NetworkedInstance, resolved: Named): InstancePlan {
  const { request, state } = resolved.input;
  const { uuid, index, az, bootstrap, existing, networks, reservations } = instance;
  const requested = requestOf(group, existing, request);
  const differences = resolved.input.differences?.get(uuid) ?? {};
  const disks = group.disks.map((disk) => (differences.disks?.has(disk.name) ? { ...disk, differing: differences.disks.get(disk.name) } : disk));
  const stemcell = stemcellIn(group.stemcell, cpiOfAz(az, { azs: resolved.cloudConfig.azs, cpis: state.cpis }), state.cpis);
  refuseDisksElsewhere(existing, stemcell.cpi, state.cpis);
  const undecided = {
    uuid, id: existing?.id ?? state.newInstanceIds.get(uuid), group: group.name, index, az, bootstrap, isNew: existing === undefined, existing, desiredState: desiredState(existing, requested),
    networks, dns: dnsIdentity({ group: group.name, az }, resolved.links.providers), ...addressesOf(group.name, instance, resolved.naming), reservations, cloudProperties: cloudPropertiesOf(group, { az, cpi: stemcell.cpi }, resolved), env: group.env, stemcell, cpiRenamed: isRenamed(existing?.vm?.cpi, stemcell.cpi, state.cpis),
    vmType: group.vmType, vmResources: group.vmResources, jobs: group.jobs, packages: group.packages, update: group.update, lifecycle: group.lifecycle, dormant,
    tags: { ...resolved.tags, ...group.tags }, disks, diskChanges: diskChanges(existing?.persistentDisks ?? [], disks, request.recreatePersistentDisks ?? false), skipDrain: skipsDrain(group.name, request),
    surplusVms: existing?.ignore ? [] : (existing?.spareVms ?? []).filter((vm) => vm.id !== instance.swap?.ready?.id),
  };
  const decided = decideChanges(undecided, {
    state, requested, recreate: request.recreate ?? false, recreatePersistentDisks: request.recreatePersistentDisks ?? false, recreateVmsCreatedBefore: request.recreateVmsCreatedBefore,
    networkChanges: instance.networkChanges, tags: resolved.tags, differences,
  });
  return instance.swap ? { ...decided, swap: instance.swap } : decided;
}

/** A disk cannot go to another cloud, and an instance is nothing without its disks. */
function refuseDisksElsewhere(existing: RecordedInstance | undefined, cpi: string, cpis: readonly CpiNames[] | undefined): void {
  const disk = existing?.persistentDisks.find((one) => one.cpi !== cpi && !aliasesOf(cpis, cpi).includes(one.cpi));
  if (!existing || !disk) return;
  throw new DirectorError(code.generic, `'${instanceLabel(existing)}' has the persistent disk '${disk.cid}' in the CPI '${disk.cpi}', and AZ '${existing.az ?? ''}' now belongs to the CPI '${cpi}': a disk cannot move. If both are the same cloud, list '${disk.cpi}' under migrated_from of '${cpi}'`);
}

function isRenamed(recorded: string | undefined, name: string, cpis: readonly CpiNames[] | undefined): boolean {
  return recorded !== undefined && recorded !== name && aliasesOf(cpis, name).includes(recorded);
}

function addressesOf(group: string, { uuid, networks }: NetworkedInstance, naming: Naming): Pick<InstancePlan, 'ip' | 'address'> {
  const network = addressableNetwork(networks);
  const settings = network === undefined ? undefined : networks[network];
  if (network === undefined || !settings) return { ip: null, address: null };
  return { ip: settings.ip ?? null, address: instanceAddress(naming, { uuid, group, network, settings }, naming.useDnsAddresses) };
}

/** A request's state for all groups is given under `*`. */
function requestOf(group: ResolvedGroup, existing: RecordedInstance | undefined, request: DeployRequest): RequestedState | undefined {
  const groupState = request.groupStates?.[group.name] ?? request.groupStates?.['*'] ?? group.state;
  return requestedState(existing, { instance: { ...group.instanceStates, ...request.instanceStates?.[group.name] }, group: groupState });
}

/** AZ, then VM type, then every extension, then what the CPI makes of resources; later ones win key by key. */
function cloudPropertiesOf(group: ResolvedGroup, { az, cpi }: { az: string | null; cpi: string }, { cloudConfig, input }: Resolved): Hash {
  const ofAz = cloudConfig.azs.find(({ name }) => name === az)?.cloudProperties;
  const ofResources = group.vmResources ? calculated(input.calculatedResources, { cpi, resources: group.vmResources }) : {};
  return Object.assign({}, ofAz, group.vmType?.cloudProperties, ...group.vmExtensions.map((extension) => extension.cloudProperties), ofResources) as Hash;
}

function obsolete(instance: RecordedInstance, reason: ObsoletePlan['reason'], request: DeployRequest): ObsoletePlan {
  return { instance, group: instance.group, reason, skipDrain: skipsDrain(instance.group, request) };
}

function skipsDrain(group: string, { skipDrain }: DeployRequest): boolean {
  return skipDrain === '*' || (skipDrain ?? []).includes(group);
}

function ignoredWarnings(instances: readonly RecordedInstance[]): string[] {
  return instances.some((instance) => instance.ignore) ? ['You have ignored instances. They will not be changed.'] : [];
}
