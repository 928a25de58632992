'use client';

import { keepPreviousData, useQuery } from '@tanstack/react-query';
import { useTRPC } from '../../../_ui/api';
import { ShortId } from '../../../_ui/short-id';
import { Status } from '../../../_ui/status';
import { attachmentLooks } from '../../disks/looks';

/** Its persistent disks; nothing for an instance without any. */
export function InstanceDisks({ uuid }: { uuid: string }) {
  const trpc = useTRPC();
  const { data: disks } = useQuery(trpc.disks.ofInstance.queryOptions({ uuid }, { refetchInterval: 5_000, placeholderData: keepPreviousData }));
  if (!disks || disks.length === 0) return <p className="text-sm text-faint">It has none.</p>;
  return (
    <ul className="flex flex-col gap-1 text-sm">
      {disks.map((disk) => (
        <li key={disk.cid} className="flex items-center justify-between gap-3">
          <span className="min-w-0 truncate"><ShortId id={disk.cid} /> {disk.name}</span>
          <span className="whitespace-nowrap text-soft">{disk.size} MB</span>
          {disk.active ? <Status look={attachmentLooks[disk.attachment]} /> : <span className="text-look">left over</span>}
        </li>
      ))}
    </ul>
  );
}
