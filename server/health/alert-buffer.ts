import type { NewAlert } from '../alerts/alert';
import { sha256Hex, uuidFrom } from '../core/digest';
import { agentName, type NamedAgent } from './names';

/**
 * Alerts that agents and director nodes send over the bus, from their hearing until they are stored. Every node keeps them for a
 * while, so that whoever acts next stores what its predecessor did not; the same alert is stored once.
 */
export interface AlertBuffer {
  add(alert: NewAlert, now: number): void;
  /** Up to `limit` of them, oldest first. */
  take(limit: number): NewAlert[];
  /** They are stored. */
  remove(alerts: readonly NewAlert[]): void;
  /** Drops what is older than `maxAgeMs`: somebody else has stored it. */
  expire(now: number): void;
  readonly size: number;
  /** Lost because there were too many. */
  readonly dropped: number;
}

export function createAlertBuffer(options: { limit: number; maxAgeMs: number }): AlertBuffer {
  const waiting = new Map<string, { alert: NewAlert; at: number }>();
  let dropped = 0;
  return {
    add(alert, now) {
      if (waiting.has(alert.dedupKey)) return;
      waiting.set(alert.dedupKey, { alert, at: now });
      if (waiting.size <= options.limit) return;
      const [oldest] = waiting.keys();
      if (oldest !== undefined) waiting.delete(oldest);
      dropped++;
    },
    take(limit) {
      const taken: NewAlert[] = [];
      for (const { alert } of waiting.values()) {
        if (taken.length >= limit) break;
        taken.push(alert);
      }
      return taken;
    },
    remove(alerts) {
      for (const { dedupKey } of alerts) waiting.delete(dedupKey);
    },
    expire(now) {
      for (const [key, { at }] of waiting) {
        if (now - at <= options.maxAgeMs) return;
        waiting.delete(key);
      }
    },
    get size() {
      return waiting.size;
    },
    get dropped() {
      return dropped;
    },
  };
}

/** What an agent says, e.g. of a process that monit has restarted. A string says what is wrong with it. */
export function alertOfAgent(agent: NamedAgent, text: string): NewAlert | string {
  const message = parse(text);
  if (typeof message === 'string') return message;
  const id = textOf(message.id, 200) ?? uuidFrom(`agent alert ${agent.agentId} ${text}`);
  const common = commonOf(message);
  if (typeof common === 'string') return common;
  const source = textOf(message.source, longestTitle);
  // An alert that brings its own source is not attributed to an instance.
  const place = source === undefined ? { source: agentName(agent), deployment: agent.deployment, job: agent.group, instanceId: agent.instanceUuid } : { source, deployment: textOf(message.deployment, longestTitle) };
  return { ...common, ...place, id, agentId: agent.agentId, origin: 'agent', dedupKey: sha256Hex(JSON.stringify(['agent', agent.agentId, id, common.createdAt])) };
}

/** What director nodes say of their work. A string says what is wrong with it. */
export function alertOfDirector(text: string): NewAlert | string {
  const message = parse(text);
  if (typeof message === 'string') return message;
  const id = textOf(message.id, 200);
  if (id === undefined) return 'id is missing';
  if (textOf(message.summary, 1) === undefined) return 'summary is missing';
  const common = commonOf(message);
  if (typeof common === 'string') return common;
  const source = textOf(message.source, longestTitle) ?? 'director';
  const deployment = textOf(message.deployment, longestTitle);
  return { ...common, source, deployment, id, origin: 'director', dedupKey: sha256Hex(JSON.stringify(['director', source, id, common.createdAt, deployment ?? null])) };
}

const longestTitle = 1_000;
const longestSummary = 16_000;
/** 9999-12-31, seconds since 1970. */
const lastSecond = 253_402_300_799;

function commonOf(message: Record<string, unknown>): Pick<NewAlert, 'severity' | 'title' | 'summary' | 'createdAt'> | string {
  const { severity, created_at: createdAt } = message;
  const title = textOf(message.title, longestTitle);
  if (severity === undefined || severity === null) return 'severity is missing';
  if (typeof severity !== 'number' || !Number.isInteger(severity) || severity < 0 || severity > 1_000_000) return 'severity is invalid (non-negative integer expected)';
  if (title === undefined) return 'title is missing';
  if (typeof createdAt !== 'number' || !(createdAt >= 0 && createdAt <= lastSecond)) return 'created_at is invalid UNIX timestamp';
  return { severity, title, summary: textOf(message.summary, longestSummary) ?? title, createdAt };
}

function parse(text: string): Record<string, unknown> | string {
  let message: unknown;
  try {
    message = JSON.parse(text);
  } catch {
    return 'it is not JSON';
  }
  return typeof message === 'object' && message !== null && !Array.isArray(message) ? (message as Record<string, unknown>) : 'a JSON object was expected';
}

/** Text as PostgreSQL takes it, of bounded length. */
function textOf(value: unknown, longest: number): string | undefined {
  if (typeof value === 'number') return String(value);
  return typeof value === 'string' ? value.replaceAll('\u0000', '').slice(0, longest) : undefined;
}
