import { request } from 'node:https';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import type { Installation } from './installation';
import { postgresPortOf, type Layout } from './layout';
import type { ManagedProcessOptions } from './managed-process';
import { preparePostgres, waitForPostgres } from './postgres';

export interface EmbeddedOptions {
  /** The project's folder, with dist/, .next/ and node_modules/. */
  root: string;
  dataDir: string;
  /** The front door's port, 25555 by default; all others follow from it. */
  port?: number | undefined;
  /** How many director nodes, named A, B, C, …; default 3. */
  nodes?: number;
  /** Off only for throw-away databases; default on. */
  fsync?: boolean;
  /** How long a node that died stays away, so that the others are seen taking over, ms; default 2000. */
  restartDelayMs?: number;
  /** Merged over the top-level keys of config.yml. */
  config?: Record<string, unknown>;
  /** More environment for a node, by its name; e.g. another DIRECTORATE_CONFIG. */
  nodeEnv?: (name: string) => Record<string, string>;
  /** Between two heartbeats of an agent, ms; default 30 000. */
  heartbeatIntervalMs?: number;
  /** `nats://host:port` of the NATS servers as nodes and VMs reach them, in their order; default: directly. */
  natsUrls?: readonly string[];
  /** Seconds between the pings by which a NATS server finds dead clients; default 5. */
  natsPingIntervalS?: number;
  /** Wraps each step of start and stop, to show progress. */
  step?: <T>(what: string, work: () => Promise<T>) => Promise<T>;
  /** Gives up a start that is under way; what has started is stopped again. */
  signal?: AbortSignal;
}

export interface ProgramContext {
  options: EmbeddedOptions;
  layout: Layout;
  installation: Installation;
}

/** How a part of the installation is run. */
export type Program = Omit<ManagedProcessOptions, 'name' | 'logFile' | 'onChange' | 'onError'>;

export function postgresProgram({ options, layout, installation }: ProgramContext): Program {
  const server = { port: postgresPortOf(layout), password: installation.postgresPassword };
  return {
    command: () => preparePostgres({ ...server, dataDir: layout.postgres, nodeModules: join(options.root, 'node_modules'), fsync: options.fsync ?? true }),
    ready: (signal) => waitForPostgres(server, signal),
    readyTimeoutMs: 60_000,
    stopSignal: 'SIGINT',
  };
}

export function nodeProgram({ options, layout, installation }: ProgramContext, node: { name: string; port: number; hmPort: number }): Program {
  const delayMs = options.restartDelayMs ?? 2_000;
  const env = {
    ...process.env,
    NODE_ENV: 'production' as const,
    // Gives the memory of a renderer that has ended back to the system.
    MALLOC_TRIM_THRESHOLD_: '131072',
    DIRECTORATE_ROOT: options.root,
    DIRECTORATE_CONFIG: layout.config,
    DIRECTORATE_LISTEN_PORT: String(node.port),
    DIRECTORATE_NODE_NAME: node.name,
    DIRECTORATE_HM_PORT: String(node.hmPort),
    ...options.nodeEnv?.(node.name),
  };
  return {
    command: () => Promise.resolve({ file: process.execPath, args: [join(options.root, 'dist', 'node.cjs')], env, cwd: layout.dataDir }),
    ready: (signal) => waitUntilReady(node.port, installation.ca, signal),
    readyTimeoutMs: 60_000,
    stopTimeoutMs: 20_000,
    restart: { firstMs: delayMs, maxMs: Math.max(delayMs, 2_000) },
  };
}

export function frontDoorProgram({ options, layout, installation }: ProgramContext): Program {
  return {
    command: () => Promise.resolve({ file: process.execPath, args: [join(options.root, 'dist', 'front-door.cjs'), installation.frontDoorSettings] }),
    ready: (signal) => waitUntilReady(layout.port, installation.ca, signal),
  };
}

/** Resolves when /readyz on this port answers 200. */
async function waitUntilReady(port: number, ca: string, signal: AbortSignal): Promise<void> {
  for (;;) {
    signal.throwIfAborted();
    if (await isReady(port, ca)) return;
    await wait(40);
  }
}

function isReady(port: number, ca: string): Promise<boolean> {
  return new Promise((resolve) => {
    const asking = request({ host: '127.0.0.1', port, path: '/readyz', ca, agent: false, timeout: 2_000 }, (response) => {
      response.resume();
      resolve(response.statusCode === 200);
    });
    asking.once('timeout', () => asking.destroy());
    asking.once('error', () => resolve(false));
    asking.once('close', () => resolve(false));
    asking.end();
  });
}
