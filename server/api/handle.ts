import { randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { pipeline } from 'node:stream/promises';
import { errorCodeOf } from '../../db/client';
import { requireAccess, type Principal } from '../auth/permissions';
import { DirectorError, code, isDirectorError } from '../core/errors';
import { getDeployment } from '../deployments/store';
import { DatabaseAway, withDatabase } from './database-away';
import type { ApiDeps } from './deps';
import { ReplyThrown, json, text, type Reply } from './reply';
import { requestBody } from './request-body';
import type { ApiRequest, Method, Route } from './route';
import { createRouter, type Match, type Router } from './router';
import { routes } from './routes';
import { getTask } from './tasks';

const contextIdLimit = 64;
const anonymous: Principal = { username: '', scopes: [] };

/**
 * The REST API of the bosh CLI as a Node request handler: match, log in, authorise, run, answer.
 * Wire behaviour: cloudfoundry/bosh src/bosh-director/lib/bosh/director/api/controllers/base_controller.rb.
 */
export function createRestHandler(deps: ApiDeps): (message: IncomingMessage, response: ServerResponse) => void {
  const router = createRouter(routes);
  return (message, response) => {
    respond(deps, router, { message, response }).catch((error: unknown) => {
      deps.log.warn('response-failed', { error });
      response.destroy();
    });
  };
}

interface Exchange {
  message: IncomingMessage;
  response: ServerResponse;
}

async function respond(deps: ApiDeps, router: Router, { message, response }: Exchange): Promise<void> {
  const { path, queryText } = splitUrl(message.url ?? '/');
  const match = router.match(message.method ?? '', path, message.headers['content-type']);
  const reply = await answer(deps, match, { message, path, queryText }).catch((error: unknown) => (isGone(message) ? gone(deps, path) : renderError(deps, error, { method: message.method, path })));
  const asksLogin = match.kind === 'no-route' || (match.kind === 'route' && match.route.permission !== 'public' && !reply.plain);
  await send(reply, { message, response }, asksLogin);
}

/** The client went away before it had sent everything: nobody waits for an answer, and what failed is no fault of ours. */
function isGone(message: IncomingMessage): boolean {
  return message.destroyed && !message.complete;
}

function gone(deps: ApiDeps, path: string): Reply {
  deps.log.info('client-gone', { path });
  return text(400, 'The request ended early');
}

interface Arrived {
  message: IncomingMessage;
  path: string;
  queryText: string;
}

function splitUrl(url: string): { path: string; queryText: string } {
  const mark = url.indexOf('?');
  return mark < 0 ? { path: url, queryText: '' } : { path: url.slice(0, mark), queryText: url.slice(mark + 1) };
}

async function answer(deps: ApiDeps, match: Match, arrived: Arrived): Promise<Reply> {
  if (match.kind === 'foreign') return { status: 404, headers: { 'content-type': 'text/plain', 'x-cascade': 'pass' }, body: `Not Found: ${arrived.path}` };
  const principal = await deps.identity.authenticate(arrived.message.headers.authorization);
  const isPublic = match.kind === 'route' && match.route.permission === 'public';
  if (!principal && !isPublic) return text(401, `Not authorized: '${arrived.path}'\n`);
  const contextId = contextIdOf(arrived.message);
  if (match.kind === 'no-route') return endpointNotFound(arrived.path);
  const request = toRequest(match, arrived, { principal, contextId });
  return withDatabase(async () => {
    await authorise(deps, match.route, request);
    return match.route.handler(deps, request);
  });
}

function contextIdOf(message: IncomingMessage): string {
  const contextId = String(message.headers['x-bosh-context-id'] ?? '');
  if (contextId.length > contextIdLimit) throw new DirectorError(code.contextIdViolatedMax, `X-Bosh-Context-Id cannot be more than ${contextIdLimit} characters in length`);
  return contextId;
}

/** Answer to a path below a known first segment that has no route, or not for this method and content type. */
function endpointNotFound(path: string): Reply {
  const reply = text(404, `Endpoint '${path}' not found.`);
  return { ...reply, headers: { ...reply.headers, 'x-cascade': 'pass' } };
}

function toRequest(match: Extract<Match, { kind: 'route' }>, arrived: Arrived, who: { principal: Principal | undefined; contextId: string }): ApiRequest {
  return {
    method: match.route.method satisfies Method,
    path: arrived.path,
    queryText: arrived.queryText,
    query: new URLSearchParams(arrived.queryText),
    param: (name) => {
      const value = match.params[name];
      if (value === undefined) throw new Error(`route ${match.route.path} has no parameter ${name}`);
      return value;
    },
    headers: arrived.message.headers,
    body: requestBody(arrived.message),
    principal: who.principal ?? anonymous,
    authenticated: who.principal !== undefined,
    contextId: who.contextId,
    subject: {},
  };
}

/** Throws unless the caller may use the route; what the permission depends on is looked up first, so an unknown name is 404. */
async function authorise(deps: ApiDeps, route: Route, request: ApiRequest): Promise<void> {
  const { permission } = route;
  const directorUuid = deps.director.uuid;
  if (permission === 'public') return;
  if (permission === 'dep:admin' || permission === 'dep:read') {
    request.subject.deployment = await getDeployment(deps.db, request.param('deployment'));
    return requireAccess(request.principal, { permission, directorUuid, teams: request.subject.deployment.teams });
  }
  if (permission === 'task:admin' || permission === 'task:read') return authoriseTask(deps, permission, request);
  requireAccess(request.principal, { permission, directorUuid });
}

async function authoriseTask(deps: ApiDeps, permission: 'task:admin' | 'task:read', request: ApiRequest): Promise<void> {
  request.subject.task = await getTask(deps, request.param('task'));
  requireAccess(request.principal, { permission, directorUuid: deps.director.uuid, teams: request.subject.task.teams });
}

function renderError(deps: ApiDeps, error: unknown, request: { method: string | undefined; path: string }): Reply {
  if (error instanceof ReplyThrown) return error.reply;
  if (isDirectorError(error)) return json({ code: error.code, description: error.message }, error.status);
  if (error instanceof DatabaseAway) {
    deps.log.warn('request-without-database', { ...request, reason: error.reason });
    return { ...json({ code: code.systemError, description: 'The database cannot be reached at the moment: try again in a few seconds' }, 503), headers: { 'content-type': 'application/json', 'retry-after': 2 } };
  }
  if (unstorable.has(errorCodeOf(error) ?? '')) return json({ code: code.validationInvalidValue, description: 'The request contains a character that cannot be stored (NUL): remove it' }, 400);
  const incident = randomUUID().slice(0, 8);
  deps.onException?.(error);
  deps.log.error('request-failed', { incident, ...request, error });
  return json({ code: code.systemError, description: `Unexpected error: look for incident ${incident} in the log of the director` }, 500);
}

/** SQLSTATEs for text with a NUL character: in a text value, in JSON. */
const unstorable = new Set(['22021', '22P05']);

async function send(reply: Reply, { message, response }: Exchange, asksLogin: boolean): Promise<void> {
  response.statusCode = reply.status;
  for (const [name, value] of Object.entries(reply.headers)) response.setHeader(name, value);
  if (asksLogin) response.setHeader('www-authenticate', 'Basic realm="BOSH Director"');
  response.setHeader('x-content-type-options', 'nosniff');
  const { body, onSent } = reply;
  if (onSent) response.once('finish', onSent);
  if (typeof body !== 'string') {
    if (message.method === 'HEAD') body.destroy();
    else return pipeline(body, response).catch((error: unknown) => ignoreClientGone(error));
  }
  const payload = typeof body === 'string' ? body : '';
  if (reply.status !== 204 && typeof body === 'string') response.setHeader('content-length', Buffer.byteLength(payload));
  response.end(payload);
}

/** A client that goes away while it is sent something is no fault of ours. */
function ignoreClientGone(error: unknown): void {
  const reason = error instanceof Error && 'code' in error ? error.code : undefined;
  if (reason !== 'ERR_STREAM_PREMATURE_CLOSE' && reason !== 'ECONNRESET' && reason !== 'EPIPE') throw error;
}

