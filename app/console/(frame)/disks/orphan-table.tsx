'use client';

import { useMutation, useQueryClient } from '@tanstack/react-query';
import { Trash2 } from 'lucide-react';
import Link from 'next/link';
import { useState } from 'react';
import { useTRPC, type OrphanDisk } from '../../_ui/api';
import { useMe } from '../../_ui/queries';
import { Confirm } from '../../_ui/sheet';
import { ShortId } from '../../_ui/short-id';
import { Ago } from '../../_ui/time';
import { useRows } from '../../_ui/use-rows';

/** Disks that no instance has any more. */
export function OrphanTable({ orphans }: { orphans: OrphanDisk[] }) {
  const rows = useRows<HTMLTableSectionElement>();
  return (
    <table className="table min-w-[760px]">
      <thead>
        <tr>
          <th scope="col">Disk</th>
          <th scope="col" className="num">Size</th>
          <th scope="col">Was of</th>
          <th scope="col">AZ</th>
          <th scope="col" className="num">Snapshots</th>
          <th scope="col" aria-sort="ascending">Orphaned</th>
          <th scope="col"><span className="sr-only">Actions</span></th>
        </tr>
      </thead>
      <tbody ref={rows}>
        {orphans.map((orphan) => (
          <tr key={orphan.cid} data-row tabIndex={0}>
            <td><ShortId id={orphan.cid} /></td>
            <td className="num">{orphan.size} MB</td>
            <td><span className="text-faint">{orphan.deployment} / </span><span className="mono">{orphan.instance}</span></td>
            <td>{orphan.az ?? <span className="text-faint">none</span>}</td>
            <td className="num">{orphan.snapshots}</td>
            <td className="text-soft"><Ago at={orphan.orphanedAt} /></td>
            <td><OrphanActions orphan={orphan} /></td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function OrphanActions({ orphan }: { orphan: OrphanDisk }) {
  const trpc = useTRPC();
  const queries = useQueryClient();
  const { data: me } = useMe();
  const [asking, setAsking] = useState(false);
  const remove = useMutation(trpc.disks.deleteOrphan.mutationOptions({
    onSuccess: () => {
      void queries.invalidateQueries({ queryKey: trpc.disks.pathKey() });
      setAsking(false);
    },
  }));
  const why = me?.can.administer ? (orphan.deleting ? 'It is being deleted' : undefined) : 'Only administrators may do this';
  return (
    <span className="flex items-center justify-end gap-1">
      <span role="status" className="whitespace-nowrap text-soft">
        {remove.data && <>started <Link className="link in-text tabular-nums" href={`/console/tasks/${remove.data.taskId}`}>{remove.data.taskId}</Link></>}
      </span>
      <button type="button" className="button quiet" disabled={why !== undefined} title={why ?? `Delete ${orphan.cid}`} onClick={() => setAsking(true)}>
        <Trash2 aria-hidden size={14} />
        <span className="sr-only">Delete {orphan.cid}</span>
      </button>
      {asking && (
        <Confirm title={`Delete disk ${orphan.cid}?`} action="Delete it" busy={remove.isPending} error={remove.error?.message} onConfirm={() => remove.mutate({ cid: orphan.cid })} onClose={() => setAsking(false)}>
          Its content is lost{orphan.snapshots > 0 ? `, and so are its ${orphan.snapshots} snapshot(s)` : ''}. To give it back to an instance instead, stop that and run <code className="mono">bosh attach-disk</code>.
        </Confirm>
      )}
    </span>
  );
}
