import { Check, CircleAlert, CircleDashed, CircleHelp, CircleX, EarOff, Info, Loader, Unplug } from 'lucide-react';
import type { Incident } from '../../_ui/api';
import type { Look } from '../../_ui/status';

/** What each kind of incident says. */
export const incidentLooks: Record<Incident['kind'], Look & { means: string }> = {
  agent_timeout: { icon: Unplug, word: 'agent silent', tone: 'fail', means: 'No heartbeat for longer than the timeout.' },
  missing_vm: { icon: CircleDashed, word: 'no VM', tone: 'fail', means: 'It should have a VM and has none.' },
  deaf_agent: { icon: EarOff, word: 'agent deaf', tone: 'fail', means: 'It beats, but it does not answer.' },
  rogue_agent: { icon: CircleHelp, word: 'rogue agent', tone: 'look', means: 'It beats, and no deployment knows it.' },
  unmanaged_timeout: { icon: Unplug, word: 'unmanaged, silent', tone: 'look', means: 'No deployment knows it, and it beats no more.' },
};

const severities: Record<number, Look> = {
  1: { icon: CircleX, word: 'alert', tone: 'fail' },
  2: { icon: CircleX, word: 'critical', tone: 'fail' },
  3: { icon: CircleAlert, word: 'error', tone: 'fail' },
  4: { icon: CircleAlert, word: 'warning', tone: 'look' },
  [-1]: { icon: Info, word: 'ignored', tone: 'off' },
};

/** BOSH's words for severities; others are shown as their number. */
export function severityLook(severity: number): Look {
  return severities[severity] ?? { icon: Info, word: `severity ${severity}`, tone: 'off' };
}

export const deliveryLooks: Record<'delivered' | 'waiting' | 'given up', Look> = {
  delivered: { icon: Check, word: 'delivered', tone: 'ok' },
  waiting: { icon: Loader, word: 'waiting', tone: 'work' },
  'given up': { icon: CircleX, word: 'given up', tone: 'fail' },
};

export const origins = { health_monitor: 'health monitor', resurrector: 'resurrector', agent: 'agent', director: 'director' } as const;
export type Origin = keyof typeof origins;
