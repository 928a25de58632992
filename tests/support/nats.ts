import { rmSync } from 'node:fs';
import { mkdtemp, mkdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createCa, issueClientCertificate, issueServerCertificate, subjectOf } from '../../server/nats/credentials';
import { natsAuthFile, type NatsAgent } from '../../server/nats/users';
import { reloadNatsServer, replaceFile } from '../../server/nats/users-file';
import { findNatsServer } from '../../server/local/nats-binary';
import { natsServerNames, prepareNatsCluster, waitForRoutes, type NatsServer } from '../../server/local/nats-server';
import { freePort } from './postgres';

/** Certificate and key, PEM, named as in the configuration. */
export interface TestCredentials {
  certificate: string;
  private_key: string;
}

export interface TestNats {
  /** `nats://127.0.0.1:port` of every server. */
  urls: string[];
  /** PEM of the CA and of its key: agents' certificates are made with `createAgentIssuer(ca, caKey)`. */
  ca: string;
  caKey: string;
  directorCreds: TestCredentials;
  hmCreds: TestCredentials;
  /** Lets exactly these agents in (a string: with bootstrap and permanent credentials), on every running server. */
  authorise(agents: (string | NatsAgent)[]): Promise<void>;
  /** To kill, pause or restart single ones. */
  servers: NatsServer[];
  stop(): Promise<void>;
}

/**
 * Starts real NATS servers with mutual TLS, one or a cluster of three.
 * `agentsOpen`: every certificate of the CA may say and hear everything, so nothing needs to be authorised.
 */
export async function startNats(options: { servers?: 1 | 3; agentsOpen?: boolean; hiddenSubjects?: readonly string[] } = {}): Promise<TestNats> {
  const binary = await findNatsServer({ env: process.env, cacheDir: join(process.cwd(), 'node_modules', '.cache', 'nats-server') });
  const folder = await mkdtemp(join(tmpdir(), 'directorate-nats-'));
  const ca = await createCa();
  const [server, director, hm] = await Promise.all([
    issueServerCertificate(ca, natsServerNames),
    issueClientCertificate(ca, { cn: 'default.director.bosh-internal', days: 1 }),
    issueClientCertificate(ca, { cn: 'default.hm.bosh-internal', days: 1 }),
  ]);
  const subjects = { directorSubject: subjectOf('default.director.bosh-internal'), hmSubject: subjectOf('default.hm.bosh-internal') };
  await mkdir(join(folder, 'log'));
  const servers = await prepareNatsCluster({
    binary,
    folder,
    logFolder: join(folder, 'log'),
    ca: ca.certificate,
    server,
    ...subjects,
    open: options.agentsOpen ?? false,
    hiddenSubjects: options.hiddenSubjects ?? [],
    servers: await chooseServers(options.servers ?? 1),
  });
  const stop = async () => {
    await Promise.all(servers.map((each) => each.process.stop()));
    await rm(folder, { recursive: true, force: true });
  };
  const killAll = () => { // a test process that ends early leaves nothing behind
    for (const each of servers) each.process.kill('SIGKILL');
    rmSync(folder, { recursive: true, force: true });
  };
  process.once('exit', killAll);
  try {
    await Promise.all(servers.map((each) => each.process.start()));
    await waitForRoutes(servers, AbortSignal.timeout(20_000));
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    servers,
    urls: servers.map((each) => each.url),
    ca: ca.certificate,
    caKey: ca.privateKey,
    directorCreds: { certificate: director.certificate, private_key: director.privateKey },
    hmCreds: { certificate: hm.certificate, private_key: hm.privateKey },
    authorise: (agents) => authorise(servers, { ...subjects, agents: agents.map((agent) => (typeof agent === 'string' ? { agentId: agent, bootstrap: true } : agent)) }),
    stop: async () => {
      process.removeListener('exit', killAll);
      await stop();
    },
  };
}

async function authorise(servers: NatsServer[], users: Parameters<typeof natsAuthFile>[0]): Promise<void> {
  await Promise.all(
    servers.map(async (server) => {
      await replaceFile(server.usersFile, natsAuthFile(users));
      const pid = server.readyPid();
      if (pid !== undefined) await reloadNatsServer({ pid, monitorUrl: server.monitorUrl });
    }),
  );
}

async function chooseServers(count: number): Promise<{ name: string; ports: NatsServer['ports'] }[]> {
  const ports = await Promise.all(Array.from({ length: count * 3 }, freePort));
  return Array.from({ length: count }, (_, index) => {
    const [client = 0, route = 0, monitor = 0] = ports.slice(index * 3, index * 3 + 3);
    return { name: `nats-${index + 1}`, ports: { client, route, monitor } };
  });
}
