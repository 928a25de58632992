/**
 * Alerts: what operators are told. Whoever finds something stores an alert (`insertAlert`); the component `alert-delivery` brings it
 * to every configured plugin. Rules and texts: cloudfoundry/bosh src/bosh-monitor/lib/bosh/monitor/events/alert.rb.
 */

/** 1 alert, 2 critical, 3 error, 4 warning, -1 ignored; other numbers pass through. */
export type Severity = number;

/** `vm_health` alerts name one VM; `deployment_health` ones sum up those of a deployment. */
export type AlertCategory = 'vm_health' | 'deployment_health';

export interface NewAlert {
  /** Id of the event as plugins get it. Agents choose their own; ours follow from the occurrence. */
  id: string;
  /** Equal for the same occurrence, whoever heard of it: stored once. */
  dedupKey: string;
  origin: 'health_monitor' | 'resurrector' | 'agent' | 'director';
  category?: AlertCategory | undefined;
  severity: Severity;
  title: string;
  /** Equal to the title when there is nothing to add. */
  summary: string;
  /** Who says it: an agent's name, a deployment's, `director`, `HM plugin resurrector`. */
  source: string;
  deployment?: string | undefined;
  /** Instance group. */
  job?: string | undefined;
  /** Uuid of the instance. */
  instanceId?: string | undefined;
  agentId?: string | undefined;
  /** Row of incidents. */
  incidentId?: number | undefined;
  jobsToInstanceIds?: Record<string, string[]> | undefined;
  /** Seconds since 1970, as its origin says. */
  createdAt: number;
}

/** A stored alert. */
export interface Alert extends NewAlert {
  /** Grows in the order of storing; gaps are possible. */
  seq: number;
  storedAt: Date;
}

const words: Record<number, string> = { 1: 'alert', 2: 'critical', 3: 'error', 4: 'warning', [-1]: 'ignored' };

/** BOSH's word for a severity; the number itself when it has none. */
export function severityWord(severity: Severity): string {
  return words[severity] ?? String(severity);
}
