'use client';

import { useState } from 'react';

/** Rows of a view that hold still: what came since waits until somebody asks for it. */
export interface HeldRows<T> {
  rows: T[];
  /** Ids of rows that are in the view no longer; shown until somebody asks for the updates. */
  gone: ReadonlySet<number>;
  pending: number;
  show: () => void;
}

/** Keeps the set of rows of a view as first shown, with their newest content. Newest first: ids fall from row to row. */
export function useHeldRows<T>(fresh: T[] | undefined, view: { name: string; placeholder: boolean }, idOf: (row: T) => number): HeldRows<T> {
  const [held, setHeld] = useState<{ view: string; rows: T[] }>();
  const asIs = (rows: T[]): HeldRows<T> => ({ rows, gone: new Set(), pending: 0, show: () => undefined });
  if (fresh === undefined || view.placeholder) return asIs(fresh ?? []);
  if (held?.view !== view.name || (held.rows.length === 0 && fresh.length > 0)) {
    setHeld({ view: view.name, rows: fresh });
    return asIs(fresh);
  }
  const now = new Map(fresh.map((row) => [idOf(row), row]));
  const known = new Set(held.rows.map(idOf));
  // What the newest rows push over the end of the page is not gone.
  const [first] = held.rows;
  const newest = first === undefined ? 0 : idOf(first);
  const final = fresh.at(-1);
  const last = final === undefined ? 0 : idOf(final);
  const gone = new Set(held.rows.map(idOf).filter((id) => !now.has(id) && id > last));
  const added = fresh.filter((row) => !known.has(idOf(row)) && idOf(row) > newest).length;
  return { rows: held.rows.map((row) => now.get(idOf(row)) ?? row), gone, pending: added + gone.size, show: () => setHeld({ view: view.name, rows: fresh }) };
}
