import { uuidFrom } from '../core/digest';
import { isHash } from '../core/yaml';
import type { Alert, AlertCategory } from '../alerts/alert';
import type { AgentView } from './fleet-view';

/**
 * Alerts and heartbeats as plugins tell of them: the JSON of the events, their metrics and their text forms.
 * Rules and texts: cloudfoundry/bosh src/bosh-monitor/lib/bosh/monitor/events/.
 */

/** The JSON of an alert. */
export interface AlertEvent {
  kind: 'alert';
  id: string;
  severity: number;
  category: AlertCategory | null;
  title: string;
  summary: string;
  source: string;
  deployment: string | null;
  /** Seconds since 1970. */
  created_at: number;
}

export function alertEvent(alert: Alert): AlertEvent {
  return {
    kind: 'alert', id: alert.id, severity: alert.severity, category: alert.category ?? null, title: alert.title, summary: alert.summary, source: alert.source,
    deployment: alert.deployment ?? null, created_at: Math.trunc(alert.createdAt),
  };
}

/** One line, e.g. for a pager. */
export function alertShortText(alert: Alert): string {
  return `Severity ${alert.severity}: ${alert.source} ${alert.title}`;
}

/** One line for logs. */
export function alertLogText(alert: Alert): string {
  return `Alert @ ${utcText(alert.createdAt)}, severity ${alert.severity}: ${alert.summary}`;
}

/** A few lines, e.g. for a mail; ends with a newline. */
export function alertPlainText(alert: Alert): string {
  return [alert.source, alert.title, `Severity: ${alert.severity}`, `Summary: ${alert.summary}`, `Time: ${utcText(alert.createdAt)}`, ''].join('\n');
}

/** `2023-11-14 22:13:20 UTC` */
export function utcText(seconds: number): string {
  return new Date(Math.trunc(seconds) * 1_000).toISOString().replace('T', ' ').replace(/\.\d+Z$/, ' UTC');
}

export interface Metric {
  /** `system.load.1m`, … */
  name: string;
  /** A number in digits, as the agent wrote it. */
  value: string;
  /** Seconds since 1970. */
  timestamp: number;
  tags: Record<string, string>;
}

/** The JSON of a heartbeat. */
export interface HeartbeatEvent {
  kind: 'heartbeat';
  id: string;
  /** Seconds since 1970. */
  timestamp: number;
  deployment: string;
  agent_id: string;
  /** Instance group. */
  job: string;
  /** Empty when it has none. */
  index: string;
  instance_id: string;
  job_state: string | null;
  vitals: Record<string, unknown>;
  teams: string[];
  metrics: Metric[];
  /** Only when the agent says it. */
  number_of_processes?: number | null;
}

/** Whose heartbeat it is, by the records. */
export interface HeartbeatAgent extends Pick<AgentView, 'agentId' | 'deployment' | 'teams' | 'group' | 'index' | 'instanceUuid'> {
  /** It only compiles packages for a deploy. */
  compilation?: boolean;
}

/** What of an agent's own message counts; anything in it may be missing. */
export interface HeartbeatMessage {
  job_state?: string | null | undefined;
  vitals?: unknown;
  number_of_processes?: number | null | undefined;
}

/** The event of a heartbeat heard at `at` (epoch ms); undefined for agents of no instance, of which plugins are not told. */
export function heartbeatEvent(agent: HeartbeatAgent, message: HeartbeatMessage, at: number): HeartbeatEvent | undefined {
  const { agentId, deployment, group, instanceUuid } = agent;
  if (agent.compilation || deployment === undefined || group === undefined || instanceUuid === undefined) return undefined;
  const timestamp = Math.trunc(at / 1_000);
  const index = agent.index === undefined ? '' : String(agent.index);
  const vitals = hash(message.vitals);
  const jobState = message.job_state ?? null;
  return {
    kind: 'heartbeat', id: uuidFrom(`heartbeat ${agentId} ${at}`), timestamp, deployment, agent_id: agentId, job: group, index, instance_id: instanceUuid, job_state: jobState, vitals,
    teams: [...agent.teams], metrics: metricsOf(vitals, jobState, { timestamp, tags: { job: group, index, id: instanceUuid } }),
    ...(message.number_of_processes === undefined ? {} : { number_of_processes: message.number_of_processes }),
  };
}

/** One line. */
export function heartbeatText(event: HeartbeatEvent): string {
  return `Heartbeat from ${event.job}/${event.instance_id} (agent_id=${event.agent_id}${event.index === '' ? '' : ` index=${event.index}`}) @ ${utcText(event.timestamp)}`;
}

function metricsOf(vitals: Record<string, unknown>, jobState: string | null, common: Pick<Metric, 'timestamp' | 'tags'>): Metric[] {
  const { load } = vitals;
  const disk = hash(vitals.disk);
  const part = (prefix: string, of: unknown, keys: string[]) => keys.map((key) => [`${prefix}.${key}`, hash(of)[key]] as const);
  const found = [
    ['system.load.1m', Array.isArray(load) ? load[0] : undefined] as const,
    ...part('system.cpu', vitals.cpu, ['user', 'sys', 'wait']),
    ...part('system.mem', vitals.mem, ['percent', 'kb']),
    ...part('system.swap', vitals.swap, ['percent', 'kb']),
    ...['system', 'ephemeral', 'persistent'].flatMap((name) => part(`system.disk.${name}`, disk[name], ['percent', 'inode_percent'])),
    ['system.healthy', jobState === 'running' ? 1 : 0] as const,
  ];
  return found.flatMap(([name, value]) => (isNumeric(value) ? [{ name, value: String(value), ...common }] : []));
}

/** What is no number would be read as something else on its way, e.g. as the next line. */
function isNumeric(value: unknown): value is string | number {
  return (typeof value === 'number' && Number.isFinite(value)) || (typeof value === 'string' && /^-?\d+(\.\d+)?(e[-+]?\d+)?$/i.test(value));
}

function hash(value: unknown): Record<string, unknown> {
  return isHash(value) ? value : {};
}
