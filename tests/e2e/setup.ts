import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { DirectorClient } from '../../server/local/director-client';
import { startEmbedded } from '../../server/local/embedded';
import { installSamples } from '../../server/local/install-samples';

/** The installation of the tests has its own ports and folder. */
const port = 27_500;

/**
 * Names the installation that is tested in DIRECTORATE_E2E_CREDS: the given one, or an embedded default of its own that
 * runs until the tests are over. Lost nodes stay away long enough to be seen; agents beat so often, and one entry of the
 * schedule is due so often, that nobody has to wait for them.
 */
export default async function setUp(): Promise<() => Promise<void>> {
  if (process.env.DIRECTORATE_E2E_CREDS !== undefined) return async () => undefined;
  const dataDir = mkdtempSync(join(tmpdir(), 'directorate-e2e-'));
  const embedded = await startEmbedded({
    root: resolve(__dirname, '../..'),
    dataDir,
    port,
    restartDelayMs: 6_000,
    heartbeatIntervalMs: 1_000,
    config: {
      health_monitor: { intervals: { agent_timeout: 12, rogue_agent_alert: 13 } },
      scheduler: { scheduled_jobs: [{ command: 'ScheduledEventsCleanup', schedule: '*/5 * * * * * UTC' }] },
    },
  });
  const tearDown = async () => {
    await embedded.stopAll();
    rmSync(dataDir, { recursive: true, force: true });
  };
  try {
    const { ca, client, clientSecret } = embedded.installation;
    await installSamples(new DirectorClient({ url: embedded.url, ca, client, clientSecret }), { port, step: (_, work) => work(() => undefined) });
  } catch (error) {
    await tearDown();
    throw error;
  }
  process.env.DIRECTORATE_E2E_CREDS = embedded.layout.creds;
  return tearDown;
}
