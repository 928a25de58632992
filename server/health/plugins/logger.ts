import { alertEvent, alertLogText, heartbeatText } from '../events';
import { oneByOne, type Plugin, type PluginDeps } from './plugin';

/**
 * Writes events into the node's own log: as text, or with `format: json` as fields.
 * cloudfoundry/bosh src/bosh-monitor/lib/bosh/monitor/plugins/logger.rb.
 */
export function createLogger(key: string, options: { format?: 'json' | undefined }, { log }: PluginDeps): Plugin {
  const asFields = options.format === 'json';
  return {
    key,
    alerts: oneByOne(async (alert) => (asFields ? log.info('alert', { alert: alertEvent(alert) }) : log.info(`[ALERT] ${alertLogText(alert)}`))),
    heartbeats: {
      batch: 100,
      send: async (events) => {
        for (const event of events) {
          if (asFields) log.info('heartbeat', { heartbeat: event });
          else log.info(`[HEARTBEAT] ${heartbeatText(event)}`);
        }
      },
    },
  };
}
