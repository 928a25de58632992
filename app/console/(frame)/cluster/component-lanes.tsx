'use client';

import { ChevronRight, Pause, UserX } from 'lucide-react';
import type { ReactNode } from 'react';
import type { Outputs, Overview } from '../../_ui/api';
import { hueOf, NodeBadge } from '../../_ui/node';
import { Section } from '../../_ui/page-header';
import { percent, type Span } from '../../_ui/ribbon';
import { Status } from '../../_ui/status';
import { Elapsed, formatClock, formatDuration, formatExact } from '../../_ui/time';
import { useUrlState } from '../../_ui/url-state';
import { useRows } from '../../_ui/use-rows';
import { HandOvers } from './hand-overs';
import { LeaseActions } from './lease-actions';

type History = Outputs['cluster']['leaseHistory'];
type Term = History['terms'][number];
type NodeTimes = Outputs['cluster']['nodeHistory'];

const layout = 'grid grid-cols-[minmax(96px,138px)_minmax(120px,1fr)_32px] items-center gap-x-3 px-4 md:gap-x-4 md:grid-cols-[168px_minmax(200px,1fr)_44px_56px_92px_40px]';

/** One lane per node and per component: who was there, who held it, at which epoch, and the gaps between. */
export function ComponentLanes({ overview, history, nodes }: { overview: Overview; history: History | undefined; nodes: NodeTimes | undefined }) {
  const { get, set } = useUrlState();
  const open = get('component');
  const rows = useRows<HTMLUListElement>();
  const span: Span | undefined = history && { from: history.from.getTime(), to: history.to.getTime() };
  return (
    <Section title="Components" aside="who holds each duty; open one for its hand-overs">
      <div className="panel">
        <div className={`${layout} h-8 border-b text-sm text-faint`} aria-hidden>
          <span>Component</span>
          <span className="flex justify-between tabular-nums">
            <span>{span ? formatClock(new Date(span.from)) : ''}</span>
            <span>now</span>
          </span>
          <span className="max-md:hidden">Holder</span>
          <span className="text-right max-md:hidden">Epoch</span>
          <span className="max-md:hidden">Held for</span>
          <span className="max-md:hidden" />
        </div>
        <ul ref={rows} aria-label="Components" className="divide-y divide-line">
          {overview.leases.map((lease) => (
            <li key={lease.name}>
              <div className={`${layout} min-h-9 ${open === lease.name ? 'bg-accent-wash' : ''}`}>
                <button type="button" data-row aria-expanded={open === lease.name} className="flex min-w-0 items-center gap-1.5 text-left font-medium" title={`${lease.name}: hand-overs`} onClick={() => set({ component: open === lease.name ? undefined : lease.name })}>
                  <ChevronRight aria-hidden size={13} className={`shrink-0 text-faint transition-transform duration-150 ${open === lease.name ? 'rotate-90' : ''}`} />
                  <span className="truncate">{lease.name}</span>
                </button>
                {span && history ? <Lane terms={history.terms.filter((term) => term.component === lease.name)} span={span} /> : <span className="skeleton h-3.5" />}
                <span className="max-md:hidden">{lease.holder ? <NodeBadge face={lease.holder} /> : <Vacant paused={lease.paused} />}</span>
                <span className="text-right text-sm text-soft tabular-nums max-md:hidden">{lease.epoch}</span>
                <span className="text-sm whitespace-nowrap text-soft max-md:hidden">{lease.holder && lease.acquiredAt ? <Elapsed from={lease.acquiredAt} /> : lease.paused ? <span className="text-look">paused</span> : '–'}</span>
                <LeaseActions lease={lease} nodes={overview.nodes} />
              </div>
              {open === lease.name && history && <HandOvers lease={lease} terms={history.terms.filter((term) => term.component === lease.name)} />}
            </li>
          ))}
        </ul>
        <div className={`${layout} h-8 border-y bg-page text-sm text-faint`}>
          <h3>Nodes</h3>
        </div>
        {span && nodes && <NodeLanes overview={overview} nodes={nodes} span={span} />}
      </div>
    </Section>
  );
}

