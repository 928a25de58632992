'use client';

import { keepPreviousData, useQuery } from '@tanstack/react-query';
import { Check, Clock, LoaderCircle, SkipForward, Trash2, X } from 'lucide-react';
import { useTRPC, type Outputs } from '../../_ui/api';
import { Segments } from '../../_ui/filters';
import { InstanceLink } from '../../_ui/instance-link';
import { Pages } from '../../_ui/pages';
import { ShortId } from '../../_ui/short-id';
import { Loaded, SkeletonRows } from '../../_ui/states';
import { Status, type Look } from '../../_ui/status';
import { Ago, Until } from '../../_ui/time';
import { useUrlState } from '../../_ui/url-state';

type Move = Outputs['bus']['get'];
type MoveAgent = Outputs['bus']['agents']['agents'][number];

const looks: Record<MoveAgent['state'], Look> = {
  pending: { icon: Clock, word: 'not told yet', tone: 'work' },
  told: { icon: Check, word: 'told', tone: 'ok' },
  gone: { icon: Trash2, word: 'VM deleted', tone: 'off' },
  superseded: { icon: SkipForward, word: 'left to another move', tone: 'off' },
};
const states = ['pending', 'told', 'gone', 'superseded'] as const;
const isState = (text: string | undefined): text is MoveAgent['state'] => text !== undefined && text in looks;
const pageSize = 50;

/** One move: its list, and each of its agents. */
export function BusMoveDetail({ id, onClose }: { id: number; onClose: () => void }) {
  const trpc = useTRPC();
  const { get, set } = useUrlState();
  const asked = get('agents');
  const state = isState(asked) ? asked : undefined;
  const after = get('after');
  const move = useQuery(trpc.bus.get.queryOptions({ id }, { refetchInterval: 1_500, placeholderData: keepPreviousData }));
  const agents = useQuery(trpc.bus.agents.queryOptions({ id, state, after, limit: pageSize }, { refetchInterval: 1_500, placeholderData: keepPreviousData }));
  return (
    <section aria-label={`Move ${id}`} className="border-t bg-page px-4 py-3">
      <div className="mb-2 flex flex-wrap items-center gap-x-4 gap-y-2">
        <h3 className="font-semibold">Move {id}</h3>
        {move.data && <span className="mono text-sm text-soft">{move.data.urls.join('  ')}</span>}
        <span className="ml-auto flex items-center gap-2">
          {move.data && <StateFilter move={move.data} state={state} onChange={(next) => set({ agents: next, after: undefined })} />}
          <button type="button" className="button quiet" title="Close" onClick={() => { set({ agents: undefined, after: undefined }); onClose(); }}>
            <X aria-hidden size={15} />
            <span className="sr-only">Close move {id}</span>
          </button>
        </span>
      </div>
      {move.data?.error !== undefined && move.data.finishedAt === undefined && <p className="mb-2 rounded-[5px] bg-look-wash px-3 py-1.5 text-sm break-words text-look">{move.data.error}</p>}
      <div className="panel max-h-[320px] overflow-auto" tabIndex={0} role="region" aria-label={`Agents of move ${id}`}>
        <Loaded query={agents} skeleton={<SkeletonRows rows={4} />}>{(page) => <Agents agents={page.agents} />}</Loaded>
      </div>
      <Pages
        first={after === undefined ? undefined : () => set({ after: undefined }, 'push')}
        next={agents.data?.next === undefined ? undefined : () => set({ after: agents.data?.next }, 'push')}
        names={{ first: 'First', next: 'Next', atFirst: 'These are the first', atLast: 'There are no more' }}
      />
    </section>
  );
}

function StateFilter({ move, state, onChange }: { move: Move; state: MoveAgent['state'] | undefined; onChange: (state: MoveAgent['state'] | undefined) => void }) {
  const options = [{ key: '' as const, name: 'All' }, ...states.filter((one) => move[one] > 0 || one === state).map((one) => ({ key: one, name: `${move[one]} ${looks[one].word}` }))];
  return <Segments<MoveAgent['state'] | ''> name="Agents shown" options={options} value={state ?? ''} onChange={(next) => onChange(next === '' ? undefined : next)} />;
}

function Agents({ agents }: { agents: MoveAgent[] }) {
  if (agents.length === 0) return <p className="flex h-11 items-center px-4 text-soft">No agent is in this state.</p>;
  return (
    <table className="table min-w-[640px]">
      <thead>
        <tr>
          <th scope="col" aria-sort="ascending">Agent</th>
          <th scope="col">State</th>
          <th scope="col">Instance</th>
          <th scope="col">AZ</th>
          <th scope="col" className="num">Attempts</th>
          <th scope="col">When</th>
        </tr>
      </thead>
      <tbody>
        {agents.map((agent) => (
          <tr key={agent.agentId}>
            <td><ShortId id={agent.agentId} /></td>
            <td>
              <Status look={agent.state === 'pending' && agent.sentAt ? { icon: LoaderCircle, word: 'told, not back yet', tone: 'work' } : looks[agent.state]} />
              {agent.error !== undefined && agent.state === 'pending' && <span className="block max-w-80 truncate text-look" title={agent.error}>{agent.error}</span>}
            </td>
            <td><Instance agent={agent} /></td>
            <td className="text-soft">{agent.az ?? '–'}</td>
            <td className="num">{agent.attempts}</td>
            <td className="text-soft">{agent.state === 'pending' && agent.attempts > 0 ? <>next try <Until at={agent.nextAttemptAt} /></> : <Ago at={agent.updatedAt} />}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function Instance({ agent }: { agent: MoveAgent }) {
  const [group, uuid] = agent.instance?.split('/') ?? [];
  if (agent.deployment === undefined || uuid === undefined) return <span className="text-faint">–</span>;
  return <InstanceLink deployment={agent.deployment} group={group} index={undefined} uuid={uuid} />;
}
