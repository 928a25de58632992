import { networkHasAzs, parseCloudConfig } from '../configs/parse';
import type { CloudConfig } from '../configs/cloud-config';
import { groupBy } from '../core/collections';
import { code, DirectorError } from '../core/errors';
import { isHash, type Hash } from '../core/yaml';
import { applyingAddons, mergeRuntimeConfigs, parseRuntimeConfig, withAddons } from '../deployments/addons';
import { findRelease, findStemcells, resolveVersions } from '../deployments/artifacts';
import type { Manifest, ManifestGroup, ManifestRelease, ManifestStemcell } from '../deployments/manifest';
import { parseTags } from '../deployments/manifest-groups';
import { addonProperties, parseManifest } from '../deployments/parse-manifest';
import { bindDisks } from './bind-disks';
import { diskProviders, linkIntents, type LinkedJob } from './link-intents';
import { requirementKey, requirementsOf, type NeededPackage } from './packages';
import { refuseOtherExports } from './exported-from';
import { bindNetworks } from './group-networks';
import { bindProperties, mergeDeep } from './properties';
import type { GroupNetwork, Resolved, ResolvedGroup } from './phases';
import type { JobRecord, PackageRecord, ReleaseVersionRecord } from '../releases/release';
import { joinVariables, parseVariables, type VariableDefinition } from '../variables/definitions';
import { checkVariableName } from '../variables/placeholders';
import type { StemcellRecord } from './recorded';
import type { BoundJob, PlanInput, PlannedRelease } from './types';
import type { PlannedStemcell } from './stemcells';

/**
 * First phase: reads the documents and binds every name in them to what it stands for.
 * Rules: cloudfoundry/bosh src/bosh-director/lib/bosh/director/deployment_plan/instance_group_spec_parser.rb, assembler.rb.
 */
export function resolve(input: PlanInput): Resolved {
  const { state, request } = input;
  const manifest = parseManifest(input.manifest, { canaries: request.canaries, maxInFlight: request.maxInFlight, defaultVmStrategy: state.director.defaultVmStrategy });
  const cloudConfig = parseCloudConfig(input.cloudConfigs, { ...state.director, managedSubnets: state.managedSubnets });
  const stemcells = manifest.stemcells.map((wanted) => findStemcell(wanted, state.stemcells));
  const { groups, releases, warnings } = applyAddons(input, manifest, stemcells);
  const catalogue: Catalogue = { manifest, cloudConfig, stemcells, releases };
  const bindings = groups.map((group) => bindGroup(group, catalogue));
  const links = linkIntents(bindings.flatMap((binding) => binding.linked), state.deployments, groups.flatMap(diskProviders));
  return {
    input, manifest, cloudConfig, releases, stemcells,
    resolvedManifest: withVersions(input.document ?? input.manifest, resolveVersions(input.manifest, state)),
    groups: bindings.map((binding) => binding.group),
    links,
    packages: requirementsOf(bindings.flatMap((binding) => binding.needed), state.compiledPackages),
    variables: variablesOf(manifest, input),
    tags: { ...runtimeTags(input.runtimeConfigs), ...manifest.tags },
    warnings: [...manifest.warnings, ...warnings, ...links.warnings],
  };
}

/** The document as uploaded with the versions that were found; what else it says may hold placeholders of secrets, which stay. */
function withVersions(document: Hash, resolved: Hash): Hash {
  const release = (spec: unknown, found: unknown) => (isHash(spec) && isHash(found) ? { ...spec, version: found.version } : found);
  const stemcell = (spec: unknown, found: unknown) => (isHash(spec) && isHash(found) ? { ...spec, version: found.version, ...(found.os === undefined ? {} : { os: found.os }) } : found);
  const each = (key: 'releases' | 'stemcells', join: typeof release) => {
    const [specs, found] = [document[key], resolved[key]];
    if (!Array.isArray(found)) return {};
    return { [key]: Array.isArray(specs) && specs.length === found.length ? found.map((one: unknown, i) => join(specs[i], one)) : found };
  };
  return { ...document, ...each('releases', release), ...each('stemcells', stemcell), ...('release' in resolved ? { release: release(document.release, resolved.release) } : {}) };
}

/** The manifest's definitions, then those of each runtime config. Throws 190022. */
function variablesOf(manifest: Manifest, { runtimeConfigs }: PlanInput): VariableDefinition[] {
  const all = joinVariables([manifest.variables, ...runtimeConfigs.map(parseVariables)]);
  for (const { name } of all) checkVariableName(name);
  return all;
}

