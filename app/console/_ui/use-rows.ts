'use client';

import { useRef } from 'react';
import { useShortcut } from './shortcuts';

/** `j` and `k` move the focus along the rows of a table body (elements with `data-row`), Enter opens the focused one. */
export function useRows<E extends HTMLElement>() {
  const ref = useRef<E>(null);
  const move = (step: number) => {
    const rows = [...(ref.current?.querySelectorAll<HTMLElement>('[data-row]') ?? [])];
    const at = rows.findIndex((row) => row.contains(document.activeElement));
    const next = rows[at < 0 ? (step > 0 ? 0 : rows.length - 1) : Math.min(rows.length - 1, Math.max(0, at + step))];
    next?.focus();
    next?.scrollIntoView({ block: 'nearest' });
  };
  useShortcut('j', 'Next row', () => move(1));
  useShortcut('k', 'Previous row', () => move(-1));
  return ref;
}
