import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isResurrectionEnabled, judge, parseRules, verdictText, type Downtime, type MeltdownLimits } from './resurrection';

const limits: MeltdownLimits = { minimumDownJobs: 5, percentThreshold: 0.2, timeThreshold: 600 };
const instances = (count: number) => Array.from({ length: count }, (_, n) => `i-${n}`);
const down = (count: number, until?: number): Downtime[] => instances(count).map((instance) => ({ instance, until }));

describe('the verdict on a deployment', () => {
  it.each([
    { members: 25, downtimes: [], state: 'normal', unhealthy: 0 },
    { members: 25, downtimes: down(1), state: 'managed', unhealthy: 1 },
    { members: 20, downtimes: down(4), state: 'managed', unhealthy: 4 },
    { members: 25, downtimes: down(5), state: 'meltdown', unhealthy: 5 },
    { members: 26, downtimes: down(5), state: 'managed', unhealthy: 5 },
    { members: 25, downtimes: down(5, 400), state: 'meltdown', unhealthy: 5 },
    { members: 25, downtimes: down(5, 399.9), state: 'normal', unhealthy: 0 },
    { members: 3, downtimes: down(5), state: 'managed', unhealthy: 3 },
    { members: 0, downtimes: down(5), state: 'normal', unhealthy: 0 },
  ])('is $state with $unhealthy of $members down', ({ members, downtimes, state, unhealthy }) => {
    expect(judge({ members: instances(members), downtimes }, limits, 1_000)).toEqual({ state, agents: members, unhealthy });
  });

  it('has a text', () => {
    expect(verdictText('dep', { state: 'meltdown', agents: 10, unhealthy: 5 })).toBe("deployment: 'dep'; 5 of 10 agents are unhealthy (50.0%)");
    expect(verdictText('dep', { state: 'managed', agents: 3, unhealthy: 1 })).toBe("deployment: 'dep'; 1 of 3 agents are unhealthy (33.3%)");
  });
});

/**
 * The rule once more, as a monitor that looks every second and keeps nothing but the time of its last complaint about each instance:
 * an instance is unhealthy whose last complaint is no more than the threshold ago; only instances that exist now are asked about.
 */
function watchSecondBySecond(history: { instance: string; from: number; to: number }[], question: { members: string[]; now: number; limits: MeltdownLimits }): string {
  const complaints: Record<string, number> = {};
  for (let second = 0; second <= question.now; second++) {
    for (const { instance, from, to } of history) if (from <= second && second <= to) complaints[instance] = second;
  }
  let bad = 0;
  for (const member of question.members) {
    const last = complaints[member];
    if (last !== undefined && question.now - question.limits.timeThreshold <= last) bad += 1;
  }
  const enoughOfThem = bad >= question.limits.minimumDownJobs;
  const largeShare = bad >= question.limits.percentThreshold * question.members.length;
  if (bad === 0) return 'normal of 0';
  return enoughOfThem && largeShare ? `meltdown of ${bad}` : `managed of ${bad}`;
}

describe('the verdict on any history', () => {
  const name = fc.integer({ min: 0, max: 14 }).map((n) => `i-${n}`);
  const outage = fc.record({ instance: name, from: fc.integer({ min: 0, max: 200 }), lasts: fc.integer({ min: 0, max: 120 }) }).map(({ instance, from, lasts }) => ({ instance, from, to: from + lasts }));
  const anyLimits = fc.record({ minimumDownJobs: fc.integer({ min: 1, max: 8 }), percentThreshold: fc.integer({ min: 0, max: 16 }).map((n) => n / 16), timeThreshold: fc.integer({ min: 1, max: 100 }) });

  it('is that of a monitor that complains every second', () => {
    fc.assert(
      fc.property(fc.array(outage, { maxLength: 20 }), fc.uniqueArray(name, { maxLength: 15 }), anyLimits, fc.integer({ min: 0, max: 300 }), (history, members, limits, now) => {
        const downtimes = history.filter(({ from }) => from <= now).map(({ instance, to }) => ({ instance, until: to >= now ? undefined : to }));
        const verdict = judge({ members, downtimes }, limits, now);
        expect(`${verdict.state} of ${verdict.unhealthy}`).toBe(watchSecondBySecond(history, { members, now, limits }));
      }),
      { numRuns: 2_000 },
    );
  });
});

describe('resurrection configs', () => {
  const enabledFor = (rules: unknown[], deployment: string, group: string) => isResurrectionEnabled(parseRules({ rules }).rules, deployment, group);

  it.each([
    { rules: [], deployment: 'a', group: 'web', enabled: true },
    { rules: [{ enabled: false }], deployment: 'a', group: 'web', enabled: false },
    { rules: [{ enabled: false, include: {} }], deployment: 'a', group: 'web', enabled: false },
    { rules: [{ enabled: false, include: { deployments: ['a'] } }], deployment: 'a', group: 'web', enabled: false },
    { rules: [{ enabled: false, include: { deployments: ['a'] } }], deployment: 'b', group: 'web', enabled: true },
    { rules: [{ enabled: false, include: { deployments: ['a'], instance_groups: ['web'] } }], deployment: 'a', group: 'db', enabled: true },
    { rules: [{ enabled: false, include: { instance_groups: ['web'] } }], deployment: 'b', group: 'web', enabled: false },
    { rules: [{ enabled: false, exclude: { deployments: ['a'] } }], deployment: 'a', group: 'web', enabled: true },
    { rules: [{ enabled: false, exclude: { deployments: ['a'] } }], deployment: 'b', group: 'web', enabled: false },
    { rules: [{ enabled: false, exclude: { deployments: [], instance_groups: [] } }], deployment: 'b', group: 'web', enabled: false },
    { rules: [{ enabled: true }, { enabled: false, include: { deployments: ['a'] } }], deployment: 'a', group: 'web', enabled: false },
    { rules: [{ enabled: false, include: { deployments: ['a'] } }, { enabled: true }], deployment: 'a', group: 'web', enabled: false },
  ])('say $enabled for $deployment/$group with $rules', ({ rules, deployment, group, enabled }) => {
    expect(enabledFor(rules, deployment, group)).toBe(enabled);
  });

  it('are used without the rules that cannot be understood', () => {
    const { rules, problems } = parseRules({ rules: ['x', {}, { enabled: 'no' }, { enabled: false, include: [] }, { enabled: false, include: { deployments: 'a' } }, { enabled: false }] });
    expect(rules).toHaveLength(1);
    expect(problems).toHaveLength(5);
    for (const document of [undefined, null, 'x', {}, { rules: {} }]) expect(parseRules(document)).toEqual({ rules: [], problems: [expect.any(String)] });
  });
});
