import { compareText } from '../core/collections';
import { code, DirectorError } from '../core/errors';
import type { Hash } from '../core/yaml';
import type { FullSpec, InstanceState, JobSpec, NetworkSettings, PackageSpec } from '../instances/instance';
import { differingPaths, sameValue } from '../core/compare';
import { diskReasons } from './disks';
import { dnsReasons } from './dns';
import { jobSpec } from './specs';
import { changeKinds, type Change, type ChangeKind, type CompiledBuild, type CompleteInstancePlan, type InstancePlan, type Plan, type RecordedInstance, type RecordedState, type RenderedHashes, type RenderedInstancePlan, type RequestedState, type RequirementKey } from './types';
import type { ResolvedDifferences } from './variable-types';

/**
 * Why an instance is touched, and how deeply.
 * Rules: cloudfoundry/bosh src/bosh-director/lib/bosh/director/deployment_plan/instance_plan.rb.
 */

/** An instance plan before its changes are known. */
export type Undecided = Omit<InstancePlan, 'changes' | 'needsVm' | 'needsRecreate' | 'minimal'>;

/** What was asked for beside the manifest. */
export interface Wishes {
  state: RecordedState;
  requested: RequestedState | undefined;
  recreate: boolean;
  recreateVmsCreatedBefore?: string;
  recreatePersistentDisks: boolean;
  networkChanges: readonly string[];
  /** Tags of the deployment. */
  tags: Record<string, string>;
  /** What a comparison with the values of variables found. */
  differences: ResolvedDifferences;
}

/** Completes an instance plan with everything but `packages` and `configuration`, which rendering and compiling decide. */
export function decideChanges(instance: Undecided, wishes: Wishes): InstancePlan {
  if (isLeftAlone(instance)) return { ...instance, changes: [], needsVm: false, needsRecreate: false, minimal: false };
  const found: Partial<Record<ChangeKind, string[]>> = {
    dirty: dirty(instance),
    restart: wishes.requested === 'restart' ? ['a restart was asked for'] : [],
    recreate: recreate(instance, wishes),
    recreate_persistent_disks: recreatePersistentDisks(instance, wishes),
    cloud_properties: cloudProperties(instance, wishes),
    stemcell: stemcell(instance),
    env: env(instance),
    network: network(instance, wishes),
    persistent_disk: diskReasons(instance.diskChanges),
    job: job(instance),
    state: stateReasons(instance),
    dns: wishes.state.director.localDns ? dns(instance) : [],
    ...configs(instance, wishes.state.director),
    tags: tags(instance, wishes),
  };
  return judge(instance, toChanges(found));
}

/** Adds the change `configuration` where rendered templates differ from what the instance runs. */
export function withRendered<I extends InstancePlan>(plan: Plan<I>, hashes: ReadonlyMap<string, RenderedHashes>): Plan<I & RenderedInstancePlan> {
  return mapInstances(plan, (instance) => {
    const rendered = hashes.get(instance.uuid) ?? { templateHashes: {} };
    return judge({ ...instance, rendered }, merged(instance, 'configuration', configuration(instance, rendered)));
  });
}

/** Adds the change `packages` where compiled packages differ from what the instance runs. Throws when a build is missing. */
export function withCompiled<I extends RenderedInstancePlan>(plan: Plan<I>, builds: ReadonlyMap<RequirementKey, CompiledBuild>): Plan<I & CompleteInstancePlan> {
  const requirements = new Map(plan.packages.map((requirement) => [requirement.key, requirement]));
  const specOf = (key: RequirementKey): PackageSpec => {
    const requirement = requirements.get(key);
    const build = builds.get(key) ?? requirement?.compiled;
    if (!requirement || !build) throw new Error(`package ${key} is not compiled`);
    const { name, version } = requirement.package;
    return { name, version: `${version}.${build.build}`, sha1: build.sha1, blobstore_id: build.blobstoreId };
  };
  return mapInstances(plan, (instance) => {
    const packageSpecs = Object.fromEntries(instance.packages.map(({ name, requirement }) => [name, specOf(requirement)]));
    return judge({ ...instance, packageSpecs }, merged(instance, 'packages', packages(instance, packageSpecs)));
  });
}

