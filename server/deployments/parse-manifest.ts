import { code, DirectorError } from '../core/errors';
import { optionalField, requiredField, rubyInspect } from '../core/fields';
import { canonicalName } from '../core/names';
import type { Hash } from '../core/yaml';
import { parseVariables } from '../variables/definitions';
import { parseAddons } from './addons';
import type { Manifest, ManifestGroup, ManifestRelease, ManifestStemcell } from './manifest';
import { parseFeatures } from './manifest-features';
import { parseGroup, parseTags } from './manifest-groups';
import { parseRelease } from './manifest-releases';
import { parseUpdateConfig, type UpdateOverrides } from './update-config';

/**
 * Deployment manifests: their shape and what of it is accepted. What a manifest refers to (releases, stemcells, the cloud
 * config) is resolved by the planner.
 * Rules: cloudfoundry/bosh src/bosh-director/lib/bosh/director/deployment_plan/deployment_spec_parser.rb and manifest_validator.rb.
 */

/**
 * Reads a manifest document. Throws BOSH's code for every violated rule, with the key in the text; keys of features that
 * are not built yet are refused by name, unknown keys are ignored.
 */
export function parseManifest(document: Hash, overrides: UpdateOverrides): Manifest {
  refuseForeignKeys(document);
  const name = requiredField(document, 'name', 'String');
  const stemcells = parseStemcells(document);
  const properties = optionalField(document, 'properties', 'Hash') ?? {};
  const releases = parseReleases(document);
  const update = parseUpdateConfig(requiredField(document, 'update', 'Hash'), overrides);
  const variables = parseVariables(document);
  const features = parseFeatures(document);
  const groups = (optionalField(document, 'instance_groups', 'Array') ?? []).map((group) => parseGroup(group, { update, overrides, features }));
  refuseTakenNames(groups);
  const addons = parseAddons(document, 'deployment', releases.map((release) => release.name));
  if (stemcells.length === 0) throw new DirectorError(190019, "'stemcells' needs to be specified");
  const warnings = [
    ...('properties' in document ? ["Global 'properties' are deprecated. Please define 'properties' at the job level."] : []),
    ...(addons.some((addon) => addon.ownProperties) ? [addonProperties] : []),
  ];
  return { name, releases, stemcells, update, groups, properties, tags: parseTags(document), addons, variables, features, warnings };
}

/** Deprecation, for addons of either level. */
export const addonProperties = "Top level 'properties' in addons are deprecated. Please define 'properties' at the job level.";

const v1Keys: readonly [key: string, code: number, message: string][] = [
  ['networks', 140026, "Deployment 'networks' are no longer supported. Network definitions must now be provided in a cloud-config."],
  ['disk_pools', 140027, 'disk_pools is no longer supported. Disk definitions must now be provided as disk_types in a cloud-config'],
  ['jobs', 140023, 'Jobs are no longer supported, please use instance groups instead'],
  ['resource_pools', 140028, 'resource_pools is no longer supported. You must now define resources in a cloud-config'],
];

function refuseForeignKeys(document: Hash): void {
  for (const key of ['vm_types', 'azs', 'disk_types', 'compilation']) {
    if (key in document) throw new DirectorError(190014, `Deployment manifest contains '${key}' section, but this can only be set in a cloud-config.`);
  }
  for (const [key, errorCode, message] of v1Keys) if (key in document) throw new DirectorError(errorCode, message);
}

function parseStemcells(document: Hash): ManifestStemcell[] {
  const stemcells = (optionalField(document, 'stemcells', 'Array') ?? []).map((spec): ManifestStemcell => {
    const alias = requiredField(spec, 'alias', 'String');
    const name = optionalField(spec, 'name', 'String');
    const os = optionalField(spec, 'os', 'String');
    const version = requiredField(spec, 'version', 'String');
    if (name === undefined && os === undefined) {
      throw new DirectorError(code.validationMissingField, `Required property 'os' or 'name' was not specified in object (${rubyInspect(spec)})`);
    }
    return { alias, name, os, version };
  });
  const repeated = stemcells.find((stemcell, i) => stemcells.findIndex(({ alias }) => alias === stemcell.alias) !== i);
  if (repeated) throw new DirectorError(code.stemcellAliasAlreadyExists, `Duplicate stemcell alias '${repeated.alias}'`);
  return stemcells;
}

function parseReleases(document: Hash): ManifestRelease[] {
  if ('release' in document && 'releases' in document) {
    throw new DirectorError(190001, "Deployment manifest contains both 'release' and 'releases' sections, please use one of the two.");
  }
  const specs = 'release' in document ? [document.release] : requiredField(document, 'releases', 'Array');
  const releases = specs.map(parseRelease);
  const repeated = releases.find((release, i) => releases.findIndex(({ name }) => name === release.name) !== i);
  if (repeated) throw new DirectorError(190002, `Duplicate release name '${repeated.name}'`);
  return releases;
}

function refuseTakenNames(groups: readonly ManifestGroup[]): void {
  const names = groups.map((group) => canonicalName(group.name));
  const repeated = groups.find((_, i) => names.indexOf(names[i] ?? '') !== i);
  if (repeated) throw new DirectorError(190006, `Invalid instance group name '${repeated.name}', canonical name already taken`);
}
