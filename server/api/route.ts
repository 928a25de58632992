import type { IncomingMessage } from 'node:http';
import type { Permission, Principal } from '../auth/permissions';
import type { Deployment } from '../deployments/store';
import type { Task } from '../tasks/task';
import type { ApiDeps } from './deps';
import type { Reply } from './reply';
import type { RequestBody } from './request-body';

export type Method = 'GET' | 'POST' | 'PUT' | 'DELETE';
export type MediaType = 'application/json' | 'text/yaml' | 'application/x-compressed' | 'multipart/form-data';

/** Routes that look at their deployment or task first; the handler of such a route finds it in its request. */
export type Subject = 'deployment' | 'task';

/** One line of the surface. */
export interface Route {
  method: Method;
  /** `/deployments/:deployment/jobs/:job`: a parameter is one segment, decoded. */
  path: string;
  /** Matches only requests of this type; any when undefined. */
  media?: MediaType;
  /** `public`: no login asked. `dep:…` looks up `:deployment`, `task:…` looks up `:task`. */
  permission: 'public' | Exclude<Permission, 'config:admin' | 'config:read'>;
  handler: Handler;
}

export type Handler = (deps: ApiDeps, request: ApiRequest) => Promise<Reply>;

/** A request after matching, login and authorisation. */
export interface ApiRequest {
  method: Method;
  /** Undecoded, without query. */
  path: string;
  /** Without `?`. */
  queryText: string;
  query: URLSearchParams;
  /** Decoded. Throws when the route has no such parameter. */
  param(name: string): string;
  headers: IncomingMessage['headers'];
  body: RequestBody;
  /** Who asks; `anonymous` only on public routes. */
  principal: Principal;
  authenticated: boolean;
  /** `X-Bosh-Context-Id`. */
  contextId: string;
  /** Present on routes whose permission looks it up. */
  subject: { deployment?: Deployment; task?: Task };
}

/** The deployment of a `dep:…` route. */
export function deploymentOf(request: ApiRequest): Deployment {
  if (!request.subject.deployment) throw new Error(`${request.path}: the route's permission does not look at a deployment`);
  return request.subject.deployment;
}

/** The task of a `task:…` route. */
export function taskOf(request: ApiRequest): Task {
  if (!request.subject.task) throw new Error(`${request.path}: the route's permission does not look at a task`);
  return request.subject.task;
}

/** True only for the literal `true`, as BOSH reads flags. */
export function flag(request: ApiRequest, name: string): boolean {
  return request.query.get(name) === 'true';
}

/** A query parameter; undefined when absent or empty. */
export function parameter(request: ApiRequest, name: string): string | undefined {
  const value = request.query.get(name);
  return value === null || value === '' ? undefined : value;
}
