'use client';

import { useEffect, type ReactNode } from 'react';
import { useMe } from './queries';

/** Leads to the login page those who are not logged in; the page's own requests say what the others may not see. */
export function Gate({ children }: { children: ReactNode }) {
  const { data } = useMe();
  const out = data === null;
  useEffect(() => {
    if (out) location.assign(`/console/login?next=${encodeURIComponent(location.pathname + location.search)}`);
  }, [out]);
  return out ? null : children;
}
