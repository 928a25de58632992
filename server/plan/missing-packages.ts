import { groupBy } from '../core/collections';
import { code, DirectorError } from '../core/errors';
import { fittingExports } from './exported-from';
import type { PackageRequirement, PlannedRelease } from './types';

/**
 * Packages that nobody can compile and that are not compiled as they have to be, all of them in one error.
 * Texts: cloudfoundry/bosh src/bosh-director/lib/bosh/director/deployment_plan/package_validator.rb.
 */

type Kind = 'no source' | 'not exported' | 'no export';

interface Fault {
  kind: Kind;
  /** `name/version`. */
  package: string;
  /** As the error names it. */
  stemcell: string;
}

const codes: Readonly<Record<Kind, number>> = {
  'no source': code.packageMissingSourceCode, 'not exported': code.packageMissingExportedFrom, 'no export': code.stemcellNotPresentInExportedFrom,
};

/** Throws 60001, 60003 or 60004, the code of the last release that cannot be used. */
export function refuseMissingPackages(requirements: readonly (PackageRequirement & { from: PlannedRelease })[]): void {
  const byRelease = groupBy(requirements.filter((requirement) => !requirement.compiled), ({ release }) => `${release.name}/${release.version}`);
  const faulty = [...byRelease].map(([release, open]) => ({ release, faults: open.flatMap(faultsOf) })).filter(({ faults }) => faults.length > 0);
  const last = faulty.at(-1)?.faults[0];
  if (!last) return;
  const single = new Set(faulty.flatMap(({ faults }) => faults.map(({ stemcell }) => stemcell))).size === 1;
  throw new DirectorError(codes[last.kind], `\n${faulty.map(({ release, faults }) => textOf(release, faults, single)).join('')}`);
}

function faultsOf({ package: { name, version, blobstoreId }, stemcell, from }: PackageRequirement & { from: PlannedRelease }): Fault[] {
  const pkg = `${name}/${version}`;
  if (from.exportedFrom.length === 0) return blobstoreId === null ? [{ kind: 'no source', package: pkg, stemcell: `${stemcell.name}/${stemcell.version}` }] : [];
  const fitting = fittingExports(from, stemcell);
  if (fitting.length === 0) return [{ kind: 'no export', package: pkg, stemcell: `${stemcell.os}/${stemcell.version}` }];
  return fitting.map(({ os, version: exported }) => ({ kind: 'not exported', package: pkg, stemcell: `${os}/${exported}` }));
}

function textOf(release: string, faults: readonly Fault[], single: boolean): string {
  const sorted = faults.toSorted((a, b) => (a.package < b.package ? -1 : 1));
  const stemcells = [...groupBy(faults, ({ stemcell }) => stemcell)];
  switch (faults[0]?.kind) {
    case 'no export':
      return `Can't use release '${release}': expected to find stemcell for '${stemcells.map(([stemcell]) => stemcell).join("', '")}' to be configured in exported_from'`;
    case 'not exported':
      return `Can't use release '${release}':\n${stemcells
        .map(([stemcell, of]) => `Packages must be exported from stemcell '${stemcell}', but some packages are not compiled for this stemcell:\n${sorted.filter((fault) => of.includes(fault)).map(line).join('')}`)
        .join('')}`;
    default: {
      const intended = single ? `stemcell '${faults[0]?.stemcell ?? ''}'` : 'intended stemcells';
      const lines = sorted.map((fault) => (single ? line(fault) : ` - '${fault.package}' against stemcell '${fault.stemcell}'\n`));
      return `Can't use release '${release}'. It references packages without source code and are not compiled against ${intended}:\n${lines.join('')}`;
    }
  }
}

function line(fault: Fault): string {
  return ` - '${fault.package}'\n`;
}
