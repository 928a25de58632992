import type { Component, ComponentContext } from '../../cluster/component';
import { sleep } from '../../core/clock';
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
}

const roundMs = 500;
const deliveryTiming: DeliveryTiming = { callTimeoutMs: 30_000, claimMs: 40_000, graceMs: 2_000, retry: { firstMs: 1_000, longestMs: 300_000, giveUpMs: 86_400_000 } };

/**
 * The duty that brings stored alerts to every plugin, at least once each, and heartbeats, best effort. Its rounds only make and find
 * deliveries: each plugin has a courier of its own, so that one which hangs or fails keeps nobody waiting.
 *
 * The wait between two rounds is a part of the tick: so whoever takes the duty from this node waits until calls that are under way have
 * ended and the plugins are stopped (as long as it waits for any tick).
 */
export function createAlertDelivery({ createPlugins, timing = deliveryTiming, ...deps }: AlertDeliveryDeps): AlertDelivery {
  const stats = new Map<string, PluginStats>();
  let current: { term: DeliveryTerm; ended: Promise<void> } | undefined;
  const begin = (ctx: ComponentContext) => {
    const term = new DeliveryTerm(ctx, { ...deps, timing, plugins: createPlugins(), stats });
    return { term, ended: aborted(ctx.signal).then(() => term.end()) };
  };
  return {
    name: 'alert-delivery',
    intervalMs: 0,
    tick: async (ctx) => {
      try {
        if (current?.term.epoch !== ctx.epoch) current = begin(ctx);
        await current.term.round();
      } finally {
        await sleep(roundMs, ctx.signal).catch(() => undefined);
        if (ctx.signal.aborted) await current?.ended;
      }
    },
    pluginStats: () => [...stats.values()].map((one) => ({ ...one })),
  };
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
