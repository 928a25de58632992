'use client';

import { keepPreviousData, useQuery } from '@tanstack/react-query';
import { ArrowUp } from 'lucide-react';
import Link from 'next/link';
import { useRouter } from 'next/navigation';
import { useState } from 'react';
import { useTRPC, type TaskRow } from '../../_ui/api';
import { NodeBadge } from '../../_ui/node';
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
  const shown = useHeldRows(query.data?.tasks, JSON.stringify(filter), query.isPlaceholderData);
  const next = query.data?.nextBeforeId;
  const filtered = Object.values(filter).some((value) => value !== undefined);
  return (
    <>
      <TaskFilters />
      <div className="panel relative overflow-hidden">
        <div aria-live="polite">
          {shown.pending > 0 && (
            <button type="button" className="flex h-8 w-full items-center justify-center gap-1.5 border-b bg-accent-wash text-sm font-medium text-accent" onClick={shown.show}>
              <ArrowUp aria-hidden size={13} /> {shown.pending} {shown.pending === 1 ? 'update' : 'updates'} pending
            </button>
          )}
        </div>
        {query.data === undefined ? query.error ? <Problem error={query.error} onRetry={() => void query.refetch()} /> : <SkeletonRows rows={16} /> : <TaskTable tasks={shown.rows} filtered={filtered} gone={shown.gone} stale={query.isPlaceholderData} />}
      </div>
      {(before !== undefined || next !== undefined) && (
        <nav aria-label="Pages" className="mt-3 flex justify-end gap-2">
          <button type="button" className="button" disabled={before === undefined} title={before === undefined ? 'These are the newest' : undefined} onClick={() => set({ before: undefined }, 'push')}>
            Newest
          </button>
          <button type="button" className="button" disabled={next === undefined} title={next === undefined ? 'There are no older ones' : undefined} onClick={() => set({ before: String(next) }, 'push')}>
            Older
          </button>
        </nav>
      )}
    </>
  );
}

interface HeldRows {
  rows: TaskRow[];
  /** Rows that are in the view no longer; shown until somebody asks for the updates. */
  gone: ReadonlySet<number>;
  pending: number;
  show: () => void;
}

/** Keeps the set of rows of a view as first shown, with their newest content. */
function useHeldRows(fresh: TaskRow[] | undefined, view: string, placeholder: boolean): HeldRows {
  const [held, setHeld] = useState<{ view: string; rows: TaskRow[] }>();
  const asIs = (rows: TaskRow[]): HeldRows => ({ rows, gone: new Set(), pending: 0, show: () => undefined });
  if (fresh === undefined || placeholder) return asIs(fresh ?? []);
  if (held?.view !== view || (held.rows.length === 0 && fresh.length > 0)) {
    setHeld({ view, rows: fresh });
    return asIs(fresh);
  }
  const now = new Map(fresh.map((task) => [task.id, task]));
  const known = new Set(held.rows.map((task) => task.id));
  // What the newest rows push over the end of the page is not gone.
  const last = fresh.at(-1)?.id ?? 0;
  const gone = new Set(held.rows.filter((task) => !now.has(task.id) && task.id > last).map((task) => task.id));
  const added = fresh.filter((task) => !known.has(task.id) && task.id > (held.rows[0]?.id ?? 0)).length;
  return { rows: held.rows.map((task) => now.get(task.id) ?? task), gone, pending: added + gone.size, show: () => setHeld({ view, rows: fresh }) };
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
