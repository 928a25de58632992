import type { HeartbeatEvent } from '../events';
import { LineConnection } from './line-connection';
import type { Plugin, PluginDeps } from './plugin';

export interface GraphiteOptions {
  host: string;
  port: number;
  prefix?: string | undefined;
  max_retries: number;
}

/** Metrics as lines of Carbon's plaintext protocol. cloudfoundry/bosh src/bosh-monitor/lib/bosh/monitor/plugins/graphite.rb. */
export function createGraphite(key: string, options: GraphiteOptions, { log }: PluginDeps): Plugin {
  const connection = new LineConnection({ name: key, host: options.host, port: options.port, maxRetries: options.max_retries, log });
  return {
    key,
    start: () => connection.start(),
    stop: () => connection.stop(),
    heartbeats: { batch: 200, send: async (events) => connection.send(events.map((event) => linesOf(event, options.prefix)).join('')) },
  };
}

function linesOf(event: HeartbeatEvent, prefix: string | undefined): string {
  const path = [...(prefix === undefined ? [] : [prefix]), event.deployment, event.job, event.instance_id, event.agent_id].join('.').replace(/\s/g, '_');
  return event.metrics.map((metric) => `${path}.${metric.name.replaceAll('.', '_')} ${metric.value} ${metric.timestamp}\n`).join('');
}
