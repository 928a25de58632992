import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { createLog } from '../core/log';
import { TcpProxy } from './tcp-proxy';

/** The front door of the embedded default: `front-door FILE`, where FILE is JSON of this shape. */
const settingsSchema = z.strictObject({
  host: z.string(),
  port: z.int(),
  /** Path of the PEM of the CA that signed the nodes' certificates. */
  ca_path: z.string(),
  nodes: z.array(z.strictObject({ name: z.string(), host: z.string(), port: z.int() })).min(1),
});

export type FrontDoorSettings = z.infer<typeof settingsSchema>;

async function main(): Promise<void> {
  const path = process.argv[2];
  if (path === undefined) throw new Error('Usage: front-door SETTINGS.json');
  const settings = settingsSchema.parse(JSON.parse(readFileSync(path, 'utf8')));
  const proxy = new TcpProxy({
    host: settings.host,
    port: settings.port,
    ca: readFileSync(settings.ca_path, 'utf8'),
    nodes: settings.nodes,
    log: createLog('info'),
  });
  const stop = () => void proxy.stop();
  process.once('SIGTERM', stop);
  process.once('SIGINT', stop);
  await proxy.start();
}

main().catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
});
