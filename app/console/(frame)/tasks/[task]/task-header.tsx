'use client';

import { useMutation, useQueryClient } from '@tanstack/react-query';
import { Ban } from 'lucide-react';
import Link from 'next/link';
import { useState } from 'react';
import { useTRPC, type TaskDetail } from '../../../_ui/api';
import { NodeBadge } from '../../../_ui/node';
import { Fact, PageHeader } from '../../../_ui/page-header';
import { Confirm } from '../../../_ui/sheet';
import { useShortcut } from '../../../_ui/shortcuts';
import { Status, taskLooks } from '../../../_ui/status';
import { Ago, Elapsed } from '../../../_ui/time';

/** What the task is, who works on it, and stopping it. */
export function TaskHeader({ task }: { task: TaskDetail }) {
  const last = task.attempts.at(-1);
  return (
    <>
      <PageHeader
        up={<Link className="link" href="/console/tasks">Tasks</Link>}
        title={
          <>
            Task {task.id} <span className="font-normal text-soft">{task.description}</span>
          </>
        }
        state={<Status look={taskLooks[task.state]} chip />}
        facts={
          <>
            {task.deployment !== undefined && (
              <Fact name="Deployment">
                <Link className="link" href={`/console/deployments/${encodeURIComponent(task.deployment)}`}>
                  {task.deployment}
                </Link>
              </Fact>
            )}
            <Fact name="User">{task.user}</Fact>
            <Fact name="Started">{task.startedAt ? <Ago at={task.startedAt} /> : 'not yet'}</Fact>
            {task.startedAt && <Fact name={task.finishedAt ? 'Took' : 'For'}><Elapsed from={task.startedAt} to={task.finishedAt} /></Fact>}
            {last && (
              <Fact name={task.node ? 'On' : 'Last on'}>
                <span className="inline-flex items-center gap-2">
                  <NodeBadge face={last.node} />
                  {task.attempts.length > 1 && <span>attempt {last.attempt}</span>}
                  <span className="text-faint">epoch {last.epoch}</span>
                </span>
              </Fact>
            )}
          </>
        }
        actions={<CancelButton task={task} />}
      />
      {task.result !== undefined && task.state === 'error' && (
        <p className="mb-3 rounded-[5px] bg-fail-wash px-3 py-1.5 text-sm break-words text-fail">{task.result}</p>
      )}
    </>
  );
}

function CancelButton({ task }: { task: TaskDetail }) {
  const trpc = useTRPC();
  const queries = useQueryClient();
  const [asking, setAsking] = useState(false);
  const cancel = useMutation(
    trpc.tasks.cancel.mutationOptions({
      onSuccess: () => {
        setAsking(false);
        void queries.invalidateQueries({ queryKey: trpc.tasks.get.queryKey({ id: task.id }) });
      },
    }),
  );
  const why = task.can.cancel ? undefined : task.state === 'queued' || task.state === 'processing' ? 'Only administrators of its team may cancel it' : task.state === 'cancelling' ? 'It stops at its next step' : 'It has ended';
  useShortcut('x', 'Cancel the task', () => task.can.cancel && setAsking(true));
  if (task.finishedAt) return null;
  return (
    <>
      <button type="button" className="button danger" disabled={why !== undefined} title={why ?? 'Cancel the task (x)'} onClick={() => setAsking(true)}>
        <Ban aria-hidden size={14} /> Cancel task
      </button>
      {asking && (
        <Confirm title={`Cancel task ${task.id}?`} action="Cancel the task" busy={cancel.isPending} error={cancel.error?.message} onConfirm={() => cancel.mutate({ id: task.id })} onClose={() => setAsking(false)}>
          It stops at its next step, on whichever node runs it. What it has changed so far stays; the next {task.description.startsWith('create deployment') ? 'deploy' : 'run'} goes on from there.
        </Confirm>
      )}
    </>
  );
}
