import Link from 'next/link';
import { shortenId } from './short-id';

/** The page of an instance. */
export function instanceHref(deployment: string, uuid: string): string {
  return `/console/deployments/${encodeURIComponent(deployment)}/instances/${uuid}`;
}

/** `group/index` where the index is known, else `group/uuid`; leads to its page. */
export function InstanceLink({ deployment, group, index, uuid }: { deployment: string; group: string | undefined; index: number | undefined; uuid: string }) {
  return (
    <Link className="link font-medium whitespace-nowrap" href={instanceHref(deployment, uuid)} title={`${group ?? ''}/${uuid}`}>
      {group}/{index ?? <span className="mono">{shortenId(uuid)}</span>}
    </Link>
  );
}
