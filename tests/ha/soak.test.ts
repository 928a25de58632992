import { resolve } from 'node:path';
import { expect, it } from 'vitest';
import { faults } from '../soak/faults';
import { runSoak } from '../soak/run';

/** A short form of what `npm run soak` does for an hour: every fault once. */

it('survives random faults with an exact ledger of incidents, resurrections, alerts and cron firings', async () => {
  const lines: string[] = [];
  const report = await runSoak({
    root: resolve(__dirname, '../..'), minutes: 1, everyFault: true, agents: 24, port: 26_000 + (process.pid % 25) * 100, say: (text) => lines.push(text),
    pace: { heartbeatMs: 1_000, agentTimeoutMs: 8_000, pauseMs: 8_000, postgresAwayMs: 8_000, blackHoleMs: 12_000, restMs: 1_000 },
  });
  expect(report.wrong, lines.join('\n')).toEqual([]);
  expect(new Set(report.rounds.map((round) => round.fault)).size).toBe(faults.length);
  expect(report.firings).toBeGreaterThan(3);
}, 600_000);
