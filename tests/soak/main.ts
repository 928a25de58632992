import { dirname } from 'node:path';
import { parseArgs } from 'node:util';
import { runSoak } from './run';
import type { Pace } from './system';

/** `npm run soak -- --minutes 60`: faults of everything the director stands on, and an exact account afterwards. */
const usage = `Usage: npm run soak -- [--minutes 60] [--agents 300] [--port 31555]

  --minutes  how long faults go on (default 60)
  --agents   simulated VMs (default 300)
  --port     front door of the installation that is made for it; it needs the 59 ports after it too
`;

const fullPace: Pace = { heartbeatMs: 10_000, agentTimeoutMs: 30_000, pauseMs: 60_000, postgresAwayMs: 120_000, blackHoleMs: 90_000, restMs: 5_000 };

async function main(): Promise<number> {
  const { values } = parseArgs({ options: { minutes: { type: 'string', default: '60' }, agents: { type: 'string', default: '300' }, port: { type: 'string', default: '31555' }, help: { type: 'boolean', default: false } } });
  if (values.help) {
    process.stdout.write(usage);
    return 0;
  }
  const [minutes, agents, port] = [Number(values.minutes), Number(values.agents), Number(values.port)];
  if (!(minutes > 0) || !Number.isInteger(agents) || agents < 1 || !Number.isInteger(port)) throw new Error(usage);
  // What it started ends with it.
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130));
  const say = (text: string) => process.stdout.write(`${new Date().toISOString().slice(11, 19)}  ${text}\n`);
  const report = await runSoak({ root: dirname(__dirname), minutes, agents, port, pace: fullPace, say });
  const times = report.detectionMs.toSorted((a, b) => a - b);
  say(`${report.rounds.length} faults, ${report.agents} agents, ${report.deaths} deaths, ${report.alerts} alerts, ${report.firings} cron firings`);
  if (times.length > 0) say(`deaths found after ${times[0]} to ${times.at(-1)} ms, median ${times[Math.floor(times.length / 2)]} ms (timeout ${fullPace.agentTimeoutMs} ms)`);
  for (const sentence of report.wrong) say(`WRONG: ${sentence}`);
  say(report.wrong.length === 0 ? 'the ledger is exact' : `${report.wrong.length} things are wrong`);
  return report.wrong.length === 0 ? 0 : 1;
}

main().then(
  (exitCode) => process.exit(exitCode),
  (error: unknown) => {
    process.stderr.write(`${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
    process.exit(1);
  },
);
