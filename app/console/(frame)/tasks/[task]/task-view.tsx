'use client';

import { keepPreviousData, useQuery, useQueryClient } from '@tanstack/react-query';
import { Lock } from 'lucide-react';
import Link from 'next/link';
import { useCallback, useRef, useState } from 'react';
import { useTRPC, type StageStep, type TaskDetail } from '../../../_ui/api';
import { Problem, SkeletonRows } from '../../../_ui/states';
import { Ago } from '../../../_ui/time';
import { LogPanel, type LogHandle } from './log-panel';
import { StageTree } from './stage-tree';
import { TaskHeader } from './task-header';
import { TimeRibbon } from './time-ribbon';

export const finalStates: readonly TaskDetail['state'][] = ['done', 'error', 'cancelled', 'timeout'];

/** One task: its time, its stages, its output. The three share one cursor. */
export function TaskView({ id }: { id: number }) {
  const trpc = useTRPC();
  const task = useQuery(
    trpc.tasks.get.queryOptions({ id }, { placeholderData: keepPreviousData, refetchInterval: (query) => (query.state.data && finalStates.includes(query.state.data.state) ? 30_000 : 2_000) }),
  );
  if (task.data === undefined) return task.error ? <Problem error={task.error} onRetry={() => void task.refetch()} /> : <SkeletonRows rows={14} />;
  return <Loaded task={task.data} />;
}

function Loaded({ task }: { task: TaskDetail }) {
  const trpc = useTRPC();
  const queries = useQueryClient();
  const live = !finalStates.includes(task.state);
  const stages = useQuery(trpc.tasks.stages.queryOptions({ id: task.id }, { placeholderData: keepPreviousData, refetchInterval: live ? 5_000 : false }));
  const [cursor, setCursor] = useState<number>();
  const log = useRef<LogHandle>(null);
  const refresh = useRefresh(() => {
    void queries.invalidateQueries({ queryKey: trpc.tasks.stages.queryKey({ id: task.id }) });
    void queries.invalidateQueries({ queryKey: trpc.tasks.get.queryKey({ id: task.id }) });
  });
  const onStep = (step: StageStep) => {
    setCursor(step.startedAt.getTime());
    log.current?.jump({ event: step.at, time: step.startedAt.getTime() });
  };
  return (
    <div className="flex flex-col lg:h-full">
      <TaskHeader task={task} />
      {task.waitsFor && <WaitsFor lock={task.waitsFor} />}
      <TimeRibbon task={task} stages={stages.data?.stages ?? []} cursor={cursor} />
      <div className="flex min-h-0 flex-1 gap-4 max-lg:flex-col">
        <div className="panel min-h-0 overflow-y-auto max-lg:max-h-[420px] lg:w-[340px] lg:shrink-0 xl:w-[400px] 2xl:w-[480px]">
          <StageTree query={stages} task={task} cursor={cursor} onStep={onStep} />
        </div>
        <LogPanel ref={log} task={task} live={live} onChange={refresh} onCursor={setCursor} />
      </div>
    </div>
  );
}

/** Calls at most every 400 ms, and once more after the last call. */
function useRefresh(refresh: () => void): () => void {
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);
  const latest = useRef(refresh);
  latest.current = refresh;
  return useCallback(() => {
    timer.current ??= setTimeout(() => {
      timer.current = undefined;
      latest.current();
    }, 400);
  }, []);
}

function WaitsFor({ lock }: { lock: NonNullable<TaskDetail['waitsFor']> }) {
  return (
    <p className="mb-3 flex items-center gap-2 rounded-[5px] bg-look-wash px-3 py-1.5 text-sm text-look">
      <Lock aria-hidden size={13} className="shrink-0" />
      <span>
        The lock <span className="mono">{lock.name}</span> is held by{' '}
        <Link className="font-medium underline underline-offset-2" href={`/console/tasks/${lock.taskId}`}>
          task {lock.taskId}
        </Link>{' '}
        ({lock.description}) since <Ago at={lock.since} />.
      </span>
    </p>
  );
}
