import { recordEvent } from '../../events/store';
import { alertLogText } from '../events';
import type { Plugin } from './plugin';

/**
 * Writes alerts into the audit trail, exactly once, with the fields that BOSH's monitor posts to `/events`.
 * cloudfoundry/bosh src/bosh-monitor/lib/bosh/monitor/plugins/event_logger.rb.
 */
export function createEventLogger(key: string): Plugin {
  return {
    key,
    alerts: {
      kind: 'row',
      record: async (tx, alert) => {
        await recordEvent(tx, {
          user: 'hm', action: 'create', objectType: 'alert', objectName: alert.id, at: new Date(Math.trunc(alert.createdAt) * 1_000), deployment: alert.deployment,
          instance: alert.job === undefined || alert.instanceId === undefined ? undefined : `${alert.job}/${alert.instanceId}`,
          context: { message: `${alert.title}. ${alertLogText(alert)}` },
        });
      },
    },
  };
}
