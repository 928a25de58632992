'use client';

import Link from 'next/link';
import type { Disk } from '../../_ui/api';
import { instanceHref } from '../../_ui/instance-link';
import { ShortId } from '../../_ui/short-id';
import { Status } from '../../_ui/status';
import { Ago } from '../../_ui/time';
import { useRows } from '../../_ui/use-rows';
import { attachmentLooks } from './looks';

/** Disks that instances have. */
export function DiskTable({ disks }: { disks: Disk[] }) {
  const rows = useRows<HTMLTableSectionElement>();
  return (
    <table className="table min-w-[760px]">
      <thead>
        <tr>
          <th scope="col" aria-sort="ascending">Instance</th>
          <th scope="col">Disk</th>
          <th scope="col">Name</th>
          <th scope="col" className="num">Size</th>
          <th scope="col">State</th>
          <th scope="col">VM</th>
          <th scope="col" className="num">Snapshots</th>
          <th scope="col">Made</th>
        </tr>
      </thead>
      <tbody ref={rows}>
        {disks.map((disk) => (
          <tr key={disk.cid} data-row tabIndex={0}>
            <td><span className="text-faint">{disk.deployment} / </span><Link className="link" href={instanceHref(disk.deployment, disk.uuid)}>{disk.group}/{disk.index}</Link></td>
            <td><ShortId id={disk.cid} /></td>
            <td>{disk.name || <span className="text-faint">managed</span>}</td>
            <td className="num">{disk.size} MB</td>
            <td>{disk.active ? <Status look={attachmentLooks[disk.attachment]} /> : <span className="text-look">left from an unfinished update</span>}</td>
            <td>{disk.vmCid === undefined ? <span className="text-faint">–</span> : <ShortId id={disk.vmCid} />}</td>
            <td className="num">{disk.snapshots}</td>
            <td className="text-soft"><Ago at={disk.createdAt} /></td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
