'use client';

import { Hammer, TriangleAlert } from 'lucide-react';
import Link from 'next/link';
import { useState, type ReactNode } from 'react';
import type { PlannedInstance, Preview } from '../../_ui/api';
import { Fact, Section } from '../../_ui/page-header';
import { useShortcut } from '../../_ui/shortcuts';
import { Status } from '../../_ui/status';
import { instancesOf, outcomeCounts, outcomeLooks, sharedReasons, type Outcome } from './looks';
import { PlanGrid } from './plan-grid';
import { PlanPanel } from './plan-panel';

type Filter = { outcome: Outcome } | { reason: string } | undefined;

/** The planner's result: what will happen to each instance, and why. */
export function PlanView({ preview }: { preview: Preview }) {
  const [filter, setFilter] = useState<Filter>();
  const [selected, setSelected] = useState<PlannedInstance>();
  useShortcut('Escape', 'Close the instance', () => setSelected(undefined));
  const instances = instancesOf(preview);
  const reasons = sharedReasons(instances);
  const shown = shownBy(filter, instances, reasons);
  return (
    <>
      <Notes preview={preview} />
      <Section title="Instances" aside={<Counts instances={instances} chosen={filter && 'outcome' in filter ? filter.outcome : undefined} onChoose={(outcome) => setFilter(outcome && { outcome })} />}>
        <div className="flex items-start gap-5 max-lg:flex-col">
          <div className="w-full min-w-0 flex-1">
            <PlanGrid preview={preview} shown={shown} selected={selected} onSelect={setSelected} />
            <Reasons reasons={reasons} chosen={filter && 'reason' in filter ? filter.reason : undefined} onChoose={(reason) => setFilter(reason === undefined ? undefined : { reason })} />
          </div>
          {selected && <PlanPanel instance={selected} onClose={() => setSelected(undefined)} />}
        </div>
      </Section>
      <Packages preview={preview} />
    </>
  );
}

/** Reasons shown at most; the rarest are left out. */
const shownReasons = 40;

/** Why, with how many instances share each reason; choosing one dims the others. */
function Reasons({ reasons, chosen, onChoose }: { reasons: ReturnType<typeof sharedReasons>; chosen: string | undefined; onChoose: (reason: string | undefined) => void }) {
  if (reasons.length === 0) return null;
  return (
    <>
      <h3 className="heading mt-4 mb-2">Why</h3>
      <ul className="panel divide-y overflow-hidden">
        {reasons.slice(0, shownReasons).map(({ kind, text, instances }) => {
          const key = `${kind} ${text}`;
          return (
            <li key={key}>
              <button type="button" aria-pressed={chosen === key} onClick={() => onChoose(chosen === key ? undefined : key)} className={`flex min-h-8 w-full items-baseline gap-3 px-4 py-1.5 text-left text-sm ${chosen === key ? 'bg-accent-wash' : 'hover:bg-raised'}`}>
                <span className="w-8 shrink-0 text-right font-medium tabular-nums">{instances.length}</span>
                <span className="w-28 shrink-0 text-faint max-sm:hidden">{kind.replaceAll('_', ' ')}</span>
                <span className="min-w-0 break-words">{text}</span>
              </button>
            </li>
          );
        })}
      </ul>
      {reasons.length > shownReasons && <p className="mt-1 px-4 text-sm text-faint">and {reasons.length - shownReasons} more, each of fewer instances</p>}
    </>
  );
}

function shownBy(filter: Filter, instances: readonly PlannedInstance[], reasons: ReturnType<typeof sharedReasons>): ReadonlySet<PlannedInstance> | undefined {
  if (!filter) return undefined;
  if ('outcome' in filter) return new Set(instances.filter((one) => one.outcome === filter.outcome));
  return new Set(reasons.find(({ kind, text }) => `${kind} ${text}` === filter.reason)?.instances ?? []);
}

function Counts({ instances, chosen, onChoose }: { instances: PlannedInstance[]; chosen: Outcome | undefined; onChoose: (outcome: Outcome | undefined) => void }) {
  return (
    <span className="flex flex-wrap items-center justify-end gap-1">
      {outcomeCounts(instances).map(([outcome, count]) => (
        <button key={outcome} type="button" aria-pressed={chosen === outcome} onClick={() => onChoose(chosen === outcome ? undefined : outcome)} className={`flex items-center gap-1.5 rounded px-1.5 tabular-nums ${chosen === outcome ? 'bg-raised' : 'hover:bg-raised'}`}>
          <span className="text-ink">{count}</span> <Status look={outcomeLooks[outcome]} />
        </button>
      ))}
    </span>
  );
}

/** What the deploy is made of, and what to know before it. */
function Notes({ preview }: { preview: Preview }) {
  const versions = (list: { name: string; version: string }[]) => list.map((one) => `${one.name} ${one.version}`).join(', ') || '–';
  const notes = [...new Set(preview.warnings)];
  return (
    <>
      <dl className="mb-3 flex flex-wrap gap-x-5 gap-y-0.5 text-sm text-soft">
        <Fact name="Releases">{versions(preview.releases)}</Fact>
        <Fact name="Stemcells">{versions(preview.stemcells)}</Fact>
        <Fact name="Packages to compile">{preview.packages.length}</Fact>
      </dl>
      {(notes.length > 0 || preview.busy) && (
        <ul aria-label="Warnings" className="panel mb-4 divide-y">
          {preview.busy && (
            <Warning>
              <Link className="link in-text" href={`/console/tasks/${preview.busy.taskId}`}>Task {preview.busy.taskId}</Link> ({preview.busy.description}) is at work on this deployment: what it does changes this plan.
            </Warning>
          )}
          {notes.map((note) => <Warning key={note}>{note}</Warning>)}
        </ul>
      )}
    </>
  );
}

function Warning({ children }: { children: ReactNode }) {
  return (
    <li className="flex min-h-9 items-start gap-2.5 px-4 py-2 text-sm">
      <TriangleAlert aria-hidden size={14} className="mt-0.5 shrink-0 text-look" />
      <span className="min-w-0 break-words">{children}</span>
    </li>
  );
}

function Packages({ preview }: { preview: Preview }) {
  if (preview.packages.length === 0) return null;
  return (
    <Section title="Packages to compile" aside={<span className="inline-flex items-center gap-1.5"><Hammer aria-hidden size={13} /> before any instance is touched</span>}>
      <div className="panel overflow-x-auto">
        <table className="table">
          <thead>
            <tr><th scope="col">Package</th><th scope="col">Release</th><th scope="col">For stemcell</th></tr>
          </thead>
          <tbody>
            {preview.packages.map((one) => (
              <tr key={`${one.release} ${one.name} ${one.stemcell}`}><td>{one.name}</td><td className="mono">{one.release}</td><td className="mono">{one.stemcell}</td></tr>
            ))}
          </tbody>
        </table>
      </div>
    </Section>
  );
}
