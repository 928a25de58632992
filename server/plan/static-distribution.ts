/**
 * Decides which AZ each static address serves, so that every network has the same number of addresses in each AZ.
 * Rule: cloudfoundry/bosh src/bosh-director/lib/bosh/director/deployment_plan/placement_planner/bruteforce_ip_allocation.rb.
 */

/** Of each address of one network, the AZs that it may serve. */
export type Candidates = readonly (readonly (string | null)[])[];

type Az = string | null;

/** More than any real manifest needs; beyond it only the evenest assignment is tried. */
const maxTries = 20_000;
const maxAddresses = 500;

/**
 * One AZ for each address of each network, or undefined when no even distribution exists. Ambiguous addresses go to the
 * AZ with fewest addresses so far.
 */
export function distribute(networks: readonly Candidates[]): Az[][] | undefined {
  const [first, ...others] = networks;
  if (!first) return [];
  const evenest = spread(first);
  if (others.length === 0) return [evenest];
  const tried = new Set<string>();
  let tries = 0;
  for (const assignment of first.length > maxAddresses ? [evenest] : assignments(first)) {
    if (++tries > maxTries) return undefined;
    const counts = countBy(assignment);
    const key = [...counts].map(([az, count]) => `${az ?? ''}=${count}`).sort().join(' ');
    if (tried.has(key)) continue;
    tried.add(key);
    const rest = others.map((candidates) => match(candidates, counts));
    if (rest.every((found) => found !== undefined)) return [assignment, ...rest];
  }
  return undefined;
}

function countBy(assignment: readonly Az[]): Map<Az, number> {
  const counts = new Map<Az, number>();
  for (const az of assignment) counts.set(az, (counts.get(az) ?? 0) + 1);
  return counts;
}

/** Every ambiguous address to the AZ with fewest so far. */
function spread(candidates: Candidates): Az[] {
  const counts = fixedCounts(candidates);
  return candidates.map((azs) => {
    if (azs.length === 1) return azs[0] ?? null;
    const chosen = azs.reduce((best, az) => ((counts.get(az) ?? 0) < (counts.get(best) ?? 0) ? az : best));
    add(counts, chosen, 1);
    return chosen;
  });
}

function fixedCounts(candidates: Candidates): Map<Az, number> {
  const counts = new Map<Az, number>();
  for (const azs of candidates) if (azs.length === 1) add(counts, azs[0] ?? null, 1);
  return counts;
}

/** All assignments of one network, the evenest first. */
function* assignments(candidates: Candidates): Generator<Az[]> {
  const counts = fixedCounts(candidates);
  const chosen: Az[] = [];
  function* extend(): Generator<Az[]> {
    const azs = candidates[chosen.length];
    if (!azs) {
      yield [...chosen];
      return;
    }
    const fixed = azs.length === 1;
    for (const az of fixed ? azs : azs.toSorted((a, b) => (counts.get(a) ?? 0) - (counts.get(b) ?? 0))) {
      chosen.push(az);
      if (!fixed) add(counts, az, 1);
      yield* extend();
      if (!fixed) add(counts, az, -1);
      chosen.pop();
    }
  }
  yield* extend();
}

function add(counts: Map<Az, number>, az: Az, change: number): void {
  counts.set(az, (counts.get(az) ?? 0) + change);
}

/** An assignment with exactly these counts: a bipartite matching of addresses and places in AZs (augmenting paths). */
function match(candidates: Candidates, counts: ReadonlyMap<Az, number>): Az[] | undefined {
  const total = [...counts.values()].reduce((sum, count) => sum + count, 0);
  if (total !== candidates.length) return undefined;
  const members = new Map<Az, number[]>([...counts.keys()].map((az) => [az, []]));
  const augment = (address: number, seen: Set<Az>): boolean => {
    for (const az of candidates[address] ?? []) {
      const held = members.get(az);
      if (!held || seen.has(az)) continue;
      seen.add(az);
      const room = held.length < (counts.get(az) ?? 0) ? held.length : held.findIndex((other) => augment(other, seen));
      if (room < 0) continue;
      held[room] = address;
      return true;
    }
    return false;
  };
  if (!candidates.every((_, address) => augment(address, new Set()))) return undefined;
  const assignment: Az[] = candidates.map(() => null);
  for (const [az, held] of members) for (const address of held) assignment[address] = az;
  return assignment;
}
