'use client';

import { useMutation, useQueryClient } from '@tanstack/react-query';
import { MoreHorizontal } from 'lucide-react';
import { useState } from 'react';
import { useTRPC, type Overview } from '../../_ui/api';
import { NodeBadge } from '../../_ui/node';
import { useMe } from '../../_ui/queries';
import { Sheet } from '../../_ui/sheet';

type Lease = Overview['leases'][number];

/** Pausing, resuming and moving a component. */
export function LeaseActions({ lease, nodes }: { lease: Lease; nodes: Overview['nodes'] }) {
  const { data: me } = useMe();
  const [open, setOpen] = useState(false);
  const allowed = me?.can.administer ?? false;
  return (
    <span className="flex justify-end">
      <button type="button" className="button quiet" disabled={!allowed} title={allowed ? `Pause or move ${lease.name}` : 'Only administrators may pause or move components'} onClick={() => setOpen(true)}>
        <MoreHorizontal aria-hidden size={15} />
        <span className="sr-only">Pause or move {lease.name}</span>
      </button>
      {open && <Actions lease={lease} nodes={nodes} onClose={() => setOpen(false)} />}
    </span>
  );
}

function Actions({ lease, nodes, onClose }: { lease: Lease; nodes: Overview['nodes']; onClose: () => void }) {
  const trpc = useTRPC();
  const queries = useQueryClient();
  const onSuccess = () => {
    void queries.invalidateQueries({ queryKey: trpc.cluster.pathKey() });
    onClose();
  };
  const pause = useMutation(trpc.cluster.pause.mutationOptions({ onSuccess }));
  const resume = useMutation(trpc.cluster.resume.mutationOptions({ onSuccess }));
  const move = useMutation(trpc.cluster.move.mutationOptions({ onSuccess }));
  const busy = pause.isPending || resume.isPending || move.isPending;
  const error = pause.error ?? resume.error ?? move.error;
  return (
    <Sheet title={lease.name} onClose={onClose}>
      <div className="px-5 py-4">
        <h3 className="heading mb-2">Move it to</h3>
        <div className="flex flex-wrap gap-2">
          {nodes.map((node) => {
            const why = node.id === lease.holder?.id ? 'It holds the lease' : node.state === 'ready' ? undefined : `It is ${node.state}`;
            return (
              <button key={node.id} type="button" className="button" disabled={busy || why !== undefined || lease.paused} title={lease.paused ? 'Resume it first' : why} onClick={() => move.mutate({ component: lease.name, node: node.id })}>
                <NodeBadge face={node} />
                {why === 'It holds the lease' ? 'holds it' : node.state}
              </button>
            );
          })}
        </div>
        <p className="mt-3 text-sm text-soft">The present holder gives it up at its next beat; the hand-over takes well under a second.</p>
      </div>
      {error && (
        <p role="alert" className="mx-5 mb-3 rounded bg-fail-wash px-3 py-2 text-sm text-fail">
          {error.message}
        </p>
      )}
      <div className="flex items-center gap-2 border-t px-5 py-3">
        <p className="mr-auto text-sm text-soft">{lease.paused ? 'Nobody does its duty now.' : 'While paused nobody does its duty.'}</p>
        <button type="button" className="button" onClick={onClose}>
          Back
        </button>
        {lease.paused ? (
          <button type="button" className="button primary" disabled={busy} onClick={() => resume.mutate({ component: lease.name })}>
            Resume {lease.name}
          </button>
        ) : (
          <button type="button" className="button danger" disabled={busy} onClick={() => pause.mutate({ component: lease.name })}>
            Pause {lease.name}
          </button>
        )}
      </div>
    </Sheet>
  );
}
