'use client';

import { useMutation, useQueryClient } from '@tanstack/react-query';
import { useId, useState } from 'react';
import { useTRPC, type Outputs } from '../../_ui/api';
import { Sheet } from '../../_ui/sheet';

type Targets = Outputs['bus']['targets'];

/** Agents as a number and a noun. */
const agentsOf = (count: number) => `${count} ${count === 1 ? 'agent' : 'agents'}`;
const every = '';

/** Asks which VMs are to use which NATS servers, and says what that does to how many of them. */
export function BusMoveDialog({ targets, onClose, onStarted }: { targets: Targets; onClose: () => void; onStarted: (id: number) => void }) {
  const trpc = useTRPC();
  const queries = useQueryClient();
  const id = useId();
  const [az, setAz] = useState(every);
  const [text, setText] = useState((targets.all ?? targets.configured).join('\n'));
  const start = useMutation(
    trpc.bus.start.mutationOptions({
      onSuccess: (started) => {
        void queries.invalidateQueries({ queryKey: trpc.bus.pathKey() });
        onStarted(started.id);
      },
    }),
  );
  const urls = text.split(/[\s,]+/).filter((url) => url !== '');
  const vms = az === every ? targets.vms : (targets.azs.find((one) => one.az === az)?.vms ?? 0);
  const where = az === every ? 'all AZs' : `AZ ${az}`;
  return (
    <Sheet title="Move the bus" onClose={onClose}>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          start.mutate({ az: az === every ? undefined : az, urls });
        }}
      >
        <div className="flex flex-col gap-4 px-5 py-4">
          <label className="flex flex-col gap-1">
            <span className="heading">VMs of</span>
            <select className="field w-56" value={az} onChange={(event) => setAz(event.target.value)}>
              <option value={every}>all AZs ({targets.vms})</option>
              {targets.azs.flatMap((one) => (one.az === undefined ? [] : [<option key={one.az} value={one.az}>{one.az} ({one.vms})</option>]))}
            </select>
          </label>
          <label className="flex flex-col gap-1">
            <span className="heading">NATS servers, one a line</span>
            <textarea className="field mono !h-auto resize-y py-1.5" rows={4} spellCheck={false} aria-describedby={id} value={text} onChange={(event) => setText(event.target.value)} />
          </label>
          <p id={id} className="text-sm text-soft">
            <strong className="font-semibold text-ink">{agentsOf(vms)} of {where} will be told and restart their connection.</strong>{' '}
            The processes on the VMs go on. Agents that are away now are told when they return, and new VMs {az === every ? '' : `of ${where} `}get the same list.
          </p>
        </div>
        {start.error && (
          <p role="alert" className="mx-5 mb-3 rounded bg-fail-wash px-3 py-2 text-sm break-words text-fail">
            {start.error.message}
          </p>
        )}
        <div className="flex justify-end gap-2 border-t px-5 py-3">
          <button type="button" className="button" onClick={onClose}>
            Back
          </button>
          <button type="submit" className="button danger solid" disabled={start.isPending || urls.length === 0} title={urls.length === 0 ? 'Name at least one server' : undefined}>
            Move {agentsOf(vms)}
          </button>
        </div>
      </form>
    </Sheet>
  );
}
