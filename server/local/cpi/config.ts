import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import * as z from 'zod/mini';
import { cloudError } from './errors';
import { isSafeName, listNames } from './state';

/**
 * The CPI's own configuration, a JSON file whose path is the program's only argument.
 * (zod/mini: one process runs per call, and the full zod would cost 20 ms of each.)
 */
const configSchema = z.object({
  /** Directory of all state; every node that calls this CPI must see the same one. */
  state_dir: z.string(),
  /** Every NATS server; the first becomes a VM's `mbus` unless its env names others. */
  nats_urls: z.array(z.string()).check(z.minLength(1)),
  ntp: z._default(z.array(z.string()), []),
  agent: z.object({
    /** Used by agents whose env carries no blobstore. */
    blobstore: z.object({ provider: z.string(), options: z._default(z.record(z.string(), z.unknown()), {}) }),
    /** Between two heartbeats, ms; the stock value is 30000. */
    heartbeat_interval_ms: z._default(z.number(), 30_000),
  }),
  /** Command of the agent that stemcells with `{"agent":"directorate"}` run; a first word `node` means this very node. */
  agent_program: z.array(z.string()).check(z.minLength(1)),
  /** `auto`: every VM has its own /var/vcap in a mount namespace; `none`: agents get a base directory instead. */
  namespace: z._default(z.enum(['auto', 'none']), 'auto'),
});

export type CpiConfig = z.infer<typeof configSchema>;

/** Reads and checks the configuration file. */
export function readCpiConfig(path: string): CpiConfig {
  return parseCpiConfig(JSON.parse(readFileSync(path, 'utf8')), path);
}

/** Checks a configuration; `source` is named in the error. */
export function parseCpiConfig(value: unknown, source: string): CpiConfig {
  const parsed = z.safeParse(configSchema, value);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  throw new Error(`CPI configuration ${source}: ${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'invalid'}`);
}

const cloudsDirectory = (stateDir: string) => join(stateDir, 'clouds');

/**
 * The cloud that a call is about. A CPI config may give the property `cloud`, a name: each name is a cloud of its own, with its own VMs, disks
 * and stemcells. Without it, it is the cloud of the configuration file. (They share the machine's addresses.)
 */
export function cloudOf(config: CpiConfig, name: unknown): CpiConfig {
  if (name === undefined) return config;
  if (typeof name !== 'string' || !isSafeName(name)) throw cloudError(`The property 'cloud' of the CPI config must be a name of letters, digits and the characters _ . -`);
  return { ...config, state_dir: join(cloudsDirectory(config.state_dir), name) };
}

/** The cloud of the configuration file and every named one that has been used. */
export function allClouds(config: CpiConfig): CpiConfig[] {
  return [config, ...listNames(cloudsDirectory(config.state_dir)).map((name) => cloudOf(config, name))];
}
