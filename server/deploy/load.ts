import { loadCpis } from '../configs/load-cpis';
import { mapPool } from '../core/concurrency';
import { code, DirectorError } from '../core/errors';
import { isHash, parseYaml, type Hash } from '../core/yaml';
import { listDnsIds } from '../dns/ids-store';
import { listDeploymentNames, listSharedProviders } from '../deployments/links-store';
import { listManagedSubnets } from '../deployments/networks-store';
import { instanceLabel, type NetworkSettings } from '../instances/instance';
import { resolveCloudConfig, resolveManifest, resolveRuntimeConfig } from '../variables/documents';
import type { AgentState } from '../plan/recorded';
import type { DeployRequest, PlanInput, RecordedInstance, RecordedState, RecordedVm } from '../plan/types';
import { listCompiledPackages, loadReleases } from '../releases/store';
import { loadStemcells } from '../stemcells/store';
import type { AgentCaller } from '../agents/agent';
import { neededResources, type CalculatedResources, type ResourcesOfCpi } from '../plan/vm-resources';
import type { DeployDeps } from './ports';
import type { DeploymentVariables } from './variables';
import { listRecordedInstances, listTakenAddresses, readConfigs, type DeploymentRow, type RecordedInstance as StoredInstance, type VmRow } from './store';

export interface LoadRequest {
  deployment: DeploymentRow;
  manifest: Hash;
  configIds: { cloud: readonly number[]; runtime: readonly number[] };
  request: DeployRequest;
  variables: DeploymentVariables;
  newUuid: () => string;
  /** Asks CPIs what they make of `vm_resources`. */
  calculateResources: (wanted: readonly ResourcesOfCpi[]) => Promise<CalculatedResources[]>;
  /** The task that asks: what it has made itself is known as fresh. */
  taskId?: number;
  /** How long an agent has for its answer, ms; default: as long as any request. */
  agentTimeoutMs?: number;
  /** Without `fix`, an agent that gives no answer fails the planning, or is only noted (`AgentState.silent`): for plans that nobody carries out. */
  silence?: 'fail' | 'note';
  /** False: no agent is asked for its state, for plans that do not touch instances. */
  asksAgents?: boolean;
}

/** What of the outside world planning asks. */
export type LoadDeps = Pick<DeployDeps, 'db' | 'agents' | 'settings' | 'networks'>;

/** Agents asked at a time. */
const agentsAtOnce = 256;

/** Reads everything that planning needs, with the agents' present states. A fixed number of queries, whatever the deployment's size. */
export async function loadPlanInput(caller: AgentCaller, deps: LoadDeps, load: LoadRequest): Promise<PlanInput> {
  const configs = await readConfigs(deps.db, [...load.configIds.cloud, ...load.configIds.runtime]);
  const documents = (type: string) => configs.filter((config) => config.type === type).map((config) => asHash(parseYaml(config.content), `${type} config '${config.name}'`));
  const { own } = load.variables;
  const manifest = await resolveManifest(own, load.manifest);
  const cloudConfigs = await Promise.all(documents('cloud').map((config) => resolveCloudConfig(own, config)));
  const runtimeConfigs = await Promise.all(documents('runtime').map((config) => resolveRuntimeConfig(own, config)));
  const state = await loadState(caller, deps, { ...load, manifest }, runtimeConfigs);
  const input = { manifest, document: load.manifest, cloudConfigs, runtimeConfigs, state, request: load.request, newUuid: load.newUuid };
  return { ...input, calculatedResources: await load.calculateResources(neededResources(input)) };
}

async function loadState(caller: AgentCaller, deps: LoadDeps, load: LoadRequest, runtimeConfigs: readonly Hash[]): Promise<RecordedState> {
  const { ownAddresses, uuid: _uuid, ...facts } = deps.settings.director;
  const stored = (await listRecordedInstances(deps.db, load.deployment.id)).filter(({ instance }) => !instance.compilation);
  const releases = await loadReleases(deps.db, [...new Set([load.manifest, ...runtimeConfigs].flatMap(releaseNames))]);
  const groups = groupNames(load.manifest);
  const instances = await mapPool(stored, agentsAtOnce, async (one) => toRecorded(load.taskId, one, load.asksAgents !== false && groups.has(one.instance.job) ? await agentState(caller, deps, one, load) : undefined));
  return {
    director: { ...facts, ownAddresses: await ownAddresses() },
    deployment: { name: load.deployment.name, manifest: load.deployment.manifest, tags: load.deployment.tags, teams: load.deployment.teams },
    instances,
    managedSubnets: deps.networks ? await listManagedSubnets(deps.db) : undefined,
    ...takenBy(await listTakenAddresses(deps.db)),
    releases,
    stemcells: await loadStemcells(deps.db),
    cpis: await loadCpis(deps.db),
    compiledPackages: await listCompiledPackages(deps.db, releases.flatMap((release) => release.packages.map((pkg) => pkg.id))),
    deployments: [...new Set([...(await listDeploymentNames(deps.db)), load.deployment.name])],
    linkProviders: await listSharedProviders(deps.db, load.deployment.id),
    dnsIds: await listDnsIds(deps.db, [load.deployment.name]),
    newInstanceIds: new Map(),
  };
}

