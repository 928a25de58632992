import { groupBy } from '../core/collections';

/** Turns the path of a request into one of few, for a label. */
export type PathTemplate = (path: string) => string;

export interface KnownPaths {
  /** Paths of the API with `:name` for what varies. */
  routes: readonly string[];
  /** Names of the tRPC procedures. */
  procedures: readonly string[];
}

const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;
const fixed = new Set(['/', '/healthz', '/readyz', '/metrics', '/icon.svg']);
const trpc = '/api/trpc/';

/**
 * As the Ruby director labels paths: UUIDs become `:uuid`, numbers `:id`, the name of a deployment `:deployment`. Beyond that other
 * names become their parameter's (`/releases/:name`), and what is no path of ours becomes `other`: whoever asks cannot add to the
 * number of labels. Pages are `/console` and `/_next`, tRPC calls go by procedure, several in one request are `/api/trpc/:batch`.
 * Source: the tracer of https://github.com/prometheus/client_ruby (Prometheus::Middleware::Collector).
 */
export function createPathTemplate({ routes, procedures }: KnownPaths): PathTemplate {
  const calls = new Set(procedures);
  const byLength = groupBy(routes.map(split), (segments) => segments.length);
  return (path) => {
    if (fixed.has(path)) return path;
    for (const group of ['/console', '/_next']) if (path === group || path.startsWith(`${group}/`)) return group;
    if (path.startsWith(trpc)) return trpcPath(path.slice(trpc.length), calls);
    const segments = split(path);
    const route = (byLength.get(segments.length) ?? []).find((candidate) => candidate.every((part, i) => (part.startsWith(':') ? segments[i] !== '' : part === segments[i])));
    return route ? `/${route.map((part, i) => (part.startsWith(':') ? parameter(part, segments[i] ?? '') : part)).join('/')}` : 'other';
  };
}

function split(path: string): string[] {
  return path.replace(/^\//, '').split('/');
}

function trpcPath(name: string, procedures: ReadonlySet<string>): string {
  if (procedures.has(name)) return `${trpc}${name}`;
  return name.split(',').every((one) => procedures.has(one)) ? `${trpc}:batch` : 'other';
}

function parameter(name: string, value: string): string {
  if (name === ':deployment') return name;
  if (uuid.test(value)) return ':uuid';
  return /^\d+$/.test(value) ? ':id' : name;
}
