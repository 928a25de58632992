'use client';

import { keepPreviousData, useQuery } from '@tanstack/react-query';
import { useTRPC } from '../../_ui/api';
import { Holder } from '../../_ui/holder';
import { Fact, PageHeader } from '../../_ui/page-header';
import { Status, toneIcons } from '../../_ui/status';
import { Alerts } from './alerts';
import { DeploymentCounts } from './deployment-counts';
import { Incidents } from './incidents';
import { Plugins } from './plugins';
import { ResurrectionFact, ResurrectionSwitch } from './resurrection';

/** Is anything wrong, what was told of it, and does anybody mend it. */
export function HealthView() {
  const trpc = useTRPC();
  const open = useQuery(trpc.health.incidents.queryOptions({ open: true }, { refetchInterval: 1_500, placeholderData: keepPreviousData }));
  const count = open.data?.incidents.length ?? 0;
  const more = open.data?.nextBeforeId !== undefined;
  return (
    <>
      <PageHeader
        title="Health"
        state={open.data && (count === 0 ? <Status chip look={{ icon: toneIcons.ok, word: 'no open incident', tone: 'ok' }} /> : <Status chip look={{ icon: toneIcons.fail, word: `${count}${more ? '+' : ''} open ${count === 1 ? 'incident' : 'incidents'}`, tone: 'fail' }} />)}
        facts={
          <>
            <Fact name="Monitored by"><Holder component="health-monitor" /></Fact>
            <Fact name="Alerts sent by"><Holder component="alert-delivery" /></Fact>
            <Fact name="Resurrection"><ResurrectionFact /></Fact>
          </>
        }
        actions={<ResurrectionSwitch />}
      />
      <Incidents open={open} />
      <div className="grid gap-x-6 *:min-w-0 min-[1700px]:grid-cols-[3fr_2fr]">
        <DeploymentCounts />
        <Plugins />
      </div>
      <Alerts />
    </>
  );
}
