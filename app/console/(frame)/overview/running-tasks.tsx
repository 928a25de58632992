'use client';

import { keepPreviousData, useQuery } from '@tanstack/react-query';
import Link from 'next/link';
import { useTRPC } from '../../_ui/api';
import { Section } from '../../_ui/page-header';
import { Loaded, SkeletonRows } from '../../_ui/states';
import { TaskItem } from '../../_ui/task-item';

/** Tasks at work or waiting, each with its time ribbon. */
export function RunningTasks() {
  const trpc = useTRPC();
  const query = useQuery(trpc.tasks.list.queryOptions({ states: ['queued', 'processing', 'cancelling'], limit: 20 }, { refetchInterval: 1_500, placeholderData: keepPreviousData }));
  return (
    <Section title="Running tasks" aside={<Link className="link" href="/console/tasks">All tasks</Link>}>
      <div className="panel overflow-hidden">
        <Loaded query={query} skeleton={<SkeletonRows rows={2} />}>
          {({ tasks }) => (tasks.length === 0 ? <p className="flex h-[46px] items-center px-4 text-soft">No task is running.</p> : <ul className="divide-y divide-line">{tasks.map((task) => <TaskItem key={task.id} task={task} />)}</ul>)}
        </Loaded>
      </div>
    </Section>
  );
}
