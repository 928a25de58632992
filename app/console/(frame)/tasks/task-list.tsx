'use client';

import { keepPreviousData, useQuery } from '@tanstack/react-query';
import Link from 'next/link';
import { useRouter } from 'next/navigation';
import { useTRPC, type TaskRow } from '../../_ui/api';
import { useHeldRows } from '../../_ui/held-rows';
import { NodeBadge } from '../../_ui/node';
import { Pages } from '../../_ui/pages';
import { PendingRows } from '../../_ui/pending-rows';
import { MiniRibbon } from '../../_ui/ribbon';
import { Empty, Problem, SkeletonRows } from '../../_ui/states';
import { Status, taskLooks } from '../../_ui/status';
import { Ago, Elapsed } from '../../_ui/time';
import { useUrlState } from '../../_ui/url-state';
import { useRows } from '../../_ui/use-rows';
import { stateFilters, TaskFilters, toStateFilter } from './filters';

/** A page of tasks. Rows that are shown change in place; new ones wait behind a button, so that nothing jumps. */
export function TaskList() {
  const { get, set } = useUrlState();
  const trpc = useTRPC();
  const before = /^\d{1,15}$/.exec(get('before') ?? '')?.[0];
  const type = get('type');
  const filter = {
    states: stateFilters[toStateFilter(get('state'))].states?.slice(),
    types: type === undefined ? undefined : [type],
    deployment: get('deployment'),
    user: get('user'),
    beforeId: before === undefined ? undefined : Number(before),
  };
  const query = useQuery(trpc.tasks.list.queryOptions(filter, { refetchInterval: 2_000, placeholderData: keepPreviousData }));
  const shown = useHeldRows(query.data?.tasks, { name: JSON.stringify(filter), placeholder: query.isPlaceholderData }, (task) => task.id);
  const next = query.data?.nextBeforeId;
  const filtered = Object.values(filter).some((value) => value !== undefined);
  return (
    <>
      <TaskFilters />
      <div className="panel relative overflow-hidden">
        <PendingRows pending={shown.pending} show={shown.show} />
        {query.data === undefined ? query.error ? <Problem error={query.error} onRetry={() => void query.refetch()} /> : <SkeletonRows rows={16} /> : <TaskTable tasks={shown.rows} filtered={filtered} gone={shown.gone} stale={query.isPlaceholderData} />}
      </div>
      <Pages
        first={before === undefined ? undefined : () => set({ before: undefined }, 'push')}
        next={next === undefined ? undefined : () => set({ before: String(next) }, 'push')}
        names={{ first: 'Newest', next: 'Older', atFirst: 'These are the newest', atLast: 'There are no older ones' }}
      />
    </>
  );
}

function TaskTable({ tasks, filtered, gone, stale }: { tasks: TaskRow[]; filtered: boolean; gone: ReadonlySet<number>; stale: boolean }) {
  const rows = useRows<HTMLTableSectionElement>();
  const router = useRouter();
  if (tasks.length === 0 && !filtered) return <Empty title="No tasks yet">Deploys, uploads and everything else that takes time will be listed here.</Empty>;
  if (tasks.length === 0) return <Empty title="No such task">Change or clear the filters to see others.</Empty>;
  return (
    <div className="overflow-x-auto">
      <table className={`table min-w-[700px] table-fixed ${stale ? 'opacity-60' : ''}`}>
        <thead>
          <tr>
            <th scope="col" className="num w-[68px]" aria-sort="descending">Task</th>
            <th scope="col" className="w-[112px]">State</th>
            <th scope="col" className="w-[210px]">What</th>
            <th scope="col" className="w-[120px]">Deployment</th>
            <th scope="col" className="w-[84px]">User</th>
            <th scope="col" className="w-[96px]">Started</th>
            <th scope="col" className="num w-[96px]">Took</th>
            <th scope="col" className="w-[120px]">Nodes</th>
            <th scope="col">Result</th>
          </tr>
        </thead>
        <tbody ref={rows}>
          {tasks.map((task) => (
            <tr
              key={task.id}
              data-row
              tabIndex={0}
              className={`cursor-pointer ${gone.has(task.id) ? 'opacity-50' : ''}`}
              onClick={(event) => {
                if (!(event.target instanceof HTMLElement && event.target.closest('a'))) router.push(`/console/tasks/${task.id}`);
              }}
              onKeyDown={(event) => {
                if (event.key === 'Enter' && event.target === event.currentTarget) router.push(`/console/tasks/${task.id}`);
              }}
            >
              <td className="num">
                <Link className="link" href={`/console/tasks/${task.id}`} tabIndex={-1}>
                  {task.id}
                </Link>
              </td>
              <td>
                <Status look={taskLooks[task.state]} />
              </td>
              <td className="truncate" title={`${task.type}: ${task.description}`}>{task.description}</td>
              <td className="truncate" title={task.deployment}>{task.deployment ?? <span className="text-faint">–</span>}</td>
              <td className="truncate">{task.user}</td>
              <td className="text-soft">
                <Ago at={task.startedAt ?? task.createdAt} />
              </td>
              <td className="num text-soft">{task.startedAt ? <Elapsed from={task.startedAt} to={task.finishedAt} /> : '–'}</td>
              <td>
                <span className="flex items-center gap-2">
                  {task.attempts.at(-1) && <NodeBadge face={task.attempts.at(-1)!.node} />}
                  <MiniRibbon task={task} />
                </span>
              </td>
              <td className={`truncate ${task.state === 'error' ? 'text-fail' : 'text-soft'}`} title={task.result}>{task.result ?? ''}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
