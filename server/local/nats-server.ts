import { existsSync } from 'node:fs';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { z } from 'zod';
import type { Certificate } from '../nats/credentials';
import { natsAuthFile } from '../nats/users';
import { replaceFile } from '../nats/users-file';
import type { Command } from './command';
import { ManagedProcess } from './managed-process';

/** Ports of one server, all on 127.0.0.1. */
export interface NatsPorts {
  client: number;
  route: number;
  /** Plain HTTP with /varz, /connz and /healthz. */
  monitor: number;
}

export interface NatsClusterOptions {
  binary: string;
  /** Gets one folder per server with its configuration, users file and pid file. */
  folder: string;
  logFolder: string;
  servers: { name: string; ports: NatsPorts }[];
  ca: string;
  server: Certificate;
  directorSubject: string;
  hmSubject: string;
  /** Any certificate of the CA may say and hear everything: for tests without authorisation. Default false. */
  open?: boolean;
  /** Seconds between pings to clients, two of which may go unanswered; default 5. */
  pingIntervalS?: number;
  /** Subjects of subscriptions that the servers do not tell each other of: for tests of notices that were lost. */
  hiddenSubjects?: readonly string[];
  onChange?: () => void;
  onError?: (error: unknown) => void;
}

/** One server of the cluster, with what its users' applier needs. */
export interface NatsServer {
  name: string;
  ports: NatsPorts;
  /** `nats://127.0.0.1:port` */
  url: string;
  monitorUrl: string;
  usersFile: string;
  process: ManagedProcess;
  /** Pid of the server once it takes signals; undefined while it is down or only starting. */
  readyPid(): number | undefined;
}

/** Names in the certificate of every server: NATS clients want one under which they connect, agents the `nats.bosh-internal` one. */
export const natsServerNames = {
  cn: 'default.nats.bosh-internal',
  dnsNames: ['default.nats.bosh-internal', '*.nats.bosh-internal', 'localhost'],
  ips: ['127.0.0.1'],
};

/**
 * Writes the configuration of a cluster with mutual TLS on clients and routes and returns its servers, not started.
 * Each starts, stops and restarts on its own. An existing users file stays: it is the last one that was valid.
 */
export async function prepareNatsCluster(options: NatsClusterOptions): Promise<NatsServer[]> {
  await mkdir(options.folder, { recursive: true, mode: 0o700 });
  for (const [file, content] of Object.entries({ 'ca.crt': options.ca, 'server.crt': options.server.certificate, 'server.key': options.server.privateKey })) {
    await writeFile(join(options.folder, file), content, { mode: 0o600 });
  }
  return Promise.all(options.servers.map((server) => prepareServer(options, server)));
}

async function prepareServer(options: NatsClusterOptions, { name, ports }: { name: string; ports: NatsPorts }): Promise<NatsServer> {
  const folder = join(options.folder, name);
  const usersFile = join(folder, 'users.json');
  const pidFile = join(folder, 'nats.pid');
  await mkdir(folder, { recursive: true, mode: 0o700 });
  await writeFile(join(folder, 'nats.conf'), serverConfig(options, { name, ports }), { mode: 0o600 });
  if (!existsSync(usersFile)) {
    await replaceFile(usersFile, natsAuthFile({ directorSubject: options.directorSubject, hmSubject: options.hmSubject, agents: [] }));
  }
  const monitorUrl = `http://127.0.0.1:${ports.monitor}`;
  const managed = new ManagedProcess({
    name,
    command: async (): Promise<Command> => {
      await rm(pidFile, { force: true });
      return { file: options.binary, args: ['-c', join(folder, 'nats.conf')] };
    },
    ready: (signal) => waitForHealth(monitorUrl, signal),
    logFile: join(options.logFolder, `${name}.log`),
    ...(options.onChange ? { onChange: options.onChange } : {}),
    ...(options.onError ? { onError: options.onError } : {}),
  });
  return {
    name,
    ports,
    url: `nats://127.0.0.1:${ports.client}`,
    monitorUrl,
    usersFile,
    process: managed,
    readyPid: () => (managed.state === 'running' ? managed.identity?.pid : undefined),
  };
}

/** Settings as in BOSH's NATS job: cloudfoundry/bosh jobs/nats/templates/nats.cfg.erb. */
function serverConfig(options: NatsClusterOptions, { name, ports }: { name: string; ports: NatsPorts }): string {
  const files = `cert_file: ${quote(join(options.folder, 'server.crt'))}, key_file: ${quote(join(options.folder, 'server.key'))}, ca_file: ${quote(join(options.folder, 'ca.crt'))}`;
  const routes = options.servers.filter((server) => server.name !== name).map((server) => `nats-route://127.0.0.1:${server.ports.route}`);
  return `# Made by Directorate at every start.
server_name: ${quote(name)}
listen: "127.0.0.1:${ports.client}"
http: "127.0.0.1:${ports.monitor}"
pid_file: ${quote(join(options.folder, name, 'nats.pid'))}
ping_interval: "${options.pingIntervalS ?? 5}s"
ping_max: 2
write_deadline: "10s"
max_payload: 8388608
tls: { ${files}, verify: true, verify_and_map: ${options.open !== true}, timeout: 30 }
cluster: {
  name: "directorate"
  listen: "127.0.0.1:${ports.route}"
  tls: { ${files}, verify: true, timeout: 10 }
  routes: [${routes.map(quote).join(', ')}]
${hidden(options)}}
${options.open === true ? '' : users(options.directorSubject)}`;
}

/** The file's users replace the one here, without whom an empty file would let everybody do everything. */
function users(directorSubject: string): string {
  return `authorization: { users: [ { user: ${quote(directorSubject)} } ] }\ninclude "users.json"\n`;
}

function hidden({ hiddenSubjects = [] }: NatsClusterOptions): string {
  return hiddenSubjects.length === 0 ? '' : `  permissions: { import: { deny: [${hiddenSubjects.map(quote).join(', ')}] } }\n`;
}

function quote(text: string): string {
  return JSON.stringify(text);
}

async function waitForHealth(monitorUrl: string, signal: AbortSignal): Promise<void> {
  for (;;) {
    signal.throwIfAborted();
    const response = await fetch(new URL('/healthz', monitorUrl), { signal: AbortSignal.any([signal, AbortSignal.timeout(1_000)]) }).catch(() => undefined);
    if (response?.ok) return;
    await wait(15);
  }
}

const routezSchema = z.object({ routes: z.array(z.object({ remote_id: z.string() })).nullish() });

/** Resolves when every server has a route to every other: from then on messages reach clients on all of them. */
export async function waitForRoutes(servers: readonly NatsServer[], signal: AbortSignal): Promise<void> {
  for (const server of servers) {
    for (;;) {
      signal.throwIfAborted();
      const response = await fetch(new URL('/routez', server.monitorUrl), { signal: AbortSignal.timeout(1_000) }).catch(() => undefined);
      const { routes } = response === undefined ? { routes: [] } : routezSchema.parse(await response.json());
      if (new Set((routes ?? []).map((route) => route.remote_id)).size >= servers.length - 1) break;
      await wait(15);
    }
  }
}
