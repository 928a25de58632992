'use client';

import Link from 'next/link';
import type { TaskRow } from './api';
import { NodeBadge } from './node';
import { MiniRibbon } from './ribbon';
import { Status, taskLooks } from './status';
import { Elapsed } from './time';

/** A task in one line of a short list, with its time ribbon. */
export function TaskItem({ task }: { task: TaskRow }) {
  const last = task.attempts.at(-1);
  return (
    <li className="relative grid grid-cols-[1fr_auto] items-center gap-x-4 gap-y-1.5 px-4 py-2 hover:bg-raised md:h-10 md:grid-cols-[104px_minmax(160px,1fr)_minmax(160px,1.4fr)_72px_28px] md:py-0">
      <span className="max-md:order-2">
        <Status look={taskLooks[task.state]} />
      </span>
      <span className="min-w-0 truncate max-md:order-1">
        <Link href={`/console/tasks/${task.id}`} className="link font-medium after:absolute after:inset-0">
          Task {task.id}
        </Link>{' '}
        <span>{task.description}</span> {task.deployment !== undefined && !task.description.includes(task.deployment) && <span className="text-soft">{task.deployment}</span>}
      </span>
      <span className="max-md:order-3 max-md:col-span-2">
        <MiniRibbon task={task} />
      </span>
      <span className="text-right text-sm text-soft tabular-nums max-md:hidden">
        <Elapsed from={task.startedAt ?? task.createdAt} to={task.finishedAt} />
      </span>
      <span className="max-md:hidden">{last && <NodeBadge face={last.node} />}</span>
    </li>
  );
}
