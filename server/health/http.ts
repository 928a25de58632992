import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Clock } from '../core/clock';
import type { FleetView, HealthCounts } from './fleet-view';

/**
 * The endpoints of the Ruby health monitor, for programs that know them. No login: they listen on an address of this machine only.
 * Paths and replies: cloudfoundry/bosh src/bosh-monitor/lib/bosh/monitor/api_controller.rb.
 */
export interface MonitorServer {
  /** Resolves when it listens. Rejects when it cannot. */
  start(): Promise<void>;
  stop(): Promise<void>;
  /** The port it listens on. */
  port(): number;
}

export interface MonitorServerOptions {
  host: string;
  /** 0: any free one. */
  port: number;
  fleet: Pick<FleetView, 'synced' | 'counts'>;
  clock: Pick<Clock, 'monotonic'>;
}

/** An event loop that has not turned for so long is dead, ms. */
const pulseTimeoutMs = 180_000;
const pulseEveryMs = 1_000;

const counted: Record<string, keyof HealthCounts> = {
  '/unresponsive_agents': 'unresponsive',
  '/unhealthy_agents': 'unhealthy',
  '/failing_instances': 'failing',
  '/stopped_instances': 'stopped',
  '/unknown_instances': 'unknown',
  '/total_available_agents': 'available',
};

export function createMonitorServer({ host, port, fleet, clock }: MonitorServerOptions): MonitorServer {
  let pulseAt = clock.monotonic();
  let timer: NodeJS.Timeout | undefined;
  const server = createServer((request, response) => answer(request, response));

  function answer(request: IncomingMessage, response: ServerResponse): void {
    const path = (request.url ?? '').replace(/\?.*$/s, '');
    const count = counted[path];
    if (request.method !== 'GET' && request.method !== 'HEAD') return send(response, 405, 'text/plain', '');
    if (path === '/healthz') {
      const idleMs = clock.monotonic() - pulseAt;
      return send(response, idleMs > pulseTimeoutMs ? 500 : 200, 'text/plain', `Last pulse was ${idleMs / 1_000} seconds ago`);
    }
    if (count === undefined || !Object.hasOwn(counted, path)) return send(response, 404, 'text/plain', '');
    if (!fleet.synced) return send(response, 503, 'text/plain', '');
    send(response, 200, 'application/json', JSON.stringify(fleet.counts()[count]));
  }

  return {
    start: async () => {
      await listen(server, host, port);
      timer = setInterval(() => {
        pulseAt = clock.monotonic();
      }, pulseEveryMs);
    },
    stop: async () => {
      clearInterval(timer);
      if (!server.listening) return;
      server.closeAllConnections();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
    port: () => {
      const address = server.address();
      return typeof address === 'object' && address !== null ? address.port : port;
    },
  };
}

function listen(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, () => {
      server.off('error', reject);
      resolve();
    });
  });
}

function send(response: ServerResponse, status: number, type: string, body: string): void {
  response.writeHead(status, { 'content-type': `${type}; charset=utf-8`, 'content-length': Buffer.byteLength(body) }).end(body);
}
