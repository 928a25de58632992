'use client';

import { useSearchParams } from 'next/navigation';
import { useCallback } from 'react';

/**
 * The page's state in its URL: reads a parameter, and changes some at once (undefined or '' removes one). Nothing is
 * asked of the server for it, and changes that follow each other closely all count.
 */
export function useUrlState() {
  const params = useSearchParams();
  const set = useCallback((changes: Record<string, string | undefined>, how: 'replace' | 'push' = 'replace') => {
    const next = new URLSearchParams(location.search);
    for (const [name, value] of Object.entries(changes)) {
      if (value === undefined || value === '') next.delete(name);
      else next.set(name, value);
    }
    const query = next.toString();
    const url = query === '' ? location.pathname : `${location.pathname}?${query}`;
    if (how === 'push') history.pushState(null, '', url);
    else history.replaceState(null, '', url);
  }, []);
  return { get: (name: string) => params.get(name) ?? undefined, set };
}
