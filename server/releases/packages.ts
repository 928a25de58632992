import { compareText } from '../core/collections';
import { DirectorError, code } from '../core/errors';

/** A package as far as its dependencies go. */
export interface PackageNode {
  name: string;
  version: string;
  /** Names of direct dependencies. */
  dependencies: readonly string[];
}

/**
 * The packages with every package after those that it depends on, otherwise in the given order.
 * Throws 30012 when a dependency is missing or packages depend on each other in a circle.
 * Rule: cloudfoundry/bosh src/bosh-director/lib/bosh/director/cycle_helper.rb.
 */
export function inDependencyOrder<P extends PackageNode>(packages: readonly P[]): P[] {
  const byName = new Map(packages.map((pkg) => [pkg.name, pkg]));
  const ordered = new Set<P>();
  const visit = (pkg: P, path: readonly string[]) => {
    if (ordered.has(pkg)) return;
    const here = [...path, pkg.name];
    if (path.includes(pkg.name)) throw new DirectorError(code.releaseInvalidPackage, `Packages depend on each other in a circle: ${here.slice(here.indexOf(pkg.name)).join(' => ')}`);
    for (const name of pkg.dependencies) {
      const dependency = byName.get(name);
      if (!dependency) throw new DirectorError(code.releaseInvalidPackage, `Package '${pkg.name}' depends on package '${name}', which the release does not have`);
      visit(dependency, here);
    }
    ordered.add(pkg);
  };
  for (const pkg of packages) visit(pkg, []);
  return [...ordered];
}

/**
 * Identifies what a package was compiled with: JSON of its direct dependencies sorted by name, each
 * `[name, version]` or `[name, version, [its own…]]`.
 * Throws 30012 for a dependency that `packages` lack; circles must have been ruled out.
 * Shape: cloudfoundry/bosh src/bosh-director/lib/bosh/director/key_generator.rb.
 */
export function dependencyKey(pkg: Pick<PackageNode, 'name' | 'dependencies'>, packages: readonly PackageNode[]): string {
  const byName = new Map(packages.map((other) => [other.name, other]));
  const entry = (dependent: string, name: string): unknown[] => {
    const found = byName.get(name);
    if (!found) throw new DirectorError(code.releaseInvalidPackage, `Package '${dependent}' depends on package '${name}', which the release does not have`);
    const own = [...found.dependencies].sort(compareText).map((dependency) => entry(name, dependency));
    return own.length > 0 ? [found.name, found.version, own] : [found.name, found.version];
  };
  return JSON.stringify([...pkg.dependencies].sort(compareText).map((name) => entry(pkg.name, name)));
}

/** A package of a compiled release as its manifest declares it. */
export interface CompiledPackageOffer extends PackageNode {
  fingerprint: string;
  /** `os/version`. */
  stemcell: string;
}

/** A compiled package that is stored, of any release. */
export interface StoredCompiledPackage {
  name: string;
  fingerprint: string;
  stemcell: string;
  dependencyKey: string;
}

/**
 * Fingerprints of which nothing needs to be uploaded: every offered package with that fingerprint is stored under the same
 * name, for the same stemcell, with the same dependencies.
 * Rule: cloudfoundry/bosh src/bosh-director/lib/bosh/director/api/controllers/packages_controller.rb.
 */
export function matchCompiledPackages(offers: readonly CompiledPackageOffer[], stored: readonly StoredCompiledPackage[]): string[] {
  const key = (pkg: StoredCompiledPackage) => JSON.stringify([pkg.name, pkg.fingerprint, pkg.stemcell, pkg.dependencyKey]);
  const known = new Set(stored.map(key));
  const missing = new Set<string>();
  const found = new Set<string>();
  for (const offer of offers) {
    const isKnown = known.has(key({ ...offer, dependencyKey: dependencyKey(offer, offers) }));
    (isKnown ? found : missing).add(offer.fingerprint);
  }
  return [...found].filter((fingerprint) => !missing.has(fingerprint));
}