/** Ignored instances, and those of errands that wait for their run. */
export function isLeftAlone(instance: Pick<InstancePlan, 'existing' | 'dormant'>): boolean {
  return instance.dormant || instance.existing?.ignore === true;
}

function mapInstances<I extends InstancePlan, J extends InstancePlan>(plan: Plan<I>, change: (instance: I) => J): Plan<J> {
  return { ...plan, groups: plan.groups.map((group) => ({ ...group, instances: group.instances.map(change) })) };
}

function merged(instance: InstancePlan, kind: ChangeKind, reasons: string[]): Change[] {
  if (isLeftAlone(instance)) return [];
  const others = instance.changes.filter((change) => change.kind !== kind);
  const all = reasons.length > 0 ? [...others, { kind, reasons }] : others;
  return all.toSorted((a, b) => changeKinds.indexOf(a.kind) - changeKinds.indexOf(b.kind));
}

function toChanges(found: Partial<Record<ChangeKind, string[]>>): Change[] {
  return changeKinds.flatMap((kind) => (found[kind]?.length ? [{ kind, reasons: found[kind] }] : []));
}

const recreating: ReadonlySet<ChangeKind> = new Set(['recreate', 'cloud_properties', 'stemcell', 'env', 'network']);

/** What follows from the changes. */
function judge<U extends Undecided>(instance: U, changes: Change[]): U & Pick<InstancePlan, 'changes' | 'needsVm' | 'needsRecreate' | 'minimal'> {
  const hasVm = instance.existing?.vm !== undefined;
  const isDetached = instance.desiredState === 'detached';
  return {
    ...instance,
    changes,
    needsVm: !hasVm && !isDetached && !isLeftAlone(instance),
    // A stopped instance keeps its VM until it is started.
    needsRecreate: hasVm && instance.desiredState === 'started' && changes.some((change) => recreating.has(change.kind)),
    minimal: isMinimal(changes.map((change) => change.kind)),
  };
}

/** Only DNS or metadata follow: exactly these two, or one of them first of at most two. */
function isMinimal(kinds: readonly ChangeKind[]): boolean {
  return kinds.length > 0 && kinds.length <= 2 && (kinds[0] === 'dns' || kinds[0] === 'tags');
}

function dirty({ existing }: Undecided): string[] {
  if (!existing) return ['it is a new instance'];
  return existing.updateCompleted ? [] : ['its last update was not finished'];
}

function recreate(instance: Undecided, wishes: Wishes): string[] {
  const { existing } = instance;
  if (existing?.agentState?.jobState === 'unresponsive') return ['its agent does not answer'];
  if (isInOtherCpi(instance)) return [`its AZ belongs to another CPI: ${existing?.vm?.cpi || '(default)'} → ${instance.stemcell.cpi || '(default)'}`];
  if (existing?.vm?.ofThisTask || (!wishes.recreate && wishes.requested !== 'recreate')) return [];
  const before = wishes.recreateVmsCreatedBefore;
  if (before === undefined) return ['a recreation was asked for'];
  if (!existing?.updateCompleted) return ['a recreation was asked for and its last update was not finished'];
  const createdAt = existing.vm?.createdAt;
  if (createdAt === undefined) return ['a recreation was asked for and the age of its VM is unknown'];
  return instant(createdAt) < instant(before) ? [`its VM was made before ${before}`] : [];
}

/** Disks that the present task has recreated already count as done. */
function recreatePersistentDisks({ diskChanges }: Undecided, wishes: Wishes): string[] {
  return wishes.recreatePersistentDisks && diskChanges.some(({ from, to }) => from && to) ? ['a recreation of persistent disks was asked for'] : [];
}

/** The VM of another cloud cannot be used on: it is deleted there and made anew. */
function isInOtherCpi({ existing, stemcell: { cpi }, cpiRenamed }: Undecided): boolean {
  return existing?.vm !== undefined && existing.vm.cpi !== cpi && !cpiRenamed;
}

