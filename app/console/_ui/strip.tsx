'use client';

import { Crown, Database, HardDrive, LoaderCircle, Network } from 'lucide-react';
import Link from 'next/link';
import type { ReactNode } from 'react';
import { isRefusal, type ClusterNode, type Overview } from './api';
import { NodeBadge, nodeStates } from './node';
import { useOverview } from './queries';
import { toneIcons, toneText, type Tone } from './status';
import { formatDuration } from './time';

/** The cluster in one line, live; each part leads to what it shows. */
export function ClusterStrip() {
  const { data, error } = useOverview();
  if (isRefusal(error)) return <span />;
  if (!data) {
    return (
      <div className="flex items-center gap-2 text-sm text-faint" role="status">
        <LoaderCircle aria-hidden size={14} className="spin" /> Asking the cluster
      </div>
    );
  }
  return (
    <nav aria-label="Cluster" className="flex min-w-0 items-center gap-x-1 overflow-x-auto text-sm sm:gap-x-2">
      {data.nodes.map((node) => (
        <StripNode key={node.id} node={node} />
      ))}
      <Divider />
      <Nats servers={data.nats} />
      <StripPart href="/console/cluster#stores" icon={<Database aria-hidden size={14} />} name="PG" tone={data.postgres.latencyMs > 250 ? 'look' : 'ok'} title={`Postgres ${data.postgres.version} answered in ${formatMs(data.postgres.latencyMs)}`} />
      <StripPart href="/console/cluster#stores" icon={<HardDrive aria-hidden size={14} />} name="Blobs" tone={data.blobstore.ok ? 'ok' : 'fail'} title={data.blobstore.ok ? `The blobstore answered in ${formatMs(data.blobstore.latencyMs ?? 0)}` : `The blobstore does not answer: ${data.blobstore.error ?? ''}`} />
      <Divider />
      <Queue queue={data.queue} />
    </nav>
  );
}

export function formatMs(ms: number): string {
  return ms < 10 ? `${ms.toFixed(1)} ms` : `${Math.round(ms)} ms`;
}

function Divider() {
  return <span aria-hidden className="mx-1 hidden h-4 w-px shrink-0 bg-line sm:block" />;
}

function Mark({ tone }: { tone: Tone }) {
  const Icon = toneIcons[tone];
  if (tone === 'ok') return <span aria-hidden className="size-[7px] shrink-0 rounded-full bg-ok" />;
  return <Icon aria-hidden size={13} className={`shrink-0 ${toneText[tone]}`} strokeWidth={2.4} />;
}

function StripNode({ node }: { node: ClusterNode }) {
  const { word, tone } = nodeStates[node.state];
  return (
    <Link href="/console/cluster#nodes" className="flex shrink-0 items-center gap-1.5 rounded px-1 py-1 hover:bg-raised" title={`Node ${node.name} on ${node.host}: ${word}, ${node.roles.join(', ')}; last beat ${formatDuration(node.beatAgeMs)} ago`}>
      <NodeBadge face={node} />
      <Mark tone={tone} />
      <span className={tone === 'ok' ? 'sr-only lg:not-sr-only lg:text-soft' : `font-medium ${toneText[tone]}`}>{word}</span>
      <span className="flex items-center gap-0.5 text-soft tabular-nums max-sm:sr-only">
        <Crown aria-hidden size={12} strokeWidth={2} />
        {node.leases}
        <span className="sr-only">leases</span>
      </span>
    </Link>
  );
}

function Nats({ servers }: { servers: Overview['nats'] }) {
  const words = { connected: 'up, used by this node', up: 'up', lost: 'lost', unknown: 'not heard of' } as const;
  const lost = servers.filter((server) => server.state === 'lost').length;
  return (
    <Link href="/console/cluster#nats" className="flex shrink-0 items-center gap-1.5 rounded px-1 py-1 hover:bg-raised" title={servers.map((server) => `${server.name}: ${words[server.state]}`).join('\n')}>
      <Network aria-hidden size={14} className="text-soft" />
      <span className={lost > 0 ? 'font-medium text-fail' : 'hidden text-soft md:inline'}>NATS</span>
      <span className="flex items-center gap-1">
        {servers.map((server) => (
          <span key={server.url} className="flex">
            {server.state === 'unknown' ? <span aria-hidden className="hatch size-[8px] rounded-full border border-line-strong" /> : <Mark tone={server.state === 'lost' ? 'fail' : 'ok'} />}
            <span className="sr-only">{`${server.name} ${words[server.state]}`}</span>
          </span>
        ))}
      </span>
    </Link>
  );
}

function StripPart({ href, icon, name, tone, title }: { href: string; icon: ReactNode; name: string; tone: Tone; title: string }) {
  return (
    <Link href={href} className="flex shrink-0 items-center gap-1.5 rounded px-1 py-1 hover:bg-raised" title={title}>
      <span className="text-soft">{icon}</span>
      <span className={tone === 'ok' ? 'sr-only md:not-sr-only md:text-soft' : `font-medium ${toneText[tone]}`}>{name}</span>
      <Mark tone={tone} />
      <span className="sr-only">{title}</span>
    </Link>
  );
}

function Queue({ queue }: { queue: Overview['queue'] }) {
  const oldest = queue.oldestQueuedS === undefined ? '–' : formatDuration(queue.oldestQueuedS * 1000);
  const slow = (queue.oldestQueuedS ?? 0) > 30;
  return (
    <Link href="/console/tasks?state=queued" className={`hidden shrink-0 rounded px-1 py-1 whitespace-nowrap tabular-nums hover:bg-raised sm:block ${slow ? 'font-medium text-look' : 'text-soft'}`} title={`${queue.running} running`}>
      queue {queue.queued}
      <span className={`hidden xl:inline ${slow ? '' : 'text-faint'}`}> · oldest {oldest}</span>
    </Link>
  );
}
