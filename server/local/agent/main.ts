import { statSync, truncateSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { z } from 'zod';
import { createLog } from '../../core/log';
import { poweredOffStatus, vmMarker } from '../cpi/supervise-script';
import { Agent } from './agent';

/**
 * The TypeScript agent as a program: `node agent.cjs -b <base> -C <agent.json>`, the arguments of the stock bosh-agent.
 * It logs to stderr and exits with status 1 when it cannot boot; its supervisor starts it again.
 */
const configSchema = z.object({
  Infrastructure: z.object({ Settings: z.object({ Sources: z.tuple([z.object({ Type: z.literal('File'), SettingsPath: z.string() })], z.unknown()) }) }),
  HeartbeatIntervalMs: z.number().int().min(10).default(30_000),
});

const maxLogBytes = 10_000_000;
const logCheckMs = 60_000;

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      base: { type: 'string', short: 'b', default: '/var/vcap' },
      config: { type: 'string', short: 'C' },
    },
  });
  if (values.config === undefined) throw new Error('usage: agent -b <base directory> -C <agent.json>');
  const config = configSchema.parse(JSON.parse(await readFile(values.config, 'utf8')));
  const log = createLog('info');
  const agent = new Agent({
    base: values.base,
    settingsPath: config.Infrastructure.Settings.Sources[0].SettingsPath,
    heartbeatIntervalMs: config.HeartbeatIntervalMs,
    log,
    vmMarkerValue: process.env[vmMarker] ?? '',
    onPowerOff: () => process.exit(poweredOffStatus),
  });
  await agent.start();
  log.info('agent-started', { base: values.base });
  setInterval(limitLog, logCheckMs).unref();
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.once(signal, () => void agent.stop().finally(() => process.exit(0)));
  }
}

/** The supervisor opened the log for appending; emptying it is safe and keeps a chatty VM from filling the disk. */
function limitLog(): void {
  try {
    if (statSync('/proc/self/fd/2').size > maxLogBytes) truncateSync('/proc/self/fd/2', 0);
  } catch {
    // stderr is not a file, so there is nothing to limit.
  }
}

main().catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
  process.exit(1);
});
