import { groupBy } from '../core/collections';
import { code, DirectorError } from '../core/errors';
import { parseReleaseVersion, stemcellVersionsMatch } from '../core/versions';
import { dependencyKey } from '../releases/packages';
import type { CompiledPackageRecord, PackageRecord, ReleaseVersionRecord } from '../releases/release';
import type { CompiledBuild, PackageRequirement, PlannedStemcell, RequirementKey } from './types';

/**
 * Which packages have to be there in compiled form, and which of them are.
 * Rules: cloudfoundry/bosh src/bosh-director/lib/bosh/director/compiled_package_requirement_generator.rb, key_generator.rb,
 * deployment_plan/compiled_package_finder.rb and package_validator.rb.
 */

/** A package that a group needs at run time. */
export interface NeededPackage {
  package: PackageRecord;
  release: ReleaseVersionRecord;
  stemcell: PlannedStemcell;
}

export function requirementKey(packageId: number, stemcell: { os: string; version: string }): RequirementKey {
  return `${packageId}:${stemcell.os}/${stemcell.version}`;
}

/**
 * Everything that is needed for `needed`, dependencies before dependents, each once. Throws 60001 when a package has
 * neither source nor a fitting compiled form, 30012 when dependencies go in a circle or are missing.
 */
export function requirementsOf(needed: readonly NeededPackage[], compiled: readonly CompiledPackageRecord[]): PackageRequirement[] {
  const byPackage = groupBy(compiled, (record) => record.packageId);
  const found = new Map<RequirementKey, PackageRequirement>();
  const visit = (item: NeededPackage, path: readonly string[]): RequirementKey => {
    const key = requirementKey(item.package.id, item.stemcell);
    if (found.has(key)) return key;
    const { name } = item.package;
    if (path.includes(name)) throw new DirectorError(code.releaseInvalidPackage, `Packages of release '${item.release.name}/${item.release.version}' depend on each other in a circle: ${[...path, name].join(' → ')}`);
    const dependencies = item.package.dependencies.map((dependency) => visit({ ...item, package: packageNamed(item.release, dependency) }, [...path, name]));
    const keyText = dependencyKey(item.package, item.release.packages);
    const build = findBuild(item, keyText, byPackage.get(item.package.id) ?? []);
    const release = { name: item.release.name, version: item.release.version };
    found.set(key, { key, package: item.package, release, stemcell: item.stemcell, dependencies, dependencyKey: keyText, ...(build ? { compiled: build } : {}) });
    return key;
  };
  for (const item of needed) visit(item, []);
  const requirements = [...found.values()];
  refuseMissingSources(requirements);
  return requirements;
}

function packageNamed(release: ReleaseVersionRecord, name: string): PackageRecord {
  const found = release.packages.find((candidate) => candidate.name === name);
  if (found) return found;
  throw new DirectorError(code.releaseInvalidPackage, `Release '${release.name}/${release.version}' has no package '${name}', which another of its packages or jobs needs`);
}

function findBuild(item: NeededPackage, keyText: string, candidates: readonly CompiledPackageRecord[]): CompiledBuild | undefined {
  const { os, version } = item.stemcell;
  const fitting = candidates.filter((record) => record.stemcellOs === os && record.dependencyKey === keyText);
  const exact = fitting.find((record) => record.stemcellVersion === version);
  const best = exact ?? (item.package.blobstoreId === null ? newestCompatible(fitting, version) : undefined);
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

function refuseMissingSources(requirements: readonly PackageRequirement[]): void {
  const missing = requirements.filter((requirement) => !requirement.compiled && requirement.package.blobstoreId === null);
  if (missing.length === 0) return;
  const stemcells = new Set(missing.map(({ stemcell }) => `${stemcell.name}/${stemcell.version}`));
  const groups = [...groupBy(missing, ({ release }) => `${release.name}/${release.version}`)].map(([release, faults]) => {
    const lines = faults
      .toSorted((a, b) => (a.package.name < b.package.name ? -1 : 1))
      .map(({ package: pkg, stemcell }) => ` - '${pkg.name}/${pkg.version}'${stemcells.size > 1 ? ` against stemcell '${stemcell.name}/${stemcell.version}'` : ''}\n`);
    const intended = stemcells.size > 1 ? 'intended stemcells' : `stemcell '${[...stemcells].join('')}'`;
    return `Can't use release '${release}'. It references packages without source code and are not compiled against ${intended}:\n${lines.join('')}`;
  });
  throw new DirectorError(code.packageMissingSourceCode, `\n${groups.join('')}`);
}
