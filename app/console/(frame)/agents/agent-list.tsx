'use client';

import { keepPreviousData, useQuery } from '@tanstack/react-query';
import Link from 'next/link';
import { useRouter } from 'next/navigation';
import { useRef } from 'react';
import { useTRPC, type Agent } from '../../_ui/api';
import { Choice, ClearFilters, TextFilter } from '../../_ui/filters';
import { InstanceLink, instanceHref } from '../../_ui/instance-link';
import { openRow } from '../../_ui/open-row';
import { Section } from '../../_ui/page-header';
import { Pages } from '../../_ui/pages';
import { ShortId } from '../../_ui/short-id';
import { useShortcut } from '../../_ui/shortcuts';
import { Empty, Loaded, SkeletonRows } from '../../_ui/states';
import { Status } from '../../_ui/status';
import { Ago } from '../../_ui/time';
import { useUrlState } from '../../_ui/url-state';
import { useRows } from '../../_ui/use-rows';
import { agentLooks, agentStatuses, noServer, serverName, toStatus } from './looks';

/** Agents by deployment, group and index: their order does not change while they are looked at. */
export function AgentList({ servers }: { servers: string[] }) {
  const { get, set } = useUrlState();
  const trpc = useTRPC();
  const filter = { server: get('server'), status: toStatus(get('status')), deployment: get('deployment'), text: get('text') };
  const after = get('after');
  const query = useQuery(trpc.agents.list.queryOptions({ ...filter, after, limit: 100 }, { refetchInterval: 2_000, placeholderData: keepPreviousData }));
  const next = query.data?.next;
  const filtered = Object.values(filter).some((value) => value !== undefined);
  return (
    <Section title="All agents" aside={query.data && `${query.data.total} ${query.data.total === 1 ? 'agent' : 'agents'}${filtered ? ' found' : ''}`}>
      <Filters servers={servers} filtered={filtered} />
      <div className="panel overflow-hidden">
        <Loaded query={query} skeleton={<SkeletonRows rows={12} />}>{({ agents }) => <Table agents={agents} filtered={filtered} stale={query.isPlaceholderData} />}</Loaded>
      </div>
      <Pages
        first={after === undefined ? undefined : () => set({ after: undefined }, 'push')}
        next={next === undefined ? undefined : () => set({ after: next }, 'push')}
        names={{ first: 'First', next: 'Next', atFirst: 'These are the first', atLast: 'There are no more' }}
      />
    </Section>
  );
}

function Filters({ servers, filtered }: { servers: string[]; filtered: boolean }) {
  const { get, set } = useUrlState();
  const trpc = useTRPC();
  const deployments = useQuery(trpc.deployments.list.queryOptions(undefined, { staleTime: 10_000 }));
  const text = useRef<HTMLInputElement>(null);
  useShortcut('/', 'Filter agents', () => text.current?.focus());
  const change = (name: string, value: string | undefined) => set({ [name]: value, after: undefined });
  const status = toStatus(get('status'));
  const server = get('server');
  return (
    <div className="mb-3 flex flex-wrap items-center gap-2" role="search" aria-label="Filter agents">
      <TextFilter ref={text} name="Text" placeholder="Id, group/index or VM" className="w-52" value={get('text') ?? ''} onChange={(value) => change('text', value)} />
      <Choice name="State" value={status && agentLooks[status].word} options={agentStatuses.map((one) => agentLooks[one].word)} onChange={(word) => change('status', agentStatuses.find((one) => agentLooks[one].word === word))} />
      <Choice name="NATS server" value={server && serverName(server)} options={servers.map(serverName)} onChange={(name) => change('server', name === serverName(noServer) ? noServer : name)} />
      <Choice name="Deployment" value={get('deployment')} options={(deployments.data ?? []).map((one) => one.name)} onChange={(value) => change('deployment', value)} />
      {filtered && <ClearFilters onClear={() => set({ text: undefined, status: undefined, server: undefined, deployment: undefined, after: undefined })} />}
    </div>
  );
}

function Table({ agents, filtered, stale }: { agents: Agent[]; filtered: boolean; stale: boolean }) {
  const rows = useRows<HTMLTableSectionElement>();
  const router = useRouter();
  if (agents.length === 0 && !filtered) return <Empty title="No agents yet">The first deploy makes VMs, and each of them has one.</Empty>;
  if (agents.length === 0) return <Empty title="No such agent">Change or clear the filters to see others.</Empty>;
  return (
    <div className="overflow-x-auto">
      <table className={`table min-w-[860px] ${stale ? 'opacity-60' : ''}`}>
        <thead>
          <tr>
            <th scope="col" aria-sort="ascending">Deployment</th>
            <th scope="col">Instance</th>
            <th scope="col">AZ</th>
            <th scope="col">State</th>
            <th scope="col">NATS server</th>
            <th scope="col" className="num">Last beat</th>
            <th scope="col" className="num">DNS</th>
            <th scope="col">Agent</th>
          </tr>
        </thead>
        <tbody ref={rows}>
          {agents.map((agent) => {
            const { deployment, instanceUuid } = agent;
            const href = deployment === undefined || instanceUuid === undefined ? undefined : instanceHref(deployment, instanceUuid);
            return (
              <tr key={agent.agentId} className={href === undefined ? '' : 'cursor-pointer'} {...openRow(() => href !== undefined && router.push(href))}>
                <td>{deployment === undefined ? <span className="text-faint">none</span> : <Link className="link" tabIndex={-1} href={`/console/deployments/${encodeURIComponent(deployment)}`}>{deployment}</Link>}</td>
                <td>{deployment === undefined || instanceUuid === undefined ? <span className="text-faint">–</span> : <InstanceLink deployment={deployment} group={agent.group} index={agent.index} uuid={instanceUuid} />}</td>
                <td className="text-soft">{agent.az ?? '–'}</td>
                <td><Status look={agentLooks[agent.status]} /></td>
                <td>
                  {agent.server ?? <span className="text-faint">not known</span>}
                  {agent.serverSince && <span className="ml-2 text-faint">since <Ago at={agent.serverSince} /></span>}
                </td>
                <td className={`num ${agent.status === 'unresponsive' ? 'text-fail' : 'text-soft'}`}>{agent.status === 'unknown' ? 'none yet' : <Ago at={agent.heardAt} />}</td>
                <td className="num text-soft">{agent.dnsVersion ?? '–'}</td>
                <td><ShortId id={agent.agentId} /></td>
              </tr>
            );
          })}
        </tbody>
      </table>
    </div>
  );
}
