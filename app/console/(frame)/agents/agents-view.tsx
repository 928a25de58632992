'use client';

import { keepPreviousData, useQuery } from '@tanstack/react-query';
import { useTRPC, type Outputs } from '../../_ui/api';
import { NodeBadge } from '../../_ui/node';
import { Fact, PageHeader } from '../../_ui/page-header';
import { useOverview } from '../../_ui/queries';
import { Loaded, SkeletonRows } from '../../_ui/states';
import { Status, toneIcons } from '../../_ui/status';
import { AgentList } from './agent-list';
import { ServerMatrix } from './server-matrix';

type Summary = Outputs['agents']['summary'];

/** Which agents there are, how they are, and by which NATS server they are reached. */
export function AgentsView() {
  const trpc = useTRPC();
  const { data: overview } = useOverview();
  const summary = useQuery(trpc.agents.summary.queryOptions(undefined, { refetchInterval: 1_500, placeholderData: keepPreviousData }));
  return (
    <>
      <PageHeader
        title="Agents"
        state={summary.data && <State summary={summary.data} />}
        facts={
          <>
            <Fact name="Known">{summary.data?.total ?? '…'}</Fact>
            {summary.data?.dns && (
              <Fact name="DNS records">
                version {summary.data.dns.version}, <span className={summary.data.dns.behind > 0 ? 'text-look' : ''}>{summary.data.dns.behind === 0 ? 'everywhere' : `${summary.data.dns.behind} behind`}</span>
              </Fact>
            )}
            {overview && <Fact name="As heard by"><NodeBadge face={overview.servedBy} /></Fact>}
          </>
        }
      />
      <Loaded query={summary} skeleton={<div className="panel mb-6"><SkeletonRows rows={4} /></div>}>
        {(data) => (
          <>
            {!data.synced && <p className="mb-3 rounded-[5px] bg-look-wash px-3 py-1.5 text-sm text-look">This node is still reading the records; the list is not complete.</p>}
            <ServerMatrix summary={data} />
            <AgentList servers={data.servers.map((server) => server.name)} />
          </>
        )}
      </Loaded>
    </>
  );
}

function State({ summary }: { summary: Summary }) {
  const { unresponsive, failing, unmanaged } = summary.statuses;
  const bad = unresponsive + failing;
  if (bad > 0) return <Status chip look={{ icon: toneIcons.fail, word: [unresponsive > 0 ? `${unresponsive} unresponsive` : '', failing > 0 ? `${failing} failing` : ''].filter((text) => text !== '').join(', '), tone: 'fail' }} />;
  if (unmanaged > 0) return <Status chip look={{ icon: toneIcons.look, word: `${unmanaged} unmanaged`, tone: 'look' }} />;
  if (summary.total === 0) return null;
  return <Status chip look={{ icon: toneIcons.ok, word: 'all answer', tone: 'ok' }} />;
}
