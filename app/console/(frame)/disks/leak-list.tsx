'use client';

import { useMutation, useQueryClient } from '@tanstack/react-query';
import { useTRPC, type DiskLeak } from '../../_ui/api';
import { useMe } from '../../_ui/queries';
import { Ago } from '../../_ui/time';

/** What a lost node may have left in the cloud: somebody has to look there, and says so here. */
export function LeakList({ leaks }: { leaks: DiskLeak[] }) {
  const trpc = useTRPC();
  const queries = useQueryClient();
  const { data: me } = useMe();
  const dismiss = useMutation(trpc.disks.dismissLeak.mutationOptions({ onSuccess: () => void queries.invalidateQueries({ queryKey: trpc.disks.pathKey() }) }));
  const why = me?.can.administer ? undefined : 'Only administrators may do this';
  return (
    <ul className="panel divide-y divide-line">
      {leaks.map((leak) => (
        <li key={leak.id} className="flex items-center gap-3 px-4 py-2 text-sm">
          <span className="min-w-0 flex-1 break-words">
            <span className="text-faint">{leak.deployment} / </span>{leak.text}. <span className="text-faint">Noticed <Ago at={leak.noticedAt} />.</span>
          </span>
          <button type="button" className="button" disabled={why !== undefined || dismiss.isPending} title={why} onClick={() => dismiss.mutate({ id: leak.id })}>
            I have looked
          </button>
        </li>
      ))}
    </ul>
  );
}