function Vacant({ paused }: { paused: boolean }) {
  return paused ? <Status look={{ icon: Pause, word: 'paused', tone: 'look' }} wordless /> : <Status look={{ icon: UserX, word: 'nobody', tone: 'fail' }} wordless />;
}

/** Labels of changes nearer than this would overlap, percent. */
const labelRoom = 13;

function Lane({ terms, span }: { terms: Term[]; span: Span }) {
  const words = terms.map((term) => `${term.holder.letter} at epoch ${term.epoch} from ${formatClock(term.acquiredAt)}`).join(', ');
  return (
    <span role="img" aria-label={words || 'never held'} className="hatch relative block h-[18px] overflow-hidden rounded-[3px] border">
      {terms.map((term, index) => {
        const from = percent(term.acquiredAt.getTime(), span);
        const to = percent(term.endedAt?.getTime() ?? span.to, span);
        const before = terms[index - 1];
        const gapMs = before?.endedAt ? Math.max(0, term.acquiredAt.getTime() - before.endedAt.getTime()) : undefined;
        return (
          <Segment key={term.epoch} from={from} to={to} hue={hueOf(term.holder)} title={segmentTitle(term, gapMs)}>
            {to - from > 3 && <span className="font-semibold">{term.holder.letter}</span>}
            {to - from > labelRoom && (
              <span className="ml-1.5 whitespace-nowrap text-soft">
                e{term.epoch}
                {gapMs !== undefined && from > 0 && `, after ${formatDuration(gapMs)}`}
              </span>
            )}
          </Segment>
        );
      })}
    </span>
  );
}

function segmentTitle(term: Term, gapMs: number | undefined): string {
  const end = term.endedAt ? `\nuntil ${formatExact(term.endedAt)}: ${term.reason ?? 'ended'}` : '';
  return `Node ${term.holder.letter}, epoch ${term.epoch}\nfrom ${formatExact(term.acquiredAt)}${gapMs === undefined ? '' : `, ${formatDuration(gapMs)} after the one before`}${end}`;
}

function Segment({ from, to, hue, title, children }: { from: number; to: number; hue: string; title: string; children?: ReactNode }) {
  return (
    <span title={title} className="stretch absolute inset-y-0 flex min-w-[3px] items-center overflow-hidden pl-2 text-[11px] leading-none" style={{ '--hue': hue, left: `${from}%`, width: `${Math.max(0, to - from)}%` }}>
      {children}
    </span>
  );
}

function NodeLanes({ overview, nodes, span }: { overview: Overview; nodes: NodeTimes; span: Span }) {
  const names = [...new Set([...overview.nodes.map((node) => node.name), ...nodes.map((node) => node.name)])];
  return (
    <ul aria-label="Nodes over time" className="divide-y divide-line">
      {names.map((name) => {
        const lives = nodes.filter((node) => node.name === name);
        const now = overview.nodes.find((node) => node.name === name);
        const face = now ?? lives.at(-1);
        return (
          <li key={name} className={`${layout} min-h-9`}>
            <span className="flex items-center gap-2">
              {face && <NodeBadge face={face} />}
              <span className={now?.state === 'ready' ? 'text-soft' : now?.state === 'lost' ? 'text-fail' : 'text-look'}>{now?.state ?? 'away'}</span>
            </span>
            <span role="img" aria-label={lives.map((life) => `from ${formatClock(life.from)}${life.to ? ` to ${formatClock(life.to)}, ${life.state}` : ''}`).join(', ')} className="hatch relative block h-[18px] overflow-hidden rounded-[3px] border">
              {lives.map((life) => {
                const from = percent(life.from.getTime(), span);
                const to = percent(life.to?.getTime() ?? span.to, span);
                return <Segment key={life.id} from={from} to={to} hue={hueOf(life)} title={`Node ${life.letter} (${life.id})\nfrom ${formatExact(life.from)}${life.to ? `\nuntil ${formatExact(life.to)}: ${life.state}` : ''}`} />;
              })}
            </span>
          </li>
        );
      })}
    </ul>
  );
}
