'use client';

import type { Stage, TaskDetail } from '../../../_ui/api';
import { hueOf } from '../../../_ui/node';
import { describeAttempts, percent, spanOf, takeoverText, type Span } from '../../../_ui/ribbon';
import { formatClock, formatDuration, useNow } from '../../../_ui/time';

interface Mark {
  at: number;
  text: string;
  tone: 'text-soft' | 'text-look';
}

/** Labels nearer to each other than this would overlap, percent. */
const labelRoom = 22;

/** The task's time: who worked on it when, take-overs, cancel requests, stages; and the cursor. */
export function TimeRibbon({ task, stages, cursor }: { task: TaskDetail; stages: readonly Stage[]; cursor: number | undefined }) {
  const now = useNow();
  const span = spanOf(task, now);
  const marks = marksOf(task);
  return (
    <figure className="panel mb-4 px-4 pt-2 pb-2" aria-label="Time ribbon">
      <figcaption className="sr-only">{describeAttempts(task)}</figcaption>
      <Labels marks={marks} span={span} />
      <div className="relative h-6 overflow-hidden rounded-[4px] bg-raised" aria-hidden>
        <span className="hatch absolute inset-0" title="Waiting" />
        {task.attempts.map((one) => (
          <Attempt key={one.epoch} one={one} span={span} />
        ))}
        {marks.map((mark) => (
          <span key={`${mark.at}${mark.text}`} title={mark.text} className={`absolute inset-y-0 w-[2px] ${mark.tone === 'text-look' ? 'bg-look' : 'bg-ink'}`} style={{ left: `calc(${percent(mark.at, span)}% - 1px)` }} />
        ))}
        {cursor !== undefined && <span className="absolute inset-y-0 w-px bg-ink outline-1 outline-panel" style={{ left: `${percent(cursor, span)}%` }} />}
      </div>
      <StageLane stages={stages} span={span} />
      <div className="mt-1 flex justify-between text-xs text-faint tabular-nums">
        <time dateTime={task.createdAt.toISOString()}>{formatClock(task.createdAt)}</time>
        <span>{formatDuration(span.to - span.from)}</span>
        <span>{task.finishedAt ? formatClock(task.finishedAt) : 'now'}</span>
      </div>
    </figure>
  );
}

function Attempt({ one, span }: { one: TaskDetail['attempts'][number]; span: Span }) {
  const from = percent(one.startedAt.getTime(), span);
  const to = percent(one.lastSeenAt?.getTime() ?? span.to, span);
  return (
    <span
      title={`Node ${one.node.letter}, attempt ${one.attempt}, epoch ${one.epoch}${one.outcome === undefined ? '' : `: ${one.outcome}`}`}
      className="stretch absolute inset-y-0 flex min-w-1 items-center overflow-hidden pl-2.5 text-xs whitespace-nowrap"
      style={{ '--hue': hueOf(one.node), left: `${from}%`, width: `${Math.max(0, to - from)}%` }}
    >
      {to - from > 4 && <span className="font-semibold">{one.node.letter}</span>}
      {to - from > 22 && <span className="ml-2 text-soft">{`attempt ${one.attempt}, epoch ${one.epoch}${one.outcome === 'lost' ? ', node lost' : ''}`}</span>}
    </span>
  );
}

function marksOf(task: TaskDetail): Mark[] {
  const takeovers = task.attempts.slice(1).map((one, index): Mark => ({ at: one.startedAt.getTime(), text: takeoverText(task, index + 1), tone: 'text-soft' }));
  const cancel: Mark[] = task.cancelRequestedAt ? [{ at: task.cancelRequestedAt.getTime(), text: 'cancel requested', tone: 'text-look' }] : [];
  return [...takeovers, ...cancel].toSorted((a, b) => a.at - b.at);
}

/** What the marks mean, above them; where there is no room, hovering a mark tells it. */
function Labels({ marks, span }: { marks: Mark[]; span: Span }) {
  if (marks.length === 0) return null;
  const shown: Mark[] = [];
  for (const mark of marks.toReversed()) if (!shown[0] || percent(shown[0].at, span) - percent(mark.at, span) > labelRoom) shown.unshift(mark);
  return (
    <div className="relative mb-1 h-4 text-xs font-medium" aria-hidden>
      {shown.map((mark) => {
        const at = percent(mark.at, span);
        return (
          <span key={`${mark.at}${mark.text}`} className={`absolute whitespace-nowrap ${mark.tone}`} style={at > 60 ? { right: `${100 - at}%` } : { left: `${at}%` }}>
            {mark.text}
          </span>
        );
      })}
    </div>
  );
}

const laneTones: Record<Stage['state'], string> = { working: 'bg-work', done: 'bg-ok', failed: 'bg-fail' };

function StageLane({ stages, span }: { stages: readonly Stage[]; span: Span }) {
  return (
    <div className="relative mt-1 h-[3px]" aria-hidden>
      {stages.map((stage) => {
        const from = Math.min(...stage.steps.map((step) => step.startedAt.getTime()));
        const to = Math.max(...stage.steps.map((step) => step.endedAt?.getTime() ?? span.to));
        const left = percent(from, span);
        return <span key={`${stage.name}${stage.tags.join()}`} title={`${stage.name} ${stage.tags.join(' ')}`} className={`absolute inset-y-0 rounded-full ${laneTones[stage.state]}`} style={{ left: `${left}%`, width: `max(2px, calc(${percent(to, span) - left}% - 2px))` }} />;
      })}
    </div>
  );
}
