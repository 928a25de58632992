import { Check, CircleAlert, LoaderCircle, SkipForward } from 'lucide-react';
import type { Outputs } from '../../_ui/api';
import { Status, type Look } from '../../_ui/status';

type Move = Outputs['bus']['list'][number];

function lookOf(move: Move): Look {
  if (move.finishedAt) return { icon: Check, word: 'done', tone: 'ok' };
  if (move.supersededBy !== undefined) return { icon: SkipForward, word: `replaced by ${move.supersededBy}`, tone: 'off' };
  if (move.error !== undefined) return { icon: CircleAlert, word: 'waiting for agents', tone: 'look' };
  return { icon: LoaderCircle, word: 'telling agents', tone: 'work', spins: true };
}

export function MoveState({ move }: { move: Move }) {
  return <Status look={lookOf(move)} />;
}

/** Agents that have come back with the new list, of those that have to. */
export function MoveProgress({ move }: { move: Move }) {
  const total = move.told + move.pending;
  const share = total === 0 ? 100 : (move.told / total) * 100;
  const rest = [move.gone > 0 ? `${move.gone} deleted meanwhile` : '', move.superseded > 0 ? `${move.superseded} left to another move` : ''].filter((text) => text !== '').join(', ');
  return (
    <span className="flex items-center gap-3" title={rest}>
      <span role="progressbar" aria-label="Agents told" aria-valuemin={0} aria-valuemax={total} aria-valuenow={move.told} className="block h-1.5 min-w-16 flex-1 overflow-hidden rounded-[2px] bg-raised">
        <span className={`block h-full ${move.finishedAt ? 'bg-ok' : 'bg-work'}`} style={{ width: `${share}%` }} />
      </span>
      <span className="whitespace-nowrap tabular-nums">{move.told} of {total}</span>
    </span>
  );
}
