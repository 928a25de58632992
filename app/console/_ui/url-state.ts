'use client';

import { usePathname, useRouter, useSearchParams } from 'next/navigation';
import { useCallback } from 'react';

/** The page's state in its URL: reads a parameter, and changes some at once (undefined or '' removes one). */
export function useUrlState() {
  const router = useRouter();
  const path = usePathname();
  const params = useSearchParams();
  const set = useCallback(
    (changes: Record<string, string | undefined>, how: 'replace' | 'push' = 'replace') => {
      const next = new URLSearchParams(location.search);
      for (const [name, value] of Object.entries(changes)) {
        if (value === undefined || value === '') next.delete(name);
        else next.set(name, value);
      }
      const query = next.toString();
      router[how](query === '' ? path : `${path}?${query}`, { scroll: false });
    },
    [router, path],
  );
  return { get: (name: string) => params.get(name) ?? undefined, set };
}
