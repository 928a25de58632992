import type { MediaType, Method, Route } from './route';

/** Finds the route of a request. Segments are compared undecoded, so an encoded slash stays inside its segment. */
export interface Router {
  match(method: string, path: string, media: string | undefined): Match;
}

export type Match =
  | { kind: 'route'; route: Route; params: Record<string, string> }
  /** The first segment belongs to the API, the rest does not: answered after the login check. */
  | { kind: 'no-route' }
  /** The path is none of the API's. */
  | { kind: 'foreign' };

interface Compiled {
  route: Route;
  segments: readonly { literal: string | undefined; name: string }[];
}

export function createRouter(routes: readonly Route[]): Router {
  const byFirst = new Map<string, Compiled[]>();
  for (const route of routes) {
    const segments = split(route.path).map((segment) => (segment.startsWith(':') ? { literal: undefined, name: segment.slice(1) } : { literal: segment, name: '' }));
    const first = segments[0]?.literal;
    if (first === undefined) throw new Error(`route ${route.path} must begin with a literal segment`);
    byFirst.set(first, [...(byFirst.get(first) ?? []), { route, segments }]);
  }

  return {
    match: (method, path, media) => {
      const segments = split(path);
      const candidates = byFirst.get(segments[0] ?? '');
      if (!candidates) return { kind: 'foreign' };
      for (const candidate of candidates) {
        if (candidate.route.method !== asMethod(method) || !mediaFits(candidate.route.media, media)) continue;
        const params = fit(candidate, segments);
        if (params) return { kind: 'route', route: candidate.route, params };
      }
      return { kind: 'no-route' };
    },
  };
}

function split(path: string): string[] {
  return path.replace(/^\//, '').split('/');
}

/** HEAD is a GET whose body Node drops. */
function asMethod(method: string): Method | undefined {
  switch (method) {
    case 'GET': case 'HEAD': return 'GET';
    case 'POST': case 'PUT': case 'DELETE': return method;
    default: return undefined;
  }
}

function mediaFits(wanted: MediaType | undefined, sent: string | undefined): boolean {
  return wanted === undefined || sent?.split(';')[0]?.trim().toLowerCase() === wanted;
}

function fit(candidate: Compiled, segments: readonly string[]): Record<string, string> | undefined {
  if (candidate.segments.length !== segments.length) return undefined;
  const params: Record<string, string> = {};
  for (const [index, pattern] of candidate.segments.entries()) {
    const segment = segments[index] ?? '';
    if (pattern.literal !== undefined) {
      if (pattern.literal !== segment) return undefined;
      continue;
    }
    const value = decode(segment);
    if (value === undefined || value === '') return undefined;
    params[pattern.name] = value;
  }
  return params;
}

function decode(segment: string): string | undefined {
  try {
    const value = decodeURIComponent(segment);
    return value.includes('\0') ? undefined : value;
  } catch {
    return undefined;
  }
}
