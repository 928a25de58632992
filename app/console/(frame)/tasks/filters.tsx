'use client';

import { useQuery } from '@tanstack/react-query';
import { X } from 'lucide-react';
import { useEffect, useRef, useState } from 'react';
import { useTRPC, type TaskState } from '../../_ui/api';
import { useShortcut } from '../../_ui/shortcuts';
import { useUrlState } from '../../_ui/url-state';

export const stateFilters = {
  '': { name: 'All', states: undefined },
  active: { name: 'Active', states: ['queued', 'processing', 'cancelling'] },
  queued: { name: 'Queued', states: ['queued'] },
  processing: { name: 'Running', states: ['processing', 'cancelling'] },
  error: { name: 'Failed', states: ['error', 'timeout'] },
  cancelled: { name: 'Cancelled', states: ['cancelled'] },
  done: { name: 'Done', states: ['done'] },
} as const satisfies Record<string, { name: string; states: readonly TaskState[] | undefined }>;
export type StateFilter = keyof typeof stateFilters;

export function toStateFilter(text: string | undefined): StateFilter {
  return text !== undefined && text in stateFilters ? (text as StateFilter) : '';
}

/** What of the tasks is shown; all of it is in the URL. */
export function TaskFilters() {
  const { get, set } = useUrlState();
  const trpc = useTRPC();
  const types = useQuery(trpc.tasks.types.queryOptions(undefined, { staleTime: 30_000 }));
  const deployments = useQuery(trpc.deployments.list.queryOptions(undefined, { staleTime: 10_000 }));
  const first = useRef<HTMLSelectElement>(null);
  useShortcut('/', 'Filter', () => first.current?.focus());
  const state = toStateFilter(get('state'));
  const filtered = ['state', 'type', 'deployment', 'user'].some((name) => get(name) !== undefined);
  const change = (name: string, value: string | undefined) => set({ [name]: value, before: undefined });
  return (
    <div className="mb-3 flex flex-wrap items-center gap-2" role="search" aria-label="Filter tasks">
      <div role="group" aria-label="State" className="flex overflow-x-auto rounded-[5px] border border-line-strong bg-panel">
        {(Object.keys(stateFilters) as StateFilter[]).map((key) => (
          <button
            key={key}
            type="button"
            aria-pressed={state === key}
            onClick={() => change('state', key)}
            className={`h-[26px] border-r px-2.5 text-sm last:border-r-0 ${state === key ? 'bg-accent-wash font-medium text-accent' : 'text-soft hover:bg-raised'}`}
          >
            {stateFilters[key].name}
          </button>
        ))}
      </div>
      <Choice ref={first} name="Type" value={get('type')} options={types.data ?? []} onChange={(value) => change('type', value)} />
      <Choice name="Deployment" value={get('deployment')} options={(deployments.data ?? []).map((one) => one.name)} onChange={(value) => change('deployment', value)} />
      <UserField value={get('user') ?? ''} onChange={(value) => change('user', value)} />
      {filtered && (
        <button type="button" className="button quiet text-sm" onClick={() => set({ state: undefined, type: undefined, deployment: undefined, user: undefined, before: undefined })}>
          <X aria-hidden size={14} /> Clear
        </button>
      )}
    </div>
  );
}

function Choice({ name, value, options, onChange, ref }: { name: string; value: string | undefined; options: readonly string[]; onChange: (value: string | undefined) => void; ref?: React.Ref<HTMLSelectElement> }) {
  const known = value === undefined || options.includes(value) ? options : [value, ...options];
  return (
    <select ref={ref} aria-label={name} className={`field max-w-48 text-sm ${value === undefined ? 'text-soft' : 'font-medium'}`} value={value ?? ''} onChange={(event) => onChange(event.target.value || undefined)}>
      <option value="">Any {name.toLowerCase()}</option>
      {known.map((option) => (
        <option key={option} value={option}>
          {option}
        </option>
      ))}
    </select>
  );
}

/** Typed names go into the URL a moment after the last key. */
function UserField({ value, onChange }: { value: string; onChange: (value: string) => void }) {
  const [text, setText] = useState(value);
  const latest = useRef(onChange);
  useEffect(() => {
    latest.current = onChange;
  });
  useEffect(() => setText(value), [value]);
  useEffect(() => {
    if (text === value) return;
    const timer = setTimeout(() => latest.current(text.trim()), 300);
    return () => clearTimeout(timer);
  }, [text, value]);
  return <input aria-label="User" className="field w-28 text-sm" placeholder="Any user" value={text} onChange={(event) => setText(event.target.value)} />;
}
