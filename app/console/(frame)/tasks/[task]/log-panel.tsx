'use client';

import { ArrowDownToLine, ChevronDown, ChevronUp, Search } from 'lucide-react';
import { useEffect, useImperativeHandle, useLayoutEffect, useMemo, useRef, useState, type Ref } from 'react';
import type { TaskDetail } from '../../../_ui/api';
import { Empty, Problem, SkeletonRows } from '../../../_ui/states';
import { useShortcut } from '../../../_ui/shortcuts';
import { useUrlState } from '../../../_ui/url-state';
import { levels, type Level, type LogChunk } from './log-lines';
import { LogRows, type RowLook } from './log-rows';
import { useLog, type StreamName } from './use-log';
import { useTail } from './use-tail';

/** What the other parts of the page can make the log do. */
export interface LogHandle {
  /** Shows a moment: its line in the event stream, or the first line of that time in another one. */
  jump(to: { event: number; time: number }): void;
}

const streams: readonly StreamName[] = ['event', 'debug', 'cpi', 'result'];

function toStream(text: string | undefined, task: TaskDetail): StreamName {
  const wanted = streams.find((stream) => stream === text);
  if (wanted !== undefined && (task.can.readDebug || wanted === 'event' || wanted === 'result')) return wanted;
  return 'event';
}

/** Output of the task: streams as tabs, search, level, follow, permalinks. The chosen stream and line are in the URL. */
export function LogPanel({ task, live, onChange, onCursor, ref }: { task: TaskDetail; live: boolean; onChange: () => void; onCursor: (time: number) => void; ref: Ref<LogHandle> }) {
  const { get, set } = useUrlState();
  const stream = toStream(get('stream'), task);
  const line = /^\d{1,15}$/.test(get('line') ?? '') ? Number(get('line')) : undefined;
  const log = useLog(task.id, stream, line);
  const { window } = log;
  const [follow, setFollow] = useState(live && line === undefined);
  const [level, setLevel] = useState<Level>('debug');
  const box = useRef<HTMLDivElement>(null);
  const search = useSearch(window.chunks, stream, box);
  const eventEnd = useRef<number>(undefined);
  eventEnd.current = Math.max(eventEnd.current ?? 0, task.streams.event);
  const ready = window.state === 'loaded' && window.stream === stream;
  const atEnd = ready && window.end >= window.size;

  useTail({
    taskId: task.id,
    enabled: live && ready,
    streams: stream,
    offsets: () => ({ event: eventEnd.current ?? 0, [stream]: window.end }),
    onOutput: (output) => {
      if (output.stream === 'event') eventEnd.current = output.next;
      if (output.stream === 'event') onChange();
      if (output.stream === stream) log.append(output);
    },
    onState: onChange,
  });

  const goTo = async (at: number) => {
    setFollow(false);
    if (at < window.start || at >= window.end) await log.openAround(at);
    requestAnimationFrame(() => scrollToLine(box.current, at));
  };
  useImperativeHandle(ref, () => ({
    jump: (to) => void (stream === 'event' ? goTo(to.event) : log.findTime(to.time).then((at) => goTo(at))).catch(() => undefined),
  }));
  useFollow({ box, chunks: window.chunks, follow, setFollow, onCursor });
  useEffect(() => {
    if (ready && line !== undefined) requestAnimationFrame(() => scrollToLine(box.current, line));
    // Only when the stream has been opened: later the reader scrolls.
    // oxlint-disable-next-line react-hooks/exhaustive-deps
  }, [ready]);

  const toEnd = async () => {
    setFollow(true);
    if (!atEnd) await log.openEnd();
  };
  const copyLink = (at: number | undefined) => void navigator.clipboard.writeText(`${location.origin}${location.pathname}?stream=${stream}${at === undefined ? '' : `&line=${at}`}`);
  useShortcut('f', 'Follow the output', () => (follow ? setFollow(false) : void toEnd()));
  useShortcut('y', 'Copy a link to this line', () => copyLink(line));
  useShortcut('/', 'Search the output', () => search.focus());
  useShortcut('n', 'Next match', () => search.move(1));
  useShortcut('N', 'Previous match', () => search.move(-1));

  const look: RowLook = { query: search.query, match: search.match, line, level: stream === 'debug' ? level : 'debug', onLink: (at) => { set({ stream, line: String(at) }); copyLink(at); } };
  return (
    <section aria-label="Output" className="panel flex min-h-[420px] min-w-0 flex-1 flex-col overflow-hidden lg:min-h-0">
      <div className="flex flex-wrap items-center gap-x-3 gap-y-1 border-b px-2 py-1">
        <StreamTabs task={task} stream={stream} onChoose={(next) => { set({ stream: next === 'event' ? undefined : next, line: undefined }); setFollow(live); }} />
        <div className="ml-auto flex items-center gap-1.5">
          {stream === 'debug' && (
            <select aria-label="Least level" className="field h-6.5 text-sm" value={level} onChange={(event) => setLevel(levels.find((one) => one === event.target.value) ?? 'debug')}>
              {levels.map((one) => (
                <option key={one} value={one}>
                  {one === 'debug' ? 'All levels' : `${one} and worse`}
                </option>
              ))}
            </select>
          )}
          <SearchField search={search} />
          <button type="button" aria-pressed={follow} disabled={!live} className={`button h-6.5 text-sm ${follow && live ? 'border-transparent bg-accent-wash text-accent' : ''}`} title={live ? 'Follow the output (f)' : 'The task has ended'} onClick={() => (follow ? setFollow(false) : void toEnd())}>
            <ArrowDownToLine aria-hidden size={13} /> Follow
          </button>
        </div>
      </div>
      <div ref={box} tabIndex={0} role="log" aria-live="off" aria-label={`${stream} output`} className="min-h-0 flex-1 overflow-auto py-1 -outline-offset-2 max-lg:max-h-[70vh]">
        {!ready ? window.state === 'failed' ? <Problem error={window.error} onRetry={() => void log.openEnd()} /> : <SkeletonRows rows={10} /> : (
          <>
            {window.start > 0 && <More name="Load earlier lines" onClick={() => void log.loadEarlier()} />}
            {window.chunks.length === 0 && <Empty title="No output yet">{live ? 'It appears here as it is written.' : `The task wrote nothing to its ${stream} stream.`}</Empty>}
            <LogRows chunks={window.chunks} look={look} />
            {!atEnd && <More name="Load later lines" onClick={() => void log.loadLater()} />}
          </>
        )}
      </div>
    </section>
  );
}

