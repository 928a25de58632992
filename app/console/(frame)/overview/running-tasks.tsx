'use client';

import { keepPreviousData, useQuery } from '@tanstack/react-query';
import Link from 'next/link';
import { useTRPC, type TaskRow } from '../../_ui/api';
import { NodeBadge } from '../../_ui/node';
import { Section } from '../../_ui/page-header';
import { MiniRibbon } from '../../_ui/ribbon';
import { Loaded, SkeletonRows } from '../../_ui/states';
import { Status, taskLooks } from '../../_ui/status';
import { Elapsed } from '../../_ui/time';

/** Tasks at work or waiting, each with its time ribbon. */
export function RunningTasks() {
  const trpc = useTRPC();
  const query = useQuery(trpc.tasks.list.queryOptions({ states: ['queued', 'processing', 'cancelling'], limit: 20 }, { refetchInterval: 1_500, placeholderData: keepPreviousData }));
  return (
    <Section title="Running tasks" aside={<Link className="link" href="/console/tasks">All tasks</Link>}>
      <div className="panel overflow-hidden">
        <Loaded query={query} skeleton={<SkeletonRows rows={2} />}>
          {({ tasks }) => (tasks.length === 0 ? <p className="flex h-[46px] items-center px-4 text-soft">No task is running.</p> : <ul className="divide-y">{tasks.map((task) => <Running key={task.id} task={task} />)}</ul>)}
        </Loaded>
      </div>
    </Section>
  );
}

function Running({ task }: { task: TaskRow }) {
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
      <span className="max-md:hidden">{task.node && <NodeBadge face={task.node} />}</span>
    </li>
  );
}
