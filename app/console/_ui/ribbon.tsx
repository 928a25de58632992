'use client';

import type { TaskRow } from './api';
import { hueOf } from './node';
import { formatDuration, useNow } from './time';

type RibbonTask = Pick<TaskRow, 'createdAt' | 'startedAt' | 'finishedAt' | 'cancelRequestedAt' | 'attempts' | 'state'>;

export interface Span {
  from: number;
  to: number;
}

/** The time that a task's ribbon covers, epoch ms. */
export function spanOf(task: RibbonTask, now: number): Span {
  const from = task.createdAt.getTime();
  const to = task.finishedAt?.getTime() ?? Math.max(now, task.startedAt?.getTime() ?? from);
  return { from, to: Math.max(to, from + 1) };
}

export function percent(at: number, span: Span): number {
  return Math.min(100, Math.max(0, ((at - span.from) / (span.to - span.from)) * 100));
}

/** In words what the ribbon shows, for those who do not see it. */
export function describeAttempts(task: RibbonTask): string {
  if (task.attempts.length === 0) return 'No node has worked on it yet.';
  return task.attempts.map((one, index) => (index === 0 ? `Node ${one.node.letter} started it.` : `${takeoverText(task, index)}.`)).join(' ');
}

/** "B took over from A after 1.8 s" */
export function takeoverText(task: Pick<TaskRow, 'attempts'>, index: number): string {
  const one = task.attempts[index];
  const before = task.attempts[index - 1];
  if (!one || !before) return '';
  const verb = before.outcome === 'handed over' ? `${before.node.letter} handed over to ${one.node.letter}` : `${one.node.letter} took over from ${before.node.letter}`;
  return one.gapMs === undefined ? verb : `${verb} after ${formatDuration(one.gapMs)}`;
}

/** Attempts in the hues of their nodes along the task's time, small: for lists. */
export function MiniRibbon({ task }: { task: RibbonTask }) {
  const now = useNow();
  const span = spanOf(task, now);
  return (
    <span role="img" aria-label={describeAttempts(task)} title={describeAttempts(task)} className="relative block h-1.5 w-full min-w-16 overflow-hidden rounded-[2px] bg-raised">
      <span className="hatch absolute inset-0" />
      {task.attempts.map((one) => {
        const from = percent(one.startedAt.getTime(), span);
        const to = percent(one.lastSeenAt?.getTime() ?? span.to, span);
        return <span key={one.epoch} className="absolute inset-y-0 min-w-[3px] border-r border-panel" style={{ left: `${from}%`, width: `${Math.max(0, to - from)}%`, background: hueOf(one.node) }} />;
      })}
      {task.cancelRequestedAt && <span className="absolute inset-y-0 w-[2px] bg-look" style={{ left: `${percent(task.cancelRequestedAt.getTime(), span)}%` }} />}
    </span>
  );
}
