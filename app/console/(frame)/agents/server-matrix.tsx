'use client';

import { CircleCheck, CircleHelp, CircleX } from 'lucide-react';
import type { Outputs } from '../../_ui/api';
import { Section } from '../../_ui/page-header';
import { Status, toneText, type Look, type Tone } from '../../_ui/status';
import { useUrlState } from '../../_ui/url-state';
import { agentLooks, agentStatuses, noServer, serverName, type AgentStatus } from './looks';

type Summary = Outputs['agents']['summary'];
type Server = Summary['servers'][number];

const serverLooks: Record<NonNullable<Server['state']>, Look> = {
  connected: { icon: CircleCheck, word: 'up', tone: 'ok' },
  up: { icon: CircleCheck, word: 'up', tone: 'ok' },
  lost: { icon: CircleX, word: 'lost', tone: 'fail' },
  unknown: { icon: CircleHelp, word: 'not heard of', tone: 'off' },
};
const fills: Record<Tone, string> = { ok: 'bg-ok', work: 'bg-work', look: 'bg-look', fail: 'bg-fail', off: 'bg-line-strong' };

/** NATS servers as rows, states as columns; each number shows its agents in the list below. */
export function ServerMatrix({ summary }: { summary: Summary }) {
  const { get, set } = useUrlState();
  // States that no agent is in would only widen the table.
  const statuses = agentStatuses.filter((status) => status === 'running' || status === 'unresponsive' || status === 'failing' || summary.statuses[status] > 0);
  const choose = (server: string | undefined, status: AgentStatus | undefined) => {
    const chosen = get('server') === server && get('status') === status;
    set({ server: chosen ? undefined : server, status: chosen ? undefined : status, after: undefined });
  };
  const isChosen = (server: string | undefined, status: AgentStatus | undefined) => get('server') === server && get('status') === status && (server !== undefined || status !== undefined);
  const most = Math.max(1, ...summary.servers.map((server) => server.total));
  return (
    <Section title="By NATS server and state" aside="a number filters the list">
      <div className="panel overflow-x-auto">
        <table className="table min-w-[620px]">
          <thead>
            <tr>
              <th scope="col">Server</th>
              <th scope="col">State</th>
              <th scope="col" className="w-[30%]"><span className="sr-only">Share</span></th>
              {statuses.map((status) => (
                <th key={status} scope="col" className="num">{agentLooks[status].word}</th>
              ))}
              <th scope="col" className="num">All</th>
            </tr>
          </thead>
          <tbody>
            {summary.servers.map((server) => (
              <tr key={server.name}>
                <th scope="row">{server.name === noServer ? <span className="font-normal text-soft">not known</span> : server.name}</th>
                <td>{server.state ? <Status look={serverLooks[server.state]} /> : <span className="whitespace-nowrap text-faint">{server.name === noServer ? 'no path recorded yet' : 'gone'}</span>}</td>
                <td><Share server={server} statuses={statuses} most={most} /></td>
                {statuses.map((status) => (
                  <td key={status} className="num">
                    <Count value={server.statuses[status]} tone={agentLooks[status].tone} label={`${agentLooks[status].word} at ${serverName(server.name)}`} chosen={isChosen(server.name, status)} onChoose={() => choose(server.name, status)} />
                  </td>
                ))}
                <td className="num">
                  <Count value={server.total} tone={undefined} label={`at ${serverName(server.name)}`} chosen={isChosen(server.name, undefined)} onChoose={() => choose(server.name, undefined)} />
                </td>
              </tr>
            ))}
            <tr>
              <th scope="row">All</th>
              <td />
              <td />
              {statuses.map((status) => (
                <td key={status} className="num">
                  <Count value={summary.statuses[status]} tone={agentLooks[status].tone} label={agentLooks[status].word} chosen={isChosen(undefined, status)} onChoose={() => choose(undefined, status)} />
                </td>
              ))}
              <td className="num font-semibold">{summary.total}</td>
            </tr>
          </tbody>
        </table>
      </div>
    </Section>
  );
}

function Share({ server, statuses, most }: { server: Server; statuses: AgentStatus[]; most: number }) {
  return (
    <span aria-hidden className="flex h-2 overflow-hidden rounded-[2px] bg-raised">
      {statuses.map((status) => (
        <span key={status} className={`${fills[agentLooks[status].tone]} ${agentLooks[status].tone === 'ok' ? 'opacity-70' : ''}`} style={{ width: `${(server.statuses[status] / most) * 100}%` }} />
      ))}
    </span>
  );
}

function Count({ value, tone, label, chosen, onChoose }: { value: number; tone: Tone | undefined; label: string; chosen: boolean; onChoose: () => void }) {
  if (value === 0 && !chosen) return <span className="text-faint">0</span>;
  const colour = tone === undefined || tone === 'ok' || tone === 'off' ? 'text-ink' : `font-semibold ${toneText[tone]}`;
  return (
    <button type="button" aria-pressed={chosen} title={`Show the agents ${label}`} onClick={onChoose} className={`-mr-1.5 min-w-6 rounded-[3px] px-1.5 leading-6 underline-offset-2 hover:underline ${chosen ? 'bg-accent-wash font-semibold text-accent' : colour}`}>
      {value}
      <span className="sr-only"> {label}</span>
    </button>
  );
}
