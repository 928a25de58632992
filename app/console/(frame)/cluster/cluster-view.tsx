'use client';

import { keepPreviousData, useQuery } from '@tanstack/react-query';
import { CircleCheck, CircleHelp, CircleX, LoaderCircle } from 'lucide-react';
import { useTRPC, type Overview } from '../../_ui/api';
import { Segments } from '../../_ui/filters';
import { NodeBadge, nodeStates } from '../../_ui/node';
import { Fact, PageHeader, Section } from '../../_ui/page-header';
import { useOverview } from '../../_ui/queries';
import { Loaded } from '../../_ui/states';
import { Status, toneIcons } from '../../_ui/status';
import { formatMs } from '../../_ui/strip';
import { Ago, formatDuration } from '../../_ui/time';
import { useUrlState } from '../../_ui/url-state';
import { Bus } from './bus';
import { ComponentLanes } from './component-lanes';
import { ranges, toRange, type RangeName } from './ranges';

/** Who holds what and since when: components, nodes, NATS servers, stores. */
export function ClusterView() {
  const query = useOverview();
  const { get, set } = useUrlState();
  const trpc = useTRPC();
  const range = toRange(get('range'));
  const { ms: sinceMs, refreshMs } = ranges[range];
  const history = useQuery(trpc.cluster.leaseHistory.queryOptions({ sinceMs }, { refetchInterval: refreshMs, placeholderData: keepPreviousData }));
  const nodes = useQuery(trpc.cluster.nodeHistory.queryOptions({ sinceMs }, { refetchInterval: refreshMs, placeholderData: keepPreviousData }));
  return (
    <>
      <PageHeader
        title="Cluster"
        facts={
          query.data && (
            <>
              <Fact name="Director">{query.data.director.name}</Fact>
              <Fact name="Version">{query.data.director.version}</Fact>
              <Fact name="CPI">{query.data.director.cpi}</Fact>
              <Fact name="Answered by"><NodeBadge face={query.data.servedBy} /></Fact>
            </>
          )
        }
        actions={<Segments name="Time shown" options={(Object.keys(ranges) as RangeName[]).map((key) => ({ key, name: ranges[key].title }))} value={range} onChange={(next) => set({ range: next === 'hour' ? undefined : next })} />}
      />
      <Loaded query={query}>
        {(overview) => (
          <>
            <ComponentLanes overview={overview} history={history.data} nodes={nodes.data} />
            <Nodes nodes={overview.nodes} />
            <Bus />
            <div className="grid gap-x-6 *:min-w-0 lg:grid-cols-2">
              <NatsServers servers={overview.nats} />
              <Stores overview={overview} />
            </div>
          </>
        )}
      </Loaded>
    </>
  );
}

function Nodes({ nodes }: { nodes: Overview['nodes'] }) {
  return (
    <Section title="Nodes" id="nodes">
      <div className="panel overflow-x-auto">
        <table className="table min-w-[760px] whitespace-nowrap">
          <thead>
            <tr>
              <th scope="col">Node</th>
              <th scope="col">State</th>
              <th scope="col">Host</th>
              <th scope="col">URL</th>
              <th scope="col">Roles</th>
              <th scope="col" className="num">Leases</th>
              <th scope="col" className="num">Tasks</th>
              <th scope="col" className="num">Memory</th>
              <th scope="col" className="num">Last beat</th>
              <th scope="col">Started</th>
            </tr>
          </thead>
          <tbody>
            {nodes.map((node) => {
              const { word, tone } = nodeStates[node.state];
              return (
                <tr key={node.id}>
                  <td><NodeBadge face={node} label /></td>
                  <td><Status look={{ icon: toneIcons[tone], word, tone }} /></td>
                  <td>{node.host} <span className="text-faint">pid {node.pid}</span></td>
                  <td className="mono">{node.url}</td>
                  <td className="text-soft">{node.roles.join(', ')}</td>
                  <td className="num">{node.leases}</td>
                  <td className="num">{node.tasks ?? '–'}</td>
                  <td className="num">{node.rssMb === undefined ? '–' : `${node.rssMb} MB`}</td>
                  <td className="num">{formatDuration(node.beatAgeMs)}</td>
                  <td className="text-soft"><Ago at={node.startedAt} /></td>
                </tr>
              );
            })}
          </tbody>
        </table>
      </div>
    </Section>
  );
}

const natsLooks = {
  connected: { icon: CircleCheck, word: 'up, used by this node', tone: 'ok' },
  up: { icon: CircleCheck, word: 'up', tone: 'ok' },
  lost: { icon: CircleX, word: 'lost', tone: 'fail' },
  unknown: { icon: CircleHelp, word: 'not heard of', tone: 'off' },
} as const;

function NatsServers({ servers }: { servers: Overview['nats'] }) {
  return (
    <Section title="NATS servers" id="nats">
      <div className="panel overflow-x-auto">
        <table className="table">
          <thead>
            <tr>
              <th scope="col">Server</th>
              <th scope="col">State</th>
              <th scope="col">Address</th>
              <th scope="col">Agents' users</th>
            </tr>
          </thead>
          <tbody>
            {servers.map((server) => (
              <tr key={server.url}>
                <td className="font-medium">{server.name}</td>
                <td><Status look={natsLooks[server.state]} /></td>
                <td className="mono">{server.url.replace('nats://', '')}</td>
                <td className={server.behind > 0 ? 'text-look' : 'text-soft'}>{server.behind > 0 ? `${server.behind} changes behind` : 'current'}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </Section>
  );
}

function Stores({ overview }: { overview: Overview }) {
  const { postgres, blobstore, queue } = overview;
  return (
    <Section title="Postgres, blobstore, queue" id="stores">
      <div className="panel overflow-x-auto">
        <table className="table">
          <thead>
            <tr>
              <th scope="col">Store</th>
              <th scope="col">State</th>
              <th scope="col">Answered in</th>
            </tr>
          </thead>
          <tbody>
            <tr>
              <td className="font-medium">Postgres <span className="font-normal text-faint">{postgres.version}</span></td>
              <td><Status look={natsLooks.up} /></td>
              <td className="tabular-nums">{formatMs(postgres.latencyMs)}</td>
            </tr>
            <tr>
              <td className="font-medium">Blobstore</td>
              <td>{blobstore.ok ? <Status look={natsLooks.up} /> : <Status look={{ ...natsLooks.lost, word: 'does not answer' }} />}</td>
              <td className="tabular-nums">{blobstore.latencyMs === undefined ? (blobstore.error ?? '–') : formatMs(blobstore.latencyMs)}</td>
            </tr>
            <tr>
              <td className="font-medium">Task queue</td>
              <td>{queue.queued === 0 ? <span className="text-soft">nothing waits</span> : <Status look={{ icon: LoaderCircle, word: `${queue.queued} waiting`, tone: 'work' }} />}</td>
              <td className="tabular-nums">{queue.running} running{queue.oldestQueuedS === undefined ? '' : `, oldest waits ${formatDuration(queue.oldestQueuedS * 1000)}`}</td>
            </tr>
          </tbody>
        </table>
      </div>
    </Section>
  );
}
