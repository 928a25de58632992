'use client';

import { useSyncExternalStore } from 'react';

const listeners = new Set<() => void>();
let now = 0;
let timer: ReturnType<typeof setInterval> | undefined;

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  timer ??= setInterval(() => {
    now = Date.now();
    for (const tell of listeners) tell();
  }, 1_000);
  return () => {
    listeners.delete(listener);
    if (listeners.size > 0) return;
    clearInterval(timer);
    timer = undefined;
  };
}

/** Epoch ms, once a second; 0 while rendering on the server. */
export function useNow(): number {
  return useSyncExternalStore(subscribe, () => (now ||= Date.now()), () => 0);
}

/** 840 ms, 12 s, 3 min 05 s, 2 h 10 min, 3 d 4 h. */
export function formatDuration(ms: number): string {
  if (ms < 1_000) return `${Math.max(0, Math.round(ms))} ms`;
  if (ms < 10_000) return `${(ms / 1_000).toFixed(1)} s`;
  const s = Math.round(ms / 1_000);
  if (s < 60) return `${s} s`;
  const min = Math.floor(s / 60);
  if (min < 60) return `${min} min ${String(s % 60).padStart(2, '0')} s`;
  const h = Math.floor(min / 60);
  return h < 48 ? `${h} h ${String(min % 60).padStart(2, '0')} min` : `${Math.floor(h / 24)} d ${h % 24} h`;
}

/** now, 12 s ago, 5 min ago, 3 h ago, 4 d ago. */
export function formatAgo(ms: number): string {
  const s = Math.max(0, Math.floor(ms / 1_000));
  if (s < 3) return 'now';
  if (s < 60) return `${s} s ago`;
  if (s < 3_600) return `${Math.floor(s / 60)} min ago`;
  return s < 172_800 ? `${Math.floor(s / 3_600)} h ago` : `${Math.floor(s / 86_400)} d ago`;
}

/** now, in 12 s, in 5 min, in 3 h, in 4 d. */
export function formatIn(ms: number): string {
  const s = Math.ceil(ms / 1_000);
  if (s <= 0) return 'now';
  if (s < 60) return `in ${s} s`;
  if (s < 5_400) return `in ${Math.round(s / 60)} min`;
  return s < 172_800 ? `in ${Math.round(s / 3_600)} h` : `in ${Math.round(s / 86_400)} d`;
}

/** Hours to seconds, in the reader's zone. */
export function formatClock(date: Date): string {
  return date.toLocaleTimeString(undefined, { hour12: false });
}

export function formatExact(date: Date): string {
  return `${date.toLocaleDateString(undefined, { year: 'numeric', month: 'short', day: 'numeric' })} ${formatClock(date)}`;
}

/** How long ago, with the exact time on hover. */
export function Ago({ at }: { at: Date }) {
  const current = useNow();
  return (
    <time dateTime={at.toISOString()} title={formatExact(at)} className="whitespace-nowrap tabular-nums">
      {current === 0 ? formatExact(at) : formatAgo(current - at.getTime())}
    </time>
  );
}

/** How long until then, with the exact time on hover. */
export function Until({ at }: { at: Date }) {
  const current = useNow();
  return (
    <time dateTime={at.toISOString()} title={formatExact(at)} className="whitespace-nowrap tabular-nums">
      {current === 0 ? formatExact(at) : formatIn(at.getTime() - current)}
    </time>
  );
}

/** From `from` to `to`, or until now while it goes on. */
export function Elapsed({ from, to }: { from: Date; to?: Date | undefined }) {
  const current = useNow();
  return <span className="whitespace-nowrap tabular-nums">{formatDuration(Math.max(0, (to?.getTime() ?? Math.max(current, from.getTime())) - from.getTime()))}</span>;
}
