'use client';

import { ChevronRight, CircleAlert, CircleX } from 'lucide-react';
import { useState } from 'react';
import type { Outputs, Stage, StageStep, TaskDetail } from '../../../_ui/api';
import { Empty, Loaded, SkeletonRows } from '../../../_ui/states';
import { Status, stepLooks } from '../../../_ui/status';
import { Elapsed, formatExact, useNow } from '../../../_ui/time';
import { percent, type Span } from '../../../_ui/ribbon';

type Stages = Outputs['tasks']['stages'];

/** Finished steps beyond this are folded while others are at work or have failed. */
const stepsShown = 12;

/** Stages with their steps: state, progress, when they ran within the stage, and how long. */
export function StageTree({ query, task, cursor, onStep }: { query: { data: Stages | undefined; error: unknown; refetch: () => unknown }; task: TaskDetail; cursor: number | undefined; onStep: (step: StageStep) => void }) {
  return (
    <Loaded query={query} skeleton={<SkeletonRows rows={10} />}>
      {({ stages, notes }) => (
        <>
          {stages.length === 0 && notes.length === 0 && <Empty title={task.state === 'queued' ? 'Not started yet' : 'No stages'}>{task.state === 'queued' ? 'It waits for a free worker.' : 'This kind of task reports none.'}</Empty>}
          {notes.map((note) => (
            <Note key={`${note.at}`} note={note} />
          ))}
          <ol aria-label="Stages">
            {stages.map((stage) => (
              <StageItem key={`${stage.name} ${stage.tags.join()}`} stage={stage} ended={task.finishedAt} cursor={cursor} onStep={onStep} />
            ))}
          </ol>
        </>
      )}
    </Loaded>
  );
}

function Note({ note }: { note: Stages['notes'][number] }) {
  const failed = note.kind === 'error';
  const Icon = failed ? CircleX : CircleAlert;
  return (
    <p className={`flex gap-2 border-b px-4 py-2 text-sm break-words ${failed ? 'bg-fail-wash text-fail' : 'bg-look-wash text-look'}`} title={formatExact(note.time)}>
      <Icon aria-hidden size={14} className="mt-0.5 shrink-0" />
      <span className="min-w-0">
        <span className="sr-only">{note.kind}: </span>
        {note.message}
        {note.code !== undefined && <span className="mono"> ({note.code})</span>}
      </span>
    </p>
  );
}

function StageItem({ stage, ended, cursor, onStep }: { stage: Stage; ended: Date | undefined; cursor: number | undefined; onStep: (step: StageStep) => void }) {
  const now = useNow();
  const [opened, setOpened] = useState<boolean>();
  const [all, setAll] = useState(false);
  const open = opened ?? (stage.state !== 'done' || stage.steps.length <= stepsShown);
  const from = new Date(Math.min(...stage.steps.map((step) => step.startedAt.getTime())));
  const running = stage.steps.some((step) => step.state === 'working') && !ended;
  const to = running ? undefined : new Date(Math.max(...stage.steps.map((step) => (step.endedAt ?? ended ?? step.startedAt).getTime())));
  const span: Span = { from: from.getTime(), to: Math.max(from.getTime() + 1, to?.getTime() ?? now) };
  const done = stage.steps.filter((step) => step.state === 'done').length;
  const expected = Math.max(stage.total ?? 0, stage.steps.length);
  const steps = all || stage.steps.length <= stepsShown ? stage.steps : stage.steps.filter((step) => step.state !== 'done').slice(0, 60);
  return (
    <li className="border-b last:border-b-0">
      <button type="button" aria-expanded={open} onClick={() => setOpened(!open)} className="flex h-9 w-full items-center gap-2 px-3 text-left hover:bg-raised">
        <ChevronRight aria-hidden size={13} className={`shrink-0 text-faint transition-transform duration-150 ${open ? 'rotate-90' : ''}`} />
        <Status look={stepLooks[stage.state]} wordless />
        <span className="min-w-0 truncate font-medium">
          {stage.name} {stage.tags.length > 0 && <span className="font-normal text-soft">{stage.tags.join(', ')}</span>}
        </span>
        <span className="ml-auto shrink-0 text-sm text-faint tabular-nums">
          {done}/{expected}
        </span>
        <span className="w-20 shrink-0 text-right text-sm text-soft">
          <Elapsed from={from} to={to} />
        </span>
      </button>
      {open && (
        <ol className="pb-1.5">
          {steps.map((step) => (
            <Step key={step.name} step={step} span={span} ended={ended} current={isCurrent(step, cursor)} onSelect={() => onStep(step)} />
          ))}
          {steps.length < stage.steps.length && (
            <li>
              <button type="button" className="link h-7 pl-9 text-sm" onClick={() => setAll(true)}>
                Show {stage.steps.length - steps.length} more
              </button>
            </li>
          )}
        </ol>
      )}
    </li>
  );
}

function isCurrent(step: StageStep, cursor: number | undefined): boolean {
  return cursor !== undefined && step.startedAt.getTime() <= cursor && (step.endedAt === undefined || cursor <= step.endedAt.getTime());
}

const barTones: Record<StageStep['state'], string> = { working: 'bg-work', done: 'bg-ok', failed: 'bg-fail' };

function Step({ step, span, ended, current, onSelect }: { step: StageStep; span: Span; ended: Date | undefined; current: boolean; onSelect: () => void }) {
  const stopped = step.state === 'working' && ended !== undefined;
  const end = step.endedAt ?? ended;
  const left = percent(step.startedAt.getTime(), span);
  const width = percent(end?.getTime() ?? span.to, span) - left;
  return (
    <li>
      <button type="button" onClick={onSelect} title={`${step.name}\nJump to it in the log`} className={`block w-full py-0.5 pr-3 pl-9 text-left hover:bg-raised ${current ? 'bg-accent-wash' : ''}`}>
        <span className="flex h-6 items-center gap-2 text-sm">
          <Status look={stopped ? stepLooks.failed : stepLooks[step.state]} wordless />
          <StepName name={step.name} />
          {step.state === 'working' && !stopped && step.progress > 0 && <span className="shrink-0 text-xs text-work tabular-nums">{Math.round(step.progress)} %</span>}
          <span className="relative ml-auto h-1.5 w-20 shrink-0 overflow-hidden rounded-full bg-raised max-sm:hidden" aria-hidden>
            <span className={`absolute inset-y-0 rounded-full ${stopped ? 'hatch' : barTones[step.state]}`} style={{ left: `${Math.min(left, 96)}%`, width: `max(3px, ${width}%)` }} />
          </span>
          <span className="w-16 shrink-0 text-right text-soft max-sm:ml-auto">
            <Elapsed from={step.startedAt} to={end} />
          </span>
        </span>
        {step.note !== undefined && step.state !== 'done' && <span className={`mb-0.5 block pl-[21px] text-xs break-words ${step.state === 'failed' ? 'text-fail' : 'text-soft'}`}>{step.note}</span>}
      </button>
    </li>
  );
}

/** `web/<uuid> (0) (canary)` as web/0 canary; anything else as it is. */
function StepName({ name }: { name: string }) {
  const instance = /^(.+)\/[0-9a-f]{8}-[0-9a-f-]{27} \((\d+)\)(?: \((.+)\))?$/.exec(name);
  if (!instance) return <span className="min-w-0 truncate">{name}</span>;
  return (
    <span className="min-w-0 truncate">
      {instance[1]}/{instance[2]}
      {instance[3] !== undefined && <span className="ml-1.5 text-faint">{instance[3]}</span>}
    </span>
  );
}
