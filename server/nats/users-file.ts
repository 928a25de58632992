import { rename, writeFile } from 'node:fs/promises';
import { setTimeout as wait } from 'node:timers/promises';
import { z } from 'zod';

const varzSchema = z.object({ config_load_time: z.string() });

/** Without a monitoring port there is no telling when a reload is over; it takes a few ms, so this is ample. */
const blindWaitMs = 250;
const reloadTimeoutMs = 3_000;

/** Replaces the file at once: whoever reads it in this moment gets the old or the new content, never half of one. */
export async function replaceFile(path: string, content: string): Promise<void> {
  await writeFile(`${path}.new`, content, { mode: 0o600 });
  await rename(`${path}.new`, path);
}

/**
 * Makes a running nats-server read its configuration again (SIGHUP) and waits until it has done so.
 * `monitorUrl`: its monitoring endpoint, e.g. `http://127.0.0.1:8222`; without it a fixed time is waited.
 * Throws when the server is gone, does not answer, or refuses the new configuration.
 */
export async function reloadNatsServer(server: { pid: number; monitorUrl?: string | undefined }): Promise<void> {
  const { pid, monitorUrl } = server;
  if (monitorUrl === undefined) {
    process.kill(pid, 'SIGHUP');
    await wait(blindWaitMs);
    process.kill(pid, 0);
    return;
  }
  // Asked first: a server that answers has its signal handlers in place, one that does not would die of SIGHUP.
  const before = await loadTime(monitorUrl);
  process.kill(pid, 'SIGHUP');
  const deadline = performance.now() + reloadTimeoutMs;
  while ((await loadTime(monitorUrl)) === before) {
    if (performance.now() > deadline) throw new Error(`nats-server (pid ${pid}) did not reload its configuration within ${reloadTimeoutMs} ms; its log tells why`);
    await wait(10);
  }
}

async function loadTime(monitorUrl: string): Promise<string> {
  const response = await fetch(new URL('/varz', monitorUrl), { signal: AbortSignal.timeout(1_000) });
  return varzSchema.parse(await response.json()).config_load_time;
}