function instant(text: string): number {
  const time = Date.parse(text);
  if (Number.isNaN(time)) throw new DirectorError(code.validationInvalidValue, `'${text}' is no point in time; give it as in 2026-01-31T12:00:00Z`);
  return time;
}

/** What the VM was made with, as it is recorded. */
export function presentCloudProperties(existing: RecordedInstance): Hash {
  return existing.cloudProperties ?? existing.spec?.vm_type?.cloud_properties ?? {};
}

/** The networks of the VM, as they are recorded. */
export function presentNetworks(existing: RecordedInstance): Record<string, NetworkSettings> | undefined {
  return existing.spec?.networks ?? existing.vm?.networks;
}

function cloudProperties({ existing, cloudProperties: wanted }: Undecided, { differences }: Wishes): string[] {
  if (!existing) return [];
  const paths = differences.cloudProperties ?? differingPaths(presentCloudProperties(existing), wanted);
  return existing.vm ? paths.map((path) => `cloud property ${path || '(all)'}`) : [];
}

function stemcell({ existing, stemcell: wanted }: Undecided): string[] {
  const present = existing?.spec?.stemcell;
  if (!present || (present.name === wanted.name && present.version === wanted.version)) return [];
  const text = (one: { name: string; version: string }) => (present.name === wanted.name ? one.version : `${one.name}/${one.version}`);
  return [`stemcell ${text(present)} → ${text(wanted)}`];
}

function env({ existing, env: wanted }: Undecided): string[] {
  const present = existing?.spec?.env;
  return present ? differingPaths(present, wanted).map((path) => `env ${path || '(all)'}`) : [];
}

function network({ existing, networks }: Undecided, { networkChanges, differences }: Wishes): string[] {
  const present = existing && presentNetworks(existing);
  const settings = present && Object.keys(present).length > 0 ? (differences.networks ?? differingPaths(comparableNetworks(present), comparableNetworks(networks))).map((path) => `network setting ${path}`) : [];
  return networkChanges.length > 0 ? [...networkChanges] : settings;
}

/** Networks as they are compared: DNS names among the settings, which older records have, change nothing. */
export function comparableNetworks(networks: Readonly<Record<string, NetworkSettings & { dns_record_name?: unknown }>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(networks).map(([name, { dns_record_name: _name, ...settings }]) => [name, settings]));
}

function job({ existing, group, jobs }: Undecided): string[] {
  const present = existing?.spec?.job;
  const wanted = jobSpec(group, jobs);
  if (present && sameJob(present, wanted)) return [];
  if (!present) return wanted || existing?.spec?.job !== null ? ['its jobs were never installed'] : [];
  return jobReasons(present, wanted);
}

function sameJob(present: JobSpec, wanted: JobSpec | null): boolean {
  const comparable = (spec: JobSpec) => ({ name: spec.name, templates: spec.templates.toSorted((a, b) => compareText(a.name, b.name)) });
  return wanted !== null && sameValue(comparable(present), comparable(wanted));
}

function jobReasons(present: JobSpec, wanted: JobSpec | null): string[] {
  const before = new Map(present.templates.map((template) => [template.name, template]));
  const after = new Map((wanted?.templates ?? []).map((template) => [template.name, template]));
  const added = [...after.keys()].filter((name) => !before.has(name)).map((name) => `job ${name} is added`);
  const removed = [...before.keys()].filter((name) => !after.has(name)).map((name) => `job ${name} is removed`);
  const updated = [...after].flatMap(([name, template]) => (before.has(name) && !sameValue(before.get(name), template) ? [`job ${name} has a new version`] : []));
  const all = [...added, ...removed, ...updated];
  return all.length > 0 ? all : ['its instance group has another name'];
}

