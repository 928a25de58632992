'use client';

import { X } from 'lucide-react';
import type { ReactNode } from 'react';
import type { Instance } from '../../../_ui/api';
import { ShortId } from '../../../_ui/short-id';
import { lifeLooks, Status, toneIcons } from '../../../_ui/status';
import { Ago } from '../../../_ui/time';

const advice: Partial<Record<Instance['life'], string>> = {
  failing: 'A process is not running. Its logs are on the VM: bosh logs.',
  silent: 'The VM is recorded, but its agent does not answer.',
  missing: 'It should have a VM and has none. The next deploy makes one.',
};

/** Everything known of one instance. */
export function InstancePanel({ instance, onClose }: { instance: Instance; onClose: () => void }) {
  return (
    <aside aria-label={`Instance ${instance.group}/${instance.index}`} className="panel !sticky top-0 w-full shrink-0 lg:mt-[26px] lg:w-[300px]">
      <header className="flex items-center justify-between border-b px-4 py-2.5">
        <h2 className="font-semibold">
          {instance.group}/{instance.index}
        </h2>
        <button type="button" className="button quiet -mr-2" onClick={onClose} title="Close (Escape)">
          <X aria-hidden size={15} />
          <span className="sr-only">Close</span>
        </button>
      </header>
      <div className="px-4 py-3">
        <Status look={lifeLooks[instance.life]} chip />
        {advice[instance.life] !== undefined && <p className="mt-2 text-sm text-soft">{advice[instance.life]}</p>}
      </div>
      <dl className="grid grid-cols-[88px_1fr] gap-y-1.5 border-t px-4 py-3 text-sm">
        <Row name="UUID"><ShortId id={instance.uuid} /></Row>
        <Row name="AZ">{instance.az ?? 'none'}</Row>
        <Row name="Addresses">{instance.ips.length === 0 ? '–' : <span className="mono">{instance.ips.join(' ')}</span>}</Row>
        <Row name="VM">{instance.vm?.cid === undefined ? '–' : <ShortId id={instance.vm.cid} />}</Row>
        <Row name="Agent">{instance.vm ? <ShortId id={instance.vm.agentId} /> : '–'}</Row>
        <Row name="VM made">{instance.vm ? <Ago at={instance.vm.createdAt} /> : '–'}</Row>
        <Row name="Wanted">{instance.wanted}{instance.ignore && ', ignored'}{instance.bootstrap && ', bootstrap'}</Row>
        <Row name="Updated"><Ago at={instance.updatedAt} /></Row>
        <Row name="Because of">{instance.lastChanges.length === 0 ? '–' : instance.lastChanges.join(', ')}</Row>
        {!instance.updateCompleted && <Row name="Update"><span className="text-look">not finished; the next deploy goes on</span></Row>}
      </dl>
      <div className="border-t px-4 py-3">
        <h3 className="heading mb-1.5">Processes</h3>
        {instance.processes.length === 0 ? (
          <p className="text-sm text-faint">{instance.life === 'silent' || !instance.vm ? 'Not known.' : 'It runs none.'}</p>
        ) : (
          <ul className="flex flex-col gap-1 text-sm">
            {instance.processes.map((process) => (
              <li key={process.name} className="flex justify-between gap-3">
                <span className="mono truncate">{process.name}</span>
                <Process state={process.state} />
              </li>
            ))}
          </ul>
        )}
      </div>
    </aside>
  );
}

function Process({ state }: { state: string }) {
  const tone = state === 'running' ? 'ok' : state === 'starting' || state === 'initializing' ? 'work' : state.includes('stopped') || state === 'unmonitored' ? 'off' : 'fail';
  return <Status look={{ icon: toneIcons[tone], word: state, tone }} />;
}

function Row({ name, children }: { name: string; children: ReactNode }) {
  return (
    <>
      <dt className="text-faint">{name}</dt>
      <dd className="min-w-0 break-words">{children}</dd>
    </>
  );
}
