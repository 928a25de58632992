import { createServer, request, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { Readable } from 'node:stream';
import type { ApiDeps } from '../../server/api/deps';
import { createRestHandler } from '../../server/api/handle';
import { createLocalIdentity } from '../../server/auth/identity';
import { hashPassword } from '../../server/auth/password';
import { systemClock } from '../../server/core/clock';
import { silentLog } from '../../server/core/log';
import { createCa, issueServerCertificate } from '../../server/nats/credentials';
import { disabledBackend } from '../../server/variables/disabled';
import type { TestStore } from './director-parts';

/** The REST API without workers: what it enqueues stays queued. */
export interface RestServer {
  url: string;
  /** PEM of the CA, when it speaks TLS. */
  ca: string;
  deps: ApiDeps;
  call(method: string, path: string, options?: RestCall): Promise<RestAnswer>;
  close(): Promise<void>;
}

export interface RestCall {
  /** Name of one of the server's users; null sends no credentials. Default: `test`. */
  user?: string | null;
  headers?: Record<string, string>;
  body?: string | Buffer | Readable;
  /** Content type of the body. */
  type?: string;
}

export interface RestAnswer {
  status: number;
  headers: IncomingHttpHeaders;
  body: string;
  json: unknown;
}

export const directorUuid = 'deadbeef';
export const password = 'secret';

export interface RestServerOptions {
  /** Users besides `test`, who administers the director, with their scopes. All have the same password. */
  scopes?: Record<string, string[]>;
  change?: (deps: ApiDeps) => ApiDeps;
  tls?: boolean;
  /** Sees every request first; true: it has dealt with it. */
  intercept?: (message: IncomingMessage, response: ServerResponse) => boolean;
}

/** Starts it on a free port of 127.0.0.1. */
export async function startRestServer(store: TestStore, options: RestServerOptions = {}): Promise<RestServer> {
  const hash = await hashPassword(password);
  const users = Object.entries({ test: ['bosh.admin'], ...options.scopes }).map(([name, scopes]) => ({ name, password_hash: hash, scopes }));
  const plain: ApiDeps = {
    db: store.connections.db, blobstore: store.blobstore, identity: createLocalIdentity(users, systemClock), clock: systemClock, log: silentLog, variables: disabledBackend,
    director: { name: 'TestDirector', uuid: directorUuid, version: '0.0.0', revision: '96f91352', cpi: 'test-cpi', localDns: { enabled: false, domain: 'bosh' }, certificates: [] },
  };
  const deps = options.change?.(plain) ?? plain;
  const handle = createRestHandler(deps);
  const listener = (message: IncomingMessage, response: ServerResponse) => {
    if (!options.intercept?.(message, response)) handle(message, response);
  };
  const ca = options.tls ? await createCa('test-ca') : undefined;
  const certificate = ca && (await issueServerCertificate(ca, { cn: 'director', dnsNames: ['localhost'], ips: ['127.0.0.1'] }));
  const server = certificate ? createTlsServer({ cert: certificate.certificate, key: certificate.privateKey }, listener) : createServer(listener);
  server.requestTimeout = 0;
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  const url = `${ca ? 'https' : 'http'}://127.0.0.1:${address.port}`;
  return {
    url,
    ca: ca?.certificate ?? '',
    deps,
    call: (method, path, call = {}) => send(url, method, path, call),
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

export function credentials(user: string): string {
  return `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`;
}

async function send(url: string, method: string, path: string, call: RestCall): Promise<RestAnswer> {
  const user = call.user === undefined ? 'test' : call.user;
  const headers = { ...(user === null ? {} : { Authorization: credentials(user) }), ...(call.type === undefined ? {} : { 'Content-Type': call.type }), ...call.headers };
  const answer = await new Promise<IncomingMessage>((resolve, reject) => {
    const { hostname, port } = new URL(url);
    const sent = request({ hostname, port, path, method, headers, agent: false }, resolve);
    sent.on('error', reject);
    if (call.body !== undefined && typeof call.body !== 'string' && !Buffer.isBuffer(call.body)) call.body.pipe(sent);
    else sent.end(call.body);
  });
  const parts: Buffer[] = [];
  for await (const part of answer) parts.push(part as Buffer);
  const body = Buffer.concat(parts).toString('utf8');
  return { status: answer.statusCode ?? 0, headers: answer.headers, body, json: parse(body) };
}

function parse(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch {
    return undefined;
  }
}
