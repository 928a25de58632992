import type { Outputs, Overview } from '../../_ui/api';
import { NodeBadge } from '../../_ui/node';
import { Ago, Elapsed, formatDuration, formatExact } from '../../_ui/time';

type Term = Outputs['cluster']['leaseHistory']['terms'][number];

/** What the recorded reasons mean. */
const reasons: Record<string, string> = {
  expired: 'its node was lost: the lease expired',
  released: 'its node stopped and gave it back',
  'no progress': 'its duty made no progress',
  'moved or paused': 'an operator moved or paused it',
};

/** Who held a component's lease when, newest first, and why it ended. */
export function HandOvers({ lease, terms }: { lease: Overview['leases'][number]; terms: Term[] }) {
  const rows = terms.map((term, index) => ({ term, gapMs: gapBefore(terms[index - 1], term) })).toReversed();
  return (
    <div className="border-t bg-page px-4 py-3">
      <p className="mb-2 text-sm text-soft">
        {lease.holder ? <>Held at epoch {lease.epoch}{lease.lastProgressAt && <>, its duty last got on <Ago at={lease.lastProgressAt} /></>}.</> : lease.paused ? 'Paused: nobody may hold it.' : 'Nobody holds it now.'}
        {lease.wantedHolder && <> It is to move to <NodeBadge face={lease.wantedHolder} />.</>}
      </p>
      <div className="panel max-h-[280px] overflow-auto" tabIndex={0} role="region" aria-label={`Hand-overs of ${lease.name}`}>
        <table className="table min-w-[620px]">
          <thead>
            <tr>
              <th scope="col" className="num w-[72px]" aria-sort="descending">Epoch</th>
              <th scope="col">Holder</th>
              <th scope="col">From</th>
              <th scope="col" className="num" title="How long nobody held it before">Gap before</th>
              <th scope="col" className="num">Held for</th>
              <th scope="col">Why it ended</th>
            </tr>
          </thead>
          <tbody>
            {rows.map(({ term, gapMs }) => (
              <tr key={term.epoch}>
                <td className="num">{term.epoch}</td>
                <td><NodeBadge face={term.holder} label /></td>
                <td className="tabular-nums">{formatExact(term.acquiredAt)}</td>
                <td className="num">{gapMs === undefined ? <span className="text-faint">–</span> : formatDuration(gapMs)}</td>
                <td className="num"><Elapsed from={term.acquiredAt} to={term.endedAt} /></td>
                <td className={term.reason === 'expired' ? 'text-look' : 'text-soft'}>{term.endedAt ? (term.reason === undefined ? 'not known' : (reasons[term.reason] ?? term.reason)) : <span className="text-ok">goes on</span>}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </div>
  );
}

function gapBefore(before: Term | undefined, term: Term): number | undefined {
  return before?.endedAt ? Math.max(0, term.acquiredAt.getTime() - before.endedAt.getTime()) : undefined;
}
