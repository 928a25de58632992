'use client';

import { useMutation, useQueryClient } from '@tanstack/react-query';
import { CirclePause, CirclePlay, Play } from 'lucide-react';
import Link from 'next/link';
import { useState } from 'react';
import { useTRPC, type Schedule } from '../../_ui/api';
import { useMe } from '../../_ui/queries';
import { Confirm } from '../../_ui/sheet';

/** Pausing, resuming and running an entry. */
export function ScheduleActions({ schedule }: { schedule: Schedule }) {
  const trpc = useTRPC();
  const queries = useQueryClient();
  const { data: me } = useMe();
  const [asking, setAsking] = useState<'pause' | 'run'>();
  const onSuccess = () => {
    void queries.invalidateQueries({ queryKey: trpc.schedules.pathKey() });
    setAsking(undefined);
  };
  const pause = useMutation(trpc.schedules.pause.mutationOptions({ onSuccess }));
  const resume = useMutation(trpc.schedules.resume.mutationOptions({ onSuccess }));
  const run = useMutation(trpc.schedules.runNow.mutationOptions({ onSuccess }));
  const why = (me?.can.administer ?? false) ? undefined : 'Only administrators may do this';
  const { name, absent } = schedule;
  const whyNoRun = why ?? (absent === undefined ? undefined : `There is nothing to do: ${absent}`);
  return (
    <span className="flex items-center justify-end gap-1">
      <span role="status" className="whitespace-nowrap text-soft">
        {run.data && <>started <Link className="link in-text tabular-nums" href={`/console/tasks/${run.data.taskId}`}>{run.data.taskId}</Link></>}
      </span>
      <button type="button" className="button quiet" disabled={whyNoRun !== undefined} title={whyNoRun ?? `Run ${name} now`} onClick={() => setAsking('run')}>
        <Play aria-hidden size={14} />
        <span className="sr-only">Run {name} now</span>
      </button>
      {schedule.paused ? (
        <button type="button" className="button quiet" disabled={why !== undefined || resume.isPending} title={why ?? `Resume ${name}`} onClick={() => resume.mutate({ name })}>
          <CirclePlay aria-hidden size={14} />
          <span className="sr-only">Resume {name}</span>
        </button>
      ) : (
        <button type="button" className="button quiet" disabled={why !== undefined} title={why ?? `Pause ${name}`} onClick={() => setAsking('pause')}>
          <CirclePause aria-hidden size={14} />
          <span className="sr-only">Pause {name}</span>
        </button>
      )}
      {asking === 'run' && (
        <Confirm title={`Run ${name} now?`} action="Run it now" calm busy={run.isPending} error={run.error?.message} onConfirm={() => run.mutate({ name })} onClose={() => setAsking(undefined)}>
          It makes one task at once, besides those that are due. The schedule goes on unchanged{schedule.paused ? ', and the entry stays paused' : ''}.
        </Confirm>
      )}
      {asking === 'pause' && (
        <Confirm title={`Pause ${name}?`} action="Pause it" busy={pause.isPending} error={pause.error?.message} onConfirm={() => pause.mutate({ name })} onClose={() => setAsking(undefined)}>
          Its due times pass without a run, on every node, until somebody resumes it. They are not made up for.
        </Confirm>
      )}
    </span>
  );
}
