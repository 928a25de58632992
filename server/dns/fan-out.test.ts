import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { FanOut, type Answer } from './fan-out';

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
});
afterEach(() => {
  vi.useRealTimers();
});

interface Told {
  agentId: string;
  version: number;
}

const agents = (...names: string[]) => names.map((agentId) => ({ agentId }));
const numbered = (count: number, from = 0) => Array.from({ length: count }, (_, i) => ({ agentId: `a${from + i}` }));

/** Agents that answer as `answers` says; others answer at once. A number is a latency in ms before `synced`. */
function start({ limit = 100, answers = {} }: { limit?: number; answers?: Record<string, Answer | number> } = {}) {
  const told: Told[] = [];
  const state = { telling: 0, most: 0, connected: true };
  const stop = new AbortController();
  const fanOut = new FanOut({
    limit,
    signal: stop.signal,
    canSend: () => state.connected,
    tell: async ({ agentId }: { agentId: string }, { version }: { version: number }) => {
      told.push({ agentId, version });
      state.telling += 1;
      state.most = Math.max(state.most, state.telling);
      const answer = answers[agentId] ?? 'synced';
      if (answer === 'silent' || typeof answer === 'number') await new Promise((resolve) => setTimeout(resolve, answer === 'silent' ? 10_000 : answer));
      state.telling -= 1;
      return typeof answer === 'number' ? 'synced' : answer;
    },
  });
  /** Pumps every 100 ms, as the component does. */
  const pass = async (ms: number) => {
    fanOut.pump();
    for (let at = 0; at < ms; at += 100) {
      await vi.advanceTimersByTimeAsync(100);
      fanOut.pump();
    }
    await vi.advanceTimersByTimeAsync(0);
  };
  return { fanOut, told, state, pass, stop, answers };
}

test('every agent is told once, at most so many at a time', async () => {
  const { fanOut, told, state, pass } = start({ limit: 7, answers: Object.fromEntries(numbered(50).map(({ agentId }) => [agentId, 20])) });
  fanOut.aim({ version: 3 }, numbered(50));
  await pass(1_000);
  expect(told).toHaveLength(50);
  expect(state.most).toBe(7);
  expect(fanOut.behind).toBe(0);
  expect([...fanOut.confirmed.values()]).toEqual(Array.from({ length: 50 }, () => 3));
});

test('silent agents hold up the others for half a second and are asked again later and later', async () => {
  const { fanOut, told, pass } = start({ limit: 10, answers: Object.fromEntries(numbered(10).map(({ agentId }) => [agentId, 'silent' as const])) });
  fanOut.aim({ version: 1 }, numbered(60));
  await pass(700);
  expect(fanOut.confirmed.size).toBe(50);
  const first = told.filter((one) => one.agentId === 'a0').length;
  await pass(60_000);
  const later = told.filter((one) => one.agentId === 'a0').length;
  expect(first).toBe(1);
  expect(later).toBeGreaterThanOrEqual(3);
  expect(later).toBeLessThanOrEqual(5);
});

test('an absent agent is told soon after it has come', async () => {
  const { fanOut, pass, answers } = start({ answers: { late: 'absent' } });
  fanOut.aim({ version: 1 }, agents('late'));
  await pass(30_000);
  answers.late = 'synced';
  await pass(11_000);
  expect(fanOut.confirmed.get('late')).toBe(1);
});

test('an older version never follows a newer one, and the newest is told to all', async () => {
  const { fanOut, told, pass } = start({ limit: 5, answers: { a0: 900, a1: 2_500 } });
  fanOut.aim({ version: 1 }, numbered(20));
  await vi.advanceTimersByTimeAsync(10);
  fanOut.aim({ version: 2 }, numbered(20));
  await pass(300);
  fanOut.aim({ version: 3 }, numbered(25));
  await pass(6_000);
  for (const { agentId } of numbered(25)) {
    const versions = told.filter((one) => one.agentId === agentId).map((one) => one.version);
    expect(versions).toEqual(versions.toSorted((a, b) => a - b));
    expect(fanOut.confirmed.get(agentId)).toBe(3);
  }
  expect(fanOut.behind).toBe(0);
});

test('the line is kept when versions come quicker than turns', async () => {
  const { fanOut, told, pass } = start({ limit: 1, answers: Object.fromEntries(numbered(20).map(({ agentId }) => [agentId, 100])) });
  for (let version = 1; version <= 6; version++) {
    fanOut.aim({ version }, numbered(20));
    await pass(1_000);
  }
  expect(new Set(told.map((one) => one.agentId)).size).toBe(20);
});

test('agents that are not behind any more are left alone, those known to have confirmed are not told twice', async () => {
  const { fanOut, told, pass } = start({ answers: { gone: 'absent' } });
  fanOut.aim({ version: 1 }, agents('a', 'gone'));
  await pass(200);
  fanOut.aim({ version: 1 }, agents('a'));
  await pass(5_000);
  expect(told).toEqual([{ agentId: 'a', version: 1 }, { agentId: 'gone', version: 1 }]);
  fanOut.noted(new Map(fanOut.confirmed));
  expect(fanOut.confirmed.size).toBe(0);
});

test('nothing is sent while there is no connection or no right to act', async () => {
  const { fanOut, told, state, stop, pass } = start();
  state.connected = false;
  fanOut.aim({ version: 1 }, agents('a'));
  await pass(1_000);
  expect(told).toEqual([]);
  state.connected = true;
  stop.abort();
  await pass(1_000);
  expect(told).toEqual([]);
});

test('whoever knows the version hears it once more when that is asked for; who does not answer is not asked again', async () => {
  const { fanOut, told, pass } = start({ answers: { silent: 'silent', gone: 'absent' } });
  fanOut.aim({ version: 1 }, agents('a', 'b'));
  await pass(200);
  fanOut.repeat(agents('a', 'b', 'silent', 'gone'));
  expect(fanOut.repeating).toBe(4);
  // New aims do not take it back.
  fanOut.aim({ version: 1 }, []);
  await pass(30_000);
  expect(told.map((one) => one.agentId)).toEqual(['a', 'b', 'a', 'b', 'silent', 'gone']);
  expect([fanOut.repeating, fanOut.behind]).toEqual([0, 0]);
});

test('the pause of an agent that was absent ends when the newest version is told once more', async () => {
  const { fanOut, pass, answers } = start({ answers: { late: 'absent' } });
  fanOut.aim({ version: 1 }, agents('late'));
  await pass(30_000);
  answers.late = 'synced';
  fanOut.repeat(agents('late'));
  await pass(200);
  expect(fanOut.confirmed.get('late')).toBe(1);
});

test('a newer version ends the repetition of the one before', async () => {
  const { fanOut, told, pass } = start({ limit: 1, answers: { a: 500, b: 500 } });
  fanOut.aim({ version: 1 }, agents('a', 'b'));
  await pass(2_000);
  fanOut.repeat(agents('a', 'b'));
  await pass(100);
  fanOut.aim({ version: 2 }, agents('a', 'b'));
  await pass(5_000);
  expect(fanOut.confirmed).toEqual(new Map([['a', 2], ['b', 2]]));
  expect(told.filter((one) => one.agentId === 'b').map((one) => one.version)).toEqual([1, 2]);
});
