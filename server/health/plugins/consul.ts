import type { Alert } from '../../alerts/alert';
import { isHash } from '../../core/yaml';
import { alertEvent, type HeartbeatEvent } from '../events';
import { oneByOne, type Plugin } from './plugin';
import { sendRequest } from './send-request';

export interface ConsulOptions {
  host: string;
  port: number;
  protocol: 'http' | 'https';
  ca?: string | undefined;
  /** Prefix of names of checks and events. */
  namespace: string;
  /** Query of every call. */
  params?: string | undefined;
  /** Period of the TTL checks, e.g. `120s`; none without. */
  ttl?: string | undefined;
  ttl_note: string;
  events: boolean;
  heartbeats_as_alerts: boolean;
}

/** Heartbeats that are told at a time. */
const atATime = 8;
/** Consul refuses user events whose name and wrapped payload exceed 512 bytes; this is left for wrapping. */
const longestEvent = 400;

/**
 * Alerts become user events, heartbeats TTL checks and, where wanted, events too.
 * cloudfoundry/bosh src/bosh-monitor/lib/bosh/monitor/plugins/consul_event_forwarder.rb.
 */
export function createConsul(key: string, options: ConsulOptions): Plugin {
  const registered = new Set<string>();
  const { host, port, protocol, namespace, params, ttl } = options;
  const query = params === undefined || params === '' ? '' : `?${params}`;
  const put = (path: string, body: unknown, signal: AbortSignal) =>
    sendRequest({ method: 'PUT', url: `${protocol}://${host.includes(':') ? `[${host}]` : host}:${port}${path}${query}`, ca: options.ca, signal, headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) });
  const fire = (label: string, body: unknown, signal: AbortSignal) => put(`/v1/event/fire/${segment(label)}`, body, signal);

  const check = async (label: string, event: HeartbeatEvent, signal: AbortSignal) => {
    if (!registered.has(label)) {
      await put('/v1/agent/check/register', { name: label, notes: options.ttl_note, ttl }, signal);
      registered.add(label);
      return;
    }
    try {
      await put(`/v1/agent/check/${statusOf(event)}/${segment(label)}`, shortened(event), signal);
    } catch (error) {
      // Perhaps it was restarted and knows nothing of the check any more.
      registered.delete(label);
      throw error;
    }
  };
  const forward = async (event: HeartbeatEvent, signal: AbortSignal) => {
    const label = `${namespace}${event.job}_${event.instance_id}`;
    if (options.events && options.heartbeats_as_alerts) await fire(label, shortened(event), signal);
    if (ttl !== undefined) await check(label, event, signal);
  };
  return {
    key,
    alerts: options.events ? oneByOne((alert, signal) => fire(labelOf(namespace, alert), fitted(alert, namespace), signal)) : undefined,
    heartbeats:
      ttl !== undefined || (options.events && options.heartbeats_as_alerts)
        ? { batch: atATime, send: (events, signal) => allOf(events.map((event) => forward(event, signal))) }
        : undefined,
  };
}

/** Waits for all, then fails as the first that failed. */
async function allOf(calls: Promise<void>[]): Promise<void> {
  const failed = (await Promise.allSettled(calls)).find((call) => call.status === 'rejected');
  if (failed) throw failed.reason;
}

function segment(label: string): string {
  return encodeURIComponent(label).replaceAll('%2F', '/');
}

function labelOf(namespace: string, alert: Alert): string {
  return namespace + alert.title.toLowerCase().replaceAll(' ', '_');
}

function statusOf(event: HeartbeatEvent): 'pass' | 'fail' | 'warn' {
  switch (event.job_state) {
    case 'running': return 'pass';
    case 'failing':
    case 'unknown': return 'fail';
    default: return 'warn';
  }
}

/** A heartbeat as short as Consul's limit demands. */
function shortened(event: HeartbeatEvent): Record<string, unknown> {
  const { cpu, disk, load, mem, swap } = event.vitals;
  const disks = isHash(disk) ? disk : {};
  return {
    agent: event.agent_id, name: `${event.job}/${event.instance_id}`, id: event.instance_id, state: event.job_state ?? '',
    data: {
      cpu: pick(cpu, ['sys', 'user', 'wait']), dsk: { eph: pick(disks.ephemeral, ['inode_percent', 'percent']), sys: pick(disks.system, ['inode_percent', 'percent']) },
      ld: load ?? [], mem: pick(mem, ['kb', 'percent']), swp: pick(swap, ['kb', 'percent']),
    },
  };
}

function pick(from: unknown, keys: string[]): unknown[] {
  return isHash(from) ? keys.flatMap((name) => (name in from ? [from[name]] : [])) : [];
}

/** The alert's event, with as much of its summary and source as fits. */
function fitted(alert: Alert, namespace: string): Record<string, unknown> {
  const event: Record<string, unknown> = { ...alertEvent(alert) };
  const room = longestEvent - Buffer.byteLength(labelOf(namespace, alert));
  for (const name of ['summary', 'source', 'title']) {
    const excess = Buffer.byteLength(JSON.stringify(event)) - room;
    const text = String(event[name]);
    if (excess > 0) event[name] = text.slice(0, Math.max(0, text.length - excess));
  }
  return event;
}
