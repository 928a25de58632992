import type { Component } from '../../cluster/component';
import type { DeliveryTiming } from './courier';
import { DeliveryTerm, type DeliveryTermDeps } from './delivery-term';
import type { Plugin } from './plugin';
import type { PluginStats } from './plugin-stats';

export interface AlertDeliveryDeps extends Omit<DeliveryTermDeps, 'timing'> {
  /** The configured plugins, anew for each term. */
  createPlugins: () => Plugin[];
  /** The real one unless given. */
  timing?: DeliveryTiming;
}

export interface AlertDelivery extends Component {
  /** What this node did for each plugin since its process began; empty before it acted for the first time. */
  pluginStats(): PluginStats[];
  /** Resolves when calls that were under way when the lease went have ended (2 s at most) and the plugins are stopped. */
  settled(): Promise<void>;
}

const intervalMs = 500;
const deliveryTiming: DeliveryTiming = { callTimeoutMs: 30_000, claimMs: 40_000, graceMs: 2_000, retry: { firstMs: 1_000, longestMs: 300_000, giveUpMs: 86_400_000 } };

/**
 * The duty that brings stored alerts to every plugin, at least once each, and heartbeats, best effort. Its rounds only make and find
 * deliveries: each plugin has a courier of its own, so that one which hangs or fails keeps nobody waiting.
 */
export function createAlertDelivery({ createPlugins, timing = deliveryTiming, ...deps }: AlertDeliveryDeps): AlertDelivery {
  const stats = new Map<string, PluginStats>();
  const ending = new Set<Promise<void>>();
  let term: DeliveryTerm | undefined;
  return {
    name: 'alert-delivery',
    intervalMs,
    tick: async (ctx) => {
      if (term?.epoch !== ctx.epoch) {
        const begun = new DeliveryTerm(ctx, { ...deps, timing, plugins: createPlugins(), stats });
        term = begun;
        const end = () => {
          const ended = begun.end().finally(() => ending.delete(ended));
          ending.add(ended);
        };
        if (ctx.signal.aborted) end();
        else ctx.signal.addEventListener('abort', end, { once: true });
      }
      await term.round();
    },
    pluginStats: () => [...stats.values()].map((one) => ({ ...one })),
    settled: async () => {
      await Promise.all(ending);
    },
  };
}
