'use client';

import { Check, CircleAlert, CircleX, LoaderCircle, Play, X, type LucideIcon } from 'lucide-react';
import { memo, type ReactNode } from 'react';
import { levels, type EventLine, type Level, type LogChunk, type LogLine } from './log-lines';

export interface RowLook {
  query: string;
  /** Byte offsets of the current match and of the line in the URL. */
  match: number | undefined;
  line: number | undefined;
  level: Level;
  onLink: (at: number) => void;
}

const levelTones: Record<Level, string> = { debug: 'text-faint', info: 'text-faint', warn: 'text-look', error: 'text-fail' };

/** The loaded lines. Chunks out of view are not laid out, so that long outputs stay quick. */
export function LogRows({ chunks, look }: { chunks: LogChunk[]; look: RowLook }) {
  return (
    <>
      {chunks.map((chunk) => {
        const has = (at: number | undefined) => (at !== undefined && at >= chunk.start && at < chunk.end ? at : undefined);
        return <Chunk key={chunk.start} chunk={chunk} query={look.query} level={look.level} match={has(look.match)} line={has(look.line)} onLink={look.onLink} />;
      })}
    </>
  );
}

const Chunk = memo(
  function Chunk({ chunk, query, level, match, line, onLink }: { chunk: LogChunk } & RowLook) {
    const least = levels.indexOf(level);
    let current: Level = 'info';
    return (
      <div style={{ contentVisibility: 'auto', containIntrinsicSize: `auto ${chunk.lines.length * 18}px` }}>
        {chunk.lines.map((one) => {
          current = one.level ?? current;
          if (least > 0 && levels.indexOf(current) < least) return null;
          return <Row key={one.at} line={one} query={query} isMatch={one.at === match} isLinked={one.at === line} onLink={onLink} />;
        })}
      </div>
    );
  },
  (a, b) => a.chunk === b.chunk && a.query === b.query && a.level === b.level && a.match === b.match && a.line === b.line,
);

function Row({ line, query, isMatch, isLinked, onLink }: { line: LogLine; query: string; isMatch: boolean; isLinked: boolean; onLink: (at: number) => void }) {
  return (
    <div data-at={line.at} data-time={line.time} className={`group flex min-h-[18px] items-start gap-2 pr-3 text-sm leading-[18px] ${isLinked ? 'bg-accent-wash' : isMatch ? 'bg-look-wash' : 'hover:bg-raised'}`}>
      <button type="button" tabIndex={-1} onClick={() => onLink(line.at)} title="Link to this line, copied" className="mono w-[92px] shrink-0 pl-3 text-left text-faint tabular-nums hover:text-accent hover:underline">
        {line.time === undefined ? <span className="opacity-0 group-hover:opacity-100">#{line.at}</span> : formatTime(line.time, line.event !== undefined)}
      </button>
      {line.event ? <Event event={line.event} query={query} /> : <Plain line={line} query={query} />}
    </div>
  );
}

/** Event lines know seconds only. */
function formatTime(time: number, secondsOnly: boolean): string {
  const date = new Date(time);
  const clock = [date.getHours(), date.getMinutes(), date.getSeconds()].map((part) => String(part).padStart(2, '0')).join(':');
  return secondsOnly ? clock : `${clock}.${String(date.getMilliseconds()).padStart(3, '0')}`;
}

function Plain({ line, query }: { line: LogLine; query: string }) {
  return (
    <>
      {line.level !== undefined && <span className={`mono w-10 shrink-0 ${levelTones[line.level]} ${line.level === 'warn' || line.level === 'error' ? 'font-semibold' : ''}`}>{line.level}</span>}
      <span className={`mono min-w-0 break-words whitespace-pre-wrap [overflow-wrap:anywhere] ${line.level === 'debug' ? 'text-soft' : line.level === 'error' ? 'text-fail' : ''}`}>{mark(line.message, query)}</span>
    </>
  );
}

const kinds: Record<EventLine['kind'], { icon: LucideIcon; word: string; tone: string }> = {
  started: { icon: Play, word: 'started', tone: 'text-work' },
  in_progress: { icon: LoaderCircle, word: 'in progress', tone: 'text-work' },
  finished: { icon: Check, word: 'finished', tone: 'text-ok' },
  failed: { icon: X, word: 'failed', tone: 'text-fail' },
  warning: { icon: CircleAlert, word: 'warning', tone: 'text-look' },
  deprecation: { icon: CircleAlert, word: 'deprecation', tone: 'text-look' },
  error: { icon: CircleX, word: 'error', tone: 'text-fail' },
};

function Event({ event, query }: { event: EventLine; query: string }) {
  const { icon: Icon, word, tone } = kinds[event.kind];
  const loud = event.kind === 'failed' || event.kind === 'error' || event.kind === 'warning' || event.kind === 'deprecation';
  return (
    <>
      <span className={`flex w-[88px] shrink-0 items-center gap-1.5 ${tone}`}>
        <Icon aria-hidden size={12} strokeWidth={2.4} className="shrink-0" />
        {word}
      </span>
      <span className="min-w-0 break-words">
        {event.stage !== '' && (
          <>
            <span className="text-soft">{mark(event.stage, query)}</span> {event.task !== event.stage && <EventTask name={event.task} query={query} />}
          </>
        )}
        {event.note !== '' && <span className={loud ? tone : 'text-soft'}>{event.stage === '' ? '' : ' – '}{mark(event.note, query)}</span>}
      </span>
    </>
  );
}

/** `web/<uuid> (0)` begins with web/0, which people say; the rest is there for searching and copying. */
function EventTask({ name, query }: { name: string; query: string }) {
  const instance = /^(.+)\/([0-9a-f]{8}-[0-9a-f-]{27}) \((\d+)\)(.*)$/.exec(name);
  if (!instance) return mark(name, query);
  return (
    <span title={name}>
      {mark(`${instance[1]}/${instance[3]}`, query)}
      {instance[4]} <span className="mono text-faint">{mark(instance[2]?.slice(0, 8) ?? '', query.slice(0, 8))}</span>
    </span>
  );
}

/** The text with what was searched for marked. */
function mark(text: string, query: string): ReactNode {
  if (query === '') return text;
  const parts: ReactNode[] = [];
  const lower = text.toLowerCase();
  const wanted = query.toLowerCase();
  let at = 0;
  for (let found = lower.indexOf(wanted); found >= 0; found = lower.indexOf(wanted, at)) {
    parts.push(text.slice(at, found), <mark key={found} className="rounded-[2px] bg-look text-panel">{text.slice(found, found + wanted.length)}</mark>);
    at = found + wanted.length;
  }
  return parts.length === 0 ? text : [...parts, text.slice(at)];
}
