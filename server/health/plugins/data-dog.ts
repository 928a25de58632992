import type { Alert } from '../../alerts/alert';
import type { HeartbeatEvent } from '../events';
import { oneByOne, type Plugin } from './plugin';
import { sendRequest } from './send-request';

export interface DataDogOptions {
  api_key: string;
  pagerduty_service_name?: string | undefined;
  custom_tags: readonly { name: string; value: string }[];
  http_proxy?: string | undefined;
  url: string;
}

/** What Datadog takes at most, characters. */
const longestTitle = 100;
const longestText = 4_000;

/**
 * Alerts become events, heartbeats metrics of Datadog's API v1 (`/api/v1/events`, `/api/v1/series`). The alert's id is the event's
 * aggregation key: one that comes again is shown with the first.
 * cloudfoundry/bosh src/bosh-monitor/lib/bosh/monitor/plugins/datadog.rb, DataDog/dogapi-rb lib/dogapi/v1/.
 */
export function createDataDog(key: string, options: DataDogOptions): Plugin {
  const customTags = options.custom_tags.map(({ name, value }) => `${name}:${value}`);
  const post = (path: string, body: unknown, signal: AbortSignal) =>
    sendRequest({
      method: 'POST', url: options.url.replace(/\/$/, '') + path, proxy: options.http_proxy, signal, body: JSON.stringify(body),
      headers: { 'content-type': 'application/json', 'dd-api-key': options.api_key },
    });
  return {
    key,
    alerts: oneByOne((alert, signal) => post('/api/v1/events', eventOf(alert, { customTags, mention: options.pagerduty_service_name }), signal)),
    heartbeats: { batch: 200, send: (events, signal) => post('/api/v1/series', { series: events.flatMap((event) => seriesOf(event, customTags)) }, signal) },
  };
}

function eventOf(alert: Alert, { customTags, mention }: { customTags: string[]; mention: string | undefined }): Record<string, unknown> {
  const urgent = alert.severity >= 1 && alert.severity <= 3;
  const suffix = urgent && mention !== undefined ? ` @${mention}` : '';
  return {
    title: alert.title.slice(0, longestTitle), text: alert.summary.slice(0, longestText - suffix.length) + suffix, date_happened: Math.trunc(alert.createdAt),
    priority: urgent ? 'normal' : 'low', alert_type: urgent ? 'error' : 'warning', aggregation_key: alert.id.slice(0, longestTitle),
    tags: [`source:${alert.source}`, `deployment:${alert.deployment ?? ''}`, ...customTags],
  };
}

function seriesOf(event: HeartbeatEvent, customTags: string[]): Record<string, unknown>[] {
  const tags = [
    `job:${event.job}`, `index:${event.index}`, `id:${event.instance_id}`, `deployment:${event.deployment}`, `agent:${event.agent_id}`,
    ...event.teams.map((team) => `team:${team}`), ...customTags,
  ];
  return event.metrics.map((metric) => ({ metric: `bosh.healthmonitor.${metric.name}`, points: [[metric.timestamp, Number(metric.value)]], type: 'gauge', tags }));
}