function More({ name, onClick }: { name: string; onClick: () => void }) {
  return (
    <button type="button" className="link flex h-8 w-full items-center justify-center text-sm" onClick={onClick}>
      {name}
    </button>
  );
}

function formatBytes(bytes: number): string {
  return bytes < 1_000 ? `${bytes} B` : bytes < 1_000_000 ? `${(bytes / 1_000).toFixed(bytes < 10_000 ? 1 : 0)} kB` : `${(bytes / 1_000_000).toFixed(1)} MB`;
}

function StreamTabs({ task, stream, onChoose }: { task: TaskDetail; stream: StreamName; onChoose: (stream: StreamName) => void }) {
  return (
    <div role="group" aria-label="Stream" className="flex">
      {streams.map((one) => {
        const refused = !task.can.readDebug && (one === 'debug' || one === 'cpi');
        return (
          <button
            key={one}
            type="button"
            aria-pressed={one === stream}
            disabled={refused}
            title={refused ? 'Only administrators of its team may read it' : undefined}
            onClick={() => onChoose(one)}
            className={`relative h-8 px-2.5 text-sm disabled:text-faint ${one === stream ? 'font-medium text-accent after:absolute after:inset-x-2 after:-bottom-[5px] after:h-[2px] after:bg-accent' : 'text-soft enabled:hover:text-ink'}`}
          >
            {one} <span className="text-xs text-faint tabular-nums max-sm:sr-only">{task.streams[one] === 0 ? '–' : formatBytes(task.streams[one])}</span>
          </button>
        );
      })}
    </div>
  );
}

function scrollToLine(box: HTMLElement | null, at: number): void {
  const rows = [...(box?.querySelectorAll<HTMLElement>('[data-at]') ?? [])];
  const row = rows.findLast((one) => Number(one.dataset.at) <= at) ?? rows[0];
  if (box && row) box.scrollTop += row.getBoundingClientRect().top - box.getBoundingClientRect().top - box.clientHeight / 3;
}

