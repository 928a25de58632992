'use client';

import { keepPreviousData, useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { HeartPulse } from 'lucide-react';
import { useTRPC } from '../../_ui/api';
import { useMe } from '../../_ui/queries';
import { Confirm } from '../../_ui/sheet';
import { Status, toneIcons } from '../../_ui/status';
import { useUrlState } from '../../_ui/url-state';

function useResurrection() {
  const trpc = useTRPC();
  return useQuery(trpc.health.resurrection.queryOptions(undefined, { refetchInterval: 3_000, placeholderData: keepPreviousData }));
}

/** Whether VMs that are missing or do not answer are recreated. */
export function ResurrectionFact() {
  const { data } = useResurrection();
  if (!data) return <span className="text-faint">…</span>;
  if (!data.configured) return <span title="health_monitor.resurrector.enabled is false in the configuration">not configured</span>;
  return <Status look={data.enabled ? { icon: toneIcons.ok, word: 'on', tone: 'ok' } : { icon: toneIcons.look, word: 'off', tone: 'look' }} />;
}

/** Turns resurrection on or off, after telling what that means. */
export function ResurrectionSwitch() {
  const trpc = useTRPC();
  const queries = useQueryClient();
  const { get, set } = useUrlState();
  const { data: me } = useMe();
  const { data } = useResurrection();
  const close = () => set({ resurrection: undefined });
  const change = useMutation(
    trpc.health.setResurrection.mutationOptions({
      onSuccess: () => {
        void queries.invalidateQueries({ queryKey: trpc.health.resurrection.queryKey() });
        close();
      },
    }),
  );
  if (!data) return null;
  const verb = data.enabled ? 'Turn resurrection off' : 'Turn resurrection on';
  const why = !(me?.can.administer ?? false) ? 'Only administrators may do this' : data.configured ? undefined : 'The configuration has no resurrector';
  return (
    <>
      <button type="button" className={`button ${data.enabled ? '' : 'primary'}`} disabled={why !== undefined} title={why} onClick={() => set({ resurrection: 'ask' })}>
        <HeartPulse aria-hidden size={14} /> {verb}
      </button>
      {get('resurrection') === 'ask' && why === undefined && (
        <Confirm title={`${verb}?`} action={verb} calm={!data.enabled} busy={change.isPending} error={change.error?.message} onConfirm={() => change.mutate({ enabled: !data.enabled })} onClose={close}>
          {data.enabled
            ? 'Alerts are still raised and delivered, but VMs that are missing or do not answer stay as they are, in every deployment, until somebody turns it on again.'
            : 'Instances that have had no VM or no answering agent for long enough are recreated by a scan-and-fix task, unless so many are down that it looks like a meltdown.'}
        </Confirm>
      )}
    </>
  );
}