function takenBy(rows: Awaited<ReturnType<typeof listTakenAddresses>>): Pick<RecordedState, 'takenAddresses' | 'addressOwners'> {
  return { takenAddresses: rows.map(({ address }) => address), addressOwners: new Map(rows.map(({ address, owner }) => [address, owner])) };
}

async function agentState(caller: AgentCaller, deps: LoadDeps, { instance, vms }: StoredInstance, { request, agentTimeoutMs, silence }: LoadRequest): Promise<AgentState | undefined> {
  const vm = vms.find((candidate) => candidate.active);
  if (!vm || instance.ignore) return undefined;
  const agent = { id: vm.agentId, name: instanceLabel({ group: instance.job, uuid: instance.uuid, index: instance.index }) };
  const timeoutMs = agentTimeoutMs ?? (request.fix ? 10_000 : undefined);
  try {
    const { job_state: jobState, networks } = await deps.agents.agentFor(agent, caller).getState(timeoutMs === undefined ? {} : { timeoutMs });
    return { jobState, ...(networks ? { networks: networks as unknown as Record<string, NetworkSettings> } : {}) };
  } catch (error) {
    if (caller.signal.aborted || !(request.fix || silence === 'note')) throw error;
    return request.fix ? { jobState: 'unresponsive' } : { jobState: instance.state === 'started' ? 'running' : 'stopped', silent: true };
  }
}

function toRecorded(taskId: number | undefined, { instance, vms, addresses, disks }: StoredInstance, state: AgentState | undefined): RecordedInstance {
  const active = vms.find((candidate) => candidate.active);
  const vm = active && toVm(active, taskId);
  const spareVms = vms.flatMap((candidate) => (candidate.state === 'created' && !candidate.active ? (toVm(candidate, taskId) ?? []) : []));
  return {
    id: instance.id, uuid: instance.uuid, group: instance.job, index: instance.index, az: instance.az, state: instance.state, bootstrap: instance.bootstrap,
    ignore: instance.ignore, updateCompleted: instance.updateCompleted, spec: instance.spec, dns: instance.dns ?? undefined, cloudProperties: instance.cloudProperties, variableSetId: instance.variableSetId,
    ...(vm ? { vm } : {}),
    spareVms,
    reservations: addresses.map((row) => ({ address: row.address, network: row.networkName, static: row.static, ...(row.nicGroup === null ? {} : { nicGroup: row.nicGroup }), ...(row.vmId === null ? {} : { vmId: row.vmId }) })),
    ...(state ? { agentState: state } : {}),
    persistentDisks: disks.map(({ id, cid, cpi, name, size, cloudProperties, active, taskId: madeBy }) => ({ id, cid, cpi, name, size, cloudProperties, active, fresh: madeBy === taskId })),
  };
}

/** Undefined while the cloud has given it no id. */
function toVm(vm: VmRow, taskId: number | undefined): RecordedVm | undefined {
  if (vm.cid === null) return undefined;
  return {
    id: vm.id, agentId: vm.agentId, cid: vm.cid, cpi: vm.cpi, active: vm.active, stemcellApiVersion: vm.stemcellApiVersion, createdAt: vm.createdAt.toISOString(),
    trustedCertsSha1: vm.trustedCertsSha1, natsConfigSha1: vm.natsConfigSha1, blobstoreConfigSha1: vm.blobstoreConfigSha1,
    networks: vm.networks as Record<string, NetworkSettings>, ofThisTask: vm.taskId === taskId, ...(vm.madeOf ? { madeOf: vm.madeOf } : {}),
  };
}

/** A document that must be a hash. */
export function asHash(value: unknown, what: string): Hash {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new DirectorError(code.badManifest, `The ${what} must be a YAML hash`);
  return value as Hash;
}

/** `name` of every entry of a list in a manifest; nothing for what is no list. */
export function namesIn(list: unknown): string[] {
  if (!Array.isArray(list)) return [];
  return list.flatMap((item: unknown) => (typeof item === 'object' && item !== null && 'name' in item && (typeof item.name === 'string' || typeof item.name === 'number') ? [String(item.name)] : []));
}

function releaseNames(manifest: Hash): string[] {
  return namesIn(manifest.releases ?? (manifest.release === undefined ? [] : [manifest.release]));
}

/** Groups whose instances the manifest's groups find. */
function groupNames(manifest: Hash): Set<string> {
  const groups = Array.isArray(manifest.instance_groups) ? manifest.instance_groups : [];
  return new Set([...namesIn(groups), ...groups.flatMap((group: unknown) => (isHash(group) ? namesIn(group.migrated_from) : []))]);
}
