import { alertEvent, alertShortText } from '../events';
import { oneByOne, type Plugin } from './plugin';
import { sendRequest } from './send-request';

export interface PagerdutyOptions {
  service_key: string;
  http_proxy?: string | undefined;
  url: string;
}

/** Opens an incident per alert; the alert's id is its key, so one that comes again opens none. cloudfoundry/bosh src/bosh-monitor/lib/bosh/monitor/plugins/pagerduty.rb. */
export function createPagerduty(key: string, options: PagerdutyOptions): Plugin {
  return {
    key,
    alerts: oneByOne((alert, signal) =>
      sendRequest({
        method: 'POST', url: options.url, proxy: options.http_proxy, signal,
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ service_key: options.service_key, event_type: 'trigger', incident_key: alert.id, description: alertShortText(alert), details: alertEvent(alert) }),
      }),
    ),
  };
}
