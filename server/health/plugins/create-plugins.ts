import type { Config } from '../../core/config';
import { createConsul } from './consul';
import { createDataDog } from './data-dog';
import { createEmail } from './email';
import { createEventLogger } from './event-logger';
import { createGraphite } from './graphite';
import { createJson } from './json';
import { createLogger } from './logger';
import { createPagerduty } from './pagerduty';
import type { Plugin, PluginDeps } from './plugin';
import { createRiemann } from './riemann';
import { createTsdb } from './tsdb';
import { createWebhook } from './webhook';

/** A plugin as it is configured. */
export type PluginConfig = Config['health_monitor']['plugins'][number];

/** Name under which a plugin's deliveries are kept: its id, or else its name. */
export function pluginKey(config: PluginConfig): string {
  return config.id ?? config.name;
}

/** The configured plugins, for one term of the acting node; nothing happens before their `start`. Each takes only the kinds of events that it is configured for. */
export function createPlugins(configs: readonly PluginConfig[], deps: PluginDeps): Plugin[] {
  return configs.map((config) => {
    const plugin = create(config, deps);
    const wants = (kind: 'alert' | 'heartbeat') => config.events.some((event) => event === kind);
    return { ...plugin, alerts: wants('alert') ? plugin.alerts : undefined, heartbeats: wants('heartbeat') ? plugin.heartbeats : undefined };
  });
}

function create(config: PluginConfig, deps: PluginDeps): Plugin {
  const key = pluginKey(config);
  switch (config.name) {
    case 'logger': return createLogger(key, config.options, deps);
    case 'event_logger': return createEventLogger(key);
    case 'json': return createJson(key, config.options, deps);
    case 'email': return createEmail(key, config.options, deps);
    case 'pagerduty': return createPagerduty(key, config.options);
    case 'data_dog': return createDataDog(key, config.options);
    case 'tsdb': return createTsdb(key, config.options, deps);
    case 'graphite': return createGraphite(key, config.options, deps);
    case 'riemann': return createRiemann(key, config.options);
    case 'consul_event_forwarder': return createConsul(key, config.options);
    case 'webhook': return createWebhook(key, config.options);
  }
}
