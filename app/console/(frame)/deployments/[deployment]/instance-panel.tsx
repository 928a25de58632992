'use client';

import { ArrowUpRight, X } from 'lucide-react';
import Link from 'next/link';
import type { Instance } from '../../../_ui/api';
import { instanceHref } from '../../../_ui/instance-link';
import { lifeLooks, Status } from '../../../_ui/status';
import { InstanceFacts, lifeAdvice, Processes } from './instance-facts';
import { useVitals, VitalsCharts } from './vitals';

/** Everything known of one instance, beside the grid. */
export function InstancePanel({ deployment, instance, onClose }: { deployment: string; instance: Instance; onClose: () => void }) {
  const { data: vitals } = useVitals(instance.uuid);
  return (
    <aside aria-label={`Instance ${instance.group}/${instance.index}`} className="panel !sticky top-0 w-full shrink-0 lg:mt-[26px] lg:w-[340px]">
      <header className="flex items-center gap-1 border-b px-4 py-2.5">
        <h2 className="mr-auto min-w-0 truncate font-semibold">
          {instance.group}/{instance.index}
        </h2>
        <Link className="button quiet" href={instanceHref(deployment, instance.uuid)} title="Open its own page">
          <ArrowUpRight aria-hidden size={15} />
          <span className="sr-only">Open its own page</span>
        </Link>
        <button type="button" className="button quiet -mr-2" onClick={onClose} title="Close (Escape)">
          <X aria-hidden size={15} />
          <span className="sr-only">Close</span>
        </button>
      </header>
      <div className="px-4 py-3">
        <Status look={lifeLooks[instance.life]} chip />
        {lifeAdvice[instance.life] !== undefined && <p className="mt-2 text-sm text-soft">{lifeAdvice[instance.life]}</p>}
      </div>
      <div className="border-t">
        <InstanceFacts instance={instance} agent={vitals?.agent} />
      </div>
      <div className="border-t px-4 py-3">
        <h3 className="heading mb-1.5">Processes</h3>
        <Processes instance={instance} />
      </div>
      <div className="border-t px-4 py-3">
        <h3 className="heading mb-2">Last 24 hours</h3>
        <VitalsCharts uuid={instance.uuid} narrow />
      </div>
    </aside>
  );
}
