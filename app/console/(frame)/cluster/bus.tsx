'use client';

import { keepPreviousData, useQuery } from '@tanstack/react-query';
import { ArrowRightLeft } from 'lucide-react';
import { useEffect, useRef } from 'react';
import { useTRPC, type Outputs } from '../../_ui/api';
import { openRow } from '../../_ui/open-row';
import { Section } from '../../_ui/page-header';
import { useMe } from '../../_ui/queries';
import { Loaded, SkeletonRows } from '../../_ui/states';
import { Ago, Elapsed } from '../../_ui/time';
import { useUrlState } from '../../_ui/url-state';
import { useRows } from '../../_ui/use-rows';
import { BusMoveDetail } from './bus-move-detail';
import { BusMoveDialog } from './bus-move-dialog';
import { MoveProgress, MoveState } from './bus-move-state';

type Move = Outputs['bus']['list'][number];

/** Which NATS servers VMs use, moving them to others, and how far that has come. */
export function Bus() {
  const trpc = useTRPC();
  const { get, set } = useUrlState();
  const { data: me } = useMe();
  const targets = useQuery(trpc.bus.targets.queryOptions(undefined, { refetchInterval: 3_000, placeholderData: keepPreviousData }));
  const moves = useQuery(trpc.bus.list.queryOptions({}, { refetchInterval: 1_500, placeholderData: keepPreviousData }));
  const move = get('move');
  const chosen = move !== undefined && /^\d{1,15}$/.test(move) ? Number(move) : undefined;
  const why = (me?.can.administer ?? false) ? undefined : 'Only administrators may move the bus';
  const close = () => set({ move: undefined });
  // A link to a move leads to it, not to the head of the page.
  const linked = useRef(chosen !== undefined);
  const ready = targets.data !== undefined && moves.data !== undefined;
  useEffect(() => {
    if (!ready || !linked.current) return;
    linked.current = false;
    document.getElementById('bus')?.scrollIntoView();
  }, [ready]);
  return (
    <Section
      title="Bus of the VMs"
      id="bus"
      aside={
        <button type="button" className="button" disabled={why !== undefined} title={why ?? 'Give VMs other NATS servers'} onClick={() => set({ move: 'new' })}>
          <ArrowRightLeft aria-hidden size={14} /> Move the bus
        </button>
      }
    >
      <div className="panel overflow-x-auto">
        <Loaded query={targets} skeleton={<SkeletonRows rows={2} />}>{(data) => <Targets data={data} />}</Loaded>
        {moves.data && moves.data.length > 0 && <Moves moves={moves.data} chosen={chosen} onChoose={(id) => set({ move: id === chosen ? undefined : String(id) })} />}
        {chosen !== undefined && <BusMoveDetail key={chosen} id={chosen} onClose={close} />}
      </div>
      {move === 'new' && why === undefined && targets.data && <BusMoveDialog targets={targets.data} onClose={close} onStarted={(id) => set({ move: String(id) })} />}
    </Section>
  );
}

function Targets({ data }: { data: Outputs['bus']['targets'] }) {
  if (data.azs.length === 0) return <p className="flex h-11 items-center px-4 text-soft">No VMs yet. New ones get {(data.all ?? data.configured).join(', ')}.</p>;
  return (
    <table className="table min-w-[560px]">
      <thead>
        <tr>
          <th scope="col" className="w-32">AZ</th>
          <th scope="col" className="num w-20">VMs</th>
          <th scope="col">NATS servers that they are to use</th>
          <th scope="col" className="w-40">Given by</th>
        </tr>
      </thead>
      <tbody>
        {data.azs.map((one) => (
          <tr key={one.az ?? ''}>
            <td className="font-medium">{one.az ?? <span className="font-normal text-soft">no AZ</span>}</td>
            <td className="num">{one.vms}</td>
            <td className="mono">{one.urls.map((url) => url.replace('nats://', '')).join('  ')}</td>
            <td className="text-soft">{one.moveId === undefined ? 'configuration' : `move ${one.moveId}`}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function Moves({ moves, chosen, onChoose }: { moves: Move[]; chosen: number | undefined; onChoose: (id: number) => void }) {
  const rows = useRows<HTMLTableSectionElement>();
  return (
    <table aria-label="Moves" className="table min-w-[760px] border-t">
      <thead>
        <tr>
          <th scope="col" className="num w-[72px]" aria-sort="descending">Move</th>
          <th scope="col">State</th>
          <th scope="col" className="w-24">VMs of</th>
          <th scope="col" className="w-[30%]">Agents told</th>
          <th scope="col">By</th>
          <th scope="col">Started</th>
          <th scope="col" className="num">Took</th>
        </tr>
      </thead>
      <tbody ref={rows}>
        {moves.map((move) => (
          <tr key={move.id} className={`cursor-pointer ${move.id === chosen ? '[&>td]:bg-accent-wash' : ''}`} {...openRow(() => onChoose(move.id))}>
            <td className="num"><button type="button" tabIndex={-1} className="link" aria-expanded={move.id === chosen} onClick={() => onChoose(move.id)}>{move.id}</button></td>
            <td title={move.error}><MoveState move={move} /></td>
            <td>{move.az ?? 'all AZs'}</td>
            <td><MoveProgress move={move} /></td>
            <td className="truncate">{move.user}</td>
            <td className="text-soft"><Ago at={move.createdAt} /></td>
            <td className="num text-soft">{move.supersededBy === undefined ? <Elapsed from={move.createdAt} to={move.finishedAt} /> : '–'}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
