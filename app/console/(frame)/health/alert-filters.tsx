'use client';

import { useQuery } from '@tanstack/react-query';
import { useRef } from 'react';
import { useTRPC } from '../../_ui/api';
import { Choice, ClearFilters, Segments, TextFilter } from '../../_ui/filters';
import { useShortcut } from '../../_ui/shortcuts';
import { useUrlState } from '../../_ui/url-state';
import { origins, type Origin } from './looks';

export const severityFilters = {
  '': { name: 'All', severities: undefined },
  alert: { name: 'Alert', severities: [1] },
  critical: { name: 'Critical', severities: [2] },
  error: { name: 'Error', severities: [3] },
  warning: { name: 'Warning', severities: [4] },
} as const satisfies Record<string, { name: string; severities: readonly number[] | undefined }>;
export type SeverityFilter = keyof typeof severityFilters;

export function toSeverityFilter(text: string | undefined): SeverityFilter {
  return text !== undefined && text in severityFilters ? (text as SeverityFilter) : '';
}

export function toOrigin(text: string | undefined): Origin | undefined {
  return text !== undefined && text in origins ? (text as Origin) : undefined;
}

/** Which alerts are shown; all of it is in the URL. */
export function AlertFilters() {
  const { get, set } = useUrlState();
  const trpc = useTRPC();
  const deployments = useQuery(trpc.deployments.list.queryOptions(undefined, { staleTime: 10_000 }));
  const text = useRef<HTMLInputElement>(null);
  useShortcut('/', 'Filter alerts', () => text.current?.focus());
  const names = ['severity', 'deployment', 'origin', 'text'];
  const change = (name: string, value: string | undefined) => set({ [name]: value, before: undefined });
  const origin = toOrigin(get('origin'));
  return (
    <div className="mb-3 flex flex-wrap items-center gap-2" role="search" aria-label="Filter alerts">
      <Segments name="Severity" options={(Object.keys(severityFilters) as SeverityFilter[]).map((key) => ({ key, name: severityFilters[key].name }))} value={toSeverityFilter(get('severity'))} onChange={(value) => change('severity', value)} />
      <Choice name="Deployment" value={get('deployment')} options={(deployments.data ?? []).map((one) => one.name)} onChange={(value) => change('deployment', value)} />
      <Choice name="Origin" value={origin && origins[origin]} options={Object.values(origins)} onChange={(value) => change('origin', (Object.keys(origins) as Origin[]).find((key) => origins[key] === value))} />
      <TextFilter ref={text} name="Text" placeholder="Text of the alert" className="w-44" value={get('text') ?? ''} onChange={(value) => change('text', value)} />
      {names.some((name) => get(name) !== undefined) && <ClearFilters onClear={() => set({ severity: undefined, deployment: undefined, origin: undefined, text: undefined, before: undefined })} />}
    </div>
  );
}
