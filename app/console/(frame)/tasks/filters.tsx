'use client';

import { useQuery } from '@tanstack/react-query';
import { useRef } from 'react';
import { useTRPC, type TaskState } from '../../_ui/api';
import { Choice, ClearFilters, Segments, TextFilter } from '../../_ui/filters';
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
  const filtered = ['state', 'type', 'deployment', 'user'].some((name) => get(name) !== undefined);
  const change = (name: string, value: string | undefined) => set({ [name]: value, before: undefined });
  return (
    <div className="mb-3 flex flex-wrap items-center gap-2" role="search" aria-label="Filter tasks">
      <Segments name="State" options={(Object.keys(stateFilters) as StateFilter[]).map((key) => ({ key, name: stateFilters[key].name }))} value={toStateFilter(get('state'))} onChange={(state) => change('state', state)} />
      <Choice ref={first} name="Type" value={get('type')} options={types.data ?? []} onChange={(value) => change('type', value)} />
      <Choice name="Deployment" value={get('deployment')} options={(deployments.data ?? []).map((one) => one.name)} onChange={(value) => change('deployment', value)} />
      <TextFilter name="User" placeholder="Any user" value={get('user') ?? ''} onChange={(value) => change('user', value)} />
      {filtered && <ClearFilters onClear={() => set({ state: undefined, type: undefined, deployment: undefined, user: undefined, before: undefined })} />}
    </div>
  );
}
