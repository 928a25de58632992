'use client';

import { keepPreviousData, useQuery } from '@tanstack/react-query';
import Link from 'next/link';
import { useTRPC, type Instance } from '../../../../../_ui/api';
import { PageHeader, Section } from '../../../../../_ui/page-header';
import { Loaded } from '../../../../../_ui/states';
import { lifeLooks, Status } from '../../../../../_ui/status';
import { Ago } from '../../../../../_ui/time';
import { InstanceDisks } from '../../instance-disks';
import { InstanceFacts, lifeAdvice, Processes } from '../../instance-facts';
import { useVitals, VitalsCharts } from '../../vitals';

/** One instance: how it is, how it was over the last day, and what is known of it. */
export function InstanceView({ deployment, uuid }: { deployment: string; uuid: string }) {
  const trpc = useTRPC();
  const query = useQuery(trpc.instances.get.queryOptions({ deployment, uuid }, { refetchInterval: 2_000, placeholderData: keepPreviousData }));
  const { data } = query;
  return (
    <>
      <PageHeader
        up={<><Link className="link" href="/console/deployments">Deployments</Link> / <Link className="link" href={`/console/deployments/${encodeURIComponent(deployment)}`}>{deployment}</Link></>}
        title={data ? `${data.group}/${data.index}` : 'Instance'}
        state={data && <Status look={lifeLooks[data.life]} chip />}
      />
      <Loaded query={query}>{(instance) => <Body instance={instance} />}</Loaded>
    </>
  );
}

function Body({ instance }: { instance: Instance }) {
  const { data: vitals } = useVitals(instance.uuid);
  const advice = lifeAdvice[instance.life];
  return (
    <>
      {advice !== undefined && <p className="mb-4 rounded-[5px] bg-look-wash px-3 py-1.5 text-sm text-look">{advice}</p>}
      <div className="flex items-start gap-5 max-xl:flex-col-reverse">
        <div className="w-full shrink-0 xl:w-[320px]">
          <Section title="Facts">
            <div className="panel"><InstanceFacts instance={instance} agent={vitals?.agent} /></div>
          </Section>
          <Section title="Processes">
            <div className="panel px-4 py-3"><Processes instance={instance} /></div>
          </Section>
          <Section title="Disks">
            <div className="panel px-4 py-3"><InstanceDisks uuid={instance.uuid} /></div>
          </Section>
        </div>
        <div className="w-full min-w-0 flex-1">
          <Section title="Last 24 hours" aside={vitals?.newest ? <>last heartbeat <Ago at={vitals.newest.at} /></> : undefined}>
            <VitalsCharts uuid={instance.uuid} />
          </Section>
        </div>
      </div>
    </>
  );
}
