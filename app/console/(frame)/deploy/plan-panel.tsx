'use client';

import { X } from 'lucide-react';
import type { ReactNode } from 'react';
import type { PlannedInstance } from '../../_ui/api';
import { ShortId } from '../../_ui/short-id';
import { Status } from '../../_ui/status';
import { outcomeLooks } from './looks';

/** What will happen to one instance, and why. */
export function PlanPanel({ instance, onClose }: { instance: PlannedInstance; onClose: () => void }) {
  return (
    <aside aria-label={`Plan for ${instance.group}/${instance.index}`} className="panel !sticky top-0 w-full shrink-0 lg:w-[340px]">
      <header className="flex items-center gap-1 border-b px-4 py-2.5">
        <h3 className="mr-auto min-w-0 truncate font-semibold">{instance.group}/{instance.index}</h3>
        <button type="button" className="button quiet -mr-2" onClick={onClose} title="Close (Escape)">
          <X aria-hidden size={15} />
          <span className="sr-only">Close</span>
        </button>
      </header>
      <div className="px-4 py-3">
        <Status look={outcomeLooks[instance.outcome]} chip />
        {instance.agentSilent && <p className="mt-2 text-sm text-fail">Its agent does not answer now. Without “fix” the deploy fails here.</p>}
        <Reasons instance={instance} />
      </div>
      <dl className="grid grid-cols-[auto_1fr] gap-x-4 gap-y-1.5 border-t px-4 py-3 text-sm">
        <Row name="Instance">{instance.uuid === undefined ? 'gets its ID with the deploy' : <ShortId id={instance.uuid} />}</Row>
        <Row name="AZ">{instance.az ?? '–'}</Row>
        {instance.bootstrap && <Row name="Bootstrap">yes</Row>}
        {instance.wanted !== undefined && <Row name="Shall be">{instance.wanted}</Row>}
        <Row name="VM now">{instance.vm === undefined ? 'none' : <ShortId id={instance.vm} />}</Row>
        {instance.skipDrain && <Row name="Drain">skipped</Row>}
        {instance.addresses.map((one) => (
          <Row key={`${one.network} ${one.ip}`} name={one.network}>
            <span className={`mono ${one.fate === 'released' ? 'line-through' : ''}`}>{one.ip}</span>{' '}
            <span className="text-faint">{one.fate === 'kept' ? (one.static ? 'static' : '') : one.fate === 'new' ? `new${one.static ? ', static' : ', tentative'}` : 'given back'}</span>
          </Row>
        ))}
      </dl>
    </aside>
  );
}

function Reasons({ instance }: { instance: PlannedInstance }) {
  if (instance.outcome === 'none') return <p className="mt-2 text-sm text-soft">Nothing about it changes.</p>;
  if (instance.outcome === 'ignored') return <p className="mt-2 text-sm text-soft">It is marked as ignored: deploys leave it alone.</p>;
  if (instance.outcome === 'delete') return <p className="mt-2 text-sm text-soft">The manifest has no place for it any more. Its jobs are drained and stopped, then its VM is deleted.</p>;
  return (
    <ul className="mt-2 flex flex-col gap-1 text-sm">
      {instance.changes.flatMap(({ kind, reasons }) => reasons.map((text) => (
        <li key={`${kind} ${text}`} className="break-words"><span className="text-faint">{kind.replaceAll('_', ' ')}:</span> {text}</li>
      )))}
    </ul>
  );
}

function Row({ name, children }: { name: string; children: ReactNode }) {
  return (
    <>
      <dt className="text-faint">{name}</dt>
      <dd className="min-w-0 break-words">{children}</dd>
    </>
  );
}
