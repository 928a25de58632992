'use client';

import { useQueryClient } from '@tanstack/react-query';
import { useCallback, useEffect, useReducer, useRef } from 'react';
import { useTRPC, type TaskDetail } from '../../../_ui/api';
import { toChunk, type LogChunk } from './log-lines';

export type StreamName = keyof TaskDetail['streams'];

/** What is loaded of a stream: one unbroken range of bytes. */
export interface LogWindow {
  stream: StreamName;
  chunks: LogChunk[];
  start: number;
  end: number;
  /** Bytes in the stream, as far as known. */
  size: number;
  state: 'loading' | 'loaded' | 'failed';
  error: unknown;
}

type Change =
  | { kind: 'open'; stream: StreamName }
  | { kind: 'loaded'; stream: StreamName; start: number; end: number; size: number; text: string; place: 'alone' | 'before' | 'after' }
  | { kind: 'failed'; error: unknown };

/** Read at once, bytes. */
const pieceBytes = 192 * 1024;
/** The start is forgotten beyond this, bytes; it can be loaded again. */
const keptBytes = 6 * 1024 * 1024;

const empty = (stream: StreamName): LogWindow => ({ stream, chunks: [], start: 0, end: 0, size: 0, state: 'loading', error: undefined });

function reduce(window: LogWindow, change: Change): LogWindow {
  if (change.kind === 'open') return empty(change.stream);
  if (change.kind === 'failed') return { ...window, state: 'failed', error: change.error };
  if (change.stream !== window.stream) return window;
  const size = Math.max(window.size, change.size, change.end);
  const chunk = change.end > change.start ? [toChunk(change.stream, change.start, change.end, change.text)] : [];
  const loaded = { ...window, size, state: 'loaded' as const, error: undefined };
  if (change.place === 'alone') return { ...loaded, chunks: chunk, start: change.start, end: change.end };
  if (change.place === 'before') return change.end === window.start ? { ...loaded, chunks: [...chunk, ...window.chunks], start: change.start } : loaded;
  return change.start === window.end ? trim({ ...loaded, chunks: [...window.chunks, ...chunk], end: change.end }) : loaded;
}

function trim(window: LogWindow): LogWindow {
  let from = 0;
  while (from < window.chunks.length - 1 && window.end - (window.chunks[from]?.end ?? 0) > keptBytes) from++;
  return from === 0 ? window : { ...window, chunks: window.chunks.slice(from), start: window.chunks[from]?.start ?? window.start };
}

/** Loads parts of a task's output stream. `anchor`: the byte to begin around; without one, the end. */
export function useLog(taskId: number, stream: StreamName, anchor: number | undefined) {
  const trpc = useTRPC();
  const queries = useQueryClient();
  const [window, change] = useReducer(reduce, stream, empty);
  const current = useRef(window);
  current.current = window;

  const read = useCallback(
    (start: number, end: number) => queries.fetchQuery(trpc.tasks.read.queryOptions({ id: taskId, stream, start, end }, { staleTime: 0, gcTime: 0 })),
    [queries, trpc, taskId, stream],
  );
  const load = useCallback(
    async (start: number, end: number, place: 'alone' | 'before' | 'after') => {
      try {
        const part = await read(Math.max(0, start), end);
        change({ kind: 'loaded', stream, ...part, place });
        return part;
      } catch (error) {
        change({ kind: 'failed', error });
        return undefined;
      }
    },
    [read, stream],
  );
  const openAround = useCallback((at: number) => load(at - pieceBytes / 4, at + pieceBytes, 'alone'), [load]);
  const openEnd = useCallback(async () => {
    const { size } = await read(0, 0);
    await load(size - pieceBytes, size + pieceBytes, 'alone');
  }, [read, load]);

  const first = useRef(anchor);
  useEffect(() => {
    change({ kind: 'open', stream });
    const at = first.current;
    first.current = undefined;
    (at === undefined ? openEnd() : openAround(at)).catch((error: unknown) => change({ kind: 'failed', error }));
  }, [stream, openEnd, openAround]);

  return {
    window,
    openEnd,
    openAround,
    loadEarlier: () => load(current.current.start - pieceBytes, current.current.start, 'before'),
    loadLater: () => load(current.current.end, current.current.end + pieceBytes, 'after'),
    /** Takes what a tail told. */
    append: useCallback((part: { stream: StreamName; at: number; next: number; text: string }) => change({ kind: 'loaded', stream: part.stream, start: part.at, end: part.next, size: part.next, text: part.text, place: 'after' }), []),
    /** The byte offset of the first line at or after a time: a search by halves over the whole stream. */
    findTime: useCallback(
      async (time: number) => {
        let low = 0;
        let { size: high } = await read(0, 0);
        while (high - low > 32 * 1024) {
          const middle = Math.floor((low + high) / 2);
          const part = await read(middle, Math.min(high, middle + 16 * 1024));
          const stamp = toChunk(stream, part.start, part.end, part.text).lines.find((line) => line.time !== undefined)?.time;
          if (stamp === undefined || stamp >= time) high = middle;
          else low = middle;
        }
        return low;
      },
      [read, stream],
    ),
  };
}
