import { createServer, type Server } from 'node:https';
import { createLocalIdentity } from '../../server/auth/identity';
import { hashPassword } from '../../server/auth/password';
import type { Notifications } from '../../server/cluster/notifications';
import { systemClock } from '../../server/core/clock';
import { silentLog } from '../../server/core/log';
import type { AgentView, FleetView, HealthCounts } from '../../server/health/fleet-view';
import { createCa, issueServerCertificate } from '../../server/nats/credentials';
import { createDirectorateClient } from '../../server/trpc/client';
import type { TrpcDeps } from '../../server/trpc/context';
import { createTrpcHandler } from '../../server/trpc/handler';
import { deployScene } from './deploy-scene';
import type { TestNode, TestStore } from './director-parts';

/** tRPC of some nodes on one database, over TLS. */
export interface TrpcServers {
  /** A client that is logged in as one of `testUsers`, at the node of that place. */
  as(username: TestUser, at?: number): ReturnType<typeof createDirectorateClient>;
  urls: string[];
  ca: string;
  /** Cuts the connections of a node. */
  cut(at: number): void;
  close(): void;
}

const scopes = { admin: ['bosh.admin'], reader: ['bosh.read'], team: ['bosh.teams.web.admin'], guest: ['bosh.teams.web.read'], nobody: [] };
export type TestUser = keyof typeof scopes;

export async function startTrpcServers(options: { store: TestStore; node: TestNode; notifications: Notifications; names: readonly string[]; deps: Pick<TrpcDeps, 'agentState'> & Partial<TrpcDeps> }): Promise<TrpcServers> {
  const hash = await hashPassword('secret');
  const identity = createLocalIdentity(Object.entries(scopes).map(([name, own]) => ({ name, password_hash: hash, scopes: own })), systemClock);
  const authority = await createCa('trpc-test');
  const certificate = await issueServerCertificate(authority, { cn: 'director', dnsNames: [], ips: ['127.0.0.1'] });
  const servers: { server: Server; url: string }[] = [];
  for (const name of options.names) {
    const handler = createTrpcHandler({
      connections: options.store.connections, notifications: options.notifications, blobstore: options.store.blobstore, log: silentLog, identity,
      node: { id: options.node.node.id, name }, director: { name: 'test', uuid: 'deadbeef', version: '1', cpi: 'c' },
      natsStatus: () => ({ servers: [{ url: 'nats://127.0.0.1:1', connected: true }, { url: 'nats://127.0.0.1:2', connected: false }] }),
      fleet: fleetOf([]), monitor: { resurrector: true, plugins: [] }, bus: { urls: ['nats://127.0.0.1:1'], caSha1: 'sha1' }, preview: deployScene(options.store).deps,
      ...options.deps,
    });
    const server = createServer({ cert: certificate.certificate, key: certificate.privateKey }, handler);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const address = server.address();
    servers.push({ server, url: `https://127.0.0.1:${typeof address === 'object' && address ? address.port : 0}` });
  }
  return {
    as: (username, at = 0) => createDirectorateClient({ url: servers[at]?.url ?? '', ca: authority.certificate, auth: { username, password: 'secret' } }),
    urls: servers.map((one) => one.url),
    ca: authority.certificate,
    cut: (at) => servers[at]?.server.closeAllConnections(),
    close: () => {
      for (const { server } of servers) {
        server.closeAllConnections();
        server.close();
      }
    },
  };
}

/** A fleet as a node would know it; `agents` may be changed by its owner. */
export function fleetOf(agents: AgentView[]): FleetView {
  const count = (wanted: (agent: AgentView) => boolean) => {
    const counts: Record<string, number> = {};
    for (const agent of agents) if (wanted(agent)) counts[agent.deployment ?? 'unmanaged'] = (counts[agent.deployment ?? 'unmanaged'] ?? 0) + 1;
    return counts;
  };
  return {
    synced: true, heartbeats: 7, agents: () => agents, find: (id) => agents.find((agent) => agent.agentId === id),
    counts: (): HealthCounts => ({
      unresponsive: count((agent) => agent.status === 'unresponsive'), unhealthy: count((agent) => agent.status === 'running' && agent.processes === 0), failing: count((agent) => agent.status === 'failing'),
      stopped: count((agent) => agent.status === 'stopped'), unknown: count((agent) => agent.status === 'unknown'), available: count(() => true),
    }),
  };
}
