'use client';

import { MutationCache, QueryCache, QueryClient, QueryClientProvider } from '@tanstack/react-query';
import { createTRPCClient, httpLink, httpSubscriptionLink, splitLink, TRPCClientError } from '@trpc/client';
import type { inferRouterOutputs } from '@trpc/server';
import { createTRPCContext } from '@trpc/tanstack-react-query';
import { useState, type ReactNode } from 'react';
import superjson from 'superjson';
import type { AppRouter } from '../../../server/trpc/router';

export type Outputs = inferRouterOutputs<AppRouter>;
export type Overview = Outputs['cluster']['overview'];
export type ClusterNode = Overview['nodes'][number];
export type NodeFace = Overview['servedBy'];
export type TaskRow = Outputs['tasks']['list']['tasks'][number];
export type TaskDetail = Outputs['tasks']['get'];
export type TaskState = TaskRow['state'];
export type Stage = Outputs['tasks']['stages']['stages'][number];
export type StageStep = Stage['steps'][number];
export type Instance = Outputs['instances']['get'];
export type Incident = Outputs['health']['incidents']['incidents'][number];
export type AlertLine = Outputs['health']['alerts']['alerts'][number];
export type Agent = Outputs['agents']['list']['agents'][number];
export type Disk = Outputs['disks']['list']['disks'][number];
export type OrphanDisk = Outputs['disks']['list']['orphans'][number];
export type DiskLeak = Outputs['disks']['list']['leaks'][number];
export type Schedule = Outputs['schedules']['list']['schedules'][number];
export type Slot = Schedule['slots'][number];
export type Preview = Outputs['deploys']['preview'];
export type PlannedInstance = Preview['groups'][number]['instances'][number];
export type Vitals = Outputs['instances']['vitals'];

const context = createTRPCContext<AppRouter>();
export const { useTRPC, useTRPCClient } = context;

/** An answer takes at most this long, ms; then another connection, and so perhaps another node, is tried. */
const answerMs = 6_000;
/** A preview of a large deployment renders many templates, ms. */
const previewMs = 120_000;

function limitOf(input: unknown): number {
  return String(input).includes('/deploys.preview') ? previewMs : answerMs;
}

export function isApiError(error: unknown): error is TRPCClientError<AppRouter> {
  return error instanceof TRPCClientError;
}

/** The director answered, and the answer was no; anything else is a connection that may come back. */
export function isRefusal(error: unknown): boolean {
  return isApiError(error) && error.data !== undefined && error.data !== null && error.data.code !== 'INTERNAL_SERVER_ERROR';
}

function toLogin(error: unknown): void {
  if (!isApiError(error) || error.data?.code !== 'UNAUTHORIZED' || location.pathname.startsWith('/console/login')) return;
  location.assign(`/console/login?next=${encodeURIComponent(location.pathname + location.search)}`);
}

function createQueryClient(): QueryClient {
  return new QueryClient({
    queryCache: new QueryCache({ onError: toLogin }),
    mutationCache: new MutationCache({ onError: toLogin }),
    defaultOptions: {
      // What is known stays on the page while it cannot be refreshed; the strip tells how old it is.
      queries: { networkMode: 'always', staleTime: 500, gcTime: 10 * 60_000, retry: (_, error) => !isRefusal(error), retryDelay: (attempt) => Math.min(150 * 2 ** attempt, 1_500) },
      mutations: { networkMode: 'always', retry: false },
    },
  });
}

function createClient() {
  const url = '/api/trpc';
  return createTRPCClient<AppRouter>({
    links: [
      splitLink({
        condition: (op) => op.type === 'subscription',
        true: httpSubscriptionLink({ url, transformer: superjson }),
        false: httpLink({
          url,
          transformer: superjson,
          headers: { 'x-directorate': '1' },
          fetch: (input, init) => fetch(input, { ...init, signal: AbortSignal.any([AbortSignal.timeout(limitOf(input)), ...(init?.signal ? [init.signal] : [])]) }),
        }),
      }),
    ],
  });
}

/** Gives the pages below access to the director. */
export function ApiProvider({ children }: { children: ReactNode }) {
  const [queryClient] = useState(createQueryClient);
  const [client] = useState(createClient);
  return (
    <QueryClientProvider client={queryClient}>
      <context.TRPCProvider trpcClient={client} queryClient={queryClient}>
        {children}
      </context.TRPCProvider>
    </QueryClientProvider>
  );
}
