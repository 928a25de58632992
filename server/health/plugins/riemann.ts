import { hostname } from 'node:os';
import { severityWord } from '../../alerts/alert';
import { alertEvent, type HeartbeatEvent, type Metric } from '../events';
import { oneByOne, type Plugin } from './plugin';
import { RiemannConnection, type RiemannEvent } from './riemann-connection';

export interface RiemannOptions {
  host: string;
  port: number;
}

/**
 * Everything becomes an event of the service `bosh.hm`: an alert one (its state is the word of its severity), a heartbeat one per metric.
 * Fields that Riemann does not know are attributes. cloudfoundry/bosh src/bosh-monitor/lib/bosh/monitor/plugins/riemann.rb.
 */
export function createRiemann(key: string, options: RiemannOptions): Plugin {
  // A server that is slow with metrics must not hold up alerts.
  const forAlerts = new RiemannConnection(options);
  const forHeartbeats = new RiemannConnection(options);
  return {
    key,
    alerts: oneByOne((alert, signal) => {
      const { created_at: createdAt, ...rest } = alertEvent(alert);
      return forAlerts.send([{ ...common(createdAt), state: severityWord(alert.severity), attributes: attributesOf({ ...rest, created_at: createdAt }) }], signal);
    }),
    heartbeats: { batch: 50, send: (events, signal) => forHeartbeats.send(events.flatMap(eventsOf), signal) },
    stop: async () => {
      forAlerts.close();
      forHeartbeats.close();
    },
  };
}

function eventsOf(event: HeartbeatEvent): RiemannEvent[] {
  const { vitals: _vitals, metrics, ...rest } = event;
  return metrics.map((metric) => ({ ...common(event.timestamp), ...measured(metric), attributes: attributesOf({ ...rest, name: metric.name }) }));
}

function common(seconds: number): Pick<RiemannEvent, 'time' | 'timeMicros' | 'service' | 'host'> {
  return { time: seconds, timeMicros: seconds * 1_000_000, service: 'bosh.hm', host: hostname() };
}

/** Agents' values are decimals, even where they look whole; only the health is counted by the monitor itself. */
function measured({ name, value }: Metric): Pick<RiemannEvent, 'metricSint64' | 'metricD' | 'metricF'> {
  const number = Number(value);
  return name === 'system.healthy' ? { metricSint64: number, metricF: number } : { metricD: number, metricF: number };
}

function attributesOf(fields: object): { key: string; value: string }[] {
  return Object.entries(fields).map(([key, value]: [string, unknown]) => ({ key, value: value === null ? '' : typeof value === 'string' ? value : JSON.stringify(value) }));
}