interface Catalogue {
  manifest: Manifest;
  cloudConfig: CloudConfig;
  stemcells: readonly PlannedStemcell[];
  releases: readonly PlannedRelease[];
}

interface Equipped {
  groups: readonly ManifestGroup[];
  releases: readonly PlannedRelease[];
  warnings: readonly string[];
}

/**
 * The manifest's groups and releases with what addons add: the manifest's own addons first, then one runtime config after the other.
 * A runtime config's releases come only with an addon that applies.
 */
function applyAddons({ runtimeConfigs, state }: PlanInput, manifest: Manifest, stemcells: readonly PlannedStemcell[]): Equipped {
  const target = { deployment: manifest.name, teams: state.deployment.teams ?? [] };
  const os = (group: ManifestGroup) => stemcells.find((stemcell) => stemcell.alias === group.stemcell)?.os;
  const context = { target, os };
  const start: Equipped = { groups: withAddons(manifest.groups, manifest.addons, context), releases: manifest.releases.map((wanted) => bindRelease(wanted, state.releases)), warnings: [] };
  return runtimeConfigs.reduce<Equipped>((equipped, document) => {
    const { addons, releases } = parseRuntimeConfig(document);
    const applying = applyingAddons(addons, equipped.groups.map((group) => ({ ...group, os: os(group) })), target);
    const needed = new Set(applying.flatMap((addon) => addon.jobs.map((job) => job.release)));
    return {
      groups: withAddons(equipped.groups, addons, context),
      releases: releases.filter((release) => needed.has(release.name)).reduce((all, release) => withRelease(all, release, state.releases), equipped.releases),
      warnings: addons.some((addon) => addon.ownProperties) ? [...equipped.warnings, addonProperties] : equipped.warnings,
    };
  }, start);
}

function bindRelease(wanted: ManifestRelease, available: readonly ReleaseVersionRecord[]): PlannedRelease {
  return { ...findRelease(wanted, available), exportedFrom: wanted.exportedFrom };
}

function withRelease(present: readonly PlannedRelease[], wanted: ManifestRelease, available: readonly ReleaseVersionRecord[]): readonly PlannedRelease[] {
  const same = present.find((release) => release.name === wanted.name);
  if (!same) return [...present, bindRelease(wanted, available)];
  if (same.version === wanted.version) return present;
  throw new DirectorError(530003, `Runtime manifest specifies release '${wanted.name}' with version as '${wanted.version}'. This conflicts with version '${same.version}' specified in the deployment manifest.`);
}

function runtimeTags(runtimeConfigs: readonly Hash[]): Record<string, string> {
  const { tags } = mergeRuntimeConfigs(runtimeConfigs);
  return parseTags(isHash(tags) ? { tags } : {});
}

/** The stemcell of a manifest entry as the director's own CPI knows it. Throws 50003. */
export function findStemcell(wanted: ManifestStemcell, available: readonly StemcellRecord[]): PlannedStemcell {
  const records = findStemcells(wanted, available);
  const { name, os, version } = records[0];
  return { alias: wanted.alias, name, os, version, images: records.map(({ id, name: ownName, cpi, cid, apiVersion }) => ({ id, name: ownName, cpi, cid, apiVersion })) };
}

interface GroupBinding {
  group: ResolvedGroup;
  linked: LinkedJob[];
  needed: NeededPackage[];
}

interface FoundJob {
  record: JobRecord;
  release: PlannedRelease;
}

