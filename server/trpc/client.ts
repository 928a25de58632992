import { createTRPCClient, httpBatchLink, httpSubscriptionLink, splitLink, type TRPCClient } from '@trpc/client';
import superjson from 'superjson';
import { createEventSource } from './node-event-source';
import { createNodeTransport } from './node-transport';
import type { AppRouter } from './router';

export type { AppRouter } from './router';

export interface DirectorateClientOptions {
  /** `https://host:25555`: the front door or one node. */
  url: string;
  /** PEM of the CA that signed the director's certificate; without it the system's CAs count. */
  ca?: string | undefined;
  auth: { username: string; password: string };
}

/**
 * A typed client of the director for programs that run in Node: queries, changes, and subscriptions that go on after a
 * node is lost. Failures are `TRPCClientError`s whose `data.boshCode` is BOSH's error code.
 */
export function createDirectorateClient(options: DirectorateClientOptions): TRPCClient<AppRouter> {
  const url = `${options.url.replace(/\/$/, '')}/api/trpc`;
  const transport = createNodeTransport(options.ca);
  const headers = {
    authorization: `Basic ${Buffer.from(`${options.auth.username}:${options.auth.password}`).toString('base64')}`,
    'x-directorate': '1',
  };
  return createTRPCClient<AppRouter>({
    links: [
      splitLink({
        condition: (op) => op.type === 'subscription',
        true: httpSubscriptionLink({ url, transformer: superjson, EventSource: createEventSource(transport, headers) }),
        false: httpBatchLink({
          url,
          transformer: superjson,
          headers,
          fetch: (target, init) =>
            transport.fetch(typeof target === 'string' ? target : target instanceof URL ? target.href : target.url, {
              method: init?.method ?? 'GET',
              headers: headersOf(init?.headers),
              body: typeof init?.body === 'string' ? init.body : undefined,
              signal: init?.signal ?? undefined,
            }),
        }),
      }),
    ],
  });
}

function headersOf(headers: unknown): Record<string, string> {
  return Object.fromEntries(new Headers(headers as HeadersInit | undefined).entries());
}
