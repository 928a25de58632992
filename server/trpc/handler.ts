import type { IncomingMessage, ServerResponse } from 'node:http';
import { nodeHTTPRequestHandler } from '@trpc/server/adapters/node-http';
import { createContext, type TrpcDeps } from './context';
import { appRouter } from './router';
import { createSharedReads } from './shared-reads';

/** Where the handler is mounted. */
export const trpcPath = '/api/trpc';

/** Largest request body, bytes: a manifest, with its escapes. */
const maxBodySize = 16 * 1024 * 1024;

/** Answers requests whose path begins with `trpcPath`. */
export function createTrpcHandler(deps: TrpcDeps): (req: IncomingMessage, res: ServerResponse) => void {
  const shared = createSharedReads(deps);
  return (req, res) => {
    const url = new URL(req.url ?? '/', 'http://host');
    nodeHTTPRequestHandler({
      router: appRouter,
      req,
      res,
      path: url.pathname.slice(trpcPath.length + 1),
      maxBodySize,
      onError: ({ error }) => {
        if (error.code === 'INTERNAL_SERVER_ERROR') deps.onException?.(error.cause ?? error);
      },
      createContext: () => createContext({ deps, shared }, req, res),
    }).catch((error: unknown) => {
      deps.log.error('trpc-request-failed', { error });
      if (!res.headersSent) res.writeHead(500);
      res.end();
    });
  };
}
