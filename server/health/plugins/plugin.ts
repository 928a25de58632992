import type { Tx } from '../../../db/client';
import type { Alert } from '../../alerts/alert';
import type { Log } from '../../core/log';
import type { HeartbeatEvent } from '../events';

/** Takes alerts to a place outside the database. */
export interface AlertCall {
  kind: 'call';
  /** Alerts of one call at most. */
  batch: number;
  /** ms between two calls at least. */
  pauseMs: number;
  /**
   * Resolves when the alerts have arrived for good; throws when they, or some of them, are to be tried again. They are in the order of
   * their storing. One that arrived may come again with the same id: after a death between its arrival and the note of it.
   */
  deliver(alerts: readonly Alert[], signal: AbortSignal): Promise<void>;
}

/** Writes alerts into the database itself: exactly once, in the transaction that notes their delivery. */
export interface AlertRow {
  kind: 'row';
  record(tx: Tx, alert: Alert): Promise<void>;
}

/** Takes heartbeats, best effort: what fails is lost and counted. */
export interface HeartbeatSink {
  /** Heartbeats of one call at most. */
  batch: number;
  /** ms between two calls at least; 0 when not given. */
  pauseMs?: number;
  send(events: readonly HeartbeatEvent[], signal: AbortSignal): Promise<void>;
}

/** An output of the health monitor, alive for one term of the acting node. */
export interface Plugin {
  /** Id of the configuration, unique. */
  readonly key: string;
  /** Undefined when it takes none. */
  readonly alerts?: AlertCall | AlertRow | undefined;
  readonly heartbeats?: HeartbeatSink | undefined;
  start?(): void;
  stop?(): Promise<void>;
}

export interface PluginDeps {
  log: Log;
}

/** A call that takes one alert at a time, as soon as it is there. */
export function oneByOne(deliver: (alert: Alert, signal: AbortSignal) => Promise<void>): AlertCall {
  return {
    kind: 'call', batch: 1, pauseMs: 0,
    deliver: async (alerts, signal) => {
      for (const alert of alerts) await deliver(alert, signal);
    },
  };
}
