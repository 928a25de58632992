'use client';

import Link from 'next/link';
import { NodeBadge } from './node';
import { useOverview } from './queries';

/** Who does a component's duty now, at which epoch; leads to its lane. */
export function Holder({ component }: { component: string }) {
  const { data } = useOverview();
  const lease = data?.leases.find((one) => one.name === component);
  if (!lease) return <span className="text-faint">{data ? 'no such component' : '…'}</span>;
  return (
    <Link className="link inline-flex items-center gap-2" href={`/console/cluster?component=${encodeURIComponent(component)}`} title={`Component ${component}`}>
      {lease.holder ? <NodeBadge face={lease.holder} /> : <span className={lease.paused ? 'text-look' : 'text-fail'}>{lease.paused ? 'paused' : 'nobody'}</span>}
      <span className="text-faint tabular-nums">epoch {lease.epoch}</span>
    </Link>
  );
}
