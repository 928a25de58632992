import { describe, expect, it } from 'vitest';
import { parseUpdateConfig } from '../deployments/update-config';
import { resolutionRuns } from './order';
import type { Problem } from './problem';

const update = (serial: boolean, maxInFlight: string) => parseUpdateConfig({ canaries: '1', max_in_flight: maxInFlight, canary_watch_time: '1', update_watch_time: '1', serial }, {});

function problemsOf(counts: Record<string, number>): Problem[] {
  const groups = Object.entries(counts).flatMap(([group, count]) => Array.from({ length: count }, () => group));
  return groups.map((group, i) => ({ id: i + 1, type: 'missing_vm', instance: { id: i, uuid: `${i}`, group, index: i }, vm: null }));
}

function shown(counts: Record<string, number>, groups: readonly string[], updates: Record<string, ReturnType<typeof update>>): string[] {
  return resolutionRuns(problemsOf(counts), groups, (group) => updates[group]).map((run) => run.map((one) => `${one.group} ${one.problems.length}/${one.inFlight}`).join(', '));
}

describe('problems are resolved', () => {
  it.each<{ it: string; counts: Record<string, number>; updates: Record<string, ReturnType<typeof update>>; runs: string[] }>([
    { it: 'group after group when they are serial, as many at a time as max_in_flight says', counts: { a: 4, b: 3 }, updates: { a: update(true, '2'), b: update(true, '50%') }, runs: ['a 4/2', 'b 3/1'] },
    { it: 'in all groups at a time when these are not serial', counts: { a: 1, b: 2, c: 1 }, updates: { a: update(false, '1'), b: update(false, '100%'), c: update(false, '9') }, runs: ['a 1/1, b 2/2, c 1/1'] },
    { it: 'on both sides of a serial group apart, also when that has none', counts: { a: 1, c: 1 }, updates: { a: update(false, '1'), b: update(true, '1'), c: update(false, '1') }, runs: ['a 1/1', 'c 1/1'] },
    { it: 'across a parallel group that has none', counts: { a: 1, c: 1 }, updates: { a: update(false, '1'), b: update(false, '1'), c: update(false, '1') }, runs: ['a 1/1, c 1/1'] },
    { it: 'in groups that the manifest lacks at the end', counts: { z: 2, a: 1 }, updates: { a: update(true, '1'), z: update(true, '5') }, runs: ['a 1/1', 'z 2/2'] },
    { it: 'one at a time where no update was ever recorded', counts: { a: 3 }, updates: {}, runs: ['a 3/1'] },
  ])('$it', ({ counts, updates, runs }) => {
    expect(shown(counts, ['a', 'b', 'c'], updates)).toEqual(runs);
  });
});
