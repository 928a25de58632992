'use client';

import type { ReactNode } from 'react';
import type { Instance, Vitals } from '../../../_ui/api';
import { ShortId } from '../../../_ui/short-id';
import { Status, toneIcons } from '../../../_ui/status';
import { Ago } from '../../../_ui/time';

export const lifeAdvice: Partial<Record<Instance['life'], string>> = {
  failing: 'A process is not running. Its logs are on the VM: bosh logs.',
  silent: 'The VM is recorded, but its agent does not answer.',
  missing: 'It should have a VM and has none. The next deploy makes one.',
};

/** What the records say of an instance, and where its agent is connected. */
export function InstanceFacts({ instance, agent }: { instance: Instance; agent: Vitals['agent'] }) {
  return (
    <dl className="grid grid-cols-[88px_1fr] gap-y-1.5 px-4 py-3 text-sm">
      <Row name="UUID"><ShortId id={instance.uuid} /></Row>
      <Row name="AZ">{instance.az ?? 'none'}</Row>
      <Row name="Addresses">{instance.ips.length === 0 ? '–' : <span className="mono">{instance.ips.join(' ')}</span>}</Row>
      <Row name="VM">{instance.vm?.cid === undefined ? '–' : <ShortId id={instance.vm.cid} />}</Row>
      <Row name="Agent">{instance.vm ? <ShortId id={instance.vm.agentId} /> : '–'}</Row>
      {agent?.server !== undefined && (
        <Row name="NATS server">
          {agent.server} {agent.serverSince && <span className="text-faint">since <Ago at={agent.serverSince} /></span>}
        </Row>
      )}
      {agent?.dnsVersion !== undefined && <Row name="DNS records">version {agent.dnsVersion}</Row>}
      <Row name="VM made">{instance.vm ? <Ago at={instance.vm.createdAt} /> : '–'}</Row>
      <Row name="Wanted">{instance.wanted}{instance.ignore && ', ignored'}{instance.bootstrap && ', bootstrap'}</Row>
      <Row name="Updated"><Ago at={instance.updatedAt} /></Row>
      <Row name="Because of">{instance.lastChanges.length === 0 ? '–' : instance.lastChanges.join(', ')}</Row>
      {!instance.updateCompleted && <Row name="Update"><span className="text-look">not finished; the next deploy goes on</span></Row>}
    </dl>
  );
}

/** What its agent says of the processes. */
export function Processes({ instance }: { instance: Instance }) {
  if (instance.processes.length === 0) return <p className="text-sm text-faint">{instance.life === 'silent' || !instance.vm ? 'Not known.' : 'It runs none.'}</p>;
  return (
    <ul className="flex flex-col gap-1 text-sm">
      {instance.processes.map((process) => (
        <li key={process.name} className="flex justify-between gap-3">
          <span className="mono truncate">{process.name}</span>
          <Process state={process.state} />
        </li>
      ))}
    </ul>
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
