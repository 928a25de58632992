import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { AgentView } from '../health/fleet-view';
import { countStatuses, filterAgents, pageOf } from './agent-book';

const agent = (agentId: string, more: Partial<AgentView> = {}): AgentView => ({
  agentId, deployment: 'web', teams: ['a'], group: 'g', index: 0, instanceUuid: `i-${agentId}`, az: 'z1', cid: `vm-${agentId}`, updatedAt: 0, discoveredAt: 0, jobState: undefined, processes: undefined, vitals: undefined, status: 'running', ...more,
});

describe('pages of agents', () => {
  it('go by deployment, group, index as a number, and have the unmanaged ones last', () => {
    const agents = [agent('x', { deployment: undefined }), agent('10', { index: 10 }), agent('9', { index: 9 }), agent('b', { deployment: 'db' })];
    expect(pageOf(agents, undefined, 10).page.map((one) => one.agentId)).toEqual(['b', '9', '10', 'x']);
  });

  it('have every agent once, whatever their order and the size of a page', () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.record({ id: fc.uuid(), index: fc.nat(30), deployment: fc.option(fc.constantFrom('a', 'b', 'c'), { nil: undefined }) }), { selector: (one) => one.id, maxLength: 60 }), fc.integer({ min: 1, max: 20 }), (made, limit) => {
        const agents = made.map((one) => agent(one.id, { index: one.index, deployment: one.deployment }));
        const seen: string[] = [];
        let after: string | undefined;
        do {
          const { page, next } = pageOf(agents, after, limit);
          seen.push(...page.map((one) => one.agentId));
          after = next;
        } while (after !== undefined);
        expect(seen).toHaveLength(agents.length);
        expect(seen).toEqual(pageOf(agents, undefined, 100).page.map((one) => one.agentId));
      }),
    );
  });
});

it('agents are found by server, state, team and text', () => {
  const agents = [agent('one', { index: 4 }), agent('two', { status: 'failing', teams: ['b'] })];
  const book = { synced: true, agents, paths: new Map([['one', { server: 'nats-1', since: new Date(0) }]]), dnsVersions: new Map<string, number>() };
  const ids = (filter: Parameters<typeof filterAgents>[1]) => filterAgents(book, filter).map((one) => one.agentId);
  expect(ids({})).toEqual(['one', 'two']);
  expect(ids({ server: 'nats-1' })).toEqual(['one']);
  expect(ids({ server: '-' })).toEqual(['two']);
  expect(ids({ status: 'failing' })).toEqual(['two']);
  expect(ids({ teams: ['b'] })).toEqual(['two']);
  expect(ids({ text: 'G/4' })).toEqual(['one']);
  expect(countStatuses(agents)).toMatchObject({ running: 1, failing: 1, unmanaged: 0 });
});