function bindGroup(group: ManifestGroup, catalogue: Catalogue): GroupBinding {
  const found = group.jobs.map((job) => findJob(group, job, catalogue.releases));
  const stemcell = catalogue.stemcells.find(({ alias }) => alias === group.stemcell);
  if (!stemcell) throw new DirectorError(140005, `Instance group '${group.name}' references an unknown stemcell '${group.stemcell}'`);
  const vmType = catalogue.cloudConfig.vmTypes.find(({ name }) => name === group.vmType) ?? null;
  if (!vmType && !group.vmResources) throw new DirectorError(140004, `Instance group '${group.name}' references an unknown vm type '${group.vmType ?? ''}'`);
  const networks = bindNetworks(group, catalogue.cloudConfig);
  checkAzs(group, networks, catalogue.cloudConfig);
  const needed = runTimePackages(group, found).map((item) => ({ ...item, stemcell }));
  refuseOtherExports(group.name, stemcell, found.map(({ release }) => release));
  const legacy = mergeDeep(catalogue.manifest.properties, group.properties);
  const jobs = group.jobs.map((job, i): BoundJob => {
    const { record, release } = found[i] ?? unreachable(job.name);
    return { name: job.name, release: { name: release.name, version: release.version }, record, properties: bindProperties(record.spec.properties, job.properties ?? legacy), links: {} };
  });
  return {
    group: {
      name: group.name, lifecycle: group.lifecycle, size: group.instances, azs: group.azs, jobs, vmType, vmResources: group.vmResources ?? null, stemcell, networks, env: group.env, disks: bindDisks(group, catalogue.cloudConfig), update: group.update, tags: group.tags,
      packages: needed.map((item) => ({ name: item.package.name, requirement: requirementKey(item.package.id, stemcell) })),
      vmExtensions: group.vmExtensions.map((name) => findVmExtension(name, catalogue.cloudConfig)),
      migratedFrom: group.migratedFrom, state: group.state, instanceStates: group.instanceStates,
    },
    linked: group.jobs.map((job, i): LinkedJob => {
      const { record, release } = found[i] ?? unreachable(job.name);
      return { group, job, record, release: release.name, properties: job.properties ?? legacy };
    }),
    needed,
  };
}

function unreachable(name: string): never {
  throw new Error(`job '${name}' was not looked up`);
}

function findJob(group: ManifestGroup, job: { name: string; release: string }, releases: readonly PlannedRelease[]): FoundJob {
  const release = releases.find(({ name }) => name === job.release);
  if (!release) throw new DirectorError(140002, `Job '${job.name}' (instance group '${group.name}') references an unknown release '${job.release}'`);
  const record = release.jobs.find(({ name }) => name === job.name);
  if (!record) throw new DirectorError(code.releaseMissingJob, `Job '${job.name}' not found in release '${release.name}'`);
  return { record, release };
}

function findVmExtension(name: string, cloudConfig: CloudConfig): { name: string; cloudProperties: Hash } {
  const found = cloudConfig.vmExtensions.find((extension) => extension.name === name);
  if (found) return found;
  throw new DirectorError(code.generic, `The vm_extension '${name}' has not been configured in cloud-config.`);
}

function checkAzs(group: ManifestGroup, networks: readonly GroupNetwork[], cloudConfig: CloudConfig): void {
  const uncovered = networks.find(({ network }) => !networkHasAzs(network, group.azs));
  if (uncovered) {
    throw new DirectorError(150006, `Instance group '${group.name}' must specify availability zone that matches availability zones of network '${uncovered.name}'`);
  }
  const unknown = (group.azs ?? []).find((name) => !cloudConfig.azs.some((az) => az.name === name));
  if (unknown !== undefined) throw new DirectorError(140018, `Instance group '${group.name}' references unknown availability zone '${unknown}'`);
}

interface RunTimePackage {
  package: PackageRecord;
  release: PlannedRelease;
  job: string;
}

/** The direct packages of all jobs, each name once; of equal ones from two releases the newer record is taken. */
function runTimePackages(group: ManifestGroup, found: readonly FoundJob[]): RunTimePackage[] {
  const usages = found.flatMap(({ record, release }) =>
    record.packages.map((name): RunTimePackage => {
      const pkg = release.packages.find((candidate) => candidate.name === name);
      if (!pkg) throw new DirectorError(80003, `Job '${record.name}' of release '${release.name}/${release.version}' needs package '${name}', which the release does not have`);
      return { package: pkg, release, job: record.name };
    }),
  );
  return [...groupBy(usages, (usage) => usage.package.name)].map(([name, same]) => {
    refuseCollision(group.name, name, same);
    return same.reduce((best, usage) => (usage.package.id > best.package.id ? usage : best));
  });
}

function refuseCollision(group: string, name: string, usages: readonly RunTimePackage[]): void {
  const variants = [...groupBy(usages, (usage) => `${usage.package.fingerprint} ${JSON.stringify(usage.package.dependencies)}`).values()];
  const [first, second] = [variants[0]?.[0], variants[1]?.[0]];
  if (!first || !second) return;
  const text = (usage: RunTimePackage) => `job '${usage.release.name}/${usage.job}' depends on package '${usage.release.name}/${name}' with fingerprint '${usage.package.fingerprint}'`;
  throw new DirectorError(
    code.jobPackageCollision,
    `Package name collision detected in instance group '${group}': ${text(first)}, ${text(second)}. ` +
      'BOSH cannot currently collocate two packages with identical names and different fingerprints or dependencies.',
  );
}
