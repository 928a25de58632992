import { describe, expect, it } from 'vitest';
import { silenceMs, worstOf, type Scene, type ServerState, type Silent } from './paths';

const never = Number.NEGATIVE_INFINITY;
const fine = (more: Partial<ServerState> = {}): ServerState => ({ healthy: true, okAt: 99_500, lostAt: undefined, backAt: never, ...more });
const lost = (lostAt: number, okAt = lostAt - 2_000): ServerState => ({ healthy: false, okAt, lostAt, backAt: never });
const agent = (more: Partial<Silent> = {}): Silent => ({ heardAt: 20_000, beatAt: 20_000, path: 'nats-1', pathSince: never, ...more });

function scene(servers: Record<string, ServerState> = {}, more: Partial<Scene> = {}): Scene {
  const all = new Map(Object.entries({ 'nats-1': fine(), 'nats-2': fine(), ...servers }));
  return { now: 100_000, grace: never, provenAt: 100_000, servers: all, anywhere: worstOf(all.values()), pathGraceMs: 60_000, ...more };
}

describe('the silence that counts', () => {
  it('is the time since the last heartbeat while the bus is well', () => {
    expect(silenceMs(agent(), scene())).toBe(80_000);
  });

  it('begins anew with the grace, and with a new connection of the agent', () => {
    expect(silenceMs(agent(), scene({}, { grace: 90_000 }))).toBe(10_000);
    expect(silenceMs(agent({ pathSince: 70_000 }), scene())).toBe(30_000);
  });

  it('ends where our own connection was last seen to work', () => {
    expect(silenceMs(agent(), scene({}, { provenAt: 30_000 }))).toBe(10_000);
    expect(silenceMs(agent(), scene({}, { provenAt: never }))).toBe(never);
  });

  it('stands still while the agent\'s server is doubtful', () => {
    expect(silenceMs(agent(), scene({ 'nats-1': fine({ healthy: false, okAt: 50_000 }) }))).toBe(30_000);
    expect(silenceMs(agent({ path: 'nats-2' }), scene({ 'nats-1': fine({ healthy: false, okAt: 50_000 }) }))).toBe(80_000);
  });

  it('stands still while the agent\'s server is lost, until it must have found another', () => {
    expect(silenceMs(agent(), scene({ 'nats-1': lost(60_000) }))).toBe(38_000);
    expect(silenceMs(agent(), scene({ 'nats-1': lost(60_000) }, { pathGraceMs: 39_000 }))).toBe(80_000);
  });

  it('counts in full for an agent that was heard since the loss: it is elsewhere', () => {
    expect(silenceMs(agent({ heardAt: 61_000, beatAt: 61_000 }), scene({ 'nats-1': lost(60_000) }))).toBe(39_000);
  });

  it('does not take a discovery for a sign of life', () => {
    expect(silenceMs(agent({ heardAt: 61_000, beatAt: never }), scene({ 'nats-1': lost(60_000) }))).toBeLessThan(0);
  });

  it('begins anew when the lost server is back', () => {
    expect(silenceMs(agent(), scene({ 'nats-1': fine({ backAt: 95_000 }) }))).toBe(5_000);
    expect(silenceMs(agent({ path: 'nats-2' }), scene({ 'nats-1': fine({ backAt: 95_000 }) }))).toBe(80_000);
  });

  it('takes an agent of unknown path to be on the worst server', () => {
    expect(silenceMs(agent({ path: undefined }), scene({ 'nats-2': lost(60_000) }))).toBe(38_000);
    expect(silenceMs(agent({ path: 'unheard of' }), scene({ 'nats-2': fine({ backAt: 95_000 }) }))).toBe(5_000);
    expect(silenceMs(agent({ path: undefined }), scene())).toBe(80_000);
  });

  it('waits for every lost server when the path is unknown', () => {
    const both = { 'nats-1': lost(30_000), 'nats-2': lost(80_000) };
    expect(silenceMs(agent({ path: undefined, heardAt: 35_000, beatAt: 35_000 }), scene(both, { pathGraceMs: 60_000 }))).toBe(28_000 - 35_000);
    expect(silenceMs(agent({ path: undefined, heardAt: 81_000, beatAt: 81_000 }), scene(both))).toBe(19_000);
  });
});
