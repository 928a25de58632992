import { Check, CircleHelp, CirclePause, CircleX, LoaderCircle, Unplug, UserX } from 'lucide-react';
import type { Agent } from '../../_ui/api';
import type { Look } from '../../_ui/status';

export type AgentStatus = Agent['status'];

/** The states of agents, the worst first. */
export const agentLooks: Record<AgentStatus, Look> = {
  unresponsive: { icon: Unplug, word: 'unresponsive', tone: 'fail' },
  failing: { icon: CircleX, word: 'failing', tone: 'fail' },
  unmanaged: { icon: UserX, word: 'unmanaged', tone: 'look' },
  unknown: { icon: CircleHelp, word: 'not heard yet', tone: 'off' },
  starting: { icon: LoaderCircle, word: 'starting', tone: 'work' },
  stopped: { icon: CirclePause, word: 'stopped', tone: 'off' },
  running: { icon: Check, word: 'running', tone: 'ok' },
};

export const agentStatuses = Object.keys(agentLooks) as AgentStatus[];

export function toStatus(text: string | undefined): AgentStatus | undefined {
  return text !== undefined && text in agentLooks ? (text as AgentStatus) : undefined;
}

/** In filters: agents of which no NATS server is known. */
export const noServer = '-';
export const serverName = (name: string) => (name === noServer ? 'not known' : name);
