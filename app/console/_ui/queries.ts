'use client';

import { keepPreviousData, useQuery } from '@tanstack/react-query';
import { useTRPC } from './api';

/** The cluster, every second; shared by strip and pages. */
export function useOverview() {
  const trpc = useTRPC();
  return useQuery(trpc.cluster.overview.queryOptions(undefined, { refetchInterval: 1_000, placeholderData: keepPreviousData }));
}

/** Who is logged in. */
export function useMe() {
  const trpc = useTRPC();
  return useQuery(trpc.auth.me.queryOptions(undefined, { staleTime: 60_000 }));
}
