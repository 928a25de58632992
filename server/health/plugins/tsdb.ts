import type { HeartbeatEvent } from '../events';
import { LineConnection } from './line-connection';
import type { Plugin, PluginDeps } from './plugin';

export interface TsdbOptions {
  host: string;
  port: number;
  max_retries: number;
}

/** Metrics as `put` lines of OpenTSDB; alerts are nothing to it. cloudfoundry/bosh src/bosh-monitor/lib/bosh/monitor/plugins/tsdb.rb. */
export function createTsdb(key: string, options: TsdbOptions, { log }: PluginDeps): Plugin {
  const connection = new LineConnection({ name: key, host: options.host, port: options.port, maxRetries: options.max_retries, log });
  return {
    key,
    start: () => connection.start(),
    stop: () => connection.stop(),
    heartbeats: { batch: 200, send: async (events) => connection.send(events.map(linesOf).join('')) },
  };
}

function linesOf(event: HeartbeatEvent): string {
  return event.metrics.map((metric) => `put ${metric.name} ${metric.timestamp} ${metric.value} ${tagsOf({ ...metric.tags, deployment: event.deployment })}\n`).join('');
}

function tagsOf(tags: Record<string, string>): string {
  return Object.entries(tags).filter(([, value]) => value.trim() !== '').map(([name, value]) => `${name}=${value.replace(/\s/g, '_')}`).toSorted().join(' ');
}
