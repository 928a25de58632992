import { pluginsSchema } from '../../server/core/config-plugins';
import { silentLog, type Log } from '../../server/core/log';
import type { Alert } from '../../server/alerts/alert';
import type { HeartbeatEvent } from '../../server/health/events';
import { createPlugins, type PluginConfig } from '../../server/health/plugins/create-plugins';
import type { Plugin } from '../../server/health/plugins/plugin';
import { never } from './events';

/** A plugin as the director makes it of its configuration; secrets in it are texts. */
export function configuredPlugin(config: Record<string, unknown>, log: Log = silentLog): Plugin {
  const [plugin] = createPlugins(pluginsSchema.parse([config]) as PluginConfig[], { log });
  if (!plugin) throw new Error('one plugin was configured');
  return plugin;
}

/** Gives it alerts as a courier does. */
export async function deliver(plugin: Plugin, ...alerts: Alert[]): Promise<void> {
  if (plugin.alerts?.kind !== 'call') throw new Error('it takes no calls with alerts');
  await plugin.alerts.deliver(alerts, never);
}

/** Gives it heartbeats as a feed does. */
export async function beat(plugin: Plugin, ...events: HeartbeatEvent[]): Promise<void> {
  if (!plugin.heartbeats) throw new Error('it takes no heartbeats');
  await plugin.heartbeats.send(events, never);
}
