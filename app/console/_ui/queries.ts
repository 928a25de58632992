'use client';

import { keepPreviousData, useQuery } from '@tanstack/react-query';
import { useSyncExternalStore } from 'react';
import { useTRPC } from './api';

const never = () => () => undefined;

/** False while what the server has rendered is taken over: a part of the page that comes to life later must not show more than that. */
function useHydrated(): boolean {
  return useSyncExternalStore(never, () => true, () => false);
}

/** The cluster, every second; shared by strip and pages. */
export function useOverview() {
  const trpc = useTRPC();
  const hydrated = useHydrated();
  const { data, error, refetch, dataUpdatedAt, failureCount, failureReason } = useQuery(trpc.cluster.overview.queryOptions(undefined, { refetchInterval: 1_000, placeholderData: keepPreviousData }));
  return { data: hydrated ? data : undefined, error: hydrated ? error : null, refetch, dataUpdatedAt, failureCount, failureReason };
}

/** Who is logged in. */
export function useMe() {
  const trpc = useTRPC();
  const hydrated = useHydrated();
  const { data } = useQuery(trpc.auth.me.queryOptions(undefined, { staleTime: 60_000 }));
  return { data: hydrated ? data : undefined };
}
