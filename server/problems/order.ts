import type { UpdateConfig } from '../deployments/manifest';
import { maxInFlightOf } from '../deployments/update-config';
import type { Problem } from './problem';

/**
 * In which order problems are resolved, and how many at a time: as instances are updated.
 * Rule: cloudfoundry/bosh src/bosh-director/lib/bosh/director/problem_resolver.rb.
 */

/** The problems of one instance group. */
export interface GroupProblems {
  group: string;
  problems: readonly Problem[];
  /** How many of them at a time. */
  inFlight: number;
}

/** Groups of one run are worked on at the same time; the runs one after another. */
export type Run = readonly GroupProblems[];

/**
 * @param groups names in the order of the manifest; problems of groups that it lacks come last
 * @param updateOf how a group is updated; groups of which that is unknown are worked on alone, one instance at a time
 */
export function resolutionRuns(problems: readonly Problem[], groups: readonly string[], updateOf: (group: string) => UpdateConfig | undefined): Run[] {
  const others = problems.map((problem) => problem.instance.group).filter((group) => !groups.includes(group));
  const runs: GroupProblems[][] = [];
  let parallel: GroupProblems[] | undefined;
  for (const group of [...groups, ...new Set(others)]) {
    const own = problems.filter((problem) => problem.instance.group === group);
    const update = updateOf(group);
    const serial = update?.serial ?? true;
    // A serial group parts the parallel ones around it, with problems or without.
    if (serial) parallel = undefined;
    if (own.length === 0) continue;
    const one = { group, problems: own, inFlight: update ? Math.min(own.length, maxInFlightOf(update, own.length)) : 1 };
    if (parallel) parallel.push(one);
    else {
      const run = [one];
      runs.push(run);
      if (!serial) parallel = run;
    }
  }
  return runs;
}