/** Keeps the end in view while following; tells the time at the top while the reader scrolls. */
function useFollow({ box, chunks, follow, setFollow, onCursor }: { box: React.RefObject<HTMLDivElement | null>; chunks: LogChunk[]; follow: boolean; setFollow: (follow: boolean) => void; onCursor: (time: number) => void }): void {
  useLayoutEffect(() => {
    if (follow && box.current) box.current.scrollTop = box.current.scrollHeight;
  }, [box, chunks, follow]);
  useEffect(() => {
    const element = box.current;
    if (!element) return;
    const onScroll = () => {
      const rect = element.getBoundingClientRect();
      const row = document.elementFromPoint(rect.left + 40, rect.top + 14)?.closest<HTMLElement>('[data-time]');
      if (!follow && row) onCursor(Number(row.dataset.time));
    };
    const onWheel = (event: WheelEvent) => {
      if (event.deltaY < 0) setFollow(false);
    };
    const onKey = (event: KeyboardEvent) => {
      if (['ArrowUp', 'PageUp', 'Home'].includes(event.key)) setFollow(false);
    };
    element.addEventListener('scroll', onScroll, { passive: true });
    element.addEventListener('wheel', onWheel, { passive: true });
    element.addEventListener('keydown', onKey);
    return () => {
      element.removeEventListener('scroll', onScroll);
      element.removeEventListener('wheel', onWheel);
      element.removeEventListener('keydown', onKey);
    };
  }, [box, follow, setFollow, onCursor]);
}

interface SearchState {
  query: string;
  setQuery: (query: string) => void;
  /** Byte offset of the current match. */
  match: number | undefined;
  place: string;
  move: (step: number) => void;
  focus: () => void;
  field: React.RefObject<HTMLInputElement | null>;
}

/** Finds text in the loaded lines. */
function useSearch(chunks: LogChunk[], stream: string, box: React.RefObject<HTMLDivElement | null>): SearchState {
  const field = useRef<HTMLInputElement>(null);
  const [query, setQuery] = useState('');
  const [match, setMatch] = useState<number>();
  const matches = useMemo(() => {
    const wanted = query.toLowerCase();
    return wanted === '' ? [] : chunks.flatMap((chunk) => chunk.lines.flatMap((line) => (line.message.toLowerCase().includes(wanted) ? [line.at] : [])));
  }, [chunks, query]);
  useEffect(() => setMatch(undefined), [query, stream]);
  const index = match === undefined ? -1 : matches.indexOf(match);
  const move = (step: number) => {
    if (matches.length === 0) return;
    const next = matches[(index + step + matches.length + (index < 0 && step < 0 ? 1 : 0)) % matches.length];
    setMatch(next);
    if (next !== undefined) scrollToLine(box.current, next);
  };
  const place = query === '' ? '' : matches.length === 0 ? 'none' : `${index < 0 ? '–' : index + 1} of ${matches.length}`;
  return { query, setQuery, match, place, move, focus: () => field.current?.focus(), field };
}

function SearchField({ search }: { search: SearchState }) {
  return (
    <div className="flex h-6.5 items-center rounded-[5px] border border-line-strong focus-within:outline-2 focus-within:outline-accent" role="search">
      <Search aria-hidden size={13} className="ml-2 shrink-0 text-faint" />
      <input
        ref={search.field}
        aria-label="Search the loaded output"
        className="w-28 bg-transparent px-1.5 text-sm outline-none focus-visible:outline-none sm:w-40"
        placeholder="Search"
        value={search.query}
        onChange={(event) => search.setQuery(event.target.value)}
        onKeyDown={(event) => {
          if (event.key === 'Enter') search.move(event.shiftKey ? -1 : 1);
          if (event.key === 'Escape') {
            search.setQuery('');
            event.currentTarget.blur();
          }
        }}
      />
      <span aria-live="polite" className="text-xs whitespace-nowrap text-faint tabular-nums">
        {search.place}
      </span>
      {search.query !== '' && (
        <span className="flex pl-1">
          <button type="button" className="px-0.5 text-soft" title="Previous match (N)" onClick={() => search.move(-1)}>
            <ChevronUp aria-hidden size={14} />
            <span className="sr-only">Previous match</span>
          </button>
          <button type="button" className="px-0.5 text-soft" title="Next match (n)" onClick={() => search.move(1)}>
            <ChevronDown aria-hidden size={14} />
            <span className="sr-only">Next match</span>
          </button>
        </span>
      )}
    </div>
  );
}
