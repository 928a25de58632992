import type { IncomingMessage, ServerResponse } from 'node:http';
import type { IdentityProvider } from '../auth/identity';
import { isAllowed, requiredScopes, type Access } from '../auth/permissions';
import type { Log } from '../core/log';
import type { Metrics } from './metrics';

export interface MetricsHandlerDeps {
  metrics: Pick<Metrics, 'contentType' | 'render'>;
  identity: Pick<IdentityProvider, 'authenticate'>;
  directorUuid: string;
  log: Log;
}

/** Where the handler is mounted. */
export const metricsPath = '/metrics';

/**
 * Answers `GET /metrics` in Prometheus' text format to whoever may read everything of the director: names of deployments and networks
 * are in it. Prometheus sends the name and password of such a user (`basic_auth`).
 */
export function createMetricsHandler(deps: MetricsHandlerDeps): (request: IncomingMessage, response: ServerResponse) => void {
  return (request, response) => {
    answer(deps, request).then(
      ({ status, headers, body }) => response.writeHead(status, { 'cache-control': 'no-store', 'x-content-type-options': 'nosniff', 'content-length': Buffer.byteLength(body), ...headers }).end(body),
      (error: unknown) => {
        deps.log.error('metrics-failed', { error });
        response.writeHead(500, plain).end('The metrics cannot be shown: look for metrics-failed in the log of the director.\n');
      },
    );
  };
}

interface Answer {
  status: number;
  headers: Record<string, string>;
  body: string;
}

const plain = { 'content-type': 'text/plain; charset=utf-8' };

async function answer({ metrics, identity, directorUuid }: MetricsHandlerDeps, request: IncomingMessage): Promise<Answer> {
  if (request.method !== 'GET' && request.method !== 'HEAD') return { status: 405, headers: { ...plain, allow: 'GET, HEAD' }, body: 'Metrics can only be read.\n' };
  const access: Access = { permission: 'read', directorUuid };
  const principal = await identity.authenticate(request.headers.authorization);
  const refused = (why: string): Answer => ({ status: 401, headers: { ...plain, 'www-authenticate': 'Basic realm="BOSH Director"' }, body: why });
  if (!principal) return refused(`Not authorized: '${metricsPath}'\n`);
  if (!isAllowed(principal, access)) return refused(`Require one of the scopes: ${requiredScopes(access)}\n`);
  return { status: 200, headers: { 'content-type': metrics.contentType }, body: await metrics.render() };
}