function stateReasons({ existing, desiredState }: Undecided): string[] {
  if (!existing) return ['it is to be started'];
  const agent = existing.agentState?.jobState ?? '';
  if ((desiredState === 'detached') !== (existing.state === 'detached')) return [`state ${existing.state} → ${desiredState}`];
  if (desiredState === 'detached') return existing.vm ? ['it is detached and has a VM'] : [];
  if (agent === 'unresponsive') return ['its agent does not answer'];
  if (desiredState === 'stopped' && agent === 'running') return ['it runs and is to be stopped'];
  if (desiredState === 'started' && agent !== 'running') return [existing.vm ? `it is to run and its agent says '${agent}'` : 'it is to run and has no VM'];
  return [];
}

function dns({ existing, dns: wanted }: Undecided): string[] {
  return existing ? dnsReasons(existing.dns ?? { group: existing.group, az: existing.az, links: [] }, wanted) : [];
}

function configs({ existing }: Undecided, director: RecordedState['director']): Partial<Record<ChangeKind, string[]>> {
  const vm = existing?.vm;
  if (!vm) return {};
  return {
    trusted_certs: (vm.trustedCertsSha1 ?? emptySha1) === director.trustedCertsSha1 ? [] : ['trusted certificates of the director changed'],
    blobstore_config: vm.blobstoreConfigSha1 === director.blobstoreConfigSha1 ? [] : ['blobstore settings of the director changed'],
    nats_config: vm.natsConfigSha1 === director.natsConfigSha1 ? [] : ['NATS certificates of the director changed'],
  };
}

/** SHA-1 of nothing: VMs that never got certificates. */
const emptySha1 = 'da39a3ee5e6b4b0d3255bfef95601890afd80709';

function tags({ existing }: Undecided, { state, tags: wanted }: Wishes): string[] {
  if (!existing) return [];
  return differingPaths(state.deployment.tags, wanted).map((path) => `tag ${path}`);
}

function configuration(instance: InstancePlan, rendered: RenderedHashes): string[] {
  const spec = instance.existing?.spec;
  if (spec?.configuration_hash === rendered.configurationHash) return [];
  if (spec?.configuration_hash === undefined) return ['its configuration was never installed'];
  const changed = Object.keys({ ...spec.template_hashes, ...rendered.templateHashes }).filter((name) => spec.template_hashes?.[name] !== rendered.templateHashes[name]);
  return changed.length > 0 ? changed.map((name) => `templates of job ${name}${propertyReasons(instance, spec, name)}`) : ['its configuration'];
}

/** Names of the properties behind a change, never their values. */
function propertyReasons(instance: InstancePlan, spec: Partial<FullSpec>, jobName: string): string {
  const before = spec.properties?.[jobName];
  const after = instance.jobs.find((one) => one.name === jobName)?.properties;
  const paths = before && after ? differingPaths(before, after) : [];
  return paths.length > 0 ? ` (${paths.map((path) => `property ${path}`).join(', ')})` : '';
}

function packages(instance: InstancePlan, wanted: Readonly<Record<string, PackageSpec>>): string[] {
  const present = instance.existing?.spec?.packages;
  const names = new Set([...Object.keys(present ?? {}), ...Object.keys(wanted)]);
  return [...names].flatMap((name) => {
    const before = present?.[name];
    const after = wanted[name];
    if (!before) return [`package ${name} is added`];
    if (!after) return [`package ${name} is removed`];
    const same = (['name', 'version', 'sha1', 'blobstore_id'] as const).every((key) => before[key] === after[key]);
    return same ? [] : [`package ${name} has a new version`];
  });
}

/** The state that an instance shall have: what was asked for it, else for its group, else what it has. */
export function requestedState(existing: RecordedInstance | undefined, asked: { instance: Readonly<Record<string, RequestedState>>; group?: RequestedState }): RequestedState | undefined {
  if (!existing) return undefined;
  return asked.instance[existing.uuid] ?? asked.instance[String(existing.index)] ?? asked.group;
}

export function desiredState(existing: RecordedInstance | undefined, requested: RequestedState | undefined): InstanceState {
  const wanted = requested ?? existing?.state ?? 'started';
  return wanted === 'restart' || wanted === 'recreate' ? 'started' : wanted;
}
