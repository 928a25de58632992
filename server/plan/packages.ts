import { groupBy } from '../core/collections';
import { code, DirectorError } from '../core/errors';
import { parseReleaseVersion, stemcellVersionsMatch } from '../core/versions';
import { dependencyKey } from '../releases/packages';
import type { CompiledPackageRecord, PackageRecord, ReleaseVersionRecord } from '../releases/release';
import { fittingExports } from './exported-from';
import { refuseMissingPackages } from './missing-packages';
import type { CompiledBuild, PackageRequirement, PlannedRelease, RequirementKey } from './types';
import type { PlannedStemcell } from './stemcells';

/**
 * Which packages have to be there in compiled form, and which of them are.
 * Rules: cloudfoundry/bosh src/bosh-director/lib/bosh/director/compiled_package_requirement_generator.rb, key_generator.rb,
 * deployment_plan/compiled_package_finder.rb and package_validator.rb.
 */

/** A package that a group needs at run time. */
export interface NeededPackage {
  package: PackageRecord;
  release: PlannedRelease;
  stemcell: PlannedStemcell;
}

export function requirementKey(packageId: number, stemcell: { os: string; version: string }): RequirementKey {
  return `${packageId}:${stemcell.os}/${stemcell.version}`;
}

/**
 * Everything that is needed for `needed`, dependencies before dependents, each once. Throws 60001, 60003 or 60004 when
 * packages have neither source nor a fitting compiled form, 30012 when dependencies go in a circle or are missing.
 */
export function requirementsOf(needed: readonly NeededPackage[], compiled: readonly CompiledPackageRecord[]): PackageRequirement[] {
  const byPackage = groupBy(compiled, (record) => record.packageId);
  const found = new Map<RequirementKey, PackageRequirement & { from: PlannedRelease }>();
  const visit = (item: NeededPackage, path: readonly string[]): RequirementKey => {
    const key = requirementKey(item.package.id, item.stemcell);
    if (found.has(key)) return key;
    const { name } = item.package;
    if (path.includes(name)) throw new DirectorError(code.releaseInvalidPackage, `Packages of release '${item.release.name}/${item.release.version}' depend on each other in a circle: ${[...path, name].join(' → ')}`);
    const dependencies = item.package.dependencies.map((dependency) => visit({ ...item, package: packageNamed(item.release, dependency) }, [...path, name]));
    const keyText = dependencyKey(item.package, item.release.packages);
    const build = findBuild(item, keyText, byPackage.get(item.package.id) ?? []);
    const release = { name: item.release.name, version: item.release.version };
    found.set(key, { key, package: item.package, release, stemcell: item.stemcell, dependencies, dependencyKey: keyText, from: item.release, ...(build ? { compiled: build } : {}) });
    return key;
  };
  for (const item of needed) visit(item, []);
  const requirements = [...found.values()];
  refuseMissingPackages(requirements);
  return requirements.map(({ from: _from, ...requirement }) => requirement);
}

function packageNamed(release: ReleaseVersionRecord, name: string): PackageRecord {
  const found = release.packages.find((candidate) => candidate.name === name);
  if (found) return found;
  throw new DirectorError(code.releaseInvalidPackage, `Release '${release.name}/${release.version}' has no package '${name}', which another of its packages or jobs needs`);
}

function findBuild(item: NeededPackage, keyText: string, candidates: readonly CompiledPackageRecord[]): CompiledBuild | undefined {
  const { os, version } = item.stemcell;
  const fitting = candidates.filter((record) => record.stemcellOs === os && record.dependencyKey === keyText);
  const exactly = (wanted: string) => fitting.find((record) => record.stemcellVersion === wanted);
  const best = item.release.exportedFrom.length > 0
    ? fittingExports(item.release, item.stemcell).map((exported) => exactly(exported.version)).find((record) => record !== undefined)
    : exactly(version) ?? (item.package.blobstoreId === null ? newestCompatible(fitting, version) : undefined);
  return best && { build: best.build, blobstoreId: best.blobstoreId, sha1: best.sha1 };
}

/** Without source, a form for the same major stemcell version will do; the highest minor one is taken. */
function newestCompatible(records: readonly CompiledPackageRecord[], version: string): CompiledPackageRecord | undefined {
  const minorOf = (record: CompiledPackageRecord) => {
    const minor = parseReleaseVersion(record.stemcellVersion)?.release[1];
    return typeof minor === 'bigint' ? minor : 0n;
  };
  return records
    .filter((record) => stemcellVersionsMatch(record.stemcellVersion, version))
    .reduce<CompiledPackageRecord | undefined>((best, record) => (best && minorOf(best) >= minorOf(record) ? best : record), undefined);
}
