'use client';

import { useEffect, type ReactNode } from 'react';
import { isApiError } from './api';
import { useMe, useOverview } from './queries';
import { Problem } from './states';

/** Leads those to the login page who are not logged in; tells those once who may see nothing at all. */
export function Gate({ children }: { children: ReactNode }) {
  const { data } = useMe();
  const { error } = useOverview();
  const out = data === null;
  useEffect(() => {
    if (out) location.assign(`/console/login?next=${encodeURIComponent(location.pathname + location.search)}`);
  }, [out]);
  if (out) return null;
  if (isApiError(error) && error.data?.code === 'FORBIDDEN') return <Problem error={error} />;
  return children;
}
